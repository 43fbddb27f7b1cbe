"""From labelled rollouts of a study's arms to `summary.json`: table, gains, claims and the answer in a sentence."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl

from stratagem.decomposition.decompose import decompose
from stratagem.records import ALL, Estimate, StratagemError, finite
from stratagem.report.format import signed
from stratagem.stats.uncertainty import mean_estimate, t_interval
from stratagem.studies.arm import Arm
from stratagem.studies.claims import judge
from stratagem.studies.quantities import Name, Vector
from stratagem.studies.study import Study

BY = ("kind", "difficulty")
DRAWS = 2000
SEED = 2606  # of the bootstrap, with the replicate's number
Result = dict[str, Any]


class Results:
    """The labelled responses of a study's arms, and the quantities that they give (`quantities.Source`).

    Args:
        rollouts: labelled, with mode, seed (the replicate) and evaluation; `checkpoint` names the arm.
        probes: forced responses, with `forced` and seed.
    """

    def __init__(self, study: Study, rollouts: pl.DataFrame, probes: pl.DataFrame) -> None:
        self.study, self.rollouts, self.probes = study, rollouts, probes
        self.seeds: list[int] = sorted(rollouts["seed"].unique())
        self.sampled = rollouts.filter(pl.col("mode") == "sampled")

    @property
    def replicates(self) -> int:
        return len(self.seeds)

    @property
    def chance(self) -> float:
        return self.study.asked.chance

    # -- measures of problems ------------------------------------------------------------------------------

    @cached_property
    def _accuracies(self) -> pl.DataFrame:
        """Each problem's accuracy by replicate, evaluation and arm, from the sampled responses."""
        return accuracy_table(self.sampled)

    def problems(self, name: Name, replicate: int) -> Vector:
        seed, on = self.seeds[replicate], name.on or self.study.main
        match name.what:
            case "accuracy":
                table = self._accuracies.filter(seed=seed, arm=name.arm, evaluation=on)
            case "share":
                uses = (pl.col("strategy") == name.strategy).cast(pl.Float64).alias("score")
                table = accuracy_table(
                    self.sampled.filter(seed=seed, checkpoint=name.arm, evaluation=on).with_columns(uses)
                )
            case _:
                rows = self.probes.filter(seed=seed, checkpoint=name.arm, forced=name.strategy)
                if rows.is_empty():
                    raise StratagemError(f"{name.arm!r} was not probed with {name.strategy!r}")
                table = accuracy_table(rows.with_columns(evaluation=pl.lit(on)))
        table = table if name.kind == ALL else table.filter(kind=name.kind)
        return table.sort("problem_id")["accuracy"].to_numpy()

    def cells(self, rollouts: pl.DataFrame, evaluation: str) -> dict[str, Result]:
        """pass@1 of each arm by column of the table; fractions with 95% intervals."""
        table = accuracy_table(rollouts.filter(evaluation=evaluation))

        def estimate(arm: str, kind: str) -> Result:
            rows = table.filter(arm=arm) if kind == ALL else table.filter(arm=arm, kind=kind)
            values = [rows.filter(seed=seed).sort("problem_id")["accuracy"] for seed in self.seeds]
            if len(values) == 1:
                return mean_estimate(values[0].to_numpy()).as_dict()
            return t_interval([part.to_numpy().mean() for part in values]).as_dict()

        return {arm: {kind: estimate(arm, kind) for kind in self.study.columns} for arm in self.study.tree}

    # -- gains ---------------------------------------------------------------------------------------------

    @cached_property
    def gains_by_replicate(self) -> dict[str, list[Result]]:
        """The gain of every arm over the one that it starts from, replicate by replicate."""
        return {
            arm.name: [self.gain(arm, seed) for seed in self.seeds]
            for arm in self.study.tree.values()
            if arm.start is not None
        }

    @cached_property
    def gains(self) -> dict[str, Result]:
        return {arm: over_replicates(parts) for arm, parts in self.gains_by_replicate.items()}

    def gain(self, arm: Arm, seed: int) -> Result:
        """The decomposition of one run, one replicate, over the first evaluation."""
        assert arm.start is not None
        sampled = self.sampled.filter(seed=seed, evaluation=self.study.main)
        before, after = (sampled.filter(checkpoint=name) for name in (arm.start.name, arm.name))
        # A strategy that neither model ever chose has no place in the split.
        chosen = pl.concat([before["strategy"], after["strategy"]]).unique().implode()
        forced = self.probes.filter(
            pl.col("seed") == seed, pl.col("checkpoint") == arm.name, pl.col("forced").is_in(chosen)
        )
        split = decompose(
            before,
            after,
            by=BY,
            rng=np.random.default_rng([SEED, seed]),
            draws=DRAWS,
            forced=forced_counts(forced) if len(forced) else None,
        )
        tables = {"strata": split.strata.to_dicts(), "cells": split.cells.to_dicts()}
        return finite(split.as_dict() | tables | {"gap": split.gap.as_dict()})

    def term(self, name: Name, replicate: int | None) -> Estimate:
        result = self.gains[name.arm] if replicate is None else self.gains_by_replicate[name.arm][replicate]
        entry = result[name.what]
        value, low, high, se = (
            math.nan if entry[key] is None else entry[key] for key in ("value", "low", "high", "se")
        )
        return Estimate(value, low, high, se, entry["n"])

    # -- all of it -----------------------------------------------------------------------------------------

    def summarise(self) -> Result:
        """The scientific part of `summary.json`."""
        study = self.study
        greedy = self.rollouts.filter(pl.col("mode") == "greedy")
        table = self.cells(self.sampled, study.main)
        others = list(study.evaluations)[1:]
        return {
            "title": study.title,
            "question": study.question,
            "answer": answer(study, table, self.gains),
            "task": study.task,
            "chance": self.chance,
            "columns": study.columns,
            "arms": [arm.as_dict() for arm in study.tree.values()],
            "cells": table,
            "greedy": self.cells(greedy, study.main) if len(greedy) else {},
            "others": {name: self.cells(self.sampled, name) for name in others},
            "gains": self.gains,
            "forced": forced_table(self.probes),
            "claims": judge(study.claims, self),
            "seeds": self.seeds,
        }


def accuracy_table(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Each problem's accuracy by seed, evaluation and arm: seed, evaluation, arm, kind, problem_id, accuracy."""
    keys = ["seed", "evaluation", pl.col("checkpoint").alias("arm"), "kind", "problem_id"]
    return rollouts.group_by(keys).agg(pl.col("score").mean().alias("accuracy")).sort("seed", "problem_id")


def forced_counts(probes: pl.DataFrame) -> pl.DataFrame:
    """Forced responses as counts; `probes` has the rollout columns and `forced`, the strategy opened with."""
    return probes.group_by("problem_id", *BY, pl.col("forced").alias("strategy")).agg(
        pl.len().alias("n"), pl.col("score").sum().alias("right")
    )


def over_replicates(results: Sequence[Any]) -> Any:
    """One result from the same one of several replicates: numbers are averaged, and estimates get t intervals.

    Where only bounds exist, the bounds are averaged.
    """
    first = results[0]
    if len(results) == 1:
        return first
    if isinstance(first, dict):
        if "value" in first and "se" in first:
            values = [result["value"] for result in results]
            if None not in values:
                estimate: Result = t_interval(values).as_dict()
                return estimate
            ends = [result["bounds"] if result.get("bounds") else [result["value"]] * 2 for result in results]
            if any(end is None for pair in ends for end in pair):
                return Estimate(float("nan")).as_dict()
            low, high = (float(np.mean([pair[i] for pair in ends])) for i in (0, 1))
            return Estimate(float("nan"), low, high, n=len(results)).as_dict() | {"bounds": [low, high]}
        return {name: over_replicates([result.get(name) for result in results]) for name in first}
    if isinstance(first, bool):
        return any(results)
    if isinstance(first, int | float) or first is None:
        numbers = [result for result in results if isinstance(result, int | float)]
        return float(np.mean(numbers)) if numbers else None
    if isinstance(first, list) and first and isinstance(first[0], dict):
        return join_rows(results)
    return first if all(result == first for result in results) else "differs by replicate"


def join_rows(tables: Sequence[list[Result]]) -> list[Result]:
    """Tables of several replicates as one: rows of the same names are averaged."""
    keys = (*BY, "strategy")
    grouped: dict[tuple[Any, ...], list[Result]] = {}
    for row in (row for table in tables for row in table):
        grouped.setdefault(tuple(row[name] for name in keys if name in row), []).append(row)
    joined: list[Result] = []
    for rows in grouped.values():
        row = dict(rows[0])
        for name, value in row.items():
            if name not in keys:
                row[name] = over_replicates([other[name] for other in rows]) if len(rows) > 1 else value
        joined.append(row)
    return joined


def forced_table(probes: pl.DataFrame) -> Result:
    """Accuracy under each forced strategy, by arm and kind: what a model can do, whatever it chooses."""
    rows = probes.group_by("checkpoint", "forced", "kind").agg(
        pl.col("score").mean().alias("value"),
        (pl.col("strategy") == pl.col("forced")).mean().alias("followed"),
        pl.len().alias("n"),
    )
    table: Result = {}
    for row in rows.sort("checkpoint", "forced", "kind").to_dicts():
        place = table.setdefault(row["checkpoint"], {}).setdefault(row["forced"], {})
        place[row["kind"]] = {name: row[name] for name in ("value", "followed", "n")}
    return table


# -- the answer in a sentence ------------------------------------------------------------------------------

NAMED = re.compile(r"\{([^{}]+)\}")


def answer(study: Study, cells: dict[str, Result], gains: dict[str, Result]) -> str:
    """The study's sentence with numbers in the places of its arms; without one, what happened to the arm that gained
    most."""

    def level(arm: str) -> float | None:
        return cells[arm][ALL]["value"]

    def shown(match: re.Match[str]) -> str:
        name = match[1]
        if name not in cells:
            return match[0]
        value = f"{100 * (level(name) or 0):.0f}%"
        return f"{value} ({parts(gains[name])})" if name in gains else value

    if study.answer:
        return NAMED.sub(shown, study.answer)
    if not gains:
        best = max(cells, key=lambda arm: level(arm) or 0)
        return f"{best} is best, at {100 * (level(best) or 0):.0f}%."
    most = max(gains, key=lambda arm: gains[arm]["gain"]["value"] or 0)
    start = study.tree[most].start
    assert start is not None
    return (
        f"{most} took {start.name} from {100 * (level(start.name) or 0):.0f}% to "
        f"{100 * (level(most) or 0):.0f}% ({parts(gains[most])})."
    )


def parts(gain: Result) -> str:
    """Selection and improvement in words."""
    selected, improved = (gain[name]["value"] for name in ("selection", "improvement"))
    if selected is None or improved is None:
        return "not split"
    way = "worse" if improved < 0 else "better"
    return f"{signed(selected)} points by selecting a strategy, {signed(improved)} by executing it {way}"
