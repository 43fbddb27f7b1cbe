"""Where a checkpoint uses a strategy and the other does not: what its absence does and does not say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from stratagem.stats.pairs import pair


def zero_bound(n: int, alpha: float = 0.05) -> float:
    """The upper limit of a share of which none was seen in n independent units: 1 - alpha^(1/n).

    About 3 / n at alpha = 0.05. Responses to one problem are not independent: n counts problems. 1 for n = 0.
    """
    return 1.0 if n == 0 else 1.0 - alpha ** (1.0 / n)


def unsupported(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    alpha: float = 0.05,
) -> pl.DataFrame:
    """Strategies that only one of two checkpoints used in a stratum.

    "Unused here" is not "unable": `bound` is how large the share may still be on the side where none was
    seen.

    Args:
        before, after: rollouts or counts of one checkpoint each; only problems in both are looked at.
        alpha: one minus the level of the bound.

    Returns:
        by..., strategy, side (`new`: unused before; `dropped`: unused after), share (mean over the stratum's
        problems on the side that uses it), weight (the stratum's part of all problems), problems, bound. The
        sum of weight * share / 2 is the decomposition's `unsupported_share`.
    """
    pairs = pair(before, after, by)
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    share0_gs, share1_gs = (
        np.add.reduceat(side.share_ps, starts, axis=0) / pairs.sizes_g[:, None]
        for side in (pairs.before, pairs.after)
    )
    stratum, strategy = np.nonzero((share0_gs > 0) != (share1_gs > 0))
    problems = pairs.sizes_g[stratum]
    table = pl.DataFrame(
        {
            "strategy": [pairs.strategies[s] for s in strategy],
            "side": np.where(share0_gs[stratum, strategy] > 0, "dropped", "new"),
            "share": (share0_gs + share1_gs)[stratum, strategy],
            "weight": problems / len(pairs.ids),
            "problems": problems,
            "bound": [zero_bound(int(n), alpha) for n in problems],
        },
        schema_overrides={"strategy": pl.String, "side": pl.String, "bound": pl.Float64},
    )
    if by:
        table = pl.concat([pairs.strata[stratum], table], how="horizontal")
    return table.sort([*by, "strategy"])
