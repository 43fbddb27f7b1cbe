"""Intervals: closed form, bootstrap, simultaneous, for bounds; and what a study can detect.

The unit is the problem; several responses to a problem are one cluster. All intervals are two-sided.
"""

from __future__ import annotations

import math

import msgspec
import numpy as np
from numpy.typing import ArrayLike
from scipy import optimize, special

from stratagem.records import Estimate
from stratagem.stats.pairs import Floats

SUP_T_DRAWS = 100_000  # for a quantile that is good to .01


def mean_estimate(values: ArrayLike, *, level: float = 0.95) -> Estimate:
    """The mean over problems, with its clustered standard error sd / sqrt(n) and t interval (n - 1 degrees of freedom).

    Args:
        values: one number a problem (already the mean over its responses); finite.

    Returns:
        NaN interval for one problem, NaN value for none.

    Source: Miller 2024, arXiv 2411.00640, section 2.2, with one value a cluster.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(x).all():
        raise ValueError("values have to be finite")
    if x.size < 2:
        return Estimate(float(x[0]) if x.size else math.nan, n=x.size)
    value, se = float(x.mean()), float(x.std(ddof=1) / math.sqrt(x.size))
    reach = se * quantile(level, x.size - 1)
    return Estimate(value, value - reach, value + reach, se, x.size)


def within(estimate: Estimate, least: float, most: float) -> Estimate:
    """The same with the part of its interval that is possible, as 0 to 1 for a share."""
    return msgspec.structs.replace(estimate, low=max(estimate.low, least), high=min(estimate.high, most))


def paired_difference(before: ArrayLike, after: ArrayLike, *, level: float = 0.95) -> Estimate:
    """Mean of after - before over the same problems in the same order, with its clustered standard error."""
    x, y = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if x.shape != y.shape:
        raise ValueError(
            f"before has the shape {x.shape}, after {y.shape}: they have to be the same problems"
        )
    return mean_estimate(y - x, level=level)


def t_interval(values: ArrayLike, *, level: float = 0.95) -> Estimate:
    """The mean over training seeds with a t interval (df = seeds - 1); one seed has no interval (NaN)."""
    return mean_estimate(values, level=level)


def percentile(value: float, draws: ArrayLike, *, level: float = 0.95, n: int = 0) -> Estimate:
    """An estimate with its percentile bootstrap interval; draws that are NaN are left out."""
    x = np.asarray(draws, dtype=np.float64)
    x = x[np.isfinite(x)]
    if x.size < 2:
        return Estimate(value, n=n)
    low, high = middle_part(x, level)
    return Estimate(value, float(low), float(high), float(x.std(ddof=1)), n)


def middle_part(draws: Floats, level: float) -> tuple[Floats, Floats]:
    """The ends of the middle `level` of draws (d, ...), as `numpy.quantile` has them but without its own work."""
    places = [part * (len(draws) - 1) for part in ((1 - level) / 2, (1 + level) / 2)]
    below = [min(int(place), len(draws) - 2) for place in places]
    parted_d = np.partition(draws, [near for i in below for near in (i, i + 1)], axis=0)
    low, high = (
        parted_d[i] + (place - i) * (parted_d[i + 1] - parted_d[i])
        for place, i in zip(places, below, strict=True)
    )
    return low, high


def bounded(
    bounds: tuple[float, float],
    lower_draws: Floats,
    upper_draws: Floats,
    *,
    level: float = 0.95,
    n: int = 0,
    quantiles: bool = True,
) -> Estimate:
    """An estimate of a quantity that data bound, with its Imbens-Manski interval; a plain one where the bounds agree.

    With `quantiles` the interval goes to the draws' own quantiles where these reach further, since the estimate of a
    bound may be skewed; not for bounds whose draws are biased.

    A draw may lose a strategy that the data have, so that its bounds differ although those of the data do
    not: the interval then runs from the lower quantile of the lower to the upper quantile of the upper draws.
    """
    lower, upper = bounds
    low = percentile(lower, lower_draws, level=level, n=n)
    high = percentile(upper, upper_draws, level=level, n=n)
    if upper - lower <= 1e-12:
        return Estimate(lower, low.low, high.high, max(low.se, high.se), n)
    ends = imbens_manski(lower, upper, low.se, high.se, level=level)
    widest = max(low.se, high.se)
    if quantiles and widest > 0:
        # As many standard errors out as the ends are.
        reach = max(lower - ends[0], ends[1] - upper) / widest
        ends = (
            min(ends[0], corrected_quantile(lower, lower_draws, -reach)),
            max(ends[1], corrected_quantile(upper, upper_draws, reach)),
        )
    return Estimate(math.nan, *ends, se=widest, n=n, bounds=(lower, upper))


def corrected_quantile(value: float, draws: Floats, z: float) -> float:
    """The end of a one-sided interval, z standard errors out: the draws' quantile, corrected for their median's bias.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 14.3, without acceleration (BC).
    """
    x = draws[np.isfinite(draws)]
    below = ((x < value).mean() + (x <= value).mean()) / 2
    shift = 2 * special.ndtri(min(max(float(below), 1 / len(x)), 1 - 1 / len(x)))
    return float(np.quantile(x, special.ndtr(shift + z)))


def imbens_manski(
    lower: float, upper: float, se_lower: float, se_upper: float, *, level: float = 0.95
) -> tuple[float, float]:
    """An interval that covers a partially identified quantity, wherever in its bounds it lies.

    It is [lower - c se_lower, upper + c se_upper] where Phi(c + (upper - lower) / max(se)) - Phi(-c) = level:
    the two-sided normal interval for a point, one-sided at each end for wide bounds. NaN where a standard
    error is NaN.

    Source: Imbens and Manski 2004, Econometrica 72, 1845, equations 6-7.
    """
    widest = max(se_lower, se_upper)
    if math.isnan(se_lower) or math.isnan(se_upper):
        return math.nan, math.nan
    if widest == 0:
        return lower, upper
    gap = (upper - lower) / widest

    def excess(c: float) -> float:
        return float(special.ndtr(c + gap) - special.ndtr(-c)) - level

    c = float(optimize.brentq(excess, 0.0, quantile(level, math.inf) + 1e-9))  # type: ignore[arg-type]
    return lower - c * se_lower, upper + c * se_upper


def max_t(values: ArrayLike, draws: ArrayLike, *, level: float = 0.95, n: int = 0) -> list[Estimate]:
    """Intervals that cover all quantities of a family at once.

    Args:
        values: the k estimates.
        draws: their bootstrap draws, draws x k. A quantity that never varies gets an interval of width 0.

    Source: single-step max-T, Westfall and Young 1993; value +- c se with c the quantile of max |draw -
    value| / se.
    """
    x, replicates = np.asarray(values, dtype=np.float64), np.asarray(draws, dtype=np.float64)
    if len(replicates) < 2:
        return [Estimate(float(value), n=n) for value in x]
    se = replicates.std(axis=0, ddof=1)
    moves = se > 1e-12
    if not moves.any():
        return [Estimate(float(value), float(value), float(value), 0.0, n) for value in x]
    distance = np.abs(replicates - x)[:, moves] / se[moves]
    reach = np.where(moves, np.quantile(distance.max(axis=1), level) * se, 0.0)
    return [
        Estimate(float(v), float(v - r), float(v + r), float(s), n)
        for v, r, s in zip(x, reach, se, strict=True)
    ]


def sup_t(values_pk: ArrayLike, *, level: float = 0.95) -> list[Estimate]:
    """Means over problems of several columns, with intervals that hold all at once.

    Args:
        values_pk: one number a problem and column, NaN where there is none; a column's `n` counts the others.

    Returns:
        value +- c se, c the quantile of the largest of so many |t|, correlated as the means are, by simulation with a
        seed of its own; the plain t interval for a single column. A column that does not vary has a width of 0.

    Source: Montiel Olea and Plagborg-Moller 2019, Journal of Applied Econometrics 34, 1 (sup-t bands).
    """
    x_pk = np.asarray(values_pk, dtype=np.float64)
    each = [mean_estimate(x_p[np.isfinite(x_p)], level=level) for x_p in x_pk.T]
    moves = [i for i, estimate in enumerate(each) if estimate.se > 1e-12]
    if len(moves) < 2:
        return each
    free = min(each[i].n for i in moves) - 1
    off_pk = np.nan_to_num(x_pk[:, moves] - [each[i].value for i in moves])
    off_pk /= np.sqrt((off_pk**2).sum(axis=0))
    roots_k, ways_kk = np.linalg.eigh(off_pk.T @ off_pk)
    rng = np.random.default_rng(0)
    normal_dk = rng.standard_normal((SUP_T_DRAWS, len(moves))) * np.sqrt(np.maximum(roots_k, 0)) @ ways_kk.T
    spread_d = np.sqrt(rng.chisquare(free, SUP_T_DRAWS) / free)
    reach = float(np.quantile(np.abs(normal_dk).max(axis=1) / spread_d, level))
    reach = max(reach, quantile(level, free))
    for i in moves:
        x = each[i]
        each[i] = Estimate(x.value, x.value - reach * x.se, x.value + reach * x.se, x.se, x.n)
    return each


def wilson(p: float, n: float, z: float) -> tuple[float, float]:
    """Wilson's interval for a proportion seen in n responses, z standard errors wide; within 0 and 1."""
    z2 = z**2 / n
    middle = (p + z2 / 2) / (1 + z2)
    reach = math.sqrt(max(0.0, p * (1 - p)) * z2 + z2**2 / 4) / (1 + z2)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def needed_n(
    delta: float, p: float = 0.5, *, correlation: float = 0.0, power: float = 0.8, level: float = 0.95
) -> int:
    """Problems needed to detect a difference of two accuracies near p.

    Args:
        delta: the difference, as a fraction.
        p: the accuracy; one response a problem.
        correlation: between the two outcomes of a problem; 0 for different problems before and after.

    Source: Miller 2024, arXiv 2411.00640, section 5: n = (z_level + z_power)^2 * variance / delta^2.
    """
    deviation = math.sqrt(2 * p * (1 - p) * (1 - correlation))
    return math.ceil((detectable(deviation, power=power, level=level) / delta) ** 2 - 1e-9)


def detectable(se: float, *, power: float = 0.8, level: float = 0.95) -> float:
    """The smallest effect whose interval excludes 0 with this power, where the estimate has the standard error `se`.

    Source: Miller 2024, arXiv 2411.00640, section 5: (z_level + z_power) * se.
    """
    return (quantile(level, math.inf) + float(special.ndtri(power))) * se


def widened(level: float, df: float) -> float:
    """The level at which quantiles of bootstrap draws reach as far as a t interval of `df` degrees of freedom.

    Draws spread as the data do, and so their quantiles, like normal ones, leave out that the spread itself is an
    estimate.

    Source: Hesterberg 2015, The American Statistician 69, 371 (expanded percentile interval; the other part of it, the
    factor n / (n - 1), is in how problems are drawn).
    """
    return min(float(1 - 2 * special.ndtr(-quantile(level, df))), 1 - 1e-9) if df > 0 else level


def quantile(level: float, df: float) -> float:
    """The two-sided quantile of the t distribution, of the normal where df is infinite."""
    if not 0 < level < 1:
        raise ValueError(f"level is {level}: it has to lie between 0 and 1")
    p = (1 + level) / 2
    return float(special.ndtri(p) if math.isinf(df) else special.stdtrit(df, p))
