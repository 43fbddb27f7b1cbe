"""Sums of digits: the task proves itself, and its recogniser finds the strategy and the first error."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError
from stratagem.tasks import make_task, task_of
from stratagem.tasks.base import SPLITS
from stratagem.tasks.sums import Sums
from stratagem.tasks.sums.reading import ANSWER, ARITHMETIC, COUNT, STOPPING, TERM

TASK = Sums()
PROBLEM = TASK.as_problem("repeated", (7, 3, 3, 9))  # 22


def test_every_demonstration_is_right_and_names_its_strategy() -> None:
    for problem in TASK.generate("eval", 300, (4, 9)):
        assert problem.answer == str(sum(problem.data) % 10)
        assert TASK.parse(problem.prompt) == problem
        for name, strategy in TASK.strategies.items():
            text = strategy.demonstrate(TASK, problem.data)
            label = TASK.label(problem, text)
            assert TASK.verify(problem, text) == 1
            assert (label.strategy, label.error) == (name, None)
            assert {text[mark.start : mark.end] for mark in label.marks} <= set(text.split())
            assert TASK.label(problem, text, "length").strategy == TRUNCATED
            assert set(text.split()) | set(problem.prompt.split()) <= set(TASK.words())
            assert len(text.split()) <= TASK.demonstration_words(problem.difficulty)


def test_demonstrations_as_they_are_written() -> None:
    texts = [TASK.strategies[name].demonstrate(TASK, PROBLEM.data) for name in ("mental", "running", "tally")]
    assert texts == [
        "mental ; answer 2",
        "running 7 +3 0 +3 3 +9 2 ; answer 2",
        "tally 7 x1 7 3 x2 6 9 x1 9 total 7 +6 3 +9 2 ; answer 2",
    ]


@given(st.lists(st.integers(0, 9), min_size=2, max_size=10))
def test_the_work_comes_to_the_sum(digits: list[int]) -> None:
    """Also of lists that are neither varied nor repeated."""
    for name in ("running", "tally"):
        text = TASK.strategies[name].demonstrate(TASK, digits)
        assert text.endswith(f"; answer {sum(digits) % 10}")
        assert text.split()[-4] == str(sum(digits) % 10)


@pytest.mark.parametrize(
    ("completion", "strategy", "error", "expected"),
    [
        ("running 7 +3 0 +3 3 +9 2 ; answer 3", "running", ANSWER, "2"),
        ("running 7 +3 1 +3 4 +9 3 ; answer 3", "running", ARITHMETIC, "0"),
        ("running 7 +3 0 +9 9 ; answer 9", "running", TERM, "+3"),
        ("running 7 +3 0 +3 3 ; answer 3", "running", STOPPING, "+9"),
        ("running 7 +3 0 +3 3 +9 2 +1 3 ; answer 3", "running", STOPPING, None),
        ("running 7 +3 0 +3 3 +9 2", "running", STOPPING, "answer"),
        ("tally 7 x1 7 3 x3 9 9 x1 9 total 7 +9 6 +9 5 ; answer 5", "tally", COUNT, "x2"),
        ("tally 7 x1 7 3 x2 5 9 x1 9 total 7 +5 2 +9 1 ; answer 1", "tally", ARITHMETIC, "6"),
        ("tally 7 x1 7 3 x2 6 total 7 +6 3 ; answer 3", "tally", STOPPING, "9"),
        ("tally 7 x1 7 3 x2 6 9 x1 9 ; answer 2", "tally", STOPPING, "total"),
        ("tally 7 x1 7 3 x2 6 9 x1 9 total 7 +6 4 +9 3 ; answer 3", "tally", ARITHMETIC, "3"),
        ("mental ; answer 3", "mental", ANSWER, "2"),
        ("mental 7 +3 0 +3 3 +9 2 ; answer 2", MIXED, None, None),
        ("7 +3 0 +3 3 +9 2 ; answer 2", "running", None, None),
        ("the sum is 22 ; answer 2", OTHER, None, None),
        ("answer 2", OTHER, None, None),
        ("mental", UNPARSED, None, None),
        ("", UNPARSED, None, None),
    ],
)
def test_strategy_and_first_error(
    completion: str, strategy: str, error: str | None, expected: str | None
) -> None:
    label = TASK.label(PROBLEM, completion)
    assert (label.strategy, label.error) == (strategy, error)
    if error is not None:
        mark = next(mark for mark in label.marks if mark.error)
        assert mark.expected == expected
        assert label.marks[label.step or 0] == mark


@given(
    st.text(alphabet="0123456789+x;answertallyrunningmental ", max_size=80),
    st.sampled_from(["stop", "length"]),
)
def test_any_text_has_a_label_within_it(text: str, finish: str) -> None:
    label = TASK.label(PROBLEM, text, finish)
    assert label.strategy in (*TASK.strategies, MIXED, OTHER, UNPARSED, TRUNCATED)
    assert all(0 <= mark.start <= mark.end <= len(text) for mark in label.marks)


def test_lists_of_the_same_digits_share_a_split() -> None:
    rng = np.random.default_rng(0)
    for problem in TASK.generate("rl", 60, (4, 9)):
        shuffled = TASK.as_problem(problem.kind, tuple(rng.permutation(problem.data).tolist()))
        assert TASK.split_of(shuffled) == "rl"
    digits = {split: {tuple(sorted(p.data)) for p in TASK.generate(split, 100, (5, 9))} for split in SPLITS}
    assert all(a == b or not digits[a] & digits[b] for a in SPLITS for b in SPLITS)


def test_kinds_are_what_they_say() -> None:
    for problem in TASK.generate("eval", 200, (4, 9)):
        different = len(set(problem.data))
        assert different == problem.difficulty if problem.kind == "varied" else different <= 3
    assert isinstance(task_of(f"{TASK.instruction()}\n\nadd 7 3 3 9 :"), Sums)
    assert make_task("sums") == TASK


@pytest.mark.parametrize(
    "prompt", ["", "add :", "add 7 :", "add 7 12 :", "add 1 1 2 3 4 :", "start e3 ; #1 +e2 ; evaluate :"]
)
def test_other_texts_are_no_prompts(prompt: str) -> None:
    with pytest.raises(StratagemError):
        TASK.parse(prompt)
    assert Sums.of_prompt(prompt) is None
