"""Which response to label next: some at random, so that errors can be measured, the others where labels teach most.

The pool is cut in two at random. Random questions come from one half in an order fixed beforehand, evenly from each
side and outcome, so that in each of them the labelled ones are a simple random sample; chosen questions come from the
other half. So no random response is one that was chosen before.

Suffixes: r responses of the pool, s strategies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stratagem.learned.features import Texts
from stratagem.learned.model import Model
from stratagem.stats.pairs import Floats

RANDOM_SHARE = 0.4  # of all questions, at least; the first `FIRST` are all random
FIRST = 20
BATCH = 5  # chosen together, before the model learns from them
CANDIDATES = 200  # most uncertain responses, of which different ones are taken
RANDOM, CHOSEN = "random", "chosen"


@dataclass(frozen=True)
class Pool:
    """Responses that may be asked.

    Attributes:
        side_r: the number of each response's log.
        right_r: whether it is right (score of at least one half); NaN where nothing says so.
        order_r: the responses in random order; the first half of it is for random questions.
    """

    texts: Texts
    side_r: NDArray[np.int64]
    right_r: Floats
    order_r: NDArray[np.int64]

    @property
    def random_half(self) -> NDArray[np.int64]:
        return self.order_r[: (len(self.order_r) + 1) // 2]

    @property
    def other_half(self) -> NDArray[np.int64]:
        return self.order_r[(len(self.order_r) + 1) // 2 :]


def random_next(pool: Pool, asked_r: NDArray[np.bool_]) -> int | None:
    """The next random question: the first open one of the side and outcome that have been asked least.

    Args:
        asked_r: which responses have been asked, skipped ones too.
    """
    half = pool.random_half
    cell_r = 2 * pool.side_r + (pool.right_r > 0.5)
    open_ones = half[~asked_r[half]]
    if not len(open_ones):
        return None
    asked = np.bincount(cell_r[half[asked_r[half]]], minlength=int(cell_r.max()) + 1)
    least = min((int(asked[cell]), cell) for cell in set(cell_r[open_ones].tolist()))[1]
    return int(open_ones[cell_r[open_ones] == least][0])


def is_random_turn(random: int, total: int) -> bool:
    """Whether the next question is a random one, after so many questions of which so many were."""
    return total < FIRST or random < RANDOM_SHARE * (total + 1)


def chosen_next(pool: Pool, asked_r: NDArray[np.bool_], model: Model, number: int = BATCH) -> list[int]:
    """The next questions whose answers teach most, at most `number`, the best first.

    A response is worth asking by how close the two likeliest strategies are, up to half as much again where the
    strategies that it may have differ in what they move of selection, and the less the more its wording is that of
    another question of the same batch.
    """
    half = pool.other_half
    open_ones = half[~asked_r[half]]
    if not len(open_ones):
        return []
    all_rs = model.probabilities(pool.texts)
    worth = _uncertainty(all_rs[open_ones]) * (1 + 0.5 * _moves(all_rs, pool)[open_ones])
    top = np.argsort(-worth, kind="stable")[:CANDIDATES]
    worth = worth[top]
    wording = model.scale.features(pool.texts.of(open_ones[top]))
    near = np.zeros(len(top))
    taken: list[int] = []
    for _ in range(min(number, len(top))):
        best = int(np.argmax(np.where(np.isnan(worth), -1.0, worth * np.clip(1 - near, 0.0, 1.0))))
        taken.append(int(open_ones[top[best]]))
        worth[best] = np.nan
        near = np.maximum(near, (wording @ wording[[best]].T).toarray().ravel())
    return taken


def _uncertainty(probability_rs: Floats) -> Floats:
    """One less the lead of the likeliest strategy over the next."""
    ordered = np.sort(probability_rs, axis=1)
    return 1.0 - (ordered[:, -1] - ordered[:, -2])


def _moves(probability_rs: Floats, pool: Pool) -> Floats:
    """How much the strategies that a response may have differ in what they move of selection, 0 to 1.

    A strategy moves selection by the change of its share between the first and the last side, times how much its
    accuracy before differs from the mean; where nothing is scored, by the change of its share.
    """
    first, last = pool.side_r == pool.side_r.min(), pool.side_r == pool.side_r.max()
    scored = first & ~np.isnan(pool.right_r)
    if (first == last).all():
        return np.zeros(len(probability_rs))
    worth_s = np.abs(probability_rs[last].mean(axis=0) - probability_rs[first].mean(axis=0))
    if scored.any():
        share_s = probability_rs[scored].sum(axis=0)
        accuracy_s = (pool.right_r[scored] @ probability_rs[scored]) / np.maximum(share_s, 1e-9)
        worth_s = worth_s * (accuracy_s - pool.right_r[scored].mean())
    spread_r = np.sqrt(np.maximum(probability_rs @ worth_s**2 - (probability_rs @ worth_s) ** 2, 0.0))
    return spread_r / max(float(spread_r.max()), 1e-12)


class Asking:
    """The questions of one pool, in order.

    Attributes:
        asked_r: which responses have been asked, skipped ones too.
        why: for each of them whether it was random or chosen.
    """

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.asked_r = np.zeros(len(pool.order_r), dtype=np.bool_)
        self.why: dict[int, str] = {}
        self._queue: list[int] = []

    def next(self, model: Model | None) -> tuple[int, str] | None:
        """The next question, and why it is asked; None where all have been.

        Args:
            model: the latest; without one all questions are random.
        """
        random = sum(why == RANDOM for why in self.why.values())
        row = random_next(self.pool, self.asked_r)
        if model is not None and (row is None or not is_random_turn(random, len(self.why))):
            self._queue = [r for r in self._queue if not self.asked_r[r]]
            self._queue = self._queue or chosen_next(self.pool, self.asked_r, model)
            if self._queue:
                return self._queue[0], CHOSEN
        if row is not None:
            return row, RANDOM
        left = np.flatnonzero(~self.asked_r)
        return (int(left[0]), CHOSEN) if len(left) else None

    def took(self, row: int, why: str) -> None:
        """A question was answered or skipped."""
        self.asked_r[row], self.why[row] = True, why

    def give_back(self, row: int) -> None:
        """A question is open again."""
        self.asked_r[row] = False
        del self.why[row]
