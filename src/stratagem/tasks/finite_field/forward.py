"""Forward: begin with the start, apply each operation in order.

On an inversion problem the start is not known and has to be guessed, so a response is right about once in p
times.
"""

from __future__ import annotations

from stratagem.tasks.finite_field.field import EVALUATION, Chain, FiniteField
from stratagem.tasks.finite_field.strategy import Path
from stratagem.tasks.finite_field.trace import write

NAME = "forward"
OPENING = "forward"
OPERATORS = "+*"


def path(chain: Chain) -> Path:
    """From the start to the result."""
    return Path(chain.steps, chain.states, given=chain.kind == EVALUATION)


def demonstrate(task: FiniteField, chain: Chain) -> str:
    """The gold response. A guessed start is the true one, so that the demonstration is right."""
    return write(task, OPENING, path(chain))
