"""The study's claims 1-4 as statements that a run upholds, refutes or leaves undecided.

The rules, fixed before any result:

- *near chance*: the 95% interval's upper limit lies below chance + 8 points.
- *improves*, *beats*: the 95% interval of the difference excludes 0; *by a wide margin*: it lies above 10 points.
- *does not improve*: the upper limit of the 90% interval lies below +5 points. One-sided on purpose: execution that
  gets worse, as the study's own did, has not improved.
- *near perfect*: the 95% interval's lower limit is at least 85%.

A part is refuted where its opposite is shown by the same interval, else undecided. A claim is as strong as its weakest
part: refuted if one is, else undecided if one is. With one training seed the intervals cover the choice of problems
alone and a claim "holds in this run"; with several they are t intervals over seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from stratagem.records import Estimate
from stratagem.stats.uncertainty import mean_estimate, t_interval

UPHELD, REFUTED, UNDECIDED = "upheld", "refuted", "undecided"
MARGIN, WIDE, EQUIVALENT, PERFECT = 0.08, 0.10, 0.05, 0.85


@dataclass(frozen=True, slots=True)
class Part:
    """One inequality of a claim, its number and how it came out."""

    statement: str
    estimate: Estimate
    verdict: str

    def as_dict(self) -> dict[str, Any]:
        return {"statement": self.statement, **self.estimate.as_dict(), "verdict": self.verdict}


def above(statement: str, estimate: Estimate, threshold: float, opposite: float | None = None) -> Part:
    """Upheld where the whole interval lies above `threshold`, refuted where it lies below `opposite`."""
    opposite = threshold if opposite is None else opposite
    verdict = UNDECIDED
    if estimate.low > threshold:
        verdict = UPHELD
    elif estimate.high < opposite:
        verdict = REFUTED
    return Part(statement, estimate, verdict)


def below(statement: str, estimate: Estimate, threshold: float) -> Part:
    """Upheld where the whole interval lies below `threshold`, refuted where it lies above."""
    verdict = UNDECIDED
    if estimate.high < threshold:
        verdict = UPHELD
    elif estimate.low > threshold:
        verdict = REFUTED
    return Part(statement, estimate, verdict)


class Accuracies:
    """Accuracy of each problem by cell and training seed, and differences between cells.

    `table` has the columns seed, cell, kind, problem_id, accuracy; the problems are the same everywhere.
    """

    def __init__(self, table: pl.DataFrame) -> None:
        self.table = table.sort("seed", "problem_id")
        self.seeds = sorted(table["seed"].unique())

    def _problems(self, seed: int, cell: str, kind: str | None) -> np.ndarray:
        rows = self.table.filter(seed=seed, cell=cell)
        return (rows if kind is None else rows.filter(kind=kind))["accuracy"].to_numpy()

    def over_seeds(self, of_seed: Callable[[int], np.ndarray], level: float = 0.95) -> Estimate:
        """The mean with its interval: over problems with one seed, over seeds with several."""
        if len(self.seeds) == 1:
            return mean_estimate(of_seed(self.seeds[0]), level=level)
        return t_interval([of_seed(seed).mean() for seed in self.seeds], level=level)

    def cell(self, cell: str, kind: str | None = None) -> Estimate:
        return self.over_seeds(lambda seed: self._problems(seed, cell, kind))

    def difference(self, after: str, before: str, kind: str | None = None, level: float = 0.95) -> Estimate:
        return self.over_seeds(
            lambda seed: self._problems(seed, after, kind) - self._problems(seed, before, kind), level
        )


def term(gains: dict[str, Any], cell: str, name: str) -> Estimate:
    found = gains[cell][name]
    value, low, high, se = (
        math.nan if found[k] is None else found[k] for k in ("value", "low", "high", "se")
    )
    return Estimate(value, low, high, se, found["n"])


def at_90(estimate: Estimate, seeds: int) -> Estimate:
    """The 90% interval of an estimate that carries a 95% one, on the scale of its own error."""
    df = seeds - 1 if seeds > 1 else estimate.n - 1
    reach = float(stats.t.ppf(0.95, df)) * estimate.se
    return Estimate(estimate.value, estimate.value - reach, estimate.value + reach, estimate.se, estimate.n)


def judge(accuracies: Accuracies, gains: dict[str, Any], chance: float) -> list[dict[str, Any]]:
    """Claims 1-4, JSON-ready: id, statement, verdict, the leading difference and every part."""
    cell, difference = accuracies.cell, accuracies.difference
    seeds = len(accuracies.seeds)
    near = f"is near chance (below {chance + MARGIN:.0%})"
    claims = [
        (
            "1",
            "Selection: after RL(6-9), FB beats both single-strategy models by a wide margin, and each of those stays "
            "near chance on the type that does not suit it.",
            [
                above(
                    "FB beats B on all problems, by over 10 points",
                    difference("FB/RL(6-9)", "B/RL(6-9)"),
                    WIDE,
                    0.0,
                ),
                above(
                    "FB beats F on all problems, by over 10 points",
                    difference("FB/RL(6-9)", "F/RL(6-9)"),
                    WIDE,
                    0.0,
                ),
                below(f"B on evaluation {near}", cell("B/RL(6-9)", "evaluation"), chance + MARGIN),
                below(f"F on inversion {near}", cell("F/RL(6-9)", "inversion"), chance + MARGIN),
            ],
        ),
        (
            "2",
            "Improvement needs difficulty: RL(6-9) raises execution of the suited strategy on 6-9 steps, RL(2-5) does "
            "not.",
            [
                above("B on inversion gains by RL(6-9)", difference("B/RL(6-9)", "B/SFT", "inversion"), 0.0),
                above("FB executes better after RL(6-9)", term(gains, "FB/RL(6-9)", "improvement"), 0.0),
                below(
                    "B on inversion does not gain by RL(2-5) (under 5 points)",
                    difference("B/RL(2-5)", "B/SFT", "inversion", 0.90),
                    EQUIVALENT,
                ),
                below(
                    "FB does not execute better after RL(2-5) (under 5 points)",
                    at_90(term(gains, "FB/RL(2-5)", "improvement"), seeds),
                    EQUIVALENT,
                ),
            ],
        ),
        (
            "3",
            "RL on problems of SFT difficulty mainly selects: FB gains by RL(2-5) through routing, not execution.",
            [
                above("FB gains by RL(2-5)", difference("FB/RL(2-5)", "FB/SFT"), 0.0),
                above("its selection is positive", term(gains, "FB/RL(2-5)", "selection"), 0.0),
                below(
                    "its improvement is under 5 points",
                    at_90(term(gains, "FB/RL(2-5)", "improvement"), seeds),
                    EQUIVALENT,
                ),
            ],
        ),
        (
            "4",
            "Both together: FB RL(6-9) is best of all and near perfect on both types.",
            [
                *(
                    above(f"FB RL(6-9) beats {other} on all problems", difference("FB/RL(6-9)", other), 0.0)
                    for other in ("B/RL(6-9)", "F/RL(6-9)", "FB/RL(2-5)", "FB/SFT")
                ),
                above("at least 85% on inversion", cell("FB/RL(6-9)", "inversion"), PERFECT),
                above("at least 85% on evaluation", cell("FB/RL(6-9)", "evaluation"), PERFECT),
            ],
        ),
    ]
    return [
        {
            "id": number,
            "statement": statement,
            "verdict": weakest(parts),
            "difference": parts[0].estimate.as_dict()["value"],
            "low": parts[0].estimate.as_dict()["low"],
            "high": parts[0].estimate.as_dict()["high"],
            "parts": [part.as_dict() for part in parts],
        }
        for number, statement, parts in claims
    ]


def weakest(parts: list[Part]) -> str:
    found = {part.verdict for part in parts}
    return REFUTED if REFUTED in found else UNDECIDED if UNDECIDED in found else UPHELD
