"""Chains that the tests of the recogniser speak of, and the strategy of a response to one."""

from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import EVALUATION, Chain, Step
from stratagem.tasks.finite_field.field import STRATEGIES
from stratagem.tasks.finite_field.recognise import label_among

TASK = FiniteField(11)


def chain_of(kind, start, *words):
    """A chain from words such as ``#3+e2``."""
    steps, states = [], [start]
    for word in words:
        number, operand = word[1:].replace("*", "+").split("+")
        steps.append(Step(int(number), "*" if "*" in word else "+", int(operand[1:])))
        states.append(TASK.apply(states[-1], steps[-1]))
    return Chain(kind, tuple(steps), tuple(states), TASK.residues)


# start e9 ; #3 +e2 #4 *e9 ; evaluate : forward e9 #3 +e2 e3 #4 *e9 e6 ; answer last e6
PROBLEM = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2", "#4*e9"))
LONG = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2", "#4*e9", "#5+e1", "#6*e3", "#7*e4", "#8+e6"))
ONE = TASK.as_problem(chain_of(EVALUATION, 9, "#3+e2"))


def strategy_of(completion, problem=PROBLEM, strategies=STRATEGIES, finish_reason="stop"):
    return label_among(strategies, TASK, problem, completion, finish_reason).strategy
