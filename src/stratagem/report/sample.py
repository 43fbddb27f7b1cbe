"""Which responses the report's browser shows: some of every kind, and whole problems, so that they can be paired."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

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
    light = frame.select(*sides, "problem_id", "strategy", outcome=outcome())
    light = light.with_columns(_code(name) for name in light.columns).with_row_index("_at")
    # Of a problem's responses on one side: one of each strategy and outcome, then a second of each, and so on.
    home = _groups(light, [*sides, "problem_id"])
    alike = _groups(light, [*stratum, "problem_id"])
    rows = rng.permutation(frame.height)
    rows = rows[np.argsort(_places(alike[rows]), kind="stable")]
    place = _places(home[rows])
    most = min(MOST_ALIKE, max(1, size // max(light.select(sides).n_unique(), 1)))
    rows, place = rows[place < most], place[place < most]
    light = light[rows].with_columns(_place=pl.Series(place))
    # A problem's turn is its best one in any stratum it has a response in.
    dice = light.select("problem_id").unique(maintain_order=True)
    dice = dice.with_columns(_throw=pl.Series(rng.permutation(dice.height)))
    turns = (
        light.join(dice, on="problem_id")
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
            light.join(following, on="problem_id", how="semi").sort("_place", maintain_order=True).head(room)
        )
    else:
        part = light.clear()
    kept = pl.concat([light.join(chosen, on="problem_id", how="semi"), part])
    return frame[kept["_at"].sort()]


def _code(name: str) -> pl.Expr:
    """A column's values as whole numbers, few of them, null as 0."""
    return pl.col(name).rank("dense").cast(pl.Int64).fill_null(0).alias(name)


def _groups(codes: pl.DataFrame, names: list[str]) -> NDArray[np.int64]:
    """A number for every combination of the columns' values, a row each."""
    numbers = np.zeros(codes.height, dtype=np.int64)
    for name in names:
        column = codes[name].to_numpy()
        numbers = numbers * (int(column.max()) + 1) + column
    return numbers


def _places(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many rows of the same group stand before each row."""
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] - 1))
    sizes = np.diff(starts, append=len(groups))
    place = np.empty(len(groups), dtype=np.int64)
    place[order] = np.arange(len(groups)) - np.repeat(starts, sizes)
    return place
