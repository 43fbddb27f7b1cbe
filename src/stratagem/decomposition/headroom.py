"""How much better choice, or better execution, could still do at one checkpoint.

Suffixes: p problems, s strategies, g strata, d draws; h is one half of every problem's responses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.drawing import forest, text_row
from stratagem.records import Estimate, Result, StratagemError, part_of, points
from stratagem.stats.counts import halves
from stratagem.stats.min_sample import MIN_HEADROOM
from stratagem.stats.pairs import Floats, Pairs, Side, arrange, side, strata_of
from stratagem.stats.resampling import drawn, sums
from stratagem.stats.uncertainty import bounded


class Headroom(Result, frozen=True):
    """Brackets, by half-splitting, of what is still to be won at one checkpoint.

    Attributes:
        selection: accuracy if every stratum used its best strategy, minus the accuracy now.
        improvement: 1 minus the accuracy of every stratum's best strategy.
        accuracy: now, mean over the problems of the strata that count.
        problems, left_out: in strata with a strategy seen in both halves, and in the others.
        halved: strategies of a stratum that were left out since only one half shows them.
    """

    selection: Estimate
    improvement: Estimate
    accuracy: float
    problems: int
    left_out: int
    halved: int

    def __str__(self) -> str:
        lines = [
            f"accuracy {points(self.accuracy)} over {self.problems} problems; still to be won, in points:"
        ]
        lines += [text_row(name, term) for name, term in self._rows()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return forest(self._rows(), f"still to be won, in points, {self.problems} problems", str(self))

    def _rows(self) -> list[tuple[str, Estimate]]:
        return [("by selection", self.selection), ("by improvement", self.improvement)]


class HeadroomTable(Headroom, frozen=True, eq=False):
    """Headroom with its strata: by..., problems, accuracy, best (strategy), and low and high end of both headrooms."""

    strata: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the table."""
        return part_of(self, Headroom).as_dict()


def headroom(
    table: pl.DataFrame | pl.LazyFrame,
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
    stratified: bool = True,
) -> HeadroomTable:
    """Selection and improvement headroom of one checkpoint.

    The plug-in (choose the best strategy and score it on the same responses) is biased up. Choosing on one
    half of every problem's responses and scoring on the other, both ways and averaged, is biased down. The
    two ends are the bracket. A strategy that one half does not show cannot be scored there and is no
    candidate in either.

    Args:
        table: rollouts, or counts with `half`.
        by: strata; `("problem_id",)` lets every problem have its own best strategy.
        stratified: as in `decompose.decompose`: problems are resampled within strata, or over all.

    Raises:
        StratagemError: no half-split in the counts, or no stratum with a strategy in both halves.
    """
    counts = halves(table, by)
    keys = list(dict.fromkeys(["problem_id", *by, "strategy"]))
    whole = counts.group_by(keys).agg(pl.col("n", "right", "length").sum())
    ids, strata, size_g = arrange(strata_of(whole, by, "table"), by)
    strategies = whole["strategy"].unique().sort().to_list()
    problems = _Problems(ids, strata, size_g, strategies, side(whole, ids, strategies))
    return _headroom(problems, counts, rng=rng, draws=draws, level=level, stratified=stratified)


def headroom_of_pairs(
    pairs: Pairs,
    which: Literal["before", "after"],
    counts: pl.DataFrame,
    *,
    rng: np.random.Generator,
    draws: int = 1000,
    level: float = 0.95,
    stratified: bool = True,
) -> HeadroomTable:
    """`headroom` of one side of problems that are paired already; `counts` are that side's, with `half`."""
    whole = pairs.before if which == "before" else pairs.after
    used = np.flatnonzero(whole.share_ps.sum(axis=0))
    strategies = [pairs.strategies[s] for s in used]
    part = replace(whole, share_ps=whole.share_ps[:, used], right_ps=whole.right_ps[:, used])
    problems = _Problems(pairs.ids, pairs.strata, pairs.sizes_g, strategies, part)
    common = counts.filter(pl.col("problem_id").is_in(list(pairs.ids)))
    return _headroom(problems, common, rng=rng, draws=draws, level=level, stratified=stratified)


def headroom_by_problem(
    pairs: Pairs, counts: pl.DataFrame, *, rng: np.random.Generator, draws: int = 1000, level: float = 0.95
) -> HeadroomTable:
    """`headroom` of one side of paired problems, each of which may have its own best strategy.

    Raises:
        StratagemError: as `headroom`; fewer than 16 responses a problem.
    """
    common = counts.filter(pl.col("problem_id").is_in(list(pairs.ids)))
    return headroom(common, by=("problem_id",), rng=rng, draws=draws, level=level, stratified=False)


class _Problems(NamedTuple):
    """Problems of one checkpoint, stratum by stratum, as in `Pairs`."""

    ids: Sequence[str]
    strata: pl.DataFrame
    size_g: NDArray[np.int64]
    strategies: Sequence[str]
    whole: Side


def _headroom(
    problems: _Problems,
    counts: pl.DataFrame,
    *,
    rng: np.random.Generator,
    draws: int,
    level: float,
    stratified: bool,
) -> HeadroomTable:
    if counts["half"].n_unique() < 2:
        raise StratagemError(
            "counts need both halves (column 'half'), so two responses to some problem at least"
        )
    ids, strata, size_g, strategies, whole = problems
    by = strata.columns
    samples = float(np.median(whole.n_p))
    if "problem_id" in by and samples < MIN_HEADROOM:
        raise StratagemError(
            f"headroom problem by problem needs {MIN_HEADROOM} responses to each, not {samples:.0f}: with fewer its "
            "bracket does not hold the truth; name other columns for the strata"
        )
    sides = [whole, *(side(counts.filter(half=h), ids, strategies) for h in (0, 1))]
    data_pk = np.nan_to_num(
        np.concatenate([block for s in sides for block in (s.share_ps, s.right_ps)], axis=1)
    )
    starts = np.concatenate([[0], np.cumsum(size_g)[:-1]])
    ends_g4, best_g, halved_g = _ends(
        np.add.reduceat(data_pk, starts, axis=0), size_g.astype(float), len(strategies)
    )
    counts_g = np.isfinite(ends_g4[:, 0])
    if not counts_g.any():
        raise StratagemError("no stratum has a strategy that both halves show: take more responses a problem")
    weight_g = np.where(counts_g, size_g, 0) / size_g[counts_g].sum()
    total_4 = weight_g @ np.nan_to_num(ends_g4)
    now = float(
        weight_g
        @ (np.add.reduceat(data_pk[:, len(strategies) : 2 * len(strategies)].sum(1), starts) / size_g)
    )
    draw_d4 = _draws(data_pk, size_g, ends_g4, len(strategies), rng, draws, stratified)
    m = int(size_g[counts_g].sum())
    names = ("selection_low", "selection_high", "improvement_low", "improvement_high")
    columns: dict[str, Any] = {
        "problems": size_g,
        "accuracy": np.add.reduceat(sides[0].right_ps.sum(1), starts) / size_g,
    }
    columns["best"] = [strategies[s] if ok else None for s, ok in zip(best_g, counts_g, strict=True)]
    columns |= {name: np.where(counts_g, ends_g4[:, i], np.nan) for i, name in enumerate(names)}
    frame = pl.concat([strata, pl.DataFrame(columns, schema_overrides={"best": pl.String})], how="horizontal")
    frame = frame.with_columns(pl.selectors.float().fill_nan(None))
    # The best of draws is better than the best of the data, so quantiles of draws would reach too far.
    terms = [
        bounded(
            (float(total_4[i]), float(total_4[i + 1])),
            *draw_d4.T[i : i + 2],
            level=level,
            n=m,
            quantiles=False,
        )
        for i in (0, 2)
    ]
    return HeadroomTable(
        selection=possible(terms[0]),
        improvement=possible(terms[1]),
        accuracy=now,
        problems=m,
        left_out=int(size_g.sum()) - m,
        halved=int(halved_g.sum()),
        strata=frame.sort(list(by)) if by else frame,
    )


def possible(term: Estimate) -> Estimate:
    """The interval's part within 0 and 1: no headroom is outside, whatever its estimate."""
    return msgspec.structs.replace(term, low=min(max(term.low, 0.0), 1.0), high=min(max(term.high, 0.0), 1.0))


def _ends(sum_gk: Floats, number_g: Floats, width: int) -> tuple[Floats, np.ndarray, np.ndarray]:
    """Low and high end of selection and improvement headroom (g x 4, NaN without a candidate), best strategy
    (g), and the number of strategies that only one half shows (g)."""
    share, right, *half = (sum_gk[..., i : i + width] for i in range(0, sum_gk.shape[-1], width))
    seen = (half[0] > 0) & (half[2] > 0)
    rates = [
        np.where(seen, np.divide(r, k, out=np.zeros_like(r), where=k > 0), -np.inf)
        for k, r in ((share, right), (half[0], half[1]), (half[2], half[3]))
    ]
    best = rates[0].argmax(-1)
    plug_in = rates[0].max(-1)
    chosen = [rate.argmax(-1)[..., None] for rate in rates[1:]]
    crossed = np.take_along_axis(rates[2], chosen[0], -1) + np.take_along_axis(rates[1], chosen[1], -1)
    crossed = crossed[..., 0] / 2
    some = seen.any(-1)
    # Halves weigh problems a little differently, so that the ends can change places by a hair.
    low, high = (
        np.where(some, np.minimum(crossed, plug_in), np.nan),
        np.where(some, np.maximum(crossed, plug_in), np.nan),
    )
    now = right.sum(-1) / np.maximum(number_g, 1e-300)
    ends = np.stack([low - now, high - now, 1 - high, 1 - low], axis=-1)
    return ends, best, ((half[0] > 0) != (half[2] > 0)).sum(-1)


def _draws(
    data_pk: Floats,
    size_g: np.ndarray,
    ends_g4: Floats,
    width: int,
    rng: np.random.Generator,
    draws: int,
    stratified: bool,
) -> Floats:
    """Bootstrap draws of the four ends' totals."""
    several = int((size_g > 1).sum())
    size_b = [int(size) for size in size_g[:several]] + [size_g.size - several] * (several < size_g.size)
    sum_d4, weight_d = np.zeros((draws, 4)), np.zeros(draws)
    if len(data_pk) < 2 or not draws:
        return np.full((draws, 4), np.nan)
    number_db, weight_b = drawn(rng, size_b, draws, stratified)
    start = 0
    for b, size in enumerate(size_b):
        block_pk = data_pk[start : start + size]
        alone_p4 = ends_g4[several:]
        start += size
        if b == several:
            known_p = np.isfinite(alone_p4[:, :1]).astype(float)
            sum_d5 = weight_b[b] * sums(rng, number_db[:, b], np.hstack([np.nan_to_num(alone_p4), known_p]))
            sum_d4 += sum_d5[:, :4]
            weight_d += sum_d5[:, 4]
            continue
        number_d = number_db[:, b].astype(float)
        ends_d4, _, _ = _ends(sums(rng, number_db[:, b], block_pk), number_d, width)
        known_d = np.isfinite(ends_d4[:, 0]) * number_d * weight_b[b]
        sum_d4 += known_d[:, None] * np.nan_to_num(ends_d4)
        weight_d += known_d
    return np.divide(sum_d4, weight_d[:, None], out=np.full_like(sum_d4, np.nan), where=weight_d[:, None] > 0)
