"""What a strategy is: a way through a chain, and a module that writes and knows that way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from stratagem.tasks.finite_field.field import Chain, FiniteField, Step


@dataclass(frozen=True, slots=True)
class Path:
    """The way that a strategy goes through one chain, when nothing goes wrong.

    `states` has one more entry than `steps`: ``states[i + 1]`` is ``steps[i]`` applied to ``states[i]``.
    `given` tells whether the problem states ``states[0]``; else it has to be guessed, the way must end at the
    given value ``states[-1]``, and the guess itself is the answer.
    """

    steps: tuple[Step, ...]
    states: tuple[int, ...]
    given: bool

    @property
    def answer(self) -> int:
        return self.states[-1] if self.given else self.states[0]


class Strategy(Protocol):
    """The shape of a strategy's module.

    `OPENING` is the word that a demonstration begins with; `OPERATORS` are all operators that it writes.
    """

    @property
    def NAME(self) -> str: ...

    @property
    def OPENING(self) -> str: ...

    @property
    def OPERATORS(self) -> str: ...

    def path(self, chain: Chain) -> Path:
        """Its way through a chain, the steps as it would write them."""
        ...

    def demonstrate(self, task: FiniteField, chain: Chain) -> str:
        """The gold response."""
        ...
