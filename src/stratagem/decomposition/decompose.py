"""The gain between two checkpoints as selection, improvement and new strategies.

Kitagawa 1955 (JASA 50, 1168), Das Gupta 1993 (US Census P23-186), Blinder 1973 and Oaxaca 1973 split a
difference of rates in this way; the what-if accuracies that the terms are made of are in `counterfactuals`. Where this
differs: new and dropped strategies, which have no rate on one side, are a term of their own or bounds, never
a guess.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition import contrast
from stratagem.decomposition.account import account, gap_draws, new_or_rare, term_draws
from stratagem.decomposition.by_problem import by_problem
from stratagem.decomposition.contrast import Contrast
from stratagem.decomposition.counterfactuals import ACCURACIES, Totals, mix
from stratagem.decomposition.parts import Account, Split, ThreeFold, Unparsed
from stratagem.decomposition.result import Decomposition
from stratagem.decomposition.unparsed import gain_alone, unparsed_of
from stratagem.records import UNDEFINED, StratagemError
from stratagem.stats.min_sample import MIN_SEEN
from stratagem.stats.pairs import Floats, Pairs, pair
from stratagem.stats.strategy_rates import strategy_rates
from stratagem.stats.uncertainty import percentile

CONTRIBUTIONS = ("selection", "improvement", "new_strategy", "contribution")
SUMS = ("responses_before", "responses_after", *CONTRIBUTIONS)
ENDS = ("", "_low", "_high", "_se")
ENOUGH_PROBLEMS = 100


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
    paired: bool = True,
) -> Decomposition:
    """Split the gain from one checkpoint to another over the problems that both answered.

    Where the labels find no answer in most right responses of a side (`parts.Unparsed`), there is no split: the gain
    and the table of strategies remain.

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
        paired: join on problem_id. Else the problems differ and strata are compared, each with the mean of its
            parts of both sides as weight; problems are resampled within strata, before and after by themselves.

    Raises:
        StratagemError: as `counts.count`, `pairs.pair` and `contrast.apart`; `forced` lacks a column or has no
            problem of theirs, or the problems are not paired.
    """
    if paired:
        pairs = pair(before, after, by)
        return decompose_pairs(pairs, rng=rng, draws=draws, level=level, forced=forced, stratified=stratified)
    if forced is not None:
        raise StratagemError("forced responses belong to problems that were answered before and after")
    return _decompose(contrast.apart(before, after, by, rng=rng, draws=draws, level=level), by, level)


def decompose_pairs(
    pairs: Pairs,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    forced: pl.DataFrame | None = None,
    stratified: bool = True,
) -> Decomposition:
    """`decompose` for problems that are paired already."""
    forced_ps = None if forced is None else _forced(forced, pairs)
    data = contrast.paired(pairs, forced_ps, rng=rng, draws=draws, level=level, stratified=stratified)
    by_stratum = _decompose(data, pairs.by, level)
    if by_stratum.lead is None:
        return by_stratum
    return msgspec.structs.replace(
        by_stratum, by_problem=by_problem(pairs, level=level, stratified=stratified)
    )


def _decompose(data: Contrast, by: Sequence[str], level: float) -> Decomposition:
    point, boot, m = data.point, data.boot, data.problems
    totals = Totals(data.weight_g @ point.accuracies_l, boot.total_dl, level, m, data.free)
    both = account(totals, data.gain, level)
    selection = both.selection
    mixed = float(mix(*(data.weight_g @ part_gs for part_gs in (point.used_s, point.shift_s, point.rate_s))))
    selection_d = term_draws(totals)[:, 0]
    cells = _cells(data, by)
    split = Decomposition(
        **msgspec.structs.asdict(both),
        threefold=ThreeFold(
            selection,
            both.reverse.improvement,
            totals.term(seen=1, swapped=-1, kept=-1, old=1),
            both.new_strategy,
        ),
        new_or_rare=new_or_rare(totals),
        mix=percentile(mixed, boot.mix_d, level=totals.level, n=m),
        routing=percentile(selection.value - mixed, selection_d - boot.mix_d, level=totals.level, n=m),
        accuracy_before=totals.total["old"],
        accuracy_after=totals.total["now"],
        length_before=data.lengths[0],
        length_after=data.lengths[1],
        left_out_before=data.left_out[0],
        left_out_after=data.left_out[1],
        unsupported_share=totals.total["unsupported"],
        unparsed=_unparsed(data),
        interventional=bool(cells["stood_in"].any()),
        weak=_weak(m, cells, selection.se),
        by=tuple(by),
        paired=data.paired,
        choice=totals.sum_of(("kept", "old"), ("now", "seen")),
        gap=percentile(
            abs(selection.value) - abs(both.improvement.value), gap_draws(totals), level=totals.level, n=m
        ),
        strategies=_strategies(data, cells, level),
        strata=_strata(data, by),
        cells=cells.drop("unknown", "stood_in", "weight"),
    )
    return _without_split(split) if split.unparsed.hides_split else split


def _unparsed(data: Contrast) -> Unparsed:
    blocks = np.split(data.weight_g @ data.mean_gk, data.mean_gk.shape[1] // len(data.strategies))
    return unparsed_of(data.strategies, (blocks[0], blocks[1]), (blocks[2], blocks[3]))


def _without_split(split: Decomposition) -> Decomposition:
    """The gain, shares and accuracies; all that rests on which strategy won a response is undefined."""
    alone = gain_alone(split)
    undefined = {name: getattr(alone, name) for name in Account.__struct_fields__}
    unknown = [pl.lit(None, pl.Float64).alias(name) for name in CONTRIBUTIONS]
    terms = [pl.lit(None, pl.Float64).alias(f"{name}{end}") for name in CONTRIBUTIONS[:3] for end in ENDS]
    return msgspec.structs.replace(
        split,
        **undefined,
        threefold=ThreeFold(),
        new_or_rare=Split(),
        mix=UNDEFINED,
        routing=UNDEFINED,
        unsupported_share=math.nan,
        choice=UNDEFINED,
        gap=UNDEFINED,
        weak=_few(split.problems),
        strategies=split.strategies.with_columns(unknown),
        strata=split.strata.with_columns(terms),
        cells=split.cells.with_columns(unknown),
    )


def _forced(forced: pl.DataFrame, pairs: Pairs) -> tuple[Floats, Floats]:
    """Accuracy of every problem under every forced strategy, and 1 where there is one."""
    for name in (*pairs.by, "strategy", "problem_id", "n", "right"):
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


def _strata(data: Contrast, by: Sequence[str]) -> pl.DataFrame:
    accuracy = dict(zip(ACCURACIES, data.point.accuracies_l.T, strict=True))
    terms = {
        "gain": accuracy["now"] - accuracy["old"],
        "selection": accuracy["kept"] - accuracy["old"],
        "improvement": accuracy["seen"] - accuracy["kept"],
        "new_strategy": accuracy["now"] - accuracy["seen"],
    }
    columns = {
        "problems": data.problems_g,
        "accuracy_before": accuracy["old"],
        "accuracy_after": accuracy["now"],
    }
    for i, (name, value) in enumerate(terms.items()):
        columns[name] = value
        for j, end in enumerate(("low", "high", "se")):
            columns[f"{name}_{end}"] = data.boot.stratum_g43[:, i, j]
    table = pl.concat([data.strata, pl.DataFrame(columns)], how="horizontal")
    return _finish(table, by)


def _cells(data: Contrast, by: Sequence[str]) -> pl.DataFrame:
    """One row a stratum and strategy. Contributions to selection are deviations from the stratum's old
    accuracy, since otherwise they would hang on an arbitrary origin."""
    point, mean_gk = data.point, data.mean_gk
    shape_gs = point.used_s.shape
    blocks = [mean_gk[:, i : i + shape_gs[1]] for i in range(0, mean_gk.shape[1], shape_gs[1])]
    share0, right0, share1, right1 = blocks[:4]
    accuracy = dict(zip(ACCURACIES, point.accuracies_l[:, None, :].transpose(2, 0, 1), strict=True))
    weight = np.broadcast_to(data.weight_g[:, None], shape_gs)
    rate0, rate1 = _rate(right0, share0), _rate(right1, share1)
    forced = _rate(blocks[4], blocks[5]) if len(blocks) > 4 else np.full(shape_gs, np.nan)
    lives = point.used_s.any(axis=1, keepdims=True)
    stay = np.where(lives, (share1 * point.used_s).sum(1, keepdims=True), 1.0)
    selection = point.shift_s * (point.rate_s - accuracy["old"])
    improvement = np.where(
        point.used_s & (share1 > 0), share1 / stay * (np.nan_to_num(rate1) - point.rate_s), 0.0
    )
    new = np.where((share0 == 0) & (share1 > 0), right1 - share1 * accuracy["seen"], 0.0)
    strata, strategy = np.indices(shape_gs)
    columns: dict[str, NDArray] = {
        "strategy": np.array(data.strategies)[strategy],
        "share_before": share0,
        "share_after": share1,
        "accuracy_before": rate0,
        "accuracy_after": rate1,
        "accuracy_forced": forced,
        "responses_before": np.rint(data.responses_cgs[0]).astype(np.int64),
        "responses_after": np.rint(data.responses_cgs[1]).astype(np.int64),
        "selection": weight * selection,
        "improvement": weight * improvement,
        "new_strategy": weight * new,
        "contribution": weight * (selection + improvement + new),
        "unknown": data.cells.unknown_gs,
        "stood_in": point.used_s & (share1 == 0) & np.isfinite(forced),
        "weight": weight,
    }
    keys = data.strata[strata.ravel()] if by else data.strata
    table = pl.concat([keys, pl.DataFrame({k: v.ravel() for k, v in columns.items()})], how="horizontal")
    present = (
        (pl.col("share_before") > 0) | (pl.col("share_after") > 0) | pl.col("accuracy_forced").is_finite()
    )
    return _finish(table.filter(present), [*by, "strategy"])


def _strategies(data: Contrast, cells: pl.DataFrame, level: float) -> pl.DataFrame:
    """One row a strategy: shares and accuracies over all strata, responses, contributions summed over strata."""
    columns: dict[str, list[object]] = {"strategy": list(data.strategies)}
    for name, sample in zip(("before", "after"), data.samples, strict=True):
        for what, rates in zip(("share", "accuracy"), strategy_rates(sample, level), strict=True):
            columns[f"{what}_{name}"] = [rate.value for rate in rates]
            for end in ("low", "high", "se", "n"):
                columns[f"{what}_{name}_{end}"] = [getattr(rate, end) for rate in rates]
    sums = cells.group_by("strategy").agg(pl.col(name).sum() for name in SUMS)
    table = (
        pl.DataFrame(columns)
        .join(sums, on="strategy")
        .sort("share_after", "strategy", descending=[True, False])
    )
    return _finish(table, ())


def _few(problems: int) -> tuple[str, ...]:
    few = f"{problems} problems, fewer than {ENOUGH_PROBLEMS}"
    return (few,) if problems < ENOUGH_PROBLEMS else ()


def _weak(problems: int, cells: pl.DataFrame, se: float) -> tuple[str, ...]:
    """Why intervals may be too narrow.

    Args:
        se: of selection. An old accuracy that is off by a half, in as large a share of the responses after, moves the
            selection by half of that: then its interval still holds in 92%.
    """
    reasons = list(_few(problems))
    share = cells.filter("unknown").select((pl.col("weight") * pl.col("share_after")).sum())
    if (part := float(share.item())) > se:
        reasons.append(
            f"{part:.1%} of responses after use a strategy seen fewer than {MIN_SEEN} times before in its stratum: new "
            "or merely rare"
        )
    return tuple(reasons)


def _rate(right: Floats, share: Floats) -> Floats:
    return np.divide(right, share, out=np.full_like(right, np.nan), where=share > 0)


def _finish(table: pl.DataFrame, by: Sequence[str]) -> pl.DataFrame:
    table = table.with_columns(pl.selectors.float().fill_nan(None))
    return table.sort(list(by)) if by else table
