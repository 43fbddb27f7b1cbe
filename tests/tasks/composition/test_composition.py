"""Chains carried into chains: problems, demonstrations, and where a response first goes wrong."""

from __future__ import annotations

import galois
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Problem, StratagemError
from stratagem.tasks.composition import Composition
from stratagem.tasks.composition.composition import STRATEGIES
from stratagem.tasks.composition.recognise import WRONG_NAME
from stratagem.tasks.finite_field.chain import EVALUATION, KINDS
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    GUESSED_START,
    ORDER,
    STOPPING,
)
from stratagem.tasks.five_ways.words import NAMES

TASK = Composition()
FIELDS = st.sampled_from([Composition(11), Composition(13)])
DRAWN = {"kind": st.sampled_from(KINDS), "parts": st.integers(1, 8), "seed": st.integers(0, 2**32)}
SEVERAL = DRAWN | {"parts": st.integers(2, 8)}
PROMPT = (
    "x8 start e7 ; #59 +e8 ; evaluate ; x2 result x8 ; #60 +e8 ; invert ; "
    "final start x2 ; #61 +e2 #62 *e4 ; evaluate :"
)
GOLD = (
    "parts forward x8 e7 #59 +e8 e4 ; x8 last e4 ; backward x2 e4 #60 -e8 e7 ; x2 last e7 ; "
    "forward final e7 #61 +e2 e0 #62 *e4 e9 ; answer last e9"
)
FIRST = "parts forward x8 e7 #59 +e8 e4"
FORWARD = GOLD.replace(
    "backward x2 e4 #60 -e8 e7 ; x2 last e7", "forward x2 guess e7 #60 +e8 e4 ; x2 guess e7"
)


def drawn(task: Composition, kind: str, parts: int, seed: int) -> Problem:
    return task.problem(kind, parts, np.random.default_rng(seed))


def test_parts_agree_with_galois() -> None:
    for p in (11, 13):
        task, field = Composition(p), galois.GF(p, compile="python-calculate")
        for problem in task.generate("eval", 64, (1, 8)):
            carried = None
            for part in problem.data:
                value = field(task.field.residues[part.chain.given])
                assert carried is None or value == carried
                evaluates = part.chain.kind == EVALUATION
                for step in part.chain.steps if evaluates else reversed(part.chain.steps):
                    operand = field(task.field.residues[step.operand])
                    if step.operator == "+":
                        value = value + operand if evaluates else value - operand
                    else:
                        value = value * operand if evaluates else value / operand
                carried = value
            assert task.field.residues[task.field.symbols[problem.answer]] == carried


@settings(deadline=None)
@given(task=FIELDS, **DRAWN)
def test_problems(task: Composition, kind: str, parts: int, seed: int) -> None:
    problem = drawn(task, kind, parts, seed)
    assert (problem.kind, problem.difficulty, len(problem.data)) == (kind, parts, parts)
    assert task.parse(problem.prompt) == problem
    labels = [step.label for part in problem.data for step in part.chain.steps]
    assert labels == list(range(labels[0], labels[0] + len(labels)))
    least, most = (2, 5) if parts == 1 else (1, 2)
    assert all(least <= len(part.chain.steps) <= most for part in problem.data)
    assert len({part.name for part in problem.data}) == parts
    assert problem.data[-1].name == "final"


@settings(deadline=None)
@given(task=FIELDS, name=st.sampled_from(sorted(STRATEGIES)), **DRAWN)
def test_gold_is_right_and_recognised(task: Composition, name: str, kind: str, parts: int, seed: int) -> None:
    problem = drawn(task, kind, parts, seed)
    text = STRATEGIES[name].demonstrate(task, problem.data)
    label = task.label(problem, text)
    assert (label.strategy, label.error, label.step) == (name, None, None), text
    assert task.verify(problem, text) == 1
    assert task.first_failed(problem, text) is None
    assert all(word in task.words() for word in f"{problem.prompt} {text}".split())
    spans = " ".join(text[mark.start : mark.end] for mark in label.marks)
    assert spans == text.replace(" ;", "")


def test_the_canonical_form() -> None:
    problem = TASK.parse(PROMPT)
    assert STRATEGIES["suited"].demonstrate(TASK, problem.data) == GOLD


@settings(deadline=None)
@given(data=st.data(), task=FIELDS, name=st.sampled_from(sorted(STRATEGIES)), **SEVERAL)
def test_the_first_part_that_failed(
    data: st.DataObject, task: Composition, name: str, kind: str, parts: int, seed: int
) -> None:
    """A wrong state, label or outcome is found in its part and its place; what follows is judged by it."""
    problem = drawn(task, kind, parts, seed)
    text = STRATEGIES[name].demonstrate(task, problem.data)
    words = text.split()
    sections = [[]]
    for i, word in enumerate(words):
        sections[-1].append(i)
        if words[i - 1] == ";" and word in NAMES:  # said of its outcome
            sections.append([])
    failed = data.draw(st.integers(0, parts - 1))
    labels = [i for i in sections[failed] if words[i][0] == "#"]
    at = data.draw(st.sampled_from(labels))
    what = data.draw(st.sampled_from(["label", "state"]))
    if what == "label":
        words[at] = "#99"
        at_word = at
    else:
        at_word = at + 2
        others = [symbol for symbol in task.field.symbols if symbol != words[at_word]]
        words[at_word] = data.draw(st.sampled_from(others))
    label = task.label(problem, " ".join(words))
    assert label.strategy == name, words
    assert label.error in ({ORDER} if what == "label" else {ARITHMETIC_FACT, CARRIED_STATE}), words
    assert task.first_failed(problem, " ".join(words)) == failed, words
    first = next(mark for mark in label.marks if mark.error and mark.error != GUESSED_START)
    assert first.start == len(" ".join(words[:at_word])) + 1
    assert label.step == sum(word[0] == "#" for word in words[:at])


@settings(deadline=None)
@given(data=st.data(), task=FIELDS, **SEVERAL)
def test_a_wrong_outcome_carried_on_costs_the_answer_and_is_one_mistake(
    data: st.DataObject, task: Composition, kind: str, parts: int, seed: int
) -> None:
    problem = drawn(task, kind, parts, seed)
    failed = data.draw(st.integers(0, parts - 2))
    right = problem.data[failed].chain.asked
    wrong = data.draw(st.sampled_from([i for i in range(task.p) if i != right]))
    # The rest is the gold response to the problem that goes on from the wrong outcome.
    head, tail = problem.data[: failed + 1], problem.data[failed + 1 :]
    given, rest = wrong, []
    for part in tail:
        steps = (
            part.chain.steps
            if part.chain.kind == EVALUATION
            else [s.undone() for s in part.chain.steps[::-1]]
        )
        states = [given]
        for step in steps:
            states.append(task.field.apply(states[-1], step))
        words = [part.suited, part.name, task.field.symbol(given)]
        for step, state in zip(steps, states[1:], strict=True):
            words += [f"#{step.label}", task.field.word(step), task.field.symbol(state)]
        given = states[-1]
        name = "answer" if part is tail[-1] else part.name
        rest.append(" ".join([*words, ";", name, "last", task.field.symbol(given)]))
    gold = STRATEGIES["suited"].demonstrate(task, problem.data)
    name = head[-1].name
    begun = gold[: gold.index(f"{name} last")]
    text = f"{begun}{name} last {task.field.symbol(wrong)} ; {' ; '.join(rest)}"
    label = task.label(problem, text)
    assert [mark.error for mark in label.marks if mark.error] == [CARRIED_STATE], text
    assert (label.strategy, task.first_failed(problem, text)) == ("suited", failed)
    assert task.verify(problem, text) == 0


@pytest.mark.parametrize(
    ("text", "strategy", "error", "failed"),
    [
        (GOLD.replace("x8 last", "x5 last"), "suited", WRONG_NAME, 0),
        (GOLD.replace("backward x2", "backward x5"), "suited", WRONG_NAME, 1),
        (GOLD.replace("answer", "x3"), "suited", WRONG_NAME, 2),
        (f"{FIRST} ; answer last e4", "suited", STOPPING, 0),
        (f"{FIRST} ; x8 last e4 ;", "suited", STOPPING, 1),
        (f"{FIRST} ; x8 last e4 ; backward x2 e4 #60 -e8 e7 ; answer last e7", "suited", STOPPING, 1),
        (FORWARD, MIXED, None, None),
        (FORWARD.replace("guess e7 #60 +e8 e4", "guess e1 #60 +e8 e3"), MIXED, CARRIED_STATE, 1),
        (f"{GOLD} ; forward e9", "suited", None, None),
        ("answer e9", OTHER, None, None),
        ("parts", UNPARSED, None, None),
        ("", UNPARSED, None, None),
    ],
)
def test_other_texts(text: str, strategy: str, error: str | None, failed: int | None) -> None:
    problem = TASK.parse(PROMPT)
    label = TASK.label(problem, text)
    assert (label.strategy, label.error, TASK.first_failed(problem, text)) == (strategy, error, failed)


@settings(deadline=None)
@given(data=st.data(), task=FIELDS, **DRAWN)
def test_what_is_cut_off_is_truncated_and_not_wrong(
    data: st.DataObject, task: Composition, kind: str, parts: int, seed: int
) -> None:
    problem = drawn(task, kind, parts, seed)
    words = STRATEGIES["suited"].demonstrate(task, problem.data).split()
    cut = " ".join(words[: data.draw(st.integers(1, len(words) - 3))])
    label = task.label(problem, cut, "length")
    assert (label.strategy, label.error) == (TRUNCATED, None), cut


@settings(deadline=None)
@given(data=st.data(), finish=st.sampled_from(["stop", "length"]))
def test_no_text_breaks_the_recogniser(data: st.DataObject, finish: str) -> None:
    problem = TASK.parse(PROMPT)
    text = " ".join(data.draw(st.lists(st.sampled_from([*GOLD.split(), "x1", "=", "é", "#62"]), max_size=60)))
    label = TASK.label(problem, text, finish)
    assert label.strategy in (*STRATEGIES, MIXED, OTHER, UNPARSED, TRUNCATED)
    assert all(0 <= mark.start <= mark.end <= len(text) for mark in label.marks)


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "start e3 ; #17 +e5 ; evaluate :",
        "final start e3 ; #17 +e5 ; evaluate",
        "final start e3 ; #17 +e5 ; invert :",
        "x1 start e3 ; #17 +e5 ; evaluate :",
        "x9 start e3 ; #17 +e5 ; evaluate ; final start x9 ; #18 +e5 ; evaluate :",
        "x1 start e3 ; #17 +e5 ; evaluate ; final start x2 ; #18 +e5 ; evaluate :",
        "final start e3 ; #99 +e5 ; evaluate :",
    ],
)
def test_other_texts_are_no_prompts(prompt: str) -> None:
    with pytest.raises(StratagemError, match="not a prompt of parts"):
        TASK.parse(prompt)


def test_other_fields_are_refused() -> None:
    with pytest.raises(StratagemError, match="p=7: must be 11 or 13"):
        Composition(7)
