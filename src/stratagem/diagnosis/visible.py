"""Which rows of a labelled table the visible shift of a diagnosis rests on."""

from __future__ import annotations

import numpy as np
import polars as pl

MAX_RESPONSES = 4_000  # whose texts are read: some seconds
PER_PROBLEM = 8  # responses a side


def paired_rows(rows: pl.DataFrame, ends: tuple[pl.Expr, pl.Expr], rng: np.random.Generator) -> pl.DataFrame:
    """The rows of a labelled table that the visible shift rests on, ascending: `row`, `problem_id` and `after`.

    Of a large log they are those of a random part of the problems.

    Args:
        rows: as `table.without_texts`.
        ends: which rows are before and which after, by the columns `side` and `checkpoint`.
    """
    before, after = ends
    rows = rows.filter(before | after).select("row", "problem_id", after=after)
    sides = rows.group_by("problem_id").agg(pl.col("after").n_unique())
    problems = sides.filter(pl.col("after") == 2).select("problem_id").sort("problem_id")
    problems = problems.with_columns(place=pl.Series(rng.permutation(problems.height)))
    rows = rows.join(problems, on="problem_id", maintain_order="left")
    rows = rows.with_columns(chance=pl.Series(rng.random(rows.height))).sort("place", "after", "chance")
    rows = rows.filter(pl.int_range(pl.len()).over("place", "after") < PER_PROBLEM)
    fitting = (
        rows.group_by("place", maintain_order=True).len().filter(pl.col("len").cum_sum() <= MAX_RESPONSES)
    )
    return rows.filter(pl.col("place") < fitting.height).sort("row").select("row", "problem_id", "after")
