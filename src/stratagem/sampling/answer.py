"""What every way of sampling gives back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from stratagem.records import Problem


@dataclass(frozen=True, slots=True)
class Answer:
    """One completion: its text behind the opening, its length in tokens, why it ended ("stop" or "length").

    `logprob` is the mean log-probability of its tokens, NaN where it is not known.
    """

    text: str
    tokens: int
    finish_reason: str
    logprob: float = float("nan")

    @property
    def ids(self) -> range:
        """As long as the completion: what `rollout_row` counts."""
        return range(self.tokens)


def not_finite(named: str) -> str:
    """What is said of a model, called `named`, whose scores of the next token are no numbers to draw by."""
    return (
        f"{named}: its scores of the next token are NaN or infinite: its weights are damaged or its training "
        "diverged; take another model, or train it with a lower --lr"
    )


class Sampler(Protocol):
    """Answers problems. Prompts, stop tokens and token budget are its own business."""

    def __call__(
        self, problems: Sequence[Problem], opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        """`samples` answers to each problem, in the order of the problems, each to be read behind `opening`.

        Temperature 0 takes the most likely token. The same arguments give the same answers as far as the engine can.
        """
        ...
