"""From labelled rollouts of nine cells to `summary.json`: table, gains, claims and the answer in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from stratagem.decomposition.decompose import decompose
from stratagem.records import Estimate, finite
from stratagem.report.format import signed
from stratagem.stats.uncertainty import t_interval
from stratagem.studies.claims import Accuracies, judge
from stratagem.tasks.finite_field.field import KINDS

BY = ("kind", "difficulty")
DRAWS = 2000
TERMS = ("gain", "selection", "improvement", "new_strategy")


def accuracy_table(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Each problem's accuracy by seed and cell, from the sampled responses."""
    return (
        rollouts.filter(pl.col("mode") == "sampled")
        .group_by("seed", pl.col("checkpoint").alias("cell"), "kind", "problem_id")
        .agg(pl.col("score").mean().alias("accuracy"))
    )


def table_cells(accuracies: Accuracies, cells: Sequence[str]) -> dict[str, Any]:
    """pass@1 of each cell: all, inversion, evaluation; fractions with 95% intervals."""
    return {
        cell: {
            "all": accuracies.cell(cell).as_dict(),
            **{kind: accuracies.cell(cell, kind).as_dict() for kind in reversed(KINDS)},
        }
        for cell in cells
    }


def forced_counts(probes: pl.DataFrame) -> pl.DataFrame:
    """Forced responses as counts; `probes` has the rollout columns and `forced`, the strategy opened with."""
    return probes.group_by("problem_id", *BY, pl.col("forced").alias("strategy")).agg(
        pl.len().alias("n"), pl.col("score").sum().alias("right")
    )


def gain(rollouts: pl.DataFrame, probes: pl.DataFrame, before: str, after: str, seed: int) -> dict[str, Any]:
    """The decomposition of one run, one seed."""
    sampled = rollouts.filter(pl.col("mode") == "sampled", pl.col("seed") == seed)
    # A strategy that neither model ever chose has no place in the split.
    chosen = sampled.filter(pl.col("checkpoint").is_in([before, after]))["strategy"].unique().implode()
    forced = probes.filter(
        pl.col("seed") == seed, pl.col("checkpoint") == after, pl.col("forced").is_in(chosen)
    )
    found = decompose(
        sampled.filter(checkpoint=before),
        sampled.filter(checkpoint=after),
        by=BY,
        rng=np.random.default_rng([2606, seed]),
        draws=DRAWS,
        forced=forced_counts(forced) if len(forced) else None,
    )
    tables = {"strata": found.strata.to_dicts(), "cells": found.cells.to_dicts()}
    return finite(found.as_dict() | tables | {"level": " x ".join(BY), "confidence": 0.95})


def over_seeds(found: Sequence[Any]) -> Any:
    """One result from the same one of several seeds: numbers are averaged, and estimates get t intervals.

    Where only bounds exist, the bounds are averaged.
    """
    first = found[0]
    if len(found) == 1:
        return first
    if isinstance(first, dict):
        if "value" in first and "se" in first:
            values = [one["value"] for one in found]
            if None not in values:
                estimate: dict[str, Any] = t_interval(values).as_dict()
                return estimate
            ends = [one["bounds"] if one.get("bounds") else [one["value"]] * 2 for one in found]
            if any(end is None for pair in ends for end in pair):
                return Estimate(float("nan")).as_dict()
            low, high = (float(np.mean([pair[i] for pair in ends])) for i in (0, 1))
            return Estimate(float("nan"), low, high, n=len(found)).as_dict() | {"bounds": [low, high]}
        return {name: over_seeds([one.get(name) for one in found]) for name in first}
    if isinstance(first, bool):
        return any(found)
    if isinstance(first, int | float) or first is None:
        numbers = [one for one in found if isinstance(one, int | float)]
        return float(np.mean(numbers)) if numbers else None
    if isinstance(first, list) and first and isinstance(first[0], dict):
        return join_rows(found)
    return first if all(one == first for one in found) else "differs by seed"


def join_rows(found: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Tables of several seeds as one: rows of the same names are averaged."""
    grouped: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in (row for table in found for row in table):
        key = tuple(row[name] for name in ("kind", "difficulty", "strategy") if name in row)
        grouped.setdefault(key, []).append(row)
    joined = []
    for rows in grouped.values():
        row = dict(rows[0])
        for name, value in row.items():
            if name not in ("kind", "difficulty", "strategy"):
                row[name] = over_seeds([one[name] for one in rows]) if len(rows) > 1 else value
        joined.append(row)
    return joined


def forced_table(probes: pl.DataFrame) -> dict[str, Any]:
    """Accuracy under each forced strategy, by cell and kind: what a model can do, whatever it chooses."""
    rows = probes.group_by("checkpoint", "forced", "kind").agg(
        pl.col("score").mean().alias("value"),
        (pl.col("strategy") == pl.col("forced")).mean().alias("followed"),
        pl.len().alias("n"),
    )
    found: dict[str, Any] = {}
    for row in rows.sort("checkpoint", "forced", "kind").to_dicts():
        place = found.setdefault(row["checkpoint"], {}).setdefault(row["forced"], {})
        place[row["kind"]] = {name: row[name] for name in ("value", "followed", "n")}
    return found


def answer(cells: dict[str, Any], gains: dict[str, Any]) -> str:
    """What RL did to the model that knows both strategies, in a sentence with its numbers."""

    def part(steps: str) -> str:
        run, after = gains[f"FB/RL({steps})"], 100 * cells[f"FB/RL({steps})"]["all"]["value"]
        selected, improved = (run[name]["value"] for name in ("selection", "improvement"))
        way = "worse" if improved < 0 else "better"
        parts = f"{signed(selected)} points by selecting a strategy, {signed(improved)} by executing it {way}"
        return f"{after:.0f}% ({parts})"

    before = 100 * cells["FB/SFT"]["all"]["value"]
    return (
        f"RL on problems harder than SFT took the model taught both strategies from {before:.0f}% to {part('6-9')}; "
        f"RL at SFT's difficulty took it to {part('2-5')}."
    )


def summarise(
    rollouts: pl.DataFrame, probes: pl.DataFrame, cells: Sequence[str], chance: float
) -> dict[str, Any]:
    """The scientific part of `summary.json`.

    Args:
        rollouts: labelled, with mode and seed; `checkpoint` names the cell.
        probes: forced responses, with `forced` and seed.
        cells: their names, each ``SET/SFT`` or ``SET/RL(steps)``.
        chance: accuracy of a guess.
    """
    accuracies = Accuracies(accuracy_table(rollouts))
    gains = {
        cell: over_seeds(
            [gain(rollouts, probes, f"{cell.split('/')[0]}/SFT", cell, seed) for seed in accuracies.seeds]
        )
        for cell in cells
        if not cell.endswith("/SFT")
    }
    table = table_cells(accuracies, cells)
    greedy = rollouts.filter(pl.col("mode") == "greedy").with_columns(mode=pl.lit("sampled"))
    return {
        "answer": answer(table, gains),
        "chance": chance,
        "cells": table,
        "greedy": table_cells(Accuracies(accuracy_table(greedy)), cells),
        "gains": gains,
        "forced": forced_table(probes),
        "claims": judge(accuracies, gains, chance),
        "seeds": [int(seed) for seed in accuracies.seeds],
    }
