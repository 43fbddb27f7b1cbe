"""Gold demonstrations of every strategy are read as what they are, those of a further one too."""

import numpy as np
import pytest

from stratagem.records import MIXED, OTHER, StratagemError
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.field import EVALUATION, KINDS
from stratagem.tasks.finite_field.strategies import SETS, STRATEGIES, Path, demonstrations, label
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
            found = label(task, problem, text)
            assert (found.strategy, found.error, found.step) == (name, None, None), (problem.prompt, text)
            assert len(found.marks) == problem.difficulty + 2
            assert task.verify(problem, text) == 1
            assert " ".join(text[m.start : m.end] for m in found.marks) == text.replace(" ;", "")


def test_gold_never_errs():
    gold_never_errs(5_000)


@pytest.mark.slow
def test_a_hundred_thousand_gold_never_err():
    gold_never_errs(100_000)


def test_the_modules_are_what_the_dict_says():
    for name, strategy in STRATEGIES.items():
        assert name == strategy.NAME
        for problem in (PROBLEM, LONG, ONE):
            path = strategy.path(problem.data)
            assert {step.operator for step in path.steps} <= set(strategy.OPERATORS)
            assert path.answer == problem.data.asked
            for step, before, after in zip(path.steps, path.states, path.states[1:], strict=False):
                assert TASK.apply(before, step) == after


def test_demonstrations():
    problems = TASK.generate("sft", 400, (2, 5))
    shown = {name: demonstrations(TASK, problems, name, seed=0) for name in SETS}
    strategies = [strategy_of(text, problem) for problem, text in zip(problems, shown["FB"], strict=True)]
    assert 150 < strategies.count("forward") < 250
    assert set(strategies) == {"forward", "backward"}
    both = zip(shown["F"], shown["B"], shown["FB"], strict=True)
    assert all(text in (forward, backward) for forward, backward, text in both)
    assert all(text.startswith("forward") for text in shown["F"])
    assert demonstrations(TASK, problems[100:], "FB", seed=0) == shown["FB"][100:]
    assert demonstrations(TASK, problems, "FB", seed=1) != shown["FB"]
    with pytest.raises(StratagemError, match="--strategy FF: must be one of F, B, FB"):
        demonstrations(TASK, problems, "FF")


class Rotated:
    """A toy: forward, but the first operation is left for the end."""

    NAME, OPENING, OPERATORS = "rotated", "rotated", "+*"

    def path(self, chain):
        steps = (*chain.steps[1:], chain.steps[0])
        states = [chain.states[0]]
        for step in steps:
            states.append(TASK.apply(states[-1], step, chain.residues))
        return Path(steps, tuple(states), given=chain.kind == EVALUATION)

    def demonstrate(self, task, chain):
        return write(task, self.OPENING, self.path(chain))


def test_a_third_strategy_needs_one_line():
    three = {**STRATEGIES, "rotated": Rotated()}
    for problem in TASK.generate("eval", 200, (3, 9)):
        for name, strategy in three.items():
            text = strategy.demonstrate(TASK, problem.data)
            found = label(TASK, problem, text, strategies=three)
            assert (found.strategy, found.error) == (name, None), (problem.prompt, text, found)
            without_opening = text.split(maxsplit=1)[1]
            assert strategy_of(without_opening, problem, strategies=three) == name
        assert strategy_of(three["rotated"].demonstrate(TASK, problem.data), problem) in (MIXED, "forward")


def test_one_strategy_alone_is_recognised():
    only = {"forward": STRATEGIES["forward"]}
    assert strategy_of("forward e9 #3 +e2 e3 #4 *e9 e6 ; answer e6", strategies=only) == "forward"
    assert strategy_of("answer e6", strategies=only) == OTHER
