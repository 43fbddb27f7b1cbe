"""What a base may have seen: steps and parts, one at a time, and nothing that chains them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from stratagem.tasks import FiniteField
from stratagem.tasks.base import END
from stratagem.tasks.finite_field import words as plain_words
from stratagem.tasks.five_ways import FiveWays, primitives
from stratagem.tasks.five_ways.words import NAMES, NEW

UPDATES = range(primitives.NEW_FROM, 4600, 3)
TASKS = {"e": FiniteField(11), "f": FiniteField(13)}
EACH_VARIANT = pytest.mark.parametrize("variant", primitives.VARIANTS)
Words = list[tuple[str, bool]]


def lines(kind: str, variant: str = primitives.VARIANTS[0]) -> Iterator[Words]:
    for update in UPDATES:
        if primitives.kind_of(update, 0) == kind:
            yield from primitives.lines(update, 512, variant)


def residue(symbol: str) -> int:
    return TASKS[symbol[0]].residues[int(symbol[1:])]


def result(value: int, operation: str) -> int:
    """An operation on a residue, by the integers' own arithmetic."""
    operand, p = residue(operation[1:]), TASKS[operation[1]].p
    match operation[0]:
        case "+":
            return (value + operand) % p
        case "-":
            return (value - operand) % p
        case "*":
            return value * operand % p
        case _:
            return value * pow(operand, p - 2, p) % p


def split(line: Words) -> tuple[list[str], Words]:
    """The prompt, to its colon, and the response."""
    colon = [word for word, _ in line].index(":")
    assert not any(learnt for _, learnt in line[: colon + 1])
    return [word for word, _ in line[:colon]], line[colon + 1 :]


def is_symbol(word: str) -> bool:
    return word[0] in "ef" and word[1:].isdigit()


def is_operation(word: str) -> bool:
    return word[0] in "+-*/"


def slots(response: Words) -> list[tuple[bool, bool, bool]]:
    """For each slot in order: whether it is right, whether it is learnt, whether it goes on from the slot before it.

    An operation applies to the state before it; a symbol that stands behind no operation is a new beginning.
    """
    judged: list[tuple[bool, bool, bool]] = []
    words = [word for word, _ in response]
    state, fresh, i = 0, True, 0
    while i < len(words):
        if is_symbol(words[i]):
            state, fresh = residue(words[i]), True
        elif is_operation(words[i]):
            assert is_symbol(words[i + 1])
            right = result(state, words[i])
            state = residue(words[i + 1])
            judged.append((state == right, response[i + 1][1], not fresh))
            fresh = False
            i += 1
        i += 1
    return judged


@EACH_VARIANT
@pytest.mark.parametrize("kind", ["folds", "tries", "parts", "lists"])
def test_no_two_slots_in_a_row_are_right(kind: str, variant: str) -> None:
    """A slot is learnt where it is the right result of its step, and nowhere else."""
    count: Counter[bool] = Counter()
    for line in lines(kind, variant):
        _, response = split(line)
        body = response[: [word for word, _ in response].index("recall")] if _recalls(response) else response
        judged = slots(body)
        assert judged, line
        for right, learnt, _ in judged:
            assert right == learnt, line
            count[right] += 1
        for (before, _, _), (right, _, chained) in pairwise(judged):
            assert not (before and right and chained), line
    assert min(count.values()) > 300


def _recalls(response: Words) -> bool:
    return any(word == "recall" for word, _ in response)


def test_no_task_prompt_and_no_answer() -> None:
    kinds = Counter(primitives.kind_of(update, 0) for update in UPDATES)
    assert kinds.keys() == {*primitives.SHARES, "lists"}
    for kind in kinds:
        for line in lines(kind):
            assert not {"evaluate", "invert", "compute", "recover", "answer"} & {word for word, _ in line}


@EACH_VARIANT
def test_a_fold_ends_with_its_last_pair_and_the_given_end(variant: str) -> None:
    openings: Counter[str] = Counter()
    walked: Counter[bool] = Counter()
    for line in lines("folds", variant):
        prompt, response = split(line)
        words = [word for word, _ in response]
        openings[words[0]] += 1
        assert prompt[-1] in ("list", words[0])
        at = words.index("fold")
        task = TASKS[prompt[1][0]]
        zero, one = (task.symbol(task.residues.index(value)) for value in (0, 1))
        from_zero, from_one, difference, applied, recalled = " ".join(words[at + 1 :]).split(" ; ")
        assert (from_zero.split()[0], from_one.split()[0]) == (zero, one)
        added, factor = from_zero.split()[-1], difference.split()[-1]
        assert difference == f"-{added} {factor}"
        assert factor != zero
        last = prompt[1]  # where the walk came to; the given end where none was walked
        if words[0] == "meet":
            last = words[at - 2]
            walked[at > 3] += 1
        direction = {"start": "forward", "result": "backward"}[prompt[0]]
        first, _, second, state = applied.split()[2:]
        assert applied.split()[:2] == [direction, last]
        operations = (f"*{factor}", f"+{added}") if direction == "forward" else (f"-{added}", f"/{factor}")
        assert (first, second) == operations, line
        assert recalled == f"recall last {state} {END}"
        # Every step of the list is walked, or folded twice.
        folded = [word for word in from_zero.split() if word[0] == "#"]
        assert [word for word in from_one.split() if word[0] == "#"] == folded
        labels = [word for word in prompt if word[0] == "#"]
        assert sorted([*folded, *(word for word in words[:at] if word[0] == "#")]) == sorted(labels)
        assert folded == labels[labels.index(folded[0]) :][: len(folded)]
    assert openings.keys() == {"fold", "meet"}
    assert min(walked.values()) > 20
    if variant == primitives.VARIANTS[1]:
        assert not any("backward" in [word for word, _ in line] for line in lines("folds", variant))


def test_a_try_is_accepted_where_zero_is_left() -> None:
    tries: Counter[int] = Counter()
    for line in lines("tries"):
        prompt, response = split(line)
        words = [word for word, _ in response]
        assert words[0] == "try"
        ways = [label for label in prompt if label[0] == "#"]
        verdicts: list[str] = []
        text = words[1:]
        while text[0] == "guess" and len(text) > 1:
            end = text.index(";")
            labels = [word for word in text[:end] if word[0] == "#"]
            assert labels == (ways if prompt[0] == "result" else ways[::-1])
            taken, left, verdict, stop = text[end + 1 : end + 5]
            assert (taken, stop) == (f"-{prompt[1]}", ";")
            assert verdict == ("again" if residue(left) else "accept")
            guess, text = text[1], text[end + 5 :]
            verdicts.append(verdict)
        assert set(verdicts[:-1]) <= {"again"}
        assert text == (["recall", "guess", guess, END] if verdicts[-1] == "accept" else ["guess"])
        tries[len(verdicts)] += 1
    assert tries.keys() == {1, 2, 3, 4}


@EACH_VARIANT
def test_one_part_of_several_is_traversed(variant: str) -> None:
    """The one whose first symbol is known, and no step of any other; its outcome is said under its name."""
    carried: Counter[bool] = Counter()
    for line in lines("parts", variant):
        prompt, response = split(line)
        words = [word for word, _ in response]
        parts = " ".join(prompt).split(" ; ")
        lists = [
            (head.split(), listed.split(), ask) for head, listed, ask in zip(*[iter(parts)] * 3, strict=True)
        ]
        begun = words[0] != "parts"
        carried[begun] += 1
        if begun:  # not learnt: what was said under a name before
            unlearnt = next(i for i, (_, learnt) in enumerate(response) if learnt)
            statements = " ".join(words[:unlearnt]).removesuffix(" ;").split(" ; ")
            assert all(len(said.split()) == 3 and said.split()[0] in NAMES for said in statements)
            name, _, given = statements[-1].split()
            (part,) = [part for part in lists if part[0][2] == name]
            words = words[unlearnt:]
        else:
            (part,) = [part for part in lists if is_symbol(part[0][2])]
            given, words = part[0][2], words[1:]
        (own, known, _), listed, ask = part
        direction = words[0]
        assert direction in ("forward", "backward")
        assert ask in ("list", direction)
        assert words[1] == own
        suits = (known == "start") == (direction == "forward")
        assert words[2] == (given if suits else "guess")
        labels = [word for word in words if word[0] == "#"]
        assert labels == (listed[::2] if direction == "forward" else listed[::2][::-1])
        end = words.index(";")
        assert words[end + 1] == ("recall" if own == "final" else own)
        assert words[end + 2] == "last" or not suits
        recalled = words[end - 1] if words[end + 2] == "last" else words[3]
        assert words[end + 3 :] == [recalled, END]
        assert [head[0] == "final" for head, _, _ in lists] == [False] * (len(lists) - 1) + [True]
        assert all(head[0] != head[2] for head, _, _ in lists)
    assert min(carried.values()) > 200


def test_the_words_of_the_base_that_ships_keep_their_places() -> None:
    assert FiveWays().words()[: len(plain_words.words())] == plain_words.words()
    assert FiveWays().words()[-len(NEW) :] == list(NEW)
    assert len(set(FiveWays().words())) == len(FiveWays().words())


def test_every_word_is_one_of_the_small_models() -> None:
    known = {*FiveWays().words(), END}
    for kind in (*primitives.SHARES, "lists"):
        assert all(word in known for line in lines(kind) for word, _ in line)


def test_a_batch_depends_on_its_number_and_seed_alone() -> None:
    for update in range(1000, 1040):
        assert primitives.lines(update, 512) == primitives.lines(update, 512)
        assert primitives.lines(update, 512) != primitives.lines(update, 512, seed=1)
