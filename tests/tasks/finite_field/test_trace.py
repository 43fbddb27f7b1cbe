"""Reading a trace: what is found, and where."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import KINDS
from stratagem.tasks.finite_field.field import PRIMES, STRATEGIES
from stratagem.tasks.finite_field.trace import parse

CANONICAL = "forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6"
GUESSED = "backward guess e6 #4 /e9 e3 #3 -e2 e9 ; answer guess e6"


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
    assert at(trace.answer_span) == "answer last e6"


def test_spans_where_the_first_state_is_guessed():
    trace = parse(GUESSED)

    def at(span):
        return GUESSED[slice(*span)]

    assert (trace.words, trace.first, trace.answer) == (("backward", "guess"), "e6", "e6")
    assert (at(trace.head_span), at(trace.first_span)) == ("backward guess e6", "e6")
    assert [at(item.span) for item in trace.items] == ["#4 /e9 e3", "#3 -e2 e9"]
    assert [at(item.state_span) for item in trace.items] == ["e3", "e9"]
    assert GUESSED[trace.end] == ";"
    assert at(trace.answer_span) == "answer guess e6"


def test_without_guess_and_last_the_same_is_read():
    for text in (CANONICAL, GUESSED):
        plain = parse(text.replace("guess ", "").replace("last ", ""))
        trace = parse(text)
        assert (plain.words, plain.first, plain.answer) == (trace.words[:1], trace.first, trace.answer)
        assert [item[:3] for item in plain.items] == [item[:3] for item in trace.items]


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
    (path,) = strategy.path(problem.data).walks
    text = strategy.demonstrate(task, problem.data)
    trace = parse(text)
    assert trace.words == (strategy.OPENING,) if path.given else (strategy.OPENING, "guess")
    assert text[slice(*trace.head_span)] == " ".join([*trace.words, trace.first])
    assert trace.first == task.symbol(path.states[0])
    assert [(i.label, i.operation, i.state) for i in trace.items] == [
        (step.label, task.word(step), task.symbol(state))
        for step, state in zip(path.steps, path.states[1:], strict=True)
    ]
    assert trace.answer == problem.answer
    word = "last" if path.given else "guess"
    assert text[trace.end :] == f"; answer {word} {problem.answer}"
    assert text[slice(*trace.answer_span)] == f"answer {word} {problem.answer}"
    # What the word says of the answer is so.
    assert trace.answer == (trace.items[-1].state if path.given else trace.first)


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
        ("**#3:** e9 * e2 = **e3**", (3, "*e2", "e3")),
        ("#3: **e9** * e2 = e3", (3, None, "e9")),  # no operation behind a state in bold print
        ("#3 ***e2** e3", (3, "*e2", "e3")),
        ("#3: e_9 + e_{2} = e_{3}", (3, "+e2", "e3")),
        ("Step 3: e9 + e2 = e3", (3, "+e2", "e3")),
        ("In step 3 we add, +e2, and get e3", (3, "+e2", "e3")),
        ("#3 +e2", (3, "+e2", None)),
        ("#3 +e2 ; answer e3", (3, "+e2", None)),
        ("#3 +e2 answer e3", (3, "+e2", None)),
        ("#3 +e2 so the answer is e3", (3, "+e2", None)),
        ("#3 +e2 ; answer last e3", (3, "+e2", None)),
        ("#3 +e2 answer guess e3", (3, "+e2", None)),
        ("#3 +e2 guess e3", (3, "+e2", "e3")),
        ("#3 e3 ; answer last e3", (3, None, "e3")),
        ("#3 +e2 #4", (3, "+e2", None)),
        ("#3 e3 #4", (3, None, "e3")),
        ("#3 e3 ; answer e3", (3, None, "e3")),
    ],
)
def test_one_step(text, item):
    assert [step[:3] for step in parse(text).items] == [item]


@pytest.mark.parametrize("text", ["", "#", "#3", "3 +e2 e3", "#3x +e2 e3", "#12345 +e2 e3", "#3; +e2 e3"])
def test_no_step(text):
    assert parse(text).items == ()


def test_steps_that_a_text_numbers_itself_are_no_labels_where_it_has_labels():
    text = "Step 1: e9. Step 2: #3 +e2 e3. Step 3: #4 *e9 e6."
    assert [item[:3] for item in parse(text).items] == [(3, "+e2", "e3"), (4, "*e9", "e6")]


def test_the_prompt_repeated_is_no_step():
    trace = parse("start e9 ; #3 +e2 #4 *e9 ; evaluate : " + CANONICAL)
    assert [item.state for item in trace.items] == ["e3", "e6"]
    assert trace.first == "e9"
    trace = parse("start e9 ; #3 +e2 #4 *e9 ; evaluate : " + GUESSED)
    assert [item.state for item in trace.items] == ["e3", "e9"]
    assert trace.first == "e6"
    assert len(parse("forward e9 #3 +e2 #4 *e9 e6").items) == 2  # only a state is missing


def test_the_last_answer_counts():
    text = "answer e1, no: answer e2 answer"
    assert parse(text).answer == "e2"
    assert text[slice(*parse(text).answer_span)] == "answer e2"
    text = "answer last e1, no: answer guess e2 answer last"
    assert parse(text).answer == "e2"
    assert text[slice(*parse(text).answer_span)] == "answer guess e2"


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(
            ["answer", "is", "last", "guess", ":", "e1", "E2", "e11", "*e3", "**", ";", "#4"],
        )
    ).map(" ".join)
)
def test_the_answer_is_the_one_that_is_verified(text):
    task = FiniteField(11)
    answer = parse(text).answer
    assert (answer if answer in task.symbols else None) == task.answer_of(text)
