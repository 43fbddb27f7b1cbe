"""A problem's content: chains in a row, the answer of each carried into the next; and how a response to it is written.

parts forward x5 e3 #17 +e5 e8 ; x5 last e8 ; backward final e8 #19 /e2 e1 #18 -e4 e9 ; answer last e9
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field.chain import EVALUATION, Chain, Step
from stratagem.tasks.finite_field.strategy import Strategy
from stratagem.tasks.finite_field.trace import write
from stratagem.tasks.five_ways.words import FINAL

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

FORWARD, BACKWARD = forward.OPENING, backward.OPENING
WALKS: dict[str, Strategy] = {FORWARD: forward, BACKWARD: backward}


@dataclass(frozen=True, slots=True)
class Part:
    """A chain, and the name under which its answer is carried on; FINAL for the last one."""

    chain: Chain
    name: str

    @property
    def suited(self) -> str:
        """The direction that begins at the given end."""
        return FORWARD if self.chain.kind == EVALUATION else BACKWARD


def chain_from(task: FiniteField, kind: str, steps: Sequence[Step], given: int) -> Chain:
    """A chain with all its states, from the symbol index of its given end."""
    states = [given]
    for step in steps if kind == EVALUATION else [step.undone() for step in reversed(steps)]:
        states.append(task.apply(states[-1], step))
    return Chain(kind, tuple(steps), tuple(states if kind == EVALUATION else reversed(states)), task.residues)


def write_parts(task: FiniteField, parts: Sequence[Part], directions: Sequence[str]) -> str:
    """The gold response, each part in its direction. A guess of its unknown end is the true one."""
    texts: list[str] = []
    for part, direction in zip(parts, directions, strict=True):
        text = write(task, f"{direction} {part.name}", WALKS[direction].path(part.chain))
        texts.append(text if part.name == FINAL else text.replace("answer", part.name))
    return " ; ".join(texts)
