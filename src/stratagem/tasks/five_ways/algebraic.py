"""Algebraic: fold the chain into ``x * a + b``, then apply that to the start or undo it from the result.

What the chain makes of zero is b, and what it makes of one is a + b. Nothing is guessed on either type, and the chain
is walked twice, from states that have nothing to do with the problem's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratagem.tasks.finite_field.chain import EVALUATION, Chain
from stratagem.tasks.five_ways.fold import operations, write_fold, write_walk
from stratagem.tasks.five_ways.judge import Judge
from stratagem.tasks.five_ways.words import FOLD

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

OPENING = FOLD


def demonstrate(task: FiniteField, content: Chain) -> str:
    """The gold response: ``fold e5 #3 … e1 ; e10 #3 … e7 ; -e1 e4 ; forward e3 *e4 e8 +e1 e9 ; answer last e9``."""
    text, pair = write_fold(task, content.steps, content)
    applied, last = write_walk(task, content.given, operations(pair, content.kind), content)
    direction = "forward" if content.kind == EVALUATION else "backward"
    return f"{OPENING} {text} ; {direction} {applied} ; answer last {task.symbol(last)}"


def judge(judge: Judge) -> None:
    """Mark a response that folds."""
    judge.fold(list(judge.chain.steps))
    judge.apply(judge.chain.given)
    judge.answer(judge.state)
