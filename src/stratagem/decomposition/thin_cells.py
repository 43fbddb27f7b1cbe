"""Cells, a strategy in a stratum, whose accuracy before rests on few responses.

Resampled problems hardly show how far it may be off: of three responses that were all wrong every draw makes 0. So
draws take the old accuracy of such a cell from Jeffreys' posterior, Beta(right + 1/2, wrong + 1/2), and closed forms
its spread around the estimate, which itself stays as it is. Responses to one problem are alike, so a cell counts as
many as independent ones would say as much. Suffixes: p problems, s strategies, g strata, d draws.

Source: Brown, Cai, DasGupta 2001, Statistical Science 16, 101 (Jeffreys' interval); Kish 1965, Survey Sampling (design
effect); Fleiss, Levin, Paik 2003, Statistical Methods for Rates and Proportions, chapter 15 (correlation in a cluster).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stratagem.stats.min_sample import MIN_OUTCOME, MIN_SEEN
from stratagem.stats.pairs import Floats


class Cells(NamedTuple):
    """How much is known of the accuracy of every strategy in every stratum (g x s).

    `seen_gs`: responses, counted as independent ones. `rate_gs`: accuracy, 0 where unseen. `thin_gs`: seen, but fewer
    than 10, or fewer than 5 of them right or 5 wrong; never in a stratum of one problem, which is resampled whole.
    """

    seen_gs: Floats
    rate_gs: Floats
    thin_gs: NDArray[np.bool_]

    def draws(self, rng: np.random.Generator, g: int, draws: int) -> Floats:
        """Accuracies of a stratum's thin cells from their posterior, NaN in the others (d x s)."""
        rate_ds = np.full((draws, self.thin_gs.shape[1]), np.nan)
        thin_s = self.thin_gs[g]
        right_s, wrong_s = (x_gs[g, thin_s] for x_gs in self._posterior())
        rate_ds[:, thin_s] = rng.beta(right_s, wrong_s, (draws, right_s.size))
        return rate_ds

    def variance_gs(self) -> Floats:
        """Mean square of the posterior around the estimate, 0 where a cell is not thin (g x s)."""
        right_gs, wrong_gs = self._posterior()
        all_gs = right_gs + wrong_gs
        mean_gs = right_gs / all_gs
        square_gs = mean_gs * (1 - mean_gs) / (all_gs + 1) + (mean_gs - self.rate_gs) ** 2
        return np.where(self.thin_gs, square_gs, 0.0)

    def _posterior(self) -> tuple[Floats, Floats]:
        right_gs = self.seen_gs * self.rate_gs
        return right_gs + 0.5, self.seen_gs - right_gs + 0.5


def cells(share_ps: Floats, right_ps: Floats, n_p: Floats, size_g: NDArray[np.int64]) -> Cells:
    """The cells of one side.

    Args:
        share_ps, right_ps: of a problem's responses the part that uses a strategy, and that does and is right; problems
            stratum by stratum.
        n_p: responses of every problem.
        size_g: problems of every stratum.
    """
    starts = np.concatenate([[0], np.cumsum(size_g)[:-1]])
    share_gs, right_gs = (np.add.reduceat(x_ps, starts, axis=0) for x_ps in (share_ps, right_ps))
    rate_gs = np.divide(right_gs, share_gs, out=np.zeros_like(right_gs), where=share_gs > 0)
    rate_gs = np.clip(rate_gs, 0.0, 1.0)
    count_ps = share_ps * n_p[:, None]
    alike = _alike(count_ps, right_ps * n_p[:, None], np.repeat(rate_gs, size_g, axis=0))
    weight_ps = share_ps / n_p[:, None] * (1 + alike * np.maximum(count_ps - 1, 0))
    weight_gs = np.add.reduceat(weight_ps, starts, axis=0)
    seen_gs = np.divide(share_gs**2, weight_gs, out=np.zeros_like(share_gs), where=share_gs > 0)
    # A hair below a threshold is the threshold: floats are summed.
    right_gs, seen_gs = seen_gs * rate_gs + 1e-9, seen_gs + 1e-9
    few_gs = (seen_gs < MIN_SEEN) | (right_gs < MIN_OUTCOME) | (seen_gs - right_gs + 1e-9 < MIN_OUTCOME)
    return Cells(seen_gs, rate_gs, few_gs & (share_gs > 0) & (size_g > 1)[:, None])


def _alike(count_ps: Floats, right_ps: Floats, rate_ps: Floats) -> float:
    """Correlation of the outcomes of two responses with one strategy to one problem, over all cells.

    1, so that a problem counts as one response, where outcomes do not vary or are no whole numbers.
    """
    total_p = right_ps.sum(axis=1)
    pairs_ps = np.maximum(count_ps * (count_ps - 1), 0)
    chance = float((rate_ps * (1 - rate_ps) * pairs_ps).sum())
    if chance <= 1e-12 or np.abs(total_p - np.rint(total_p)).max() > 1e-6:
        return 1.0
    # Over the pairs of a problem's responses, (outcome - rate) (outcome - rate).
    both_ps = right_ps * (right_ps - 1) - 2 * rate_ps * right_ps * (count_ps - 1) + rate_ps**2 * pairs_ps
    return min(1.0, max(0.0, float(np.where(pairs_ps > 0, both_ps, 0.0).sum()) / chance))
