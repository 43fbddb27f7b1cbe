"""The gain of a run since its start at a few points of its way, each split once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from stratagem.watch.gain import WINDOW, Gain

POINTS = 16  # of the curve of the gain, at most
Split = Callable[[pl.DataFrame, pl.DataFrame], Gain | None]


class Curve:
    """The gain at chosen updates of one run. What was split once is kept, until `forget`.

    Args:
        split: compares the counts of two sets of updates.
        window: updates on each side, at most.
    """

    def __init__(self, split: Split, window: int = WINDOW) -> None:
        self._split, self._window = split, window
        self._gains: dict[int, Gain | None] = {}  # by the number of updates done
        self._updates: list[int] = []

    def gains(self, counts: pl.DataFrame) -> dict[int, Gain]:
        """By the number of updates done, the last of them now; empty before the second update.

        Args:
            counts: has a column `update`, from 0; its rows are those that `split` takes.
        """
        updates: list[int] = counts["update"].unique().sort().to_list()
        self._updates = updates
        # The point of now moves on with the run, so it is not worth keeping unless it stays.
        self._gains = {done: self._at(counts, updates, done) for done in places(len(updates))}
        return {updates[done - 1] + 1: gain for done, gain in self._gains.items() if gain is not None}

    def forget(self, update: int) -> None:
        """Updates from `update` on have other counts than before: what was split with them is void."""
        self._gains = {done: gain for done, gain in self._gains.items() if self._updates[done - 1] < update}

    def _at(self, counts: pl.DataFrame, updates: Sequence[int], done: int) -> Gain | None:
        if done in self._gains:
            return self._gains[done]
        window = min(self._window, done // 2)
        sides = (updates[:window], updates[done - window : done])
        start, now = (counts.filter(pl.col("update").is_between(side[0], side[-1])) for side in sides)
        return self._split(start, now)


def places(updates: int) -> list[int]:
    """Where the curve has its points: whole multiples of a stride that doubles as the run grows, and its end."""
    if updates < 2:
        return []
    stride = WINDOW
    while updates / stride > POINTS:
        stride *= 2
    return sorted({*range(max(stride, 2 * WINDOW), updates + 1, stride), updates})
