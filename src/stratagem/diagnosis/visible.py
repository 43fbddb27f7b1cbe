"""The visible shift of a diagnosis, from its labelled table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.diagnosis.table import keyed, read_rows
from stratagem.visible.result import VisibleShift
from stratagem.visible.shift import visible_shift

MAX_RESPONSES = 4_000  # whose texts are read: some seconds
PER_PROBLEM = 8  # responses a side


def visible_shift_of(
    path: Path,
    keys: Sequence[pl.DataFrame],
    ends: tuple[pl.Expr, pl.Expr],
    by: Sequence[str],
    *,
    rng: np.random.Generator,
    level: float,
) -> VisibleShift:
    """The visible shift between two sets of rows of a labelled table, over a random part of a large one's problems.

    Args:
        keys: for each side, problem_id and key.
        ends: which rows are before and which after, by the columns `side` and `checkpoint`.
        by: columns of the strata.
    """
    names = ["side", "checkpoint", "problem_id"]
    rows = keyed(pl.read_parquet(path, columns=names).with_row_index("row"), keys)
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
    rows = rows.filter(pl.col("place") < fitting.height).sort("row")
    texts = read_rows(path, rows["row"].to_numpy()) if rows.height else pl.read_parquet(path, n_rows=0)
    return visible_shift(texts.with_columns(rows["problem_id"], rows["after"]), by=by, rng=rng, level=level)
