"""What a probe shows: answers that were begun with a strategy's opening."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stratagem.records import ALL, Estimate
from stratagem.sampling.rollout import TABLE
from stratagem.settings import RolloutConfig
from stratagem.stats.uncertainty import mean_estimate, within
from stratagem.tasks import make_task


def obeyed(config: RolloutConfig, out: Path) -> dict[str, dict[str, Estimate]]:
    """How many of a forced rollout's sampled answers are correct, and how many kept to the strategy that they were
    begun with, over all problems and by kind; means over problems with their clustered intervals."""
    task = make_task(config.task)
    problems = {
        problem.id: problem for problem in task.generate("eval", config.size, config.steps, seed=config.seed)
    }
    table = pl.read_parquet(out / TABLE, glob=False).filter(pl.col("mode") == "sampled")
    kept = [
        task.label(problems[row["problem_id"]], row["completion"], row["finish_reason"]).strategy
        == config.force
        for row in table.iter_rows(named=True)
    ]
    each = (
        table.with_columns(kept=pl.Series(kept, dtype=pl.Float64))
        .group_by("problem_id", "kind")
        .agg(pl.col("score").mean(), pl.col("kept").mean())
    )
    parts = {ALL: each} | {kind: each.filter(kind=kind) for kind in task.kinds if kind in each["kind"]}
    return {
        kind: {
            "right": within(mean_estimate(part["score"]), 0.0, 1.0),
            "kept_to": within(mean_estimate(part["kept"]), 0.0, 1.0),
        }
        for kind, part in parts.items()
    }
