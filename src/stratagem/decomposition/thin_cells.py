"""Cells, a strategy in a stratum, whose accuracy before rests on few responses or on none.

Few: resampled problems hardly show how far it may be off: of three responses that were all wrong every draw makes 0. So
draws take the old accuracy of such a cell from Jeffreys' posterior, Beta(right + 1/2, wrong + 1/2), and closed forms
its spread around the estimate, which itself stays as it is. Responses to one problem are alike, so a cell counts as
many as independent ones would say as much. The halves pull a single cell the right way, but over many cells of low
accuracy they add up to right answers that nobody saw. So the draws are moved back until what is left is the pull of as
many cells as it comes from, squares added in place of the pulls.

None: a strategy that is used after and was not seen before is new, or was merely rare. Where it was seen in another
stratum, or where its share after is not ten times what it may have been before, it may be either, and every second
draw takes it for rare, with an old accuracy that may be anything.

Suffixes: p problems, s strategies, g strata, d draws.

Source: Brown, Cai, DasGupta 2001, Statistical Science 16, 101 (Jeffreys' interval); Kish 1965, Survey Sampling (design
effect); Fleiss, Levin, Paik 2003, Statistical Methods for Rates and Proportions, chapter 15 (correlation in a cluster);
Fay and Feuer 1997, Statistics in Medicine 16, 791 (what is added to counts is added once, not in every cell).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stratagem.decomposition.support import zero_bound
from stratagem.stats.min_sample import MIN_OUTCOME, MIN_SEEN, NEW_FACTOR
from stratagem.stats.pairs import Floats

GOLDEN = (5**0.5 - 1) / 2  # multiples of it, without their whole part, fill 0 to 1 evenly


class Cells(NamedTuple):
    """How much is known of the accuracy of every strategy in every stratum (g x s).

    `seen_gs`: responses, counted as independent ones. `rate_gs`: accuracy, 0 where unseen. `thin_gs`: seen, but fewer
    than 10, or fewer than 5 of them right or 5 wrong. `open_gs`: unseen, but used after, and maybe merely rare. Neither
    in a stratum of one problem, which is resampled whole. `pull`: the part of the posterior's pull that draws keep.
    """

    seen_gs: Floats
    rate_gs: Floats
    thin_gs: NDArray[np.bool_]
    open_gs: NDArray[np.bool_]
    pull: float

    @property
    def unknown_gs(self) -> NDArray[np.bool_]:
        """Cells of fewer than 10 responses, or none, of whose accuracy draws do not show how little is known."""
        return (self.seen_gs < MIN_SEEN) & ~self.thin_gs & ~self.open_gs

    def draws(self, rng: np.random.Generator, g: int, draws: int) -> Floats:
        """Accuracies of a stratum's thin cells from their posterior, NaN in the others (d x s).

        Where many were moved back, those of a cell that was all wrong may lie a little below 0: sums of them do not.
        In every second draw open cells have one too, from Beta(1/2, 1/2); it is the same in all strata, since a
        strategy is executed alike there.
        """
        rate_ds = np.full((draws, self.thin_gs.shape[1]), np.nan)
        thin_s = self.thin_gs[g]
        right_s, wrong_s = (x_gs[g, thin_s] for x_gs in self.posterior())
        back_s = (1 - self.pull) * (right_s / (right_s + wrong_s) - self.rate_gs[g, thin_s])
        rate_ds[:, thin_s] = rng.beta(right_s, wrong_s, (draws, right_s.size)) - back_s
        # Evenly spread in place of random, so that the strata need not share a generator.
        even_d = np.arange(draws // 2) * GOLDEN % 1
        rate_ds[1::2, self.open_gs[g]] = np.sin(np.pi / 2 * even_d)[:, None] ** 2
        return rate_ds

    def variance_gs(self) -> Floats:
        """Mean square of the posterior around the estimate, 0 where a cell is not thin (g x s)."""
        right_gs, wrong_gs = self.posterior()
        all_gs = right_gs + wrong_gs
        mean_gs = right_gs / all_gs
        square_gs = mean_gs * (1 - mean_gs) / (all_gs + 1) + (mean_gs - self.rate_gs) ** 2
        return np.where(self.thin_gs, square_gs, 0.0)

    def posterior(self) -> tuple[Floats, Floats]:
        """Right and wrong answers with a half added to each (g x s)."""
        right_gs = self.seen_gs * self.rate_gs
        return right_gs + 0.5, self.seen_gs - right_gs + 0.5


def cells(
    share_ps: Floats, right_ps: Floats, n_p: Floats, size_g: NDArray[np.int64], after_gs: Floats
) -> Cells:
    """The cells before.

    Args:
        share_ps, right_ps: of a problem's responses the part that uses a strategy, and that does and is right; problems
            stratum by stratum.
        n_p: responses of every problem.
        size_g: problems of every stratum.
        after_gs: shares after.
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
    several_g = (size_g > 1)[:, None]
    thin_gs = few_gs & (share_gs > 0) & several_g
    open_gs = (share_gs == 0) & (after_gs > 0) & several_g & ~_new(share_gs, after_gs, size_g)
    known = Cells(seen_gs, rate_gs, thin_gs, open_gs, 1.0)
    return known._replace(pull=_pull(known, size_g[:, None] * after_gs))


def _new(share_gs: Floats, after_gs: Floats, size_g: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Strategies seen nowhere before whose share after is ten times what it may have been, or more (s)."""
    problems_s = size_g @ (after_gs > 0)
    bound_s = np.array([zero_bound(int(problems)) for problems in problems_s])
    return (share_gs.sum(axis=0) == 0) & (size_g @ after_gs >= NEW_FACTOR * bound_s * problems_s)


def _pull(known: Cells, weight_gs: Floats) -> float:
    """The part of its pull that leaves the sum of all thin cells the square root of the sum of squares, or less."""
    right_gs, wrong_gs = known.posterior()
    pull_gs = weight_gs * np.where(known.thin_gs, right_gs / (right_gs + wrong_gs) - known.rate_gs, 0.0)
    square, all_squared = float((pull_gs**2).sum()), float(pull_gs.sum() ** 2)
    return square / all_squared if square < all_squared else 1.0


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
