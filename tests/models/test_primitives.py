"""What the base model may have seen: primitives, and no chain of computed states."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models import primitives  # noqa: E402
from stratagem.models.vocabulary import words  # noqa: E402
from stratagem.tasks.finite_field import FiniteField, Step  # noqa: E402

WORDS = words()
UPDATES = range(0, 4000, 8)


def lines(update: int, **options):
    ids, targets = primitives.batch(update, 1024, **options)
    for row, aims in zip(ids, targets, strict=True):
        yield [WORDS[i] for i in row], aims != primitives.IGNORE


def slots(response: list[str]) -> list[tuple[bool, bool]]:
    """For each state slot of a traversal: whether it holds the right result of its step, and a check of the words."""
    task = FiniteField(11 if response[1][0] == "e" else 13)
    found, state = [], int(response[1][1:])
    for label, word, after in zip(response[2::3], response[3::3], response[4::3], strict=False):
        if label == ";":
            break
        right = task.apply(state, Step(0, word[0], int(word[2:])))
        state = int(after[1:])
        found.append((right == state, label[0] == "#"))
    return found


@pytest.mark.parametrize("directions", [("forward", "backward"), ("forward",)])
def test_no_two_neighbouring_slots_are_right(directions: tuple[str, ...]) -> None:
    lists = right = 0
    for update in UPDATES:
        for line, learnt in lines(update, directions=directions):
            if "list" not in line:
                continue
            response = line[line.index("list") + 2 :]
            flags = slots(response)
            assert all(well_formed for _, well_formed in flags)
            computed = [is_right for is_right, _ in flags]
            assert not any(a and b for a, b in zip(computed, computed[1:], strict=False)), line
            # A state is learnt where it is the right one, and nowhere else.
            start = line.index("list") + 2
            state_learnt = [bool(learnt[start + 4 + 3 * i]) for i in range(len(flags))]
            assert state_learnt == computed
            assert response[0] in directions
            lists += 1
            right += sum(computed)
    assert lists > 1000
    assert right > 1000


def test_no_task_prompt_and_no_answer() -> None:
    for update in UPDATES:
        for line, _ in lines(update):
            assert "solve" not in line
            assert "answer" not in line


def test_facts_are_unconnected_and_right() -> None:
    for update in UPDATES:
        for line, learnt in lines(update):
            if "list" in line or line[0] == "copy":
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
            if "list" in line:
                response = line[line.index("list") + 2 :]
                longest[response[0]] = max(longest[response[0]], len(slots(response)))
    assert longest == {"forward": 40, "backward": 40}


def test_a_batch_depends_on_its_number_and_seed_alone() -> None:
    first, again = primitives.batch(77, 1024), primitives.batch(77, 1024)
    np.testing.assert_array_equal(first[0], again[0])
    other = primitives.batch(77, 1024, seed=1)
    assert first[0].shape != other[0].shape or (first[0] != other[0]).any()
