"""The gain of a run since its start, split by `decomposition.path`, from the counts of its updates.

A log's counts name no problem, only its type and number of steps. So the unit of resampling within a stratum is the
update, whose groups are whole problems: intervals are as wide as the spread between updates says.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from stratagem.decomposition.path import Step, path
from stratagem.records import Estimate, StratagemError
from stratagem.report.format import finite
from stratagem.stats.uncertainty import Bounded, Term, imbens_manski, quantile
from stratagem.watch.log import TERMS, Gain

WINDOW = 10  # updates on each side, as `integrations.live` takes
POINTS = 16  # of the curve of the gain, at most
DRAWS = 200
STRATUM = ("kind", "difficulty")
Split = Callable[[pl.DataFrame, pl.DataFrame], Gain | None]


class Gains:
    """The gain at chosen updates of one run. What was split once is kept: its updates do not change."""

    def __init__(self) -> None:
        self._kept: dict[int, Gain | None] = {}
        self._first: tuple[int, ...] = ()

    def curve(self, counts: pl.DataFrame, split: Split | None = None) -> dict[int, Gain]:
        """By the number of updates done, the last of them now; empty before the second update.

        `split` compares the counts of two sets of updates; `gain_between` where it is not given.
        """
        updates: list[int] = counts["update"].unique().sort().to_list()
        first = tuple(updates[:WINDOW])
        if first != self._first:
            self._kept, self._first = {}, first
        found = {
            done: self._at(counts, updates, done, split or gain_between) for done in places(len(updates))
        }
        # The point of now moves on with the run, so it is not worth keeping unless it stays.
        self._kept = {done: gain for done, gain in self._kept.items() if done in found}
        return {updates[done - 1] + 1: gain for done, gain in found.items() if gain is not None}

    def _at(self, counts: pl.DataFrame, updates: Sequence[int], done: int, split: Split) -> Gain | None:
        if done not in self._kept:
            window = min(WINDOW, done // 2)
            sides = (updates[:window], updates[done - window : done])
            start, now = (counts.filter(pl.col("update").is_between(side[0], side[-1])) for side in sides)
            self._kept[done] = split(start, now)
        return self._kept[done]


def places(updates: int) -> list[int]:
    """Where the curve has its points: whole multiples of a stride that doubles as the run grows, and its end."""
    if updates < 2:
        return []
    stride = WINDOW
    while updates / stride > POINTS:
        stride *= 2
    return sorted({*range(max(stride, 2 * WINDOW), updates + 1, stride), updates})


def gain_between(start: pl.DataFrame, now: pl.DataFrame, draws: int = DRAWS) -> Gain | None:
    """The gain from some updates to others, split within each type and number of steps.

    Args:
        start, now: update, kind, difficulty, strategy, n, right. A stratum weighs as the mean of its parts of the
            responses on both sides; one that a side lacks is left out.

    Returns:
        Fractions with 95% intervals; where the data only bound a term, the middle of the bounds, and an interval
        that covers both. None where the sides have no stratum in common.
    """
    sides = [dict(side.filter(pl.col("n") > 0).group_by(STRATUM)) for side in (start, now)]
    common = sorted(sides[0].keys() & sides[1].keys())
    steps: list[Step] = []
    weights: list[float] = []
    df = 0
    enough = True
    totals = [sum(responses(side[key]) for key in common) for side in sides]
    for key in common:
        tables = [one_stratum(side[key]) for side in sides]
        units = [table["problem_id"].n_unique() for table in tables]
        enough &= min(units) > 1
        df += sum(units) - 2
        rng = np.random.default_rng([units[0], units[1]])
        try:
            split = path(tables, by=(), rng=rng, draws=draws, names=("start", "now"), paired=False)
        except StratagemError:
            return None
        steps.append(split.endpoints)
        weights.append(
            sum(responses(side[key]) / total for side, total in zip(sides, totals, strict=True)) / 2
        )
    if not steps:
        return None
    reach = quantile(0.95, df) if enough and draws else math.nan
    return {term: combined([getattr(step, term) for step in steps], weights, reach) for term in TERMS}


def responses(part: pl.DataFrame) -> float:
    return float(part["n"].sum())


def one_stratum(part: pl.DataFrame) -> pl.DataFrame:
    return (
        part.group_by(pl.col("update").cast(pl.String).alias("problem_id"), "strategy")
        .agg(pl.col("n", "right").sum())
        .sort("problem_id", "strategy")
        .with_columns(pl.col("n").cast(pl.Int64))
    )


def combined(
    terms: Sequence[Term], weights: Sequence[float], reach: float
) -> tuple[float, float | None, float | None]:
    """A term over all strata, which are independent: weighted values, and the root of the weighted variances."""
    lows = [term.bounds[0] if isinstance(term, Bounded) else term.value for term in terms]
    highs = [term.bounds[1] if isinstance(term, Bounded) else term.value for term in terms]
    low, high = (float(np.dot(weights, ends)) for ends in (lows, highs))
    se = math.sqrt(sum((w * term.se) ** 2 for w, term in zip(weights, terms, strict=True)))
    if math.isnan(se) or math.isnan(reach):
        return (low + high) / 2, None, None
    ends = imbens_manski(low, high, se, se) if high - low > 1e-12 else (low - reach * se, low + reach * se)
    return (low + high) / 2, *ends


def gain_by_problem(tables: Sequence[pl.DataFrame], by: Sequence[str], draws: int = DRAWS) -> Gain | None:
    """The gain between two tables of counts that name their problems, split as `integrations.live` does."""
    try:
        step = path(
            tables, by=by, rng=np.random.default_rng(0), draws=draws, names=("start", "now")
        ).endpoints
    except StratagemError:  # nothing in common yet
        return None
    found: Gain = {}
    for term in TERMS:
        one: Estimate | Bounded = getattr(step, term)
        value = sum(one.bounds) / 2 if isinstance(one, Bounded) else one.value
        if not math.isfinite(value):
            return None
        found[term] = value, finite(one.low), finite(one.high)
    return found
