"""Steps as one operation: a pair (factor, added) of symbol indices, ``x * factor + added``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.tasks.finite_field.chain import EVALUATION, Chain, Step

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

Pair = tuple[int, int]
NO_LABEL = -1


def identity(residues: Sequence[int]) -> Pair:
    """The pair of no step: times one, plus zero."""
    return residues.index(1), residues.index(0)


def folded(task: FiniteField, pair: Pair, step: Step, residues: Sequence[int]) -> Pair:
    """The pair that does what `pair` does and then the step, an addition or a multiplication."""
    factor, added = pair
    if step.operator == "*":
        factor = task.apply(factor, step, residues)
    return factor, task.apply(added, step, residues)


def operations(pair: Pair, kind: str) -> list[Step]:
    """The pair applied (evaluation), or undone (inversion), as two steps without labels."""
    forward = [Step(NO_LABEL, "*", pair[0]), Step(NO_LABEL, "+", pair[1])]
    return forward if kind == EVALUATION else [step.undone() for step in reversed(forward)]


def write_fold(task: FiniteField, steps: Sequence[Step], residues: Sequence[int]) -> tuple[str, Pair]:
    """``#3 +e2 e4 e6 #4 *e9 e7 e1`` and the last pair."""
    pair, words = identity(residues), list[str]()
    for step in steps:
        pair = folded(task, pair, step, residues)
        words.append(f"#{step.label} {task.word(step)} {task.symbol(pair[0])} {task.symbol(pair[1])}")
    return " ".join(words), pair


def write_walk(task: FiniteField, state: int, steps: Sequence[Step], chain: Chain) -> tuple[str, int]:
    """``e9 #3 +e2 e3``, steps without labels as ``e9 +e2 e3``, and the last state."""
    words = [task.symbol(state)]
    for step in steps:
        state = task.apply(state, step, chain.residues)
        words += [] if step.label == NO_LABEL else [f"#{step.label}"]
        words += [task.word(step), task.symbol(state)]
    return " ".join(words), state


def way(chain: Chain, natural: bool = True) -> list[Step]:
    """The steps from the given end to the asked one; not natural, from the asked one to the given one."""
    if (chain.kind == EVALUATION) == natural:
        return list(chain.steps)
    return [step.undone() for step in reversed(chain.steps)]
