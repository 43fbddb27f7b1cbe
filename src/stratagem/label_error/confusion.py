"""P(label | true strategy) of a recogniser, known or estimated, and how unsure it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stratagem.stats.pairs import Floats

OUTCOMES = ("wrong", "right")


def spread(n: Floats) -> Floats:
    """What Dirichlet weights of n hand labels and a prior of one response are multiplied by, so that their draws have
    the variance p(1 - p) / n of a share seen in n responses: a posterior's own, with n + 2, is too small, and intervals
    of small cells were too narrow."""
    return np.maximum(n - 1.0, 0.5) / (n + 1.0)


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells (h) of a designed sheet: of one label each, drawn from `size_h` responses.

    `hand_ht` counts hand labels by true strategy; `into_coh` is the part of a cell that lies in a scope.
    """

    hand_ht: Floats
    size_h: Floats
    label_h: NDArray[np.int64]
    into_coh: Floats

    def draws(self, rng: np.random.Generator, number: int, moved_dcop: Floats | None = None) -> Floats:
        """P(label | true) where P(true | cell) is drawn from its Dirichlet posterior (draws x c x o x t x p).

        The prior weighs one response: spread as the hand labels of the same label, with one more spread over all
        strategies. How often the recogniser gave each label is that of the draw (`moved_dcop`, as a multiple of what
        the log shows, by checkpoint, outcome and label), so that the errors of the matrix and of what is solved with
        it cancel as they do in the data: the sheet is a part of the log. Then the log is a sample like any other, and
        what is labelled of it no more than that. Without `moved_dcop`, or where rows of several scopes are pooled, the
        log stays as it is, and a cell that was labelled whole does not vary.
        """
        strategies = self.hand_ht.shape[1]
        each_hp = self.label_h[:, None] == np.arange(strategies)
        same_pt = each_hp.T @ self.hand_ht + 1.0 / strategies
        prior_ht = (same_pt / same_pt.sum(axis=1, keepdims=True))[self.label_h]
        n_h = self.hand_ht.sum(axis=1)
        sides, outcomes = self.into_coh.shape[:2]
        if moved_dcop is None or moved_dcop.shape[1:3] != (sides, outcomes):
            # The log stays, and with it what of its responses is labelled already.
            moved_dcop = np.ones((number, sides, outcomes, strategies))
            left_h = np.clip(1.0 - n_h / np.maximum(self.size_h, n_h), 1e-6, 1.0)
        else:
            left_h = np.ones(len(self.size_h))
        weight_ht = (self.hand_ht + prior_ht) * (spread(n_h) / left_h)[:, None]
        gamma = rng.standard_gamma(weight_ht, size=(number, *weight_ht.shape))
        theta_dht = gamma / gamma.sum(axis=-1, keepdims=True)
        # Responses of a cell in every scope; a cell has one label (h x c x o).
        size_hco = (self.into_coh * self.size_h).transpose(2, 0, 1)
        joint = np.zeros((number, sides, outcomes, strategies, strategies))
        for h, label in enumerate(self.label_h):
            size_dco = size_hco[h] * moved_dcop[..., label]
            joint[..., label] += size_dco[..., None] * theta_dht[:, h, None, None, :]
        total = joint.sum(axis=-1, keepdims=True)
        return np.divide(joint, total, out=np.full_like(joint, np.nan), where=total > 0)


@dataclass(frozen=True, slots=True)
class Confusion:
    """P(label | true strategy) of a recogniser, by checkpoint and outcome.

    `rate` is side x outcome (0 wrong, 1 right) x true x label; either of the first two axes has length 1 where the
    error does not depend on it. `count` (without the last axis) says how many hand-labelled responses a row is
    worth: infinite where it is known exactly, 0 where there are none (the row is NaN). `cells` are those of a
    designed sheet.
    """

    names: tuple[str, ...]
    rate: Floats
    count: Floats
    cells: Cells | None = None

    @classmethod
    def known(cls, names: Sequence[str], rate: ArrayLike) -> Confusion:
        """A known error: true x label, outcome x true x label, or side x outcome x true x label."""
        rates = np.asarray(rate, dtype=np.float64)
        rates = rates.reshape((1,) * (4 - rates.ndim) + rates.shape)
        if (
            rates.shape[2:] != (len(names), len(names))
            or not np.allclose(rates.sum(-1), 1)
            or rates.min() < 0
        ):
            raise ValueError("rate has to be … x s x s for s names, with rows that sum to 1")
        return cls(tuple(names), rates, np.full(rates.shape[:-1], math.inf))

    def draws(self, rng: np.random.Generator, number: int, moved_dcop: Floats | None = None) -> Floats:
        """Draws of `rate` (draws x its shape); known rows stay, rows without hand labels are NaN.

        Rows come from their Dirichlet posterior under a prior of the weight of one response, 1/s a label (Berger,
        Bernardo, Sun 2015, Bayesian Analysis 10, 189): that of Jeffreys for two strategies, but not the more
        informative the more there are. With a designed sheet they come from its cells.
        """
        if self.cells is not None:
            return np.where(self.count[..., None] > 0, self.cells.draws(rng, number, moved_dcop), self.rate)
        drawn = np.broadcast_to(self.rate, (number, *self.rate.shape)).copy()
        guessed = np.isfinite(self.count) & (self.count > 0)
        n = self.count[guessed]
        shape = (self.rate[guessed] * n[:, None] + 1.0 / len(self.names)) * spread(n)[:, None]
        gamma = rng.standard_gamma(shape, size=(number, *shape.shape))
        drawn[:, guessed] = gamma / gamma.sum(axis=-1, keepdims=True)
        return drawn
