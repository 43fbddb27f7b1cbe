"""pass@k: the chance that at least one of k responses is right.

Source of the estimator: Chen et al. 2021, arXiv 2107.03374, equation 1. pass@k is not linear in strategies'
shares and accuracies, so it is no part of a decomposition.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import ArrayLike

from stratagem.records import Estimate, StratagemError
from stratagem.stats.counts import tally
from stratagem.stats.pairs import Floats
from stratagem.stats.uncertainty import mean_estimate, paired_difference, sup_t, within


def passk(counts_c: ArrayLike, counts_n: ArrayLike, ks: Sequence[int]) -> Floats:
    """Unbiased pass@k of every problem, 1 - C(n - c, k) / C(n, k).

    Args:
        counts_c, counts_n: right and all responses of every problem, whole numbers.
        ks: numbers of attempts, each at least 1.

    Returns:
        problems x ks, as a product of k ratios, stable for any n. NaN where n < k: undefined, not 0.
    """
    c, n = np.asarray(counts_c, dtype=np.float64), np.asarray(counts_n, dtype=np.float64)
    if c.shape != n.shape or c.ndim != 1:
        raise ValueError("counts_c and counts_n have to be two vectors of one length")
    if (c < 0).any() or (c > n).any() or (c % 1).any() or (n % 1).any():
        raise ValueError("counts have to be whole numbers with 0 <= c <= n: pass@k is about right and wrong")
    if min(ks, default=0) < 1:
        raise ValueError("every k has to be at least 1")
    passk_pk = np.full((c.size, len(ks)), np.nan)
    miss = np.ones(c.size)
    for i in range(min(max(ks), int(n.max(initial=0)))):
        left = np.maximum(n - i, 0)
        miss *= np.divide(np.maximum(n - c - i, 0), left, out=np.full(c.size, np.nan), where=left > 0)
        for column, k in enumerate(ks):
            if k == i + 1:
                passk_pk[:, column] = 1 - miss
    return passk_pk


def problem_counts(table: pl.DataFrame | pl.LazyFrame, name: str = "table") -> pl.DataFrame:
    """Rollouts or counts of one checkpoint as (problem_id, c, n), a row a problem.

    Args:
        name: what the table is called in messages.

    Raises:
        StratagemError: a score is a fraction; right and wrong are needed here.
    """
    counts = tally(table, ()).group_by("problem_id").agg(c=pl.col("right").sum(), n=pl.col("n").sum())
    if (counts["c"] % 1 != 0).any():
        raise StratagemError(f"{name}: grades are fractions: pass@k needs right (1) and wrong (0)")
    return counts.sort("problem_id")


def passk_mean(counts_c: ArrayLike, counts_n: ArrayLike, k: int, *, level: float = 0.95) -> Estimate:
    """Mean over problems of pass@k, clustered standard error, the interval's part within 0 and 1.

    Problems with fewer than k responses are left out; `n` counts those that stay.
    """
    each = passk(counts_c, counts_n, [k])[:, 0]
    return within(mean_estimate(each[np.isfinite(each)], level=level), 0.0, 1.0)


def passk_difference(
    before_c: ArrayLike,
    before_n: ArrayLike,
    after_c: ArrayLike,
    after_n: ArrayLike,
    k: int,
    *,
    level: float = 0.95,
) -> Estimate:
    """Mean over problems of pass@k after - before, the same problems in the same order, clustered standard
    error, the interval's part within -1 and 1.

    Problems with fewer than k responses in one of the two are left out; `n` counts those that stay.
    """
    before, after = passk(before_c, before_n, [k])[:, 0], passk(after_c, after_n, [k])[:, 0]
    both = np.isfinite(before) & np.isfinite(after)
    return within(paired_difference(before[both], after[both], level=level), -1.0, 1.0)


def passk_together(
    counts: Sequence[tuple[ArrayLike, ArrayLike]], ks: Sequence[int], *, level: float = 0.95
) -> list[Estimate]:
    """`passk_mean` for every k, or `passk_difference` for two checkpoints, with intervals that hold together over k.

    Args:
        counts: right and all responses of every problem, of one checkpoint, or before and after.
    """
    each = [passk(c, n, ks) for c, n in counts]
    values_pk = each[0] if len(each) == 1 else each[1] - each[0]
    least = 0.0 if len(each) == 1 else -1.0
    return [within(estimate, least, 1.0) for estimate in sup_t(values_pk, level=level)]
