"""When an arm of RL selected and when it improved: what it was trained on, tenth by tenth of its updates."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from polars import selectors

from stratagem.decomposition.path import path
from stratagem.records import Estimate
from stratagem.stats.uncertainty import t_interval
from stratagem.study_result import PathResult

PARTS = 10  # of a run
TERMS = ("selection", "improvement", "new_strategy")


def paths(curves: pl.DataFrame, by: Sequence[str]) -> tuple[PathResult, ...]:
    """The path of every arm that was asked some stratum throughout; intervals are over replicates, and one has none.

    Args:
        curves: training responses counted: cell (the arm), seed, update, strategy, n, right, and what is in `by`.
        by: strata; those that a part of the run was not asked have no place in its steps.
    """
    results: list[PathResult] = []
    for (arm,), runs in curves.group_by("cell", maintain_order=True):
        updates = runs["update"].unique().sort().to_numpy()
        split = [part for part in np.array_split(updates, PARTS) if len(part)]
        ends = [int(part[-1]) for part in split]
        lengths = [len(part) for part in split]
        parts = pl.DataFrame(
            {"update": updates, "part": np.repeat(ends, lengths)}, schema_overrides=runs.schema
        )
        runs = runs.join(parts, on="update")
        throughout = runs.group_by("seed", *by).agg(pl.col("part").n_unique()).filter(part=len(ends))
        if len(ends) < 2 or throughout["seed"].n_unique() < runs["seed"].n_unique():
            continue
        replicates = [sums(run, ends, by) for _, run in runs.group_by("seed", maintain_order=True)]
        terms = {
            term: tuple(map(_over_replicates, zip(*(sums_of[term] for sums_of in replicates), strict=True)))
            for term in TERMS
        }
        results.append(PathResult(str(arm), tuple(ends), **terms))
    return tuple(results)


def sums(run: pl.DataFrame, ends: Sequence[int], by: Sequence[str]) -> dict[str, list[float]]:
    """Each term, summed up from a run's first part to each of its parts, which are named by their last updates.

    The split counts responses, as training does, so that each is a problem of its own to it.
    """
    right = pl.col("right").round().cast(pl.Int64)
    outcomes = [
        run.select(*by, "strategy", "part", right=pl.lit(score), times=times)
        for score, times in ((1.0, right), (0.0, pl.col("n") - right))
    ]
    counted = pl.concat(outcomes).filter(pl.col("times") > 0)
    responses = (
        counted.select(pl.exclude("times").repeat_by("times"))
        .explode(selectors.all())
        .with_row_index("problem_id")
        .with_columns(pl.col("problem_id").cast(pl.String), n=pl.lit(1))
    )
    parts = [responses.filter(part=end) for end in ends]
    steps = path(parts, by=by, rng=np.random.default_rng(0), draws=0, paired=False, always=True).steps
    # Where a strategy was dropped its accuracy afterwards is not known, but bounds are: their middle stands here.
    middles = {term: [np.mean(getattr(step, term).ends) for step in steps] for term in TERMS}
    return {term: [0.0, *np.cumsum(values).tolist()] for term, values in middles.items()}


def _over_replicates(values: Sequence[float]) -> Estimate:
    return Estimate(values[0], n=1) if len(values) == 1 else t_interval(values)
