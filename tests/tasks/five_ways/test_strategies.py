"""Five strategies: gold is right and recognised, a mistake is named in its place, other forms are other strategies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED
from stratagem.tasks import make_task
from stratagem.tasks.finite_field.chain import EVALUATION, KINDS, Chain
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    GUESSED_START,
    OPERAND_LOOKUP,
    ORDER,
    STOPPING,
)
from stratagem.tasks.five_ways import FiveWays
from stratagem.tasks.five_ways.five_ways import OTHERS, STRATEGIES
from stratagem.tasks.five_ways.guess import MOST_TRIES
from stratagem.tasks.five_ways.judge import WRONG_CHECK

TASK = FiveWays()
ANY = st.sampled_from([FiveWays(p, relabel) for p in (2, 3, 11, 13, 97) for relabel in ("study", "problem")])
SMALL = st.sampled_from([FiveWays(11), FiveWays(13), FiveWays(11, "problem")])
EACH_NEW = pytest.mark.parametrize("name", OTHERS)


def drawn(task: FiveWays, kind: str, steps: int, seed: int):
    return task.problem(kind, steps, np.random.default_rng(seed))


PROBLEMS = {"kind": st.sampled_from(KINDS), "seed": st.integers(0, 2**32)}


@settings(deadline=None)
@given(task=ANY, name=st.sampled_from(sorted(STRATEGIES)), steps=st.integers(1, 20), **PROBLEMS)
def test_gold_is_right_and_recognised(task: FiveWays, name: str, kind: str, steps: int, seed: int) -> None:
    problem = drawn(task, kind, steps, seed)
    text = STRATEGIES[name].demonstrate(task, problem.data)
    label = task.label(problem, text)
    assert (label.strategy, label.error, label.step) == (name, None, None), text
    assert task.verify(problem, text) == 1
    assert text.split()[0] == STRATEGIES[name].OPENING
    if steps > 1:  # with one step no form tells the walks apart from slips
        assert task.label(problem, text.split(maxsplit=1)[1]).strategy == name
    restated = f"{problem.prompt} {text}"
    assert (task.label(problem, restated).strategy, task.label(problem, restated).error) == (name, None)


@EACH_NEW
def test_the_canonical_form(name: str) -> None:
    shown = {
        "meet": (
            "meet e10 #33 +e0 e9 ; fold e5 #34 *e10 e5 #35 +e6 e6 ; e10 #34 *e10 e10 #35 +e6 e8 ; -e6 e10 ; "
            "forward e9 *e10 e9 +e6 e5 ; answer last e5"
        ),
        "guess": (
            "try guess e4 #35 -e6 e1 #34 /e10 e1 #33 -e0 e3 ; -e10 e4 again ; "
            "guess e5 #35 -e6 e9 #34 /e10 e9 #33 -e0 e10 ; -e10 e5 accept ; answer guess e5"
        ),
        "algebraic": (
            "fold e5 #33 +e0 e0 #34 *e10 e0 #35 +e6 e3 ; e10 #33 +e0 e9 #34 *e10 e9 #35 +e6 e5 ; -e3 e10 ; "
            "forward e10 *e10 e10 +e3 e5 ; answer last e5"
        ),
    }
    problem = TASK.parse("start e10 ; #33 +e0 #34 *e10 #35 +e6 ; compute :")
    label = TASK.label(problem, shown[name])
    assert (label.strategy, label.error, problem.answer) == (name, None, "e5")


# -- mistakes ----------------------------------------------------------------------------------------------


def with_other_operand(task: FiveWays, chain: Chain, k: int, rng: np.random.Generator) -> Chain:
    """The chain as one sees it who misreads step k: its given end is the same, all states are worked out anew."""
    taken = {chain.steps[k].operand, chain.residues.index(0)}
    operand = int(rng.choice([i for i in range(task.p) if i not in taken]))
    steps = (*chain.steps[:k], replace(chain.steps[k], operand=operand), *chain.steps[k + 1 :])
    states = [chain.given]
    for step in steps if chain.kind == EVALUATION else [step.undone() for step in reversed(steps)]:
        states.append(task.apply(states[-1], step, chain.residues))
    return Chain(
        chain.kind, steps, tuple(states if chain.kind == EVALUATION else states[::-1]), chain.residues
    )


@EACH_NEW
@settings(deadline=None)
@given(task=SMALL, steps=st.integers(2, 9), **PROBLEMS)
def test_a_misread_operation_is_named_and_costs_the_answer(
    name: str, task: FiveWays, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(task, kind, steps, seed)
    rng = np.random.default_rng(seed)
    k = int(rng.integers(steps))
    altered = with_other_operand(task, problem.data, k, rng)
    text = STRATEGIES[name].demonstrate(task, altered)
    label = task.label(problem, text)
    assert (label.strategy, label.error) == (name, OPERAND_LOOKUP), text
    first = next(mark for mark in label.marks if mark.error)
    written = text[first.start : first.end]
    right, wrong = problem.data.steps[k], altered.steps[k]
    assert (written, first.expected) in [
        (task.word(wrong), task.word(right)),
        (task.word(wrong.undone()), task.word(right.undone())),
    ]
    assert task.verify(problem, text) == (altered.asked == problem.data.asked)


def places(text: str, wanted: str) -> list[int]:
    """Where among the words of gold the words of one sort stand."""
    words = text.split()
    sorts: dict[int, str] = {}
    for i, word in enumerate(words[: words.index("answer")]):
        before = words[i - 1]
        if word[0] == "#":
            sorts[i] = "label"
        elif word[0] in "+-*/":
            sorts[i] = "operation" if before[0] == "#" else "bare"
        elif word in ("again", "accept"):
            sorts[i] = "verdict"
        elif word[0].isalpha() and word[1:].isdigit():
            sorts[i] = "state" if before[0] in "+-*/" else "guess" if before == "guess" else "head"
    return [i for i, sort in sorts.items() if sort == wanted]


ERROR_OF = {
    "label": {ORDER},
    "bare": {CARRIED_STATE, WRONG_CHECK},
    "state": {ARITHMETIC_FACT, CARRIED_STATE},
    "head": {CARRIED_STATE},
    "verdict": {WRONG_CHECK},
}
SORTS = {
    "meet": ("label", "bare", "state", "head"),
    "guess": ("label", "bare", "state", "verdict"),
    "algebraic": ("label", "bare", "state", "head"),
}


@pytest.mark.parametrize(("name", "sort"), [(name, sort) for name, sorts in SORTS.items() for sort in sorts])
@settings(deadline=None)
@given(data=st.data(), task=SMALL, steps=st.integers(3, 9), **PROBLEMS)
def test_a_wrong_word_is_the_first_error(
    name: str, sort: str, data: st.DataObject, task: FiveWays, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(task, kind, steps, seed)
    text = STRATEGIES[name].demonstrate(task, problem.data)
    words = text.split()
    at = data.draw(st.sampled_from(places(text, sort)))
    word = words[at]
    match sort:
        case "label":
            words[at] = "#99"
        case "verdict":
            words[at] = {"again": "accept", "accept": "again"}[word]
        case _:
            sign = word[0] if word[0] in "+-*/" else ""
            zero = problem.data.residues.index(0)
            others = [i for i in range(task.p) if i != zero and f"{sign}{task.symbol(i)}" != word]
            words[at] = sign + task.symbol(data.draw(st.sampled_from(others)))
    label = task.label(problem, " ".join(words))
    assert label.strategy == name, words
    assert label.error in ERROR_OF[sort], words
    first = next(mark for mark in label.marks if mark.error and mark.error != GUESSED_START)
    assert first.start == len(" ".join(words[:at])) + 1, words


@EACH_NEW
@settings(deadline=None)
@given(data=st.data(), task=SMALL, steps=st.integers(1, 9), **PROBLEMS)
def test_a_wrong_answer_is_wrong(
    name: str, data: st.DataObject, task: FiveWays, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(task, kind, steps, seed)
    gold = STRATEGIES[name].demonstrate(task, problem.data)
    wrong = data.draw(st.sampled_from([symbol for symbol in task.symbols if symbol != problem.answer]))
    text = f"{gold.rpartition(' ')[0]} {wrong}"
    label = task.label(problem, text)
    assert task.verify(problem, text) == 0
    assert (label.strategy, label.error) == (name, CARRIED_STATE)
    assert label.marks[-1].expected == problem.answer


@settings(deadline=None)
@given(task=SMALL, steps=st.integers(2, 9), **PROBLEMS)
def test_giving_up_is_a_wrong_guess_and_no_error_of_execution(
    task: FiveWays, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(task, kind, steps, seed)
    gold = STRATEGIES["guess"].demonstrate(task, problem.data)
    tries = gold.split(" again ; ")
    assert len(tries) <= MOST_TRIES
    if len(tries) == 1:
        return
    given_up = (
        f"{' again ; '.join(tries[:-1])} again ; answer guess {tries[-2].split('guess ')[1].split()[0]}"
    )
    label = task.label(problem, given_up)
    assert (label.strategy, label.error) == ("guess", GUESSED_START), given_up
    assert task.verify(problem, given_up) == 0


@EACH_NEW
@settings(deadline=None)
@given(data=st.data(), task=SMALL, steps=st.integers(1, 9), **PROBLEMS)
def test_what_is_cut_off_is_truncated_and_not_wrong(
    name: str, data: st.DataObject, task: FiveWays, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(task, kind, steps, seed)
    words = STRATEGIES[name].demonstrate(task, problem.data).split()
    cut = words[: data.draw(st.integers(0, len(words) - 3))]
    label = task.label(problem, " ".join(cut), "length")
    assert (label.strategy, label.error) == (TRUNCATED, None), cut
    stopped = task.label(problem, " ".join(cut))
    if sum(word[0] == "#" for word in cut) > 2 and steps > 3 and stopped.strategy == name:
        assert stopped.error is not None, cut


# -- another strategy, or none -----------------------------------------------------------------------------


def body(name: str, problem) -> str:
    return STRATEGIES[name].demonstrate(TASK, problem.data).split(maxsplit=1)[1]


@settings(deadline=None)
@given(
    said=st.sampled_from(sorted(STRATEGIES)),
    done=st.sampled_from(sorted(STRATEGIES)),
    steps=st.integers(4, 9),
    **PROBLEMS,
)
def test_the_opening_of_another_strategy_makes_it_mixed(
    said: str, done: str, kind: str, steps: int, seed: int
) -> None:
    problem = drawn(TASK, kind, steps, seed)
    label = TASK.label(problem, f"{STRATEGIES[said].OPENING} {body(done, problem)}")
    if said == done:
        assert label.strategy == done
    elif {said, done} == {"meet", "algebraic"}:  # one walked step before a fold may be a slip in it
        assert label.strategy in (MIXED, "algebraic")
    elif (said, done) in (("guess", "forward"), ("guess", "backward")):
        # A walk from a guess is a try without its check.
        suits = (done == "forward") == (kind == EVALUATION)
        assert (label.strategy, label.error) == (MIXED, label.error) if suits else ("guess", STOPPING)
    else:
        assert label.strategy == MIXED


@pytest.mark.parametrize("name", ["meet", "algebraic"])
@settings(deadline=None)
@given(steps=st.integers(3, 9), **PROBLEMS)
def test_a_fold_that_undoes_its_steps_is_mixed(name: str, kind: str, steps: int, seed: int) -> None:
    problem = drawn(TASK, kind, steps, seed)
    text, fold, rest = STRATEGIES[name].demonstrate(TASK, problem.data).partition("fold ")
    turned = rest.replace(" +", " -").replace(" *", " /")
    assert TASK.label(problem, text + fold + turned).strategy == MIXED


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("", UNPARSED),
        ("fold", UNPARSED),
        ("try guess e3", UNPARSED),
        ("answer e5", OTHER),
        ("fold ; answer last e5", OTHER),
        ("the result is e5 ; answer e5", OTHER),
        (
            "Fold: e5 #33 + e0 -> e0, #34 * e10 -> e0, #35 +e6 = e3; then e10 #33 +e0 e9 #34 *e10 e9 #35 +e6 e5; "
            "-e3 = e10; forward e10 *e10 e10 +e3 e5; Answer: e5",
            "algebraic",
        ),
        (
            "MEET E10 #33 +E0 E9 ; FOLD E5 #34 *E10 E5 #35 +E6 E6 ; E10 #34 *E10 E10 #35 +E6 E3 ; -E6 E10 ; "
            "FORWARD E9 *E10 E9 +E6 E5 ; ANSWER LAST E5",
            "meet",
        ),
        ("meet e10 #33 +e0 e9 ; answer last e9", "meet"),
        ("forward e10 #33 +e0 e9 e3 #34 *e10 e9 #35 +e6 e5 ; answer last e5", "forward"),
    ],
)
def test_other_texts(text: str, strategy: str) -> None:
    problem = TASK.parse("start e10 ; #33 +e0 #34 *e10 #35 +e6 ; compute :")
    assert TASK.label(problem, text).strategy == strategy


@settings(deadline=None)
@given(data=st.data(), finish=st.sampled_from(["stop", "length"]), **PROBLEMS)
def test_no_text_breaks_the_recogniser(data: st.DataObject, finish: str, kind: str, seed: int) -> None:
    problem = drawn(TASK, kind, 4, seed)
    gold = [word for s in STRATEGIES.values() for word in s.demonstrate(TASK, problem.data).split()]
    text = " ".join(data.draw(st.lists(st.sampled_from([*gold, "=", "->", "x1", "é"]), max_size=60)))
    label = TASK.label(problem, text, finish)
    assert label.strategy in (*STRATEGIES, MIXED, OTHER, UNPARSED, TRUNCATED)
    assert all(0 <= mark.start <= mark.end <= len(text) for mark in label.marks)
    assert TASK.verify(problem, text) in (0.0, 1.0)


def test_prompts_say_which_task_they_are_of() -> None:
    plain = make_task("finite_field")
    for ours, theirs in zip(
        TASK.generate("eval", 40, (2, 9)), plain.generate("eval", 40, (2, 9)), strict=True
    ):
        assert ours.data == theirs.data  # the same chains, under other ids
        assert ours.id != theirs.id
        assert (plain.if_read(ours.prompt), TASK.if_read(theirs.prompt)) == (None, None)
