"""Forward: begin with the start, apply each operation in order.

On an inversion problem the start is not known and has to be guessed, so a response is right about once in p
times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratagem.tasks.finite_field.chain import EVALUATION, Chain
from stratagem.tasks.finite_field.strategy import Path, Walk
from stratagem.tasks.finite_field.trace import write

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

OPENING = "forward"
OPERATORS = "+*"


def path(chain: Chain) -> Path:
    """From the start to the result."""
    return Path((Walk(chain.steps, chain.states, given=chain.kind == EVALUATION),))


def demonstrate(task: FiniteField, content: Chain) -> str:
    """The gold response. A guessed start is the true one, so that the demonstration is right."""
    return write(task, OPENING, path(content))
