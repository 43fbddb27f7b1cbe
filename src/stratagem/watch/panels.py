"""The charts of training: reward, strategies and the training's own numbers over updates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import polars as pl

from stratagem.report import charts, frames
from stratagem.report.page import Charts, Placed
from stratagem.watch.charts import Kept
from stratagem.watch.run import Run

MOST_KINDS = 6  # panels of one curve
HEALTH = {
    "reward": "Reward",
    "no_signal": "Groups without signal",
    "kl": "KL to the start",
    "entropy": "Entropy",
    "length": "Length, tokens",
    "loss": "Loss",
    "accuracy": "Accuracy of tokens",
    "grad_norm": "Norm of the gradient",
}


def training(kept: Charts, made: Kept, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Curves of each arm, its replicates together: reward by number of steps, share and accuracy of each strategy."""
    # One colour for a strategy in all arms, in the order in which strategies occur.
    names = dict.fromkeys(name for run in runs for name in run.counts["strategy"].unique(maintain_order=True))
    colours = charts.strategy_colours(list(names))
    return [
        of_arm(kept, made, name, replicates, colours, len(runs) > 1)
        for name in dict.fromkeys(run.name for run in runs)
        if (replicates := [run for run in runs if run.name == name and run.counts.height])
    ]


def of_arm(
    kept: Charts, made: Kept, name: str, runs: Sequence[Run], colours: Mapping[str, str], titled: bool
) -> dict[str, Any]:
    """The curves of one arm, from all its replicates."""
    counts = pl.concat(
        run.counts.with_columns(cell=pl.lit(name), seed=pl.lit(run.replicate, pl.Int32)) for run in runs
    )
    kinds = kinds_of(counts)
    steps = charts.step_colours(counts["difficulty"].unique().sort().to_list())
    used = set(counts["strategy"].unique())
    strategies = {strategy: colour for strategy, colour in colours.items() if strategy in used}
    scored = all(run.scored for run in runs)

    def panels(
        what: str, key: str, scale: dict[Any, str], rates: Callable[[str], pl.DataFrame]
    ) -> Iterator[Placed]:
        for kind in kinds:
            label = "" if kind == "all" else f", {kind}"
            spec = made.rates(rates(kind), key, scale)
            yield kept.add(spec, f"{name}: {what}{label}", f"{what.split(' ')[0]}{label}")

    rewards: list[Placed] = []
    if scored and len(steps) > 1:
        rewards += panels(
            "reward by difficulty", "difficulty", steps, lambda kind: frames.reward_rates(counts, name, kind)
        )
    by_strategy: list[Placed] = []
    if len(strategies) > 1:
        by_strategy += panels(
            "share of each strategy",
            "strategy",
            strategies,
            lambda kind: frames.strategy_rates(counts, name, kind),
        )
    if scored:
        by_strategy += panels(
            "accuracy by strategy", "strategy", strategies, lambda kind: accuracy_rates(counts, kind)
        )
    return {
        "title": name if titled else "",
        "steps": steps,
        "strategies": strategies,
        "rewards": rewards,
        "by_strategy": by_strategy,
        "only": next(iter(strategies)) if len(strategies) == 1 else None,
        "several": len(runs) > 1,
    }


def kinds_of(counts: pl.DataFrame) -> list[str]:
    """The types of problems with the most responses, in the order in which they occur."""
    sizes = counts.group_by("kind", maintain_order=True).agg(pl.col("n").sum())
    largest = set(sizes.sort("n", descending=True, maintain_order=True)["kind"].head(MOST_KINDS))
    return [kind for kind in sizes["kind"] if kind in largest]


def accuracy_rates(counts: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Share of right responses of each strategy, over updates."""
    mine = counts.filter(pl.col("kind") == kind)
    return frames.rates(mine.rename({"right": "part", "n": "whole"}), "strategy")


def health(kept: Charts, made: Kept, runs: Sequence[Run]) -> dict[str, Any]:
    """The training's own numbers, an arm a line."""
    tables = [
        run.scalars.with_columns(cell=pl.lit(run.name), seed=pl.lit(run.replicate))
        for run in runs
        if run.scalars.height
    ]
    if not tables:
        return {"scale": {}, "panels": []}
    metrics = pl.concat(tables)
    # In a study the stages have different sets of numbers, and one chart less is easier to read.
    names = [name for name in HEALTH if metrics[name].count() and not (name == "grad_norm" and len(runs) > 1)]
    arms = metrics["cell"].unique(maintain_order=True).to_list()
    scale = {arm: charts.PALETTE[i % len(charts.PALETTE)] for i, arm in enumerate(arms)}
    means = frames.health(metrics, names) if names else pl.DataFrame({"name": []})
    panels = [
        kept.add(made.metric(part, scale), f"{HEALTH[name]} over updates", HEALTH[name])
        for name in names
        if (part := means.filter(pl.col("name") == name)).height
    ]
    return {"scale": scale if len(arms) > 1 else {}, "panels": panels}


def label_of(run: Run, runs: Sequence[Run]) -> str:
    """A run's name, with its replicate where there are several."""
    several = len({other.replicate for other in runs}) > 1
    return f"{run.name} replicate {run.replicate}" if several else run.name
