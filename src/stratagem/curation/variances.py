"""Signal of rewards that are not right or wrong: how much they vary among the samples to one prompt.

A group's advantages are its rewards less their mean, so that what a prompt teaches grows with the variance of its
reward. Of a prompt with n >= 2 samples the unbiased sample variance s^2 estimates it, noisily; it is shrunk towards the
stratum's mean by w = T / (T + K / (n - 1)), the best linear weight (Bühlmann 1967): T is how much variances differ
between prompts and K / (n - 1) the noise of s^2. Both are taken from the pool without any assumption on the rewards, by
halves of each prompt's samples: the covariance of two halves' s^2 is T, and their squared difference is noise alone.
Where too few prompts have four samples for that, the noise is taken for that of normal rewards, K = 2 E[sigma^4]; where
too few have two, T and K are a guess, the square of the mean variance and twice that.

What is left open has the variance T (1 - w); chances are those of a gamma distribution with that mean and variance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammainc

from stratagem.curation.passrates import MIN_FITTED, Floats

Noise = Literal["halves", "normal", "assumed"]


@dataclass(frozen=True, slots=True)
class Sums:
    """Of each prompt: samples, the sum of their rewards and of the squares."""

    n: Floats
    total: Floats
    squares: Floats

    def variance(self) -> Floats:
        """Unbiased; NaN below two samples."""
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = self.total / self.n
            spread = np.maximum(self.squares - self.n * mean**2, 0.0)
            # Sums of floats leave a residue where all rewards are the same.
            spread = np.where(spread <= 1e-12 * np.abs(self.squares), 0.0, spread)
            return np.where(self.n >= 2, spread / (self.n - 1), np.nan)

    def less(self, other: Sums) -> Sums:
        return Sums(self.n - other.n, self.total - other.total, self.squares - other.squares)


@dataclass(frozen=True, slots=True)
class Variances:
    """Of each prompt the shrunk variance of its reward and what is open about it.

    Attributes:
        value: the estimate; the stratum's mean where a prompt has fewer than two samples.
        open: the variance of what is left open.
        noise: where T and K come from.
    """

    value: Floats
    open: Floats
    noise: Noise

    def below(self, threshold: float) -> Floats:
        """The probability that a prompt's variance is below `threshold`."""
        with np.errstate(invalid="ignore", divide="ignore"):
            shape, scale = self.value**2 / self.open, self.open / self.value
            chance = gammainc(shape, threshold / scale)
        known = (self.open <= 0) | (self.value <= 0)
        return np.where(known, (self.value < threshold).astype(float), chance)


def variances(
    whole: Sums, half: Sums, stratum: NDArray[np.int64], strata: int, counted: NDArray[np.bool_] | None = None
) -> Variances:
    """The variances of prompts.

    Args:
        whole: of all samples of each prompt.
        half: of a random half of them.
        stratum: of each prompt, its number below `strata`.
        counted: prompts from which the others are learnt; all by default.
    """
    learnt = np.ones(len(stratum), bool) if counted is None else counted
    value_x = whole.variance()
    several = whole.n >= 2
    learnable = several & learnt
    freedom_x = np.maximum(whole.n - 1, 0)
    pool = _mean(value_x, freedom_x, learnable)
    home_g = np.array([_mean(value_x, freedom_x, learnable & (stratum == g), pool) for g in range(strata)])
    home_x = home_g[stratum]
    other = whole.less(half)
    both = (half.n >= 2) & (other.n >= 2) & learnt
    if both.sum() >= MIN_FITTED:
        source: Noise = "halves"
        a, b, homes = half.variance()[both], other.variance()[both], home_x[both]
        noise = float(((a - b) ** 2).sum() / (1 / (half.n[both] - 1) + 1 / (other.n[both] - 1)).sum())
        between = max(float(((a - homes) * (b - homes)).mean()), 0.0)
    elif learnable.sum() >= MIN_FITTED:
        source = "normal"
        # E[s^4] = E[sigma^4] (1 + 2 / (n - 1)) of normal rewards.
        fourth = float((value_x[learnable] ** 2).sum() / (1 + 2 / freedom_x[learnable]).sum())
        noise, between = 2 * fourth, max(fourth - float((home_x[learnable] ** 2).mean()), 0.0)
    else:
        source = "assumed"
        noise, between = 2 * pool**2, pool**2
    weight = np.where(several, between / np.maximum(between + noise / np.maximum(freedom_x, 1), 1e-300), 0.0)
    value = np.where(several, weight * np.nan_to_num(value_x) + (1 - weight) * home_x, home_x)
    return Variances(value, between * (1 - weight), source)


def _mean(value: Floats, freedom: Floats, chosen: NDArray[np.bool_], otherwise: float = np.nan) -> float:
    """The variance within prompts, pooled by degrees of freedom."""
    if not chosen.any():
        return otherwise
    return float((value[chosen] * freedom[chosen]).sum() / freedom[chosen].sum())
