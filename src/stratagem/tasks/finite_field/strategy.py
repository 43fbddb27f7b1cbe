"""What a strategy of this task is: a way through a chain, and a module that writes and knows that way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from stratagem.tasks.finite_field.chain import Chain, Step

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField


@dataclass(frozen=True, slots=True)
class Walk:
    """Steps in a row, when nothing goes wrong.

    `states` has one more entry than `steps`: ``states[i + 1]`` is ``steps[i]`` applied to ``states[i]``. `given` tells
    whether the problem states ``states[0]``; else it has to be guessed.
    """

    steps: tuple[Step, ...]
    states: tuple[int, ...]
    given: bool


@dataclass(frozen=True, slots=True)
class Path:
    """The way that a strategy goes through one chain: one walk, or several one after another, as when the two ends of a
    chain are worked on in turn.

    At most one walk begins with a guess. Then the guess itself is the answer; else the last state is.
    """

    walks: tuple[Walk, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps in the order written."""
        return tuple(step for walk in self.walks for step in walk.steps)

    @property
    def guess(self) -> int | None:
        """The state that has to be guessed."""
        return next((walk.states[0] for walk in self.walks if not walk.given), None)

    @property
    def answer(self) -> int:
        return self.walks[-1].states[-1] if self.guess is None else self.guess


class Strategy(Protocol):
    """The shape of a strategy's module.

    `OPENING` is the word that a demonstration begins with; `OPERATORS` are all operators that it writes.
    """

    @property
    def OPENING(self) -> str: ...

    @property
    def OPERATORS(self) -> str: ...

    def path(self, chain: Chain) -> Path:
        """Its way through a chain, the steps as it would write them."""
        ...

    def demonstrate(self, task: FiniteField, content: Chain) -> str:
        """The gold response."""
        ...
