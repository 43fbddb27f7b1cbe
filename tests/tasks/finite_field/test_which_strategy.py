"""Which strategy a response follows, and the values that are no strategy."""

import pytest

from stratagem.records import MIXED, OTHER, UNPARSED
from stratagem.tasks.finite_field.field import STRATEGIES
from tests.tasks.finite_field.chains import LONG, ONE, TASK, strategy_of


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        # The opening word alone is never enough …
        ("forward e9 ; answer e6", OTHER),
        ("forward e9 ; answer last e6", OTHER),
        ("forward e9", UNPARSED),
        ("backward guess e6 ; answer guess e6", OTHER),
        ("backward guess e6", UNPARSED),
        ("backward guess e9 #3 +e2 e3 #4 *e9 e6 ; answer guess e6", MIXED),
        ("forward e6 #4 /e9 e3 #3 -e2 e9 ; answer last e6", MIXED),
        ("backward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", MIXED),
        ("forward e6 #4 /e9 e3 #3 -e2 e9 ; answer e6", MIXED),
        # … and not needed; it decides where operators and order disagree.
        ("e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", "forward"),
        ("e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6", "forward"),
        ("guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6", "backward"),
        ("e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", MIXED),
        # The words guess and last decide nothing.
        ("guess e9 #3 +e2 e3 #4 *e9 e6 ; answer guess e6", "forward"),
        ("e6 #4 /e9 e3 #3 -e2 e9 ; answer last e6", "backward"),
        ("guess e6 #4 *e9 e3 #3 +e2 e9 ; answer guess e6", MIXED),
        ("backward e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", "backward"),
        ("forward e6 #4 *e9 e3 #3 +e2 e9 ; answer e6", "forward"),
        # Nothing but an answer, or nothing at all.
        ("answer e6", OTHER),
        ("answer last e6", OTHER),
        ("answer guess e6", OTHER),
        ("answer last", UNPARSED),
        ("guess e6", UNPARSED),
        ("last e6", UNPARSED),
        ("By symmetry, the answer is e6.", OTHER),
        ("e9 e3 e6 ; answer e6", OTHER),
        ("answer e99", OTHER),
        ("", UNPARSED),
        ("I do not know", UNPARSED),
        ("#3 #4", UNPARSED),
        ("# 3 + 4", UNPARSED),
        ("In step 3 something happens", UNPARSED),
        ("Step 1: e9 is given. Step 2: think. Answer: e6", OTHER),
    ],
)
def test_which(completion, expected):
    assert strategy_of(completion) == expected


@pytest.mark.parametrize(
    ("completion", "expected"),
    [
        ("forward e9 #3 +e2 e3 ; answer e3", "forward"),
        ("e9 #3 +e2 e3 ; answer e3", "forward"),
        ("backward e3 #3 -e2 e9 ; answer e3", "backward"),
        ("forward e9 #3 *e7 e3 ; answer e3", "forward"),
        ("forward e9 #44 +e2 e3 ; answer e3", "forward"),
        ("forward e9 #3 -e2 e3 ; answer e3", MIXED),
        ("forward e9 #3 e3 ; answer e3", OTHER),  # neither an operator nor an order to tell it by
    ],
)
def test_one_step(completion, expected):
    assert strategy_of(completion, ONE) == expected


def turned(first, second, at, back):
    """`at` steps of one strategy, then the last `back` steps of another."""
    start = STRATEGIES[first].demonstrate(TASK, LONG.data).split()
    rest = STRATEGIES[second].demonstrate(TASK, LONG.data).split()
    head = start.index("#3" if first == "forward" else "#8")
    end = rest.index(";")
    words = [*start[: head + 3 * at], *rest[end - 3 * back :]]
    assert sum(word[0] == "#" for word in words) == at + back
    assert words[-4:-2] == [";", "answer"]
    return " ".join(words)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("first", "second"), [("forward", "backward"), ("backward", "forward")])
def test_turning_round_is_mixed(first, second, at):
    completion = turned(first, second, at, at)
    label = TASK.label(LONG, completion)
    if at == 1:  # one step and back: the second is as likely a slip
        assert label.strategy in (MIXED, first)
    else:
        assert label.strategy == MIXED
    assert label.step == at  # where it leaves the strategy that it began with
    without_opening = completion.split(maxsplit=1)[1]
    assert strategy_of(without_opening, LONG) == MIXED


def test_two_steps_back_are_no_mistake_however_many_went_before():
    assert strategy_of(turned("forward", "backward", 6, 2), LONG) == MIXED


def test_slips_that_outnumber_the_votes_are_mixed():
    assert strategy_of("e9 #3 +e2 e3 #4 /e9 e1 #5 -e1 e2 ; answer e2", LONG) == MIXED
    assert strategy_of("e9 #3 +e2 e3 #4 /e9 e1 #5 +e1 e2 ; answer e2", LONG) == "forward"


def test_one_step_against_the_rest_is_a_mistake():
    text = STRATEGIES["forward"].demonstrate(TASK, LONG.data)
    for step in LONG.data.steps:
        slip = text.replace(f"#{step.label} {TASK.word(step)}", f"#{step.label} {TASK.word(step.undone())}")
        assert strategy_of(slip, LONG) == "forward"
        assert strategy_of(slip.removeprefix("forward "), LONG) == "forward"
