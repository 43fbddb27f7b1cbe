"""P(true strategy | label), measured on a random sample of the labels themselves.

For labels that were learned from few responses. What it corrects has shares in [0, 1] whatever is rare or unlike, where
a confusion matrix could not be inverted. In all, the totals are those of the sample, weighted as it was drawn; within a
stratum a label is taken to be wrong as often as elsewhere on the same side and with the same outcome.
Suffixes: c checkpoint, o outcome (0 wrong, 1 right), l label, t true strategy, d draws.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.label_error.confusion import OUTCOMES, spread
from stratagem.stats.pairs import Floats


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(true | label) by checkpoint and outcome.

    Attributes:
        names: the strategies, in the order of labels and truths.
        hand_colt: random hand labels of each cell.
        prior_lt: what is known of a label without those of a cell: as it is in all cells; for one that no hand label
            has, right as often as labels are.
        known: labels that are without error.
    """

    names: tuple[str, ...]
    hand_colt: Floats
    prior_lt: Floats
    known: frozenset[str]

    @classmethod
    def of(
        cls, rows: pl.DataFrame, names: Sequence[str], sides: Sequence[str], known: Collection[str] = ()
    ) -> Calibration:
        """From hand-labelled random rows: side, outcome, strategy (the label), true_strategy.

        Args:
            sides: the sheet's name of either checkpoint; one where they are not told apart.
        """
        place = {name: i for i, name in enumerate(names)}
        hand_colt = np.zeros((len(sides), 2, len(names), len(names)))
        for side, which, label, true in rows.select(
            "side", "outcome", "strategy", "true_strategy"
        ).iter_rows():
            hand_colt[sides.index(side), OUTCOMES.index(which), place[label], place[true]] += 1
        same_lt = hand_colt.sum(axis=(0, 1))
        right = (np.trace(same_lt) + 1) / (same_lt.sum() + 2)
        others = max(len(names) - 1, 1)
        usual_lt = np.where(np.eye(len(names)) > 0, right, (1 - right) / others)
        prior_lt = same_lt + usual_lt
        prior_lt /= prior_lt.sum(axis=1, keepdims=True)
        return cls(tuple(names), hand_colt, prior_lt, frozenset(known))

    @property
    def table(self) -> Floats:
        """P(true | label) (c x o x l x t), c of length 1 or 2: posterior means under the prior of `draws`.

        Shares of the few responses of a cell as they are would put an accuracy before at 0 or 1 where one of them is
        wrong; then the error of selection was twice as large (LOG.md, 2026-11-29).
        """
        n_col = self.hand_colt.sum(axis=-1, keepdims=True)
        return self._with_known((self.hand_colt + self.prior_lt) / (n_col + 1.0))

    def draws(self, rng: np.random.Generator, number: int) -> Floats:
        """Draws of `table` (d x c x o x l x t): Dirichlet posteriors, the prior of the weight of one response."""
        n_col = self.hand_colt.sum(axis=-1, keepdims=True)
        weight = (self.hand_colt + self.prior_lt) * spread(n_col)
        gamma = rng.standard_gamma(weight, size=(number, *weight.shape))
        return self._with_known(gamma / gamma.sum(axis=-1, keepdims=True))

    def as_certain(self) -> Calibration:
        """The same as if it were measured without any doubt."""
        return Calibration(self.names, self.table * 1e9, self.prior_lt, self.known)

    def _with_known(self, table: Floats) -> Floats:
        for name in self.known:
            place = self.names.index(name)
            table[..., place, :] = 0.0
            table[..., place, place] = 1.0
        return table
