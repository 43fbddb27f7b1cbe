"""Backward: begin with the result, undo each operation in reverse order.

On an evaluation problem the result is not known and has to be guessed, so a response is right about once in p
times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratagem.tasks.finite_field.chain import INVERSION, Chain
from stratagem.tasks.finite_field.strategy import Path, Walk
from stratagem.tasks.finite_field.trace import write

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

OPENING = "backward"
OPERATORS = "-/"


def path(chain: Chain) -> Path:
    """From the result to the start, each operation undone."""
    steps = tuple(step.undone() for step in reversed(chain.steps))
    return Path((Walk(steps, chain.states[::-1], given=chain.kind == INVERSION),))


def demonstrate(task: FiniteField, content: Chain) -> str:
    """The gold response. A guessed result is the true one, so that the demonstration is right."""
    return write(task, OPENING, path(content))
