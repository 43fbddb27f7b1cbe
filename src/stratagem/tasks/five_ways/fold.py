"""Steps as one operation, times a plus b: from what they make of zero, which is b, and of one, which is a + b."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.tasks.finite_field.chain import EVALUATION, Chain, Step

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

Pair = tuple[int, int]
NO_LABEL = -1


def zero_and_one(residues: Sequence[int]) -> tuple[int, int]:
    """The symbol indices of zero and of one, from which a fold's walks begin."""
    return residues.index(0), residues.index(1)


def operations(pair: Pair, kind: str) -> list[Step]:
    """The pair applied (evaluation), or undone (inversion), as two steps without labels."""
    forward = [Step(NO_LABEL, "*", pair[0]), Step(NO_LABEL, "+", pair[1])]
    return forward if kind == EVALUATION else [step.undone() for step in reversed(forward)]


def write_walk(task: FiniteField, state: int, steps: Sequence[Step], chain: Chain) -> tuple[str, int]:
    """``e9 #3 +e2 e3``, steps without labels as ``e9 +e2 e3``, and the last state."""
    words = [task.symbol(state)]
    for step in steps:
        state = task.apply(state, step, chain.residues)
        words += [] if step.label == NO_LABEL else [f"#{step.label}"]
        words += [task.word(step), task.symbol(state)]
    return " ".join(words), state


def write_fold(task: FiniteField, steps: Sequence[Step], chain: Chain) -> tuple[str, Pair]:
    """``e5 #3 +e2 e3 #4 *e9 e1 ; e10 #3 +e2 e6 #4 *e9 e7 ; -e1 e4`` and the pair (a, b), here of e4 and e1."""
    zero, one = zero_and_one(chain.residues)
    from_zero, added = write_walk(task, zero, steps, chain)
    from_one, last = write_walk(task, one, steps, chain)
    taken = Step(NO_LABEL, "-", added)
    factor = task.apply(last, taken, chain.residues)
    return f"{from_zero} ; {from_one} ; {task.word(taken)} {task.symbol(factor)}", (factor, added)


def way(chain: Chain, natural: bool = True) -> list[Step]:
    """The steps from the given end to the asked one; not natural, from the asked one to the given one."""
    if (chain.kind == EVALUATION) == natural:
        return list(chain.steps)
    return [step.undone() for step in reversed(chain.steps)]
