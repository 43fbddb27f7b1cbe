"""Gold demonstrations of every strategy are read as what they are, those of a further one too."""

import numpy as np
import pytest

from stratagem.records import MIXED, OTHER, StratagemError
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import EVALUATION, KINDS
from stratagem.tasks.finite_field.field import STRATEGIES
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    GUESSED_START,
    STOPPING,
    label_among,
)
from stratagem.tasks.finite_field.strategy import Path, Walk
from stratagem.tasks.finite_field.trace import write
from tests.tasks.finite_field.chains import LONG, ONE, PROBLEM, TASK, strategy_of


def gold_never_errs(count):
    rng = np.random.default_rng(0)
    fields = [FiniteField(p, relabel) for p in (2, 3, 11, 13, 97) for relabel in ("study", "problem")]
    for i in range(count // len(STRATEGIES)):
        task = fields[i % len(fields)]
        problem = task.problem(KINDS[i // 10 % 2], 1 + i % 19, rng)
        for name, strategy in STRATEGIES.items():
            text = strategy.demonstrate(task, problem.data)
            label = task.label(problem, text)
            assert (label.strategy, label.error, label.step) == (name, None, None), (problem.prompt, text)
            assert len(label.marks) == problem.difficulty + 2
            assert task.verify(problem, text) == 1
            assert " ".join(text[m.start : m.end] for m in label.marks) == text.replace(" ;", "")


def test_gold_never_errs():
    gold_never_errs(5_000)


@pytest.mark.slow
def test_a_hundred_thousand_gold_never_err():
    gold_never_errs(100_000)


def test_the_modules_are_what_the_dict_says():
    for strategy in STRATEGIES.values():
        for problem in (PROBLEM, LONG, ONE):
            path = strategy.path(problem.data)
            assert {step.operator for step in path.steps} <= set(strategy.OPERATORS)
            assert path.answer == problem.data.asked
            (walk,) = path.walks
            for step, before, after in zip(walk.steps, walk.states, walk.states[1:], strict=False):
                assert TASK.apply(before, step) == after


def test_demonstrations():
    problems = TASK.generate("sft", 400, (2, 5))
    shown = {name: TASK.demonstrations(problems, name, seed=0) for name in FiniteField.mixes}
    strategies = [strategy_of(text, problem) for problem, text in zip(problems, shown["FB"], strict=True)]
    assert 150 < strategies.count("forward") < 250
    assert set(strategies) == {"forward", "backward"}
    both = zip(shown["F"], shown["B"], shown["FB"], strict=True)
    assert all(text in (forward, backward) for forward, backward, text in both)
    assert all(text.startswith("forward") for text in shown["F"])
    assert TASK.demonstrations(problems[100:], "FB", seed=0) == shown["FB"][100:]
    assert TASK.demonstrations(problems, "FB", seed=1) != shown["FB"]
    with pytest.raises(StratagemError, match="--strategy FF: must be one of F, B, FB"):
        TASK.demonstrations(problems, "FF")


class Rotated:
    """A toy: forward, but the first operation is left for the end."""

    OPENING, OPERATORS = "rotated", "+*"

    def path(self, chain):
        steps = (*chain.steps[1:], chain.steps[0])
        states = [chain.states[0]]
        for step in steps:
            states.append(TASK.apply(states[-1], step, chain.residues))
        return Path((Walk(steps, tuple(states), given=chain.kind == EVALUATION),))

    def demonstrate(self, task, content):
        return write(task, self.OPENING, self.path(content))


class Meet:
    """Two walks: from the given end to the middle, then from a guess of the other end, which has to meet it."""

    OPENING, OPERATORS = "meet", "+*-/"

    def path(self, chain):
        middle = len(chain.steps) // 2
        known = chain.kind == EVALUATION
        forward = Walk(chain.steps[:middle], chain.states[: middle + 1], given=known)
        undone = tuple(step.undone() for step in reversed(chain.steps[middle:]))
        backward = Walk(undone, chain.states[middle:][::-1], given=not known)
        return Path((forward, backward) if known else (backward, forward))

    def demonstrate(self, task, content):
        return write(task, self.OPENING, self.path(content))


def test_a_third_strategy_needs_one_line():
    three = {**STRATEGIES, "rotated": Rotated()}
    for problem in TASK.generate("eval", 200, (3, 9)):
        for name, strategy in three.items():
            text = strategy.demonstrate(TASK, problem.data)
            label = label_among(three, TASK, problem, text, "stop")
            assert (label.strategy, label.error) == (name, None), (problem.prompt, text, label)
            without_opening = text.split(maxsplit=1)[1]
            assert strategy_of(without_opening, problem, strategies=three) == name
        assert strategy_of(three["rotated"].demonstrate(TASK, problem.data), problem) in (MIXED, "forward")


def test_one_strategy_alone_is_recognised():
    only = {"forward": STRATEGIES["forward"]}
    assert strategy_of("forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", strategies=only) == "forward"
    assert strategy_of("answer e6", strategies=only) == OTHER


# -- a strategy of several walks ---------------------------------------------------------------------------

MEET = {**STRATEGIES, "meet": Meet()}


def test_a_strategy_of_two_walks_is_written_and_recognised():
    assert (
        MEET["meet"].demonstrate(TASK, PROBLEM.data)
        == "meet e9 #3 +e2 e3 ; guess e6 #4 /e9 e3 ; answer guess e6"
    )
    for problem in TASK.generate("eval", 200, (3, 9)):
        text = MEET["meet"].demonstrate(TASK, problem.data)
        assert TASK.verify(problem, text) == 1
        label = label_among(MEET, TASK, problem, text, "stop")
        assert (label.strategy, label.error) == ("meet", None), (problem.prompt, text, label)
        for name in STRATEGIES:  # the other strategies stay what they are
            gold = STRATEGIES[name].demonstrate(TASK, problem.data)
            label = label_among(MEET, TASK, problem, gold, "stop")
            assert (label.strategy, label.error) == (name, None)


@pytest.mark.parametrize(
    ("completion", "error", "step", "expected"),
    [
        ("meet e9 #3 +e2 e3 ; guess e1 #4 /e9 e4 ; answer guess e1", GUESSED_START, 1, "e6"),
        ("meet e1 #3 +e2 e6 ; guess e6 #4 /e9 e3 ; answer guess e6", CARRIED_STATE, 0, "e9"),
        ("meet e9 #3 +e2 e3 ; guess e6 #4 /e9 e4 ; answer guess e6", ARITHMETIC_FACT, 1, "e3"),
        ("meet e9 #3 +e2 e3 ; guess e6 #4 /e9 e3 ; answer guess e3", CARRIED_STATE, 2, "e6"),
        ("meet e9 #3 +e2 e3 #4 /e9 e8 ; answer guess e6", CARRIED_STATE, 1, "e6"),  # no second head
        ("meet e9 #3 +e2 e3 ; answer guess e6", STOPPING, 1, "#4 /e9"),
    ],
)
def test_where_a_strategy_of_two_walks_errs(completion, error, step, expected):
    only = {"meet": MEET["meet"]}
    label = label_among(only, TASK, PROBLEM, completion, "stop")
    assert (label.strategy, label.error, label.step) == ("meet", error, step)
    assert next(mark.expected for mark in label.marks if mark.error == error) == expected
