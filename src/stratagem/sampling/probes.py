"""What a probe shows: answers that were begun with a strategy's opening."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from stratagem.records import Estimate
from stratagem.sampling.rollout import TABLE
from stratagem.settings import RolloutConfig
from stratagem.stats.uncertainty import mean_estimate
from stratagem.tasks.finite_field.field import FiniteField
from stratagem.tasks.finite_field.strategies import label


def obeyed(config: RolloutConfig, out: Path) -> dict[str, Estimate]:
    """How many of a forced rollout's sampled answers are right, and how many kept to the strategy that they were begun
    with; means over problems with their clustered intervals."""
    task = FiniteField(config.p)
    problems = {one.id: one for one in task.generate("eval", config.size, config.steps, seed=config.seed)}
    table = pl.read_parquet(out / TABLE).filter(pl.col("mode") == "sampled")
    kept = [
        label(task, problems[row["problem_id"]], row["completion"], row["finish_reason"]).strategy
        == config.force
        for row in table.iter_rows(named=True)
    ]
    each = (
        table.with_columns(kept=pl.Series(kept, dtype=pl.Float64))
        .group_by("problem_id")
        .agg(pl.col("score").mean(), pl.col("kept").mean())
    )
    return {"right": mean_estimate(each["score"]), "kept_to": mean_estimate(each["kept"])}
