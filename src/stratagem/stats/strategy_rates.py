"""How often each strategy is used on one side, and how often it is right there, with intervals.

Both are means over problems, or ratios of them; a problem's responses stay together. Variances are those of the mean
of influences (for a ratio by Taylor linearisation); the intervals are Wilson's at the effective size p(1-p)/variance
(Korn and Graubard 1998), so that they stay within 0 and 1 and say something where all or none are right.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stratagem.records import Estimate
from stratagem.stats.min_sample import MIN_FREEDOM
from stratagem.stats.pairs import Floats, Side
from stratagem.stats.uncertainty import quantile, wilson


@dataclass(frozen=True, slots=True)
class Sample:
    """The problems of one side: what each weighs (sum 1), and the number of the pool that it was drawn from."""

    side: Side
    weight_p: Floats
    pool_p: NDArray[np.int64]


def strategy_rates(sample: Sample, level: float) -> tuple[list[Estimate], list[Estimate]]:
    """Share of every strategy among the responses, and its accuracy (NaN where it is not used).

    `n` counts the problems: for an accuracy those of which responses use the strategy.
    """
    side = sample.side
    problems = sample.weight_p.size
    free = problems - int(sample.pool_p.max()) - 1
    shares: list[Estimate] = []
    accuracies: list[Estimate] = []
    for share_p, right_p in zip(side.share_ps.T, side.right_ps.T, strict=True):
        share = float(sample.weight_p @ share_p)
        used, spared = int((share_p > 0).sum()), int((share_p < 1).sum())
        # A variance is known from the problems that show it: few of them, where a strategy is rare or nearly alside.
        rare = min(used, spared) or problems
        shares.append(
            _proportion(
                sample,
                share_p - share,
                share,
                problems,
                float(side.n_p.sum()),
                min(free, max(rare - 1, MIN_FREEDOM)),
                level,
            )
        )
        if not used:
            accuracies.append(Estimate(math.nan))
            continue
        rate = min(1.0, float(sample.weight_p @ right_p) / share)
        accuracies.append(
            _proportion(
                sample,
                (right_p - rate * share_p) / share,
                rate,
                used,
                float(side.n_p @ share_p),
                min(free, max(used - 1, MIN_FREEDOM)),
                level,
            )
        )
    return shares, accuracies


def _proportion(
    sample: Sample, influence_p: Floats, p: float, n: int, responses: float, free: int, level: float
) -> Estimate:
    """A proportion with its interval; where no variance is seen, each of its n problems counts as one response."""
    if free < 1:
        return Estimate(p, n=n)
    psi_p = sample.weight_p * influence_p
    size_o = np.bincount(sample.pool_p)
    mean_o = np.bincount(sample.pool_p, psi_p) / size_o
    squares_o = np.bincount(sample.pool_p, (psi_p - mean_o[sample.pool_p]) ** 2)
    variance = float((squares_o * size_o / np.maximum(size_o - 1, 1)).sum())
    spread = p * (1 - p)
    seen = variance > 1e-15 and spread > 1e-15
    low, high = wilson(p, min(responses, spread / variance) if seen else n, quantile(level, free))
    return Estimate(p, low, high, math.sqrt(variance), n)
