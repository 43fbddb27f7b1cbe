"""Reading a trace: what is found, and where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.strategies import STRATEGIES
from stratagem.strategies.trace import parse
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field import KINDS, PRIMES

CANONICAL = "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6"


def test_spans_of_the_canonical_form():
    trace = parse(CANONICAL)

    def at(span):
        return CANONICAL[slice(*span)]

    assert (trace.words, trace.first, trace.answer) == (("forward",), "e9", "e6")
    assert (at(trace.head_span), at(trace.first_span)) == ("forward e9", "e9")
    assert [(item.label, item.operation, item.state) for item in trace.items] == [
        (3, "+e2", "e3"),
        (4, "*e9", "e6"),
    ]
    assert [at(item.span) for item in trace.items] == ["#3 +e2 e3", "#4 *e9 e6"]
    assert [at(item.label_span) for item in trace.items] == ["#3", "#4"]
    assert [at(item.operation_span) for item in trace.items] == ["+e2", "*e9"]
    assert [at(item.state_span) for item in trace.items] == ["e3", "e6"]
    assert CANONICAL[trace.end] == ";"
    assert at(trace.answer_span) == "answer e6"


@settings(deadline=None)
@given(st.sampled_from(PRIMES), st.sampled_from(sorted(STRATEGIES)), st.data())
def test_parse_reads_what_write_wrote(p, name, data):
    task, strategy = FiniteField(p), STRATEGIES[name]
    numbers = data.draw(st.randoms(use_true_random=False))

    class Rng:
        """As much of numpy's generator as the task needs, driven by Hypothesis."""

        def random(self):
            return numbers.random()

        def integers(self, low, high=None):
            return numbers.randrange(*((low,) if high is None else (low, high)))

    problem = task.problem(data.draw(st.sampled_from(KINDS)), data.draw(st.integers(1, 20)), Rng())
    path = strategy.path(problem.data)
    trace = parse(strategy.demonstrate(task, problem.data))
    assert trace.words == (strategy.OPENING,)
    assert trace.first == task.symbol(path.states[0])
    assert [(i.label, i.operation, i.state) for i in trace.items] == [
        (step.label, task.word(step), task.symbol(state))
        for step, state in zip(path.steps, path.states[1:], strict=True)
    ]
    assert trace.answer == problem.answer


@pytest.mark.parametrize(
    ("text", "item"),
    [
        ("#3 +e2 e3", (3, "+e2", "e3")),
        ("#3:+E2=E3", (3, "+e2", "e3")),
        ("# 3 + e2 → e3", (3, "+e2", "e3")),
        ("#3 - +e2 - e3", (3, "+e2", "e3")),
        ("#3) e9 * e2 = e3", (3, "*e2", "e3")),
        ("#3: ÷e2 gives us the new state e3", (3, "/e2", "e3")),
        ("**#3** (·e2)\n  **e3**", (3, "*e2", "e3")),
        ("#3 +e2", (3, "+e2", None)),
        ("#3 +e2 ; answer e3", (3, "+e2", None)),
        ("#3 +e2 answer e3", (3, "+e2", None)),
        ("#3 +e2 so the answer is e3", (3, "+e2", None)),
        ("#3 +e2 #4", (3, "+e2", None)),
        ("#3 e3 #4", (3, None, "e3")),
        ("#3 e3 ; answer e3", (3, None, "e3")),
    ],
)
def test_one_step(text, item):
    assert [found[:3] for found in parse(text).items] == [item]


@pytest.mark.parametrize("text", ["", "#", "#3", "3 +e2 e3", "#3x +e2 e3", "#12345 +e2 e3", "#3; +e2 e3"])
def test_no_step(text):
    assert parse(text).items == ()


def test_the_prompt_repeated_is_no_step():
    trace = parse("start e9 ; #3 +e2 #4 *e9 ; solve : " + CANONICAL)
    assert [item.state for item in trace.items] == ["e3", "e6"]
    assert trace.first == "e9"
    assert len(parse("forward e9 #3 +e2 #4 *e9 e6").items) == 2  # only a state is missing


def test_the_last_answer_counts():
    text = "answer e1, no: answer e2 answer"
    assert parse(text).answer == "e2"
    assert text[slice(*parse(text).answer_span)] == "answer e2"


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["answer", "is", ":", "e1", "E2", "e11", "*e3", "**", ";", "#4"])).map(" ".join)
)
def test_the_answer_is_the_one_that_is_verified(text):
    task = FiniteField(11)
    found = parse(text).answer
    assert (found if found in task.symbols else None) == task.answer_of(text)
