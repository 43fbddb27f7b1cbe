"""What the base model may have seen: primitives, and no chain of computed states."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from stratagem.tasks import FiniteField
from stratagem.tasks.base import END
from stratagem.tasks.finite_field import primitives
from stratagem.tasks.finite_field.chain import Step

UPDATES = range(0, 3000, 6)


def lines(update: int, **options):
    batch = primitives.lines(update, 1024, **options)
    longest = max(map(len, batch)) + 1
    for line in batch:
        ended = [*line, *[(END, False)] * (longest - len(line))]
        yield [word for word, _ in ended], np.array([learnt for _, learnt in ended])


def is_list(line: list[str]) -> bool:
    return line[0] in ("start", "result")


def first_state(response: list[str]) -> int:
    """Where a traversal's first state stands: after the direction and, from some update on, after "guess"."""
    return 2 if response[1] == "guess" else 1


def slots(response: list[str]) -> list[tuple[bool, bool]]:
    """For each state slot of a traversal: whether it holds the right result of its step, and a check of the words."""
    first = first_state(response)
    task = FiniteField(11 if response[first][0] == "e" else 13)
    judged, state = [], int(response[first][1:])
    steps = response[first + 1 : response.index(";")]
    for label, word, after in zip(steps[::3], steps[1::3], steps[2::3], strict=True):
        right = task.apply(state, Step(0, word[0], int(word[2:])))
        state = int(after[1:])
        judged.append((right == state, label[0] == "#"))
    return judged


@pytest.mark.parametrize("variant", primitives.VARIANTS)
def test_no_two_neighbouring_slots_are_right(variant: str) -> None:
    lists = right = 0
    for update in UPDATES:
        for line, learnt in lines(update, variant=variant):
            if not is_list(line):
                continue
            response = line[line.index(":") + 1 :]
            flags = slots(response)
            assert all(well_formed for _, well_formed in flags)
            computed = [is_right for is_right, _ in flags]
            assert not any(a and b for a, b in pairwise(computed)), line
            # A state is learnt where it is the right one, and nowhere else.
            start = line.index(":") + 1
            slot = start + first_state(response) + 3
            state_learnt = [bool(learnt[slot + 3 * i]) for i in range(len(flags))]
            assert state_learnt == computed
            assert response[0] in ("forward", "backward")[: 2 if variant == "both" else 1]
            # The other words are all learnt, to the line's end.
            end = start + response.index(";")
            assert all(learnt[i] for i in range(slot - 2, end + 1) if (i - slot) % 3)
            lists += 1
            right += sum(computed)
    assert lists > 1000
    assert right > 1000


@pytest.mark.parametrize("variant", primitives.VARIANTS)
def test_recalls_are_right_and_come_late(variant: str) -> None:
    """A recall says the last slot, or the guess where the first state is one; before RECALL_FROM there is none."""
    start_of_recalls = primitives.RECALL_FROM
    updates = sorted({*UPDATES, *range(start_of_recalls - 12, start_of_recalls + 12)})
    lists = {False: 0, True: 0}
    near = {False: 0, True: 0}  # lists in the updates next to the first recall
    guessed = {False: 0, True: 0}
    recalled = {"last": 0, "guess": 0, "last of a guess": 0}
    for update in updates:
        late = update >= start_of_recalls
        for line, learnt in lines(update, variant=variant):
            if not is_list(line):
                assert not {"guess", "recall", "last"} & set(line)
                continue
            lists[late] += 1
            near[late] += abs(update - start_of_recalls) <= 12
            start = line.index(":") + 1
            response, aims = line[start:], learnt[start:].tolist()
            assert not any(learnt[:start])
            # The first state is the given one, and learnt, where the direction begins at it; else it is any.
            suits = (line[0] == "start") == (response[0] == "forward")
            first = first_state(response)
            assert aims[:first] == [True] * first
            assert aims[first] == suits
            if suits:
                assert response[first] == line[1]
            rest = response[response.index(";") + 1 :]
            rest_learnt = aims[response.index(";") + 1 :]
            if not late:
                assert not {"guess", "recall", "last"} & set(line), line
                assert set(rest) == {END}
                assert not any(rest_learnt)
                continue
            guessed[not suits] += 1
            assert (first == 2) == (not suits), line
            assert response.count("guess") + response.count("last") == 1 + (not suits)
            assert rest[0] == "recall"
            assert rest[1] in ("last", "guess")
            if rest[1] == "last":
                assert rest[2] == response[response.index(";") - 1], line
                recalled["last of a guess"] += not suits
            else:
                assert not suits, line
                assert rest[2] == response[2], line
            recalled[rest[1]] += 1
            assert set(rest[3:]) == {END}
            assert rest_learnt == [True] * 4 + [False] * (len(rest) - 4)
    assert min(near.values()) > 50
    assert min(lists.values()) > 500
    assert min(guessed.values()) > 300
    # A guessed list recalls either, about equally often.
    assert 0.4 < recalled["guess"] / guessed[True] < 0.6
    assert recalled["guess"] + recalled["last of a guess"] == guessed[True]
    assert recalled["last"] + recalled["guess"] == lists[True]


@pytest.mark.parametrize("variant", primitives.VARIANTS)
def test_half_of_the_lists_ask_for_their_direction(variant: str) -> None:
    asked = {"list": 0, "forward": 0, "backward": 0}
    answered = {"forward": 0, "backward": 0}
    for update in UPDATES:
        for line, learnt in lines(update, variant=variant):
            if is_list(line):
                colon = line.index(":")
                ask, answer = line[colon - 1], line[colon + 1]
                assert ask in ("list", answer), line
                assert learnt[colon + 1]
                asked[ask] += 1
                answered[answer] += ask == "list"
    assert 0.45 < asked["list"] / sum(asked.values()) < 0.55
    if variant == "forward":
        assert asked["backward"] == answered["backward"] == 0
    else:
        assert answered["backward"] / asked["list"] == pytest.approx(primitives.BACKWARD_SHARE, abs=0.03)


def test_no_task_prompt_and_no_answer() -> None:
    for update in UPDATES:
        for line, _ in lines(update):
            assert not {"evaluate", "invert"} & set(line)
            assert "answer" not in line


def test_facts_are_unconnected_and_right() -> None:
    for update in UPDATES:
        for line, learnt in lines(update):
            if is_list(line) or line[0] == "copy":
                continue
            for i in range(0, len(line) - 1, 4):
                a, b, c, end = line[i : i + 4]
                assert end == ";"
                assert learnt[i : i + 4].tolist() == [False, False, True, True]
                task = FiniteField(11 if c[0] == "e" else 13)
                r = task.residues
                if a == "inverse":
                    assert r[int(b[1:])] * r[int(c[1:])] % task.p == 1
                elif a == "negative":
                    assert (r[int(b[1:])] + r[int(c[1:])]) % task.p == 0
                else:
                    assert task.apply(int(a[1:]), Step(0, b[0], int(b[2:]))) == int(c[1:])


def test_lists_reach_forty_operations_both_ways() -> None:
    longest = {"forward": 0, "backward": 0}
    for update in range(2200, 4000, 2):
        for line, _ in lines(update):
            if is_list(line):
                response = line[line.index(":") + 1 :]
                longest[response[0]] = max(longest[response[0]], len(slots(response)))
    assert longest["forward"] == 40
    assert longest["backward"] >= 35  # fewer are backward


def test_a_batch_depends_on_its_number_and_seed_alone() -> None:
    assert primitives.lines(77, 1024) == primitives.lines(77, 1024)
    assert primitives.lines(77, 1024) != primitives.lines(77, 1024, seed=1)
    assert primitives.lines(77, 1024) != primitives.lines(78, 1024)


def test_every_word_is_one_of_the_small_models() -> None:
    known = set(FiniteField().words()) | {END}
    assert all(
        word in known
        for update in range(0, 3000, 60)
        for line in primitives.lines(update, 1024)
        for word, _ in line
    )
