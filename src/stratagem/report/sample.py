"""Which responses the report's browser shows: some of every kind, and whole problems, so that they can be paired."""

from __future__ import annotations

import numpy as np
import polars as pl

MOST_ALIKE = 8  # responses of one problem on one side: more of them show little that is new


def outcome() -> pl.Expr:
    """The score of a response in words: right, wrong, partly (a fraction between) or unscored."""
    score = pl.col("score")
    return (
        pl.when(score.is_null() | score.is_nan())
        .then(pl.lit("unscored"))
        .when(score >= 1)
        .then(pl.lit("right"))
        .when(score <= 0)
        .then(pl.lit("wrong"))
        .otherwise(pl.lit("partly"))
    )


def sample_for_browser(frame: pl.DataFrame, size: int, rng: np.random.Generator) -> pl.DataFrame:
    """At most `size` rows of a labelled table, stratified by side, strategy and outcome.

    Problems are taken whole, up to MOST_ALIKE responses a side, and those that all sides answered come first. The
    order in which they are taken goes round the strata, so that rare strategies are there however rare: shares in
    the sample are not the shares in the table.

    Args:
        frame: side, problem_id, strategy, score and any other columns; with `checkpoint`, each value of it counts
            as a side.
        size: the most rows wanted.

    Returns:
        Rows of `frame`, in its order.
    """
    if frame.height <= size:
        return frame
    if size < 1:
        return frame.clear()
    sides = [name for name in ("side", "checkpoint") if name in frame.columns]
    stratum = [*sides, "strategy", "outcome"]
    light = frame.select(*sides, "problem_id", "strategy", outcome=outcome()).with_row_index("_at")
    light = light.with_columns(_dice=pl.Series(rng.permutation(frame.height)))
    # Of a problem's responses on one side: one of each strategy and outcome, then a second of each, and so on.
    home = [*sides, "problem_id"]
    least = max(1, size // max(light.select(sides).n_unique(), 1))
    light = (
        light.with_columns(_turn=pl.col("_dice").rank("ordinal").over([*home, "strategy", "outcome"]))
        .sort("_turn", "_dice")
        .with_columns(_place=pl.int_range(pl.len()).over(home))
        .filter(pl.col("_place") < min(MOST_ALIKE, least))
    )
    # A problem's turn is its best one in any stratum it has a response in.
    dice = light.select("problem_id").unique(maintain_order=True)
    dice = dice.with_columns(_throw=pl.Series(rng.permutation(dice.height)))
    turns = (
        light.join(dice, on="problem_id", nulls_equal=True)
        .group_by(*stratum, "problem_id", "_throw")
        .agg(_rows=pl.len())
        .with_columns(_turn=pl.col("_throw").rank("ordinal").over(stratum))
    )
    problems = (
        turns.group_by("problem_id", "_throw")
        .agg(pl.col("_turn").min(), pl.col("_rows").sum(), _sides=pl.struct(sides).n_unique())
        .sort("_sides", "_turn", "_throw", descending=[True, False, False])
    )
    chosen = problems.filter(pl.col("_rows").cum_sum() <= size)
    if chosen.height < problems.height:  # what is left of the room goes to part of the next problem
        following = problems.slice(chosen.height, 1)
        room = size - int(chosen["_rows"].sum())
        part = (
            light.join(following, on="problem_id", how="semi", nulls_equal=True)
            .sort("_place", "_dice")
            .head(room)
        )
    else:
        part = light.clear()
    kept = pl.concat([light.join(chosen, on="problem_id", how="semi", nulls_equal=True), part])
    return frame[kept["_at"].sort()]
