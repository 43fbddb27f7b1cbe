"""What a verdict says of single strata and of new strategies: where parts pull apart, and what is still wrong where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stratagem.decomposition.result import Decomposition
from stratagem.records import NO_VALUE, Estimate
from stratagem.stats.min_sample import MIN_NAMED_STRATUM
from stratagem.stats.uncertainty import quantile


@dataclass(frozen=True, slots=True)
class Opposed:
    """A part that pulled in opposite directions: the stratum where it added most, and the one where it cost most."""

    part: str
    up: tuple[str, Estimate]
    down: tuple[str, Estimate]


@dataclass(frozen=True, slots=True)
class Place:
    """A stratum: its problems, what choice and the gain are there, and how much of all that is still wrong lies there.

    `wrong` is a fraction of all responses after, so that the places' sum is 1 less the accuracy after.
    """

    name: str
    problems: int
    accuracy_after: float
    wrong: float
    gain: float
    selection: float


def opposed_of(split: Decomposition) -> tuple[Opposed, ...]:
    """Selection and improvement where strata pull in opposite directions, with intervals that hold together
    (Bonferroni)."""
    if "problem_id" in split.by or split.strata.height < 2:
        return ()
    z = quantile(1 - (1 - split.level) / split.strata.height, math.inf)
    table: list[Opposed] = []
    for part in ("selection", "improvement"):
        known: list[tuple[str, Estimate]] = []
        for row in split.strata.filter(pl.col(f"{part}_se") > 0).iter_rows(named=True):
            value, se = row[part], row[f"{part}_se"]
            term = Estimate(value, value - z * se, value + z * se, se, row["problems"])
            if row["problems"] >= MIN_NAMED_STRATUM and (term.low > 0 or term.high < 0):
                known.append((_name(row, split.by), term))
        up, down = (pick(known, key=lambda named: named[1].value, default=None) for pick in (max, min))
        if up and down and up[1].value > 0 > down[1].value:
            table.append(Opposed(part, up, down))
    return tuple(table)


def places_of(split: Decomposition) -> tuple[Place, ...]:
    """The strata with the problems that a name is worth (`MIN_NAMED_STRATUM`), where there are several."""
    if "problem_id" in split.by or split.strata.height < 2:
        return ()
    total = int(split.strata["problems"].sum())
    return tuple(
        Place(
            _name(row, split.by),
            row["problems"],
            row["accuracy_after"],
            row["problems"] / total * (1 - row["accuracy_after"]),
            row["gain"],
            math.nan if row["selection"] is None else row["selection"],
        )
        for row in split.strata.iter_rows(named=True)
        if row["problems"] >= MIN_NAMED_STRATUM
    )


def new_of(split: Decomposition) -> tuple[str, ...]:
    """The strategies that add something as new ones, most first."""
    rows = split.strategies.filter(pl.col("new_strategy") > 0).sort("new_strategy", descending=True)
    return tuple(rows["strategy"])


def _name(row: dict[str, Any], by: Sequence[str]) -> str:
    return ", ".join(NO_VALUE if row[name] is None else str(row[name]) for name in by)
