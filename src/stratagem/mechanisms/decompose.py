"""The gain between two checkpoints as selection, improvement and new strategies.

Kitagawa 1955 (JASA 50, 1168), Das Gupta 1993 (US Census P23-186), Blinder 1973 and Oaxaca 1973 split a
difference of rates in this way; the what-if accuracies that the terms are made of are in `chain`. Where this
differs: new and dropped strategies, which have no rate on one side, are a term of their own or bounds, never
a guess.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.mechanisms import uncertainty
from stratagem.mechanisms.chain import LINKS, Chain, Replicates, Totals, bootstrap, chain, matrix, mix
from stratagem.mechanisms.influence import clustered
from stratagem.mechanisms.pairs import Floats, Pairs, pair
from stratagem.mechanisms.resampling import pool_of
from stratagem.mechanisms.result import Decomposition, Split, ThreeFold
from stratagem.mechanisms.uncertainty import percentile
from stratagem.records import Estimate, StratagemError

ENOUGH_PROBLEMS, ENOUGH_RESPONSES, SPARSE_SHARE = 100, 10, 0.05


def decompose(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    forced: pl.DataFrame | None = None,
    stratified: bool = True,
) -> Decomposition:
    """Split the gain from one checkpoint to another over the problems that both answered.

    Args:
        before, after: rollouts or counts (`counts.count`) of one checkpoint each, joined on problem_id.
        by: columns that make a stratum; `()` for a single one, `("problem_id",)` for every problem its own.
        rng: for the bootstrap, which resamples problems, before and after together.
        draws: bootstrap draws; 0 for no interval but that of the gain.
        level: of all intervals.
        forced: responses of the later checkpoint that were made to begin with a strategy's opening, as counts
            with the columns *by, strategy, problem_id, n, right. They stand in for the accuracy of dropped
            strategies.
        stratified: resample within strata (their sizes are by design), or over all problems.

    Raises:
        StratagemError: as `counts.count` and `pairs.pair`; `forced` lacks a column or has no problem of
            theirs.
    """
    pairs = pair(before, after, by)
    forced_ps = None if forced is None else _forced(forced, pairs, by)
    width = len(pairs.strategies)
    data_pk = matrix(pairs, forced_ps)
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    sum_gk = np.add.reduceat(data_pk, starts, axis=0)
    point = chain(sum_gk, pairs.sizes_g.astype(np.float64), width)
    boot = bootstrap(data_pk, pairs.sizes_g, width, rng=rng, draws=draws, stratified=stratified, level=level)

    m = len(pairs.ids)
    weight_g = pairs.sizes_g / m
    ends = Totals(weight_g @ point.links_l, boot.total_dl, level, m)
    selection, improvement = ends.point("kept", "old"), ends.point("seen", "kept")
    new = ends.point("now", "seen")
    reverse = Split(ends.term(seen=1, swapped=-1), ends.term(swapped=1, old=-1), new)
    family_d3 = np.stack(
        [ends.draws(kept=1, old=-1), ends.draws(seen=1, kept=-1), ends.draws(now=1, seen=-1)], 1
    )
    family = uncertainty.max_t([t.value for t in (selection, improvement, new)], family_d3, level=level, n=m)
    mixed = float(mix(weight_g @ point.used_s, weight_g @ point.shift_s, weight_g @ point.rate_s))
    cells = _cells(pairs, point, sum_gk, by)
    verdict, dependent = _verdict(ends)
    return Decomposition(
        gain=_gain(pairs, stratified, level),
        selection=selection,
        improvement=improvement,
        new_strategy=new,
        reverse=reverse,
        symmetric=Split(
            ends.term(kept=0.5, old=-0.5, seen=0.5, swapped=-0.5),
            ends.term(seen=0.5, kept=-0.5, swapped=0.5, old=-0.5),
            new,
        ),
        threefold=ThreeFold(
            selection, reverse.improvement, ends.term(seen=1, swapped=-1, kept=-1, old=1), new
        ),
        mix=percentile(mixed, boot.mix_d, level=level, n=m),
        routing=percentile(selection.value - mixed, family_d3[:, 0] - boot.mix_d, level=level, n=m),
        simultaneous=Split(*family),
        accuracy_before=ends.total["old"],
        accuracy_after=ends.total["now"],
        length_before=float(pairs.before.length_p.mean()),
        length_after=float(pairs.after.length_p.mean()),
        problems=m,
        left_out_before=pairs.left_out_before,
        left_out_after=pairs.left_out_after,
        unsupported_share=ends.total["unsupported"],
        verdict=verdict,
        order_dependent=dependent,
        interventional=bool(cells["stood_in"].any()),
        weak=_weak(pairs, cells),
        by=tuple(by),
        level=level,
        strata=_strata(pairs, point, boot, by),
        cells=cells.drop("stood_in", "weight"),
    )


def _gain(pairs: Pairs, stratified: bool, level: float) -> Estimate:
    """The gain with its closed-form standard error over the pools that are resampled, t interval."""
    psi_p = pairs.after.right_ps.sum(1) - pairs.before.right_ps.sum(1)
    m, value = psi_p.size, float(psi_p.mean())
    if m < 2:
        return Estimate(value, n=m)
    pool_p = pool_of(pairs.sizes_g, stratified)[pairs.stratum_p]
    return clustered(value, psi_p, pool_p, level)


def _forced(forced: pl.DataFrame, pairs: Pairs, by: Sequence[str]) -> tuple[Floats, Floats]:
    """Accuracy of every problem under every forced strategy, and 1 where there is one."""
    for name in (*by, "strategy", "problem_id", "n", "right"):
        if name not in forced.columns:
            raise StratagemError(f"forced: no column {name!r}; there are {', '.join(forced.columns)}")
    if forced.filter(
        ~((pl.col("n") > 0) & pl.col("right").is_between(0, pl.col("n"))).fill_null(False)
    ).height:
        raise StratagemError("forced: every row needs n > 0 and 0 <= right <= n")
    row = {name: i for i, name in enumerate(pairs.ids)}
    column = {name: i for i, name in enumerate(pairs.strategies)}
    n, right = np.zeros((2, len(row), len(column)))
    for problem, strategy, count, correct in forced.select(
        "problem_id", "strategy", "n", "right"
    ).iter_rows():
        if problem in row and strategy in column:
            n[row[problem], column[strategy]] += count
            right[row[problem], column[strategy]] += correct
    if not n.any():
        raise StratagemError("forced: no problem and strategy in common with before and after")
    return np.divide(right, n, out=np.zeros_like(n), where=n > 0), (n > 0).astype(np.float64)


def _verdict(ends: Totals) -> tuple[str, bool]:
    """Which of selection and improvement is larger in size, selecting first, and whether the other order
    agrees.

    In either order a decided verdict depends on the order if the other order's value, anywhere in its bounds,
    has the other sign. Between the bounds the comparison is monotone, so their ends are enough.
    """

    def lead(value: Sequence[float], draw: Sequence[Floats]) -> str:
        low = percentile(min(value), np.minimum.reduce(draw), level=ends.level).low
        high = percentile(max(value), np.maximum.reduce(draw), level=ends.level).high
        return "selection" if low > 0 else "improvement" if high < 0 else "undecided"

    old, kept, seen = (ends.total[name] for name in ("old", "kept", "seen"))
    old_d, kept_d, seen_d = (ends.draw[name] for name in ("old", "kept", "seen"))
    swapped = ("swapped_low", "swapped_high")
    forward = abs(kept - old) - abs(seen - kept)
    backward = [abs(seen - ends.total[name]) - abs(ends.total[name] - old) for name in swapped]
    backward_d = [np.abs(seen_d - ends.draw[name]) - np.abs(ends.draw[name] - old_d) for name in swapped]
    first = lead([forward], [np.abs(kept_d - old_d) - np.abs(seen_d - kept_d)])
    second = lead(backward, backward_d)
    sign = {"selection": 1, "improvement": -1, "undecided": 0}
    other = [sign[first] * value for value in backward] + [sign[second] * forward]
    return first, min(other) < -1e-12


def _strata(pairs: Pairs, point: Chain, boot: Replicates, by: Sequence[str]) -> pl.DataFrame:
    link = dict(zip(LINKS, point.links_l.T, strict=True))
    terms = {
        "gain": link["now"] - link["old"],
        "selection": link["kept"] - link["old"],
        "improvement": link["seen"] - link["kept"],
        "new_strategy": link["now"] - link["seen"],
    }
    columns = {"problems": pairs.sizes_g, "accuracy_before": link["old"], "accuracy_after": link["now"]}
    for i, (name, value) in enumerate(terms.items()):
        columns[name] = value
        for j, end in enumerate(("low", "high", "se")):
            columns[f"{name}_{end}"] = boot.stratum_g43[:, i, j]
    table = pl.concat([pairs.strata, pl.DataFrame(columns)], how="horizontal")
    return _finish(table, by)


def _cells(pairs: Pairs, point: Chain, sum_gk: Floats, by: Sequence[str]) -> pl.DataFrame:
    """One row a stratum and strategy. Contributions to selection are deviations from the stratum's old
    accuracy, since otherwise they would hang on an arbitrary origin."""
    shape_gs = point.used_s.shape
    blocks = [sum_gk[:, i : i + shape_gs[1]] for i in range(0, sum_gk.shape[1], shape_gs[1])]
    share0, right0, share1, right1 = (block / pairs.sizes_g[:, None] for block in blocks[:4])
    link = dict(zip(LINKS, point.links_l[:, None, :].transpose(2, 0, 1), strict=True))
    weight = np.broadcast_to(pairs.sizes_g[:, None] / len(pairs.ids), shape_gs)
    rate0, rate1 = _rate(right0, share0), _rate(right1, share1)
    forced = _rate(blocks[4], blocks[5]) if len(blocks) > 4 else np.full(shape_gs, np.nan)
    lives = point.used_s.any(axis=1, keepdims=True)
    stay = np.where(lives, (share1 * point.used_s).sum(1, keepdims=True), 1.0)
    selection = point.shift_s * (point.rate_s - link["old"])
    improvement = np.where(
        point.used_s & (share1 > 0), share1 / stay * (np.nan_to_num(rate1) - point.rate_s), 0.0
    )
    new = np.where((share0 == 0) & (share1 > 0), right1 - share1 * link["seen"], 0.0)
    strata, strategy = np.indices(shape_gs)
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    responses = [
        np.add.reduceat(s.share_ps * s.n_p[:, None], starts, axis=0) for s in (pairs.before, pairs.after)
    ]
    columns: dict[str, NDArray] = {
        "strategy": np.array(pairs.strategies)[strategy],
        "share_before": share0,
        "share_after": share1,
        "accuracy_before": rate0,
        "accuracy_after": rate1,
        "accuracy_forced": forced,
        "responses_before": np.rint(responses[0]).astype(np.int64),
        "responses_after": np.rint(responses[1]).astype(np.int64),
        "selection": weight * selection,
        "improvement": weight * improvement,
        "new_strategy": weight * new,
        "contribution": weight * (selection + improvement + new),
        "stood_in": point.used_s & (share1 == 0) & np.isfinite(forced),
        "weight": weight,
    }
    keys = pairs.strata[strata.ravel()] if by else pairs.strata
    table = pl.concat([keys, pl.DataFrame({k: v.ravel() for k, v in columns.items()})], how="horizontal")
    present = (
        (pl.col("share_before") > 0) | (pl.col("share_after") > 0) | pl.col("accuracy_forced").is_finite()
    )
    return _finish(table.filter(present), [*by, "strategy"])


def _weak(pairs: Pairs, cells: pl.DataFrame) -> tuple[str, ...]:
    reasons: list[str] = []
    if len(pairs.ids) < ENOUGH_PROBLEMS:
        reasons.append(f"{len(pairs.ids)} problems, fewer than {ENOUGH_PROBLEMS}")
    few = pl.col("responses_before").is_between(1, ENOUGH_RESPONSES - 1)
    share = cells.filter(few).select(
        (pl.col("weight") * (pl.col("share_before") + pl.col("share_after")) / 2).sum()
    )
    if (part := float(share.item())) > SPARSE_SHARE:
        reasons.append(
            f"{part:.0%} of responses use a strategy seen fewer than {ENOUGH_RESPONSES} times before"
        )
    return tuple(reasons)


def _rate(right: Floats, share: Floats) -> Floats:
    return np.divide(right, share, out=np.full_like(right, np.nan), where=share > 0)


def _finish(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    table = table.with_columns(pl.selectors.float().fill_nan(None))
    return table.sort(list(by)) if by else table
