"""Where a response errs, what should stand there, and marks on any text whatever."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED
from stratagem.tasks.finite_field.field import STRATEGIES
from stratagem.tasks.finite_field.recognise import ARITHMETIC_FACT, CARRIED_STATE, STOPPING
from tests.tasks.finite_field.chains import LONG, ONE, PROBLEM, TASK


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("cut", range(1, 56))
def test_truncated_wherever_it_is_cut(strategy, cut):
    text = STRATEGIES[strategy].demonstrate(TASK, PROBLEM.data)
    assert len(text) == {"forward": 47, "backward": 55}[strategy]  # so that all cuts are tried
    label = TASK.label(PROBLEM, text[:cut], finish_reason="length")
    assert (label.strategy, label.error) == (TRUNCATED, None)


def test_truncated_is_judged_up_to_the_last_whole_step():
    label = TASK.label(LONG, "forward e9 #3 +e2 e4 #4 *e9 e6 #5 +e", finish_reason="length")
    assert (label.strategy, label.error, label.step) == (TRUNCATED, ARITHMETIC_FACT, 0)


def test_a_right_answer_keeps_the_error_of_its_way():
    completion = "forward e9 #3 +e2 e4 #4 *e9 e6 ; answer e6"
    assert TASK.verify(PROBLEM, completion) == 1
    assert TASK.label(PROBLEM, completion).error == ARITHMETIC_FACT


def test_answer_before_the_steps_and_steps_after_it():
    early = TASK.label(PROBLEM, "Answer: e6. forward e9 #3 +e2 e3 #4 *e9 e6")
    assert (early.strategy, early.error, early.step) == ("forward", STOPPING, 0)
    assert [mark.start for mark in early.marks] == [0, 12, 23, 33]
    wrong_head = TASK.label(PROBLEM, "Answer: e6. forward e1 #3 +e2 e3 #4 *e9 e6")
    assert (wrong_head.error, [mark.error for mark in wrong_head.marks][:2]) == (
        STOPPING,
        [STOPPING, CARRIED_STATE],
    )
    spoken = TASK.label(PROBLEM, "Answer: last e6. forward e9 #3 +e2 e3 #4 *e9 e6")
    assert [(m.error, m.expected) for m in spoken.marks] == [(m.error, m.expected) for m in early.marks]
    assert [mark.start for mark in spoken.marks] == [0, 17, 28, 38]
    late = TASK.label(PROBLEM, "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6 #3 +e2 e4")
    assert (late.strategy, late.error, late.step) == ("forward", STOPPING, 2)


def test_no_first_state():
    label = TASK.label(PROBLEM, "forward #3 +e2 e3 #4 *e9 e6 ; answer e6")
    assert (label.error, label.step, label.marks[0].expected) == (CARRIED_STATE, 0, "e9")
    assert [mark.error for mark in label.marks[1:]] == [None, None, None]
    label = TASK.label(PROBLEM, "forward #3 +e2 e4 #4 *e9 e6 ; answer e6")
    assert (label.marks[1].error, label.marks[1].expected) == (ARITHMETIC_FACT, "e3")


def test_no_first_state_after_the_word_guess():
    label = TASK.label(PROBLEM, "backward guess #4 /e9 e3 #3 -e2 e9 ; answer guess e6")
    assert (label.strategy, label.error, label.step) == ("backward", CARRIED_STATE, 0)
    assert (label.marks[0].start, label.marks[0].end, label.marks[0].expected) == (14, 14, "e6")
    assert [mark.error for mark in label.marks[1:]] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "rest"), [("forward", "; answer last e6"), ("backward", "; answer guess e6")]
)
def test_the_expected_rest_is_canonical(name, rest):
    """What should stand where the answer is missing is what `write` writes there."""
    gold = STRATEGIES[name].demonstrate(TASK, PROBLEM.data)
    for end in (gold.index(";"), gold.index("answer"), gold.index("answer") + len("answer guess")):
        label = TASK.label(PROBLEM, gold[:end])
        assert (label.strategy, label.error, label.step) == (name, STOPPING, 2)
        assert label.marks[-1].expected == rest
    assert gold.endswith(rest)


def test_what_follows_a_missing_state_is_judged_by_the_right_one():
    right = TASK.label(PROBLEM, "forward e9 #3 +e2 #4 *e9 e6 ; answer e6")
    assert [mark.error for mark in right.marks] == [None, CARRIED_STATE, None, None]
    wrong = TASK.label(PROBLEM, "forward e9 #3 +e2 #4 *e9 e1 ; answer e1")
    assert [mark.error for mark in wrong.marks] == [None, CARRIED_STATE, ARITHMETIC_FACT, None]


WORDS = [
    "forward",
    "backward",
    "answer",
    "guess",
    "last",
    ";",
    ":",
    "\n",
    "#3",
    "#4",
    "#5",
    "#9999",
    "+e2",
    "*e9",
    "-e2",
    "/e9",
]
WORDS += [
    "e9",
    "e3",
    "e6",
    "e11",
    "/e5",
    "+",
    "#",
    "x7",
    "the",
    "İ",
    "→",
    "Answer:",
    "**E6**",
    "state",
    "#4:",
]


@settings(deadline=None)
@given(st.one_of(st.text(), st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join)), st.booleans())
def test_never_raises_and_marks_lie_in_order(completion, cut):
    for problem in (PROBLEM, LONG, ONE):
        label = TASK.label(problem, completion, "length" if cut else "stop")
        assert label.strategy in {*STRATEGIES, MIXED, OTHER, UNPARSED, TRUNCATED}
        assert (label.strategy == TRUNCATED) == cut
        assert (label.error is None) == (label.step is None)
        assert (label.error is None) == all(mark.error is None for mark in label.marks)
        end = 0
        for mark in label.marks:
            assert end <= mark.start <= mark.end <= len(completion)
            end = mark.end
        assert len(json.loads(label.evidence())["marks"]) == len(label.marks)
        if label.strategy in (*STRATEGIES,) and label.error is None:
            assert TASK.verify(problem, completion) == 1


@pytest.mark.parametrize(
    "piece",
    [
        "#3 ",
        "#3 + ",
        "#3 e e e e e ",
        "#3 e3 ",
        "aaaa ",
        "answer ",
        "answer is ** ",
        "answer last guess ",
        "guess ",
        "last ",
        " ",
        "the ",
        "to the ",
        "e1 + ",
        "e1+e1",
        "step 3 ",
        "e_1 ",
        "\\text{e1",
        "final result of the chain ",
    ],
)
def test_no_text_takes_long(piece):
    began = time.process_time()
    TASK.label(PROBLEM, piece * (20_000 // len(piece)))
    TASK.label(PROBLEM, "answer " + piece * (20_000 // len(piece)))
    TASK.label(PROBLEM, "#3" + piece * (20_000 // len(piece)))
    assert time.process_time() - began < 2  # it takes hundredths; a backtracking pattern would take hours
