"""Different problems before and after: what a verdict can look at, and behaviours, by strata.

Training logs seldom repeat a problem. All that needs the same problem twice stays unknown: problems whose answers kept
their length, groups without signal, chance as a part of the variance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl

from stratagem.decomposition.behaviours import BehaviourChange
from stratagem.decomposition.contrast import apart
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.headroom import Headroom
from stratagem.decomposition.result import Decomposition
from stratagem.records import OTHER, TRUNCATED, UNPARSED
from stratagem.stats.min_sample import MIN_SHARE, drop_small_intervals
from stratagem.stats.pairs import strata_of
from stratagem.verdict.facts import UNREAD, Carried, Facts, facts_of, forms_of, without_forms

WITHOUT = "without"


def facts_unpaired(
    split: Decomposition,
    before: pl.DataFrame,
    after: pl.DataFrame,
    *,
    rng: np.random.Generator,
    draws: int = 500,
    headrooms: tuple[Headroom | None, Headroom | None] = (None, None),
    behaviours: Sequence[BehaviourChange] = (),
    labelled: bool = True,
) -> Facts:
    """The facts of a comparison of different problems.

    Args:
        split: the decomposition of `before` and `after`, not paired.
        before, after: counts of one checkpoint each.
        rng, draws: for what unread answers carry.
        headrooms, behaviours, labelled: as `facts.facts_from`.
    """
    rows = split.strategies
    unread = pl.col("strategy").is_in([UNPARSED, TRUNCATED])
    usual = (pl.col("share_before") + pl.col("share_after")) / 2 >= MIN_SHARE
    other = rows.filter(pl.col("strategy") == OTHER).select("share_before", "share_after")
    carried = None
    if rows.filter(unread).height:
        named = pl.when(unread).then(pl.lit(UNREAD)).otherwise(pl.lit(WITHOUT)).alias("strategy")
        sides = before.with_columns(named), after.with_columns(named)
        carried = _carried(UNREAD, sides, split.by, rng, draws, split.level)[0]
    sizes = [table.group_by("problem_id").agg(pl.col("n").sum())["n"].to_numpy() for table in (before, after)]
    facts = replace(
        facts_of(split, labelled=labelled, headrooms=headrooms, forms=forms_of(behaviours)),
        samples=min(float(np.median(size)) for size in sizes),
        strategies=rows.filter(usual & ~unread).height,
        other_share=max(other.row(0)) if other.height else 0.0,
        unread=carried,
    )
    return drop_small_intervals(without_forms(facts))


def behaviours_unpaired(
    before: pl.DataFrame,
    after: pl.DataFrame,
    homes: tuple[pl.DataFrame, pl.DataFrame],
    *,
    by: Sequence[str],
    rng: np.random.Generator,
    draws: int = 500,
    level: float = 0.95,
) -> tuple[BehaviourChange, ...]:
    """As `behaviours.compare_behaviours`, for different problems: strata are compared.

    Args:
        before, after: counts of one checkpoint each, as `behaviours.count_behaviours` gives them.
        homes: counts of the same checkpoints by strategy, which say in which stratum a problem lies.
    """
    tables = [
        table.select("problem_id", "behaviour", "n", "right").join(strata_of(home, by, name), on="problem_id")
        for table, home, name in zip((before, after), homes, ("before", "after"), strict=True)
    ]
    names = sorted({*tables[0]["behaviour"].drop_nulls(), *tables[1]["behaviour"].drop_nulls()})
    changes: list[BehaviourChange] = []
    for name in names:
        sides = [_with_and_without(table, name) for table in tables]
        carried, without = _carried(name, (sides[0], sides[1]), by, rng, draws, level)
        shown = [
            side.with_columns(
                right=pl.when(pl.col("strategy") == name).then("n").otherwise(0).cast(pl.Float64)
            )
            for side in sides
        ]
        changes.append(
            BehaviourChange(
                behaviour=name,
                share_before=carried.share_before,
                share_after=carried.share_after,
                difference=apart(shown[0], shown[1], by, rng=rng, draws=0, level=level).gain,
                accuracy_before=carried.accuracy_before,
                accuracy_after=carried.accuracy_after,
                without_before=without[0],
                without_after=without[1],
                part=carried.part,
                rest=carried.rest,
            )
        )
    return tuple(changes)


def _with_and_without(table: pl.DataFrame, name: str) -> pl.DataFrame:
    """Counts by strategy, of which there are two: with the behaviour, and without it."""
    shown = table.filter(pl.col("behaviour") == name).select("problem_id", has_n="n", has_right="right")
    whole = table.filter(pl.col("behaviour").is_null()).join(shown, on="problem_id", how="left")
    has = pl.col("has_n").fill_null(0), pl.col("has_right").fill_null(0.0)
    rest = whole.with_columns(
        strategy=pl.lit(WITHOUT), n=pl.col("n") - has[0], right=(pl.col("right") - has[1]).clip(0)
    )
    those = whole.with_columns(strategy=pl.lit(name), n=has[0], right=has[1])
    return pl.concat([rest, those]).filter(pl.col("n") > 0).drop("behaviour", "has_n", "has_right")


def _carried(
    name: str,
    sides: tuple[pl.DataFrame, pl.DataFrame],
    by: Sequence[str],
    rng: np.random.Generator,
    draws: int,
    level: float,
) -> tuple[Carried, tuple[float, float]]:
    """What a property carries of the gain, and the accuracies without it; `name` is the strategy of responses that
    have it."""
    split = decompose(*sides, by=by, rng=rng, draws=draws, level=level, paired=False)

    def row(strategy: str, *columns: str) -> list[float]:
        rows = split.strategies.filter(pl.col("strategy") == strategy).select(columns)
        return (
            [math.nan if x is None else float(x) for x in rows.row(0)]
            if rows.height
            else [math.nan] * len(columns)
        )

    shares = [0.0 if math.isnan(x) else x for x in row(name, "share_before", "share_after")]
    rates = row(name, "accuracy_before", "accuracy_after")
    carried = Carried(name, shares[0], shares[1], rates[0], rates[1], split.choice, split.improvement)
    without = row(WITHOUT, "accuracy_before", "accuracy_after")
    return carried, (without[0], without[1])
