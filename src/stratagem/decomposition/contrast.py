"""Two checkpoints brought together, stratum by stratum: means, what follows from them, and bootstrap draws of both.

Either the problems are the same on both sides and stay together (`paired`), or they differ and strata take their
place (`apart`): then the problems of a side are drawn by themselves, and a stratum weighs the mean of its parts of
both sides. Suffixes: p problems, s strategies, g strata, k columns of the data matrix, d draws.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.counterfactuals import (
    ACCURACIES,
    Counterfactuals,
    Replicates,
    bootstrap,
    counterfactuals,
    matrix,
    mix,
    stratum_ends,
)
from stratagem.decomposition.delta_method import clustered
from stratagem.decomposition.thin_cells import Cells, cells
from stratagem.records import Estimate, StratagemError
from stratagem.stats.counts import tally
from stratagem.stats.min_sample import MIN_STRATUM
from stratagem.stats.pairs import Floats, Pairs, Side, side, strata_of
from stratagem.stats.resampling import freedom, pool_of, sums
from stratagem.stats.strategy_rates import Sample
from stratagem.stats.uncertainty import quantile


@dataclass(frozen=True, slots=True)
class Contrast:
    """What a decomposition is made of.

    Attributes:
        strata: a row a stratum; `problems_g` counts its problems, of the side with fewer; `weight_g` sums to 1.
        mean_gk: share and right before, the same after, of every strategy; then accuracy and presence under forcing.
        responses_cgs: responses before and after. cells: what is known of the accuracies before.
        samples: the problems of both sides, for what is said of one side alone.
        problems: of the side with fewer. left_out: problems that are not compared, before and after.
        free: degrees of freedom of the gain.
    """

    strategies: tuple[str, ...]
    strata: pl.DataFrame
    problems_g: NDArray[np.int64]
    weight_g: Floats
    mean_gk: Floats
    responses_cgs: Floats
    cells: Cells
    point: Counterfactuals
    boot: Replicates
    gain: Estimate
    free: float
    samples: tuple[Sample, Sample]
    lengths: tuple[float, float]
    problems: int
    left_out: tuple[int, int]
    paired: bool


def paired(
    pairs: Pairs,
    forced_ps: tuple[Floats, Floats] | None,
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
    stratified: bool,
) -> Contrast:
    """The same problems before and after.

    Args:
        forced_ps: accuracy of every problem under every forced strategy, and 1 where there is one.
        rng, draws, level, stratified: as `decompose`.
    """
    width, m = len(pairs.strategies), len(pairs.ids)
    data_pk = matrix(pairs, forced_ps)
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    sum_gk = np.add.reduceat(data_pk, starts, axis=0)
    sides = (pairs.before, pairs.after)
    mean_gk = sum_gk / pairs.sizes_g[:, None]
    after_gs = mean_gk[:, 2 * width : 3 * width]
    seen = cells(sides[0].share_ps, sides[0].right_ps, sides[0].n_p, pairs.sizes_g, after_gs)
    pool_p = pool_of(pairs.sizes_g, stratified)[pairs.stratum_p]
    return Contrast(
        strategies=pairs.strategies,
        strata=pairs.strata,
        problems_g=pairs.sizes_g,
        weight_g=pairs.sizes_g / m,
        mean_gk=mean_gk,
        responses_cgs=np.stack([np.add.reduceat(s.share_ps * s.n_p[:, None], starts, axis=0) for s in sides]),
        cells=seen,
        point=counterfactuals(sum_gk, pairs.sizes_g.astype(np.float64), width),
        boot=bootstrap(
            data_pk,
            pairs.sizes_g,
            width,
            cells=seen,
            rng=rng,
            draws=draws,
            stratified=stratified,
            level=level,
        ),
        gain=paired_gain(pairs, level, stratified),
        free=freedom(pool_p, m),
        samples=(Sample(sides[0], np.full(m, 1 / m), pool_p), Sample(sides[1], np.full(m, 1 / m), pool_p)),
        lengths=(float(sides[0].length_p.mean()), float(sides[1].length_p.mean())),
        problems=m,
        left_out=(pairs.left_out_before, pairs.left_out_after),
        paired=True,
    )


def paired_gain(pairs: Pairs, level: float, stratified: bool) -> Estimate:
    """The gain over the same problems with its standard error in closed form; one problem has no interval."""
    psi_p = pairs.after.right_ps.sum(1) - pairs.before.right_ps.sum(1)
    value, m = float(psi_p.mean()), len(pairs.ids)
    if m < 2:
        return Estimate(value, n=m)
    return clustered(value, psi_p, pool_of(pairs.sizes_g, stratified)[pairs.stratum_p], level)


def apart(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    by: Sequence[str],
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> Contrast:
    """Other problems before than after, in the same strata.

    Strata with fewer than two problems on a side are left out. The gain has a t interval with Welch's degrees of
    freedom (Satterthwaite 1946, Biometrics Bulletin 2, 110).

    Raises:
        StratagemError: as `counts.count`; no stratum with two problems or more on both sides.
    """
    names = ("before", "after")
    tables = [tally(table, by, name) for table, name in zip((before, after), names, strict=True)]
    homes = [strata_of(table, by, name) for table, name in zip(tables, names, strict=True)]
    keys = list(by)
    kept = [_large(home, keys) for home in homes]
    if keys:
        kept = [
            kept[i].join(kept[1 - i].select(keys).unique(), on=keys, how="semi", nulls_equal=True)
            for i in (0, 1)
        ]
    if kept[0].is_empty() or kept[1].is_empty():
        raise StratagemError(
            "before and after have no stratum in common with two problems or more on either side"
        )
    kept = [home.sort([*keys, "problem_id"]) for home in kept]
    strata = kept[0].select(keys).unique(maintain_order=True) if keys else pl.DataFrame()
    size_cg = np.stack([_sizes(home, keys) for home in kept])
    strategies = sorted(set().union(*(table["strategy"].unique().to_list() for table in tables)))
    sides = [
        side(table, home["problem_id"].to_list(), strategies)
        for table, home in zip(tables, kept, strict=True)
    ]
    weight_g = (size_cg / size_cg.sum(axis=1, keepdims=True)).mean(axis=0)
    start_cg = [np.concatenate([[0], np.cumsum(size)[:-1]]) for size in size_cg]
    blocks = [np.concatenate([part.share_ps, part.right_ps], axis=1) for part in sides]
    mean_gk = np.concatenate(
        [
            np.add.reduceat(b, s, axis=0) / n[:, None]
            for b, s, n in zip(blocks, start_cg, size_cg, strict=True)
        ],
        axis=1,
    )
    samples = [
        Sample(part, np.repeat(weight_g / size, size), np.repeat(np.arange(size.size), size))
        for part, size in zip(sides, size_cg, strict=True)
    ]
    gain, free = _gain(sides, size_cg, weight_g, level)
    after_gs = mean_gk[:, 2 * len(strategies) : 3 * len(strategies)]
    seen = cells(sides[0].share_ps, sides[0].right_ps, sides[0].n_p, size_cg[0], after_gs)
    return Contrast(
        strategies=tuple(strategies),
        strata=strata,
        problems_g=size_cg.min(axis=0),
        weight_g=weight_g,
        mean_gk=mean_gk,
        responses_cgs=np.stack(
            [
                np.add.reduceat(part.share_ps * part.n_p[:, None], start, axis=0)
                for part, start in zip(sides, start_cg, strict=True)
            ]
        ),
        cells=seen,
        point=counterfactuals(mean_gk, np.ones(len(mean_gk)), len(strategies)),
        boot=_replicates(blocks, size_cg, weight_g, seen, rng=rng, draws=draws, level=level),
        gain=gain,
        free=free,
        samples=(samples[0], samples[1]),
        lengths=(
            float(samples[0].weight_p @ sides[0].length_p),
            float(samples[1].weight_p @ sides[1].length_p),
        ),
        problems=int(size_cg.sum(axis=1).min()),
        left_out=(homes[0].height - kept[0].height, homes[1].height - kept[1].height),
        paired=False,
    )


def _large(home: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    enough = pl.len() >= MIN_STRATUM
    return home.filter(enough.over(keys) if keys else enough)


def _sizes(home: pl.DataFrame, keys: list[str]) -> NDArray[np.int64]:
    if not keys:
        return np.array([home.height])
    return home.group_by(keys, maintain_order=True).agg(pl.len())["len"].cast(pl.Int64).to_numpy()


def _gain(
    sides: Sequence[Side], size_cg: NDArray[np.int64], weight_g: Floats, level: float
) -> tuple[Estimate, float]:
    """The gain with its Welch interval, and the degrees of freedom of that."""
    means, parts, frees = [], [], []
    for part, size_g in zip(sides, size_cg, strict=True):
        right_p, stratum_p = part.right_ps.sum(axis=1), np.repeat(np.arange(size_g.size), size_g)
        mean_g = np.bincount(stratum_p, right_p) / size_g
        variance_g = np.bincount(stratum_p, (right_p - mean_g[stratum_p]) ** 2) / (size_g - 1)
        means.append(float(weight_g @ mean_g))
        parts.append(weight_g**2 * variance_g / size_g)
        frees.append(size_g - 1)
    part, n = np.concatenate(parts), int(size_cg.sum(axis=1).min())
    value, se = means[1] - means[0], math.sqrt(part.sum())
    df = float(part.sum() ** 2 / (part**2 / np.concatenate(frees)).sum()) if se > 0 else math.inf
    reach = quantile(level, df) * se
    return Estimate(value, value - reach, value + reach, se, n), df


def _replicates(
    blocks: Sequence[Floats],
    size_cg: NDArray[np.int64],
    weight_g: Floats,
    seen: Cells,
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> Replicates:
    """As `counterfactuals.bootstrap`, each side's problems drawn by themselves within strata."""
    width = seen.thin_gs.shape[1]
    total_dl, parts_d3s = np.zeros((draws, len(ACCURACIES))), np.zeros((draws, 3, width))
    stratum_g43 = np.full((weight_g.size, 4, 3), np.nan)
    if not draws:
        return Replicates(total_dl, np.zeros(0), stratum_g43)
    stops = np.cumsum(size_cg, axis=1)
    posterior = rng.spawn(1)[0]
    for g, weight in enumerate(weight_g):
        means = []
        for block, size, stop in zip(blocks, size_cg[:, g], stops[:, g], strict=True):
            number_d = np.full(draws, size - 1)
            means.append(sums(rng, number_d, block[stop - size : stop]) / (size - 1))
        drawn_ds = seen.draws(posterior, g, draws)
        mean_dk = np.concatenate(means, axis=1)
        what_if = counterfactuals(mean_dk, np.ones(draws), width, drawn_ds, seen.open_gs[g])
        total_dl += weight * what_if.accuracies_l
        parts_d3s += weight * np.stack([what_if.used_s, what_if.shift_s, what_if.rate_s], axis=1)
        stratum_g43[g] = stratum_ends(what_if.accuracies_l, level, int(size_cg[:, g].min()))
    return Replicates(total_dl, mix(parts_d3s[:, 0], parts_d3s[:, 1], parts_d3s[:, 2]), stratum_g43)
