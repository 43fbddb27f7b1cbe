"""What a decomposition returns, as numbers, as JSON and as a table to read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import polars as pl

from stratagem.decomposition.drawing import forest, text_row
from stratagem.records import Estimate, points
from stratagem.stats.uncertainty import Term


@dataclass(frozen=True, slots=True)
class Split:
    """A gain in three parts. A part that the data only bound is Bounded."""

    selection: Term
    improvement: Term
    new_strategy: Estimate

    def as_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name).as_dict() for name in ("selection", "improvement", "new_strategy")}


@dataclass(frozen=True, slots=True)
class ThreeFold:
    """A gain in four parts: both changes from the old state, and what they do only together."""

    selection: Estimate
    improvement: Term
    interaction: Term
    new_strategy: Estimate

    def as_dict(self) -> dict[str, Any]:
        names = ("selection", "improvement", "interaction", "new_strategy")
        return {name: getattr(self, name).as_dict() for name in names}


@dataclass(frozen=True, slots=True)
class Decomposition:
    """The gain between two checkpoints and its parts; all accuracies are fractions.

    Attributes:
        gain: accuracy after minus before; standard error in closed form, t interval.
        selection, improvement, new_strategy: select, then improve. They sum to the gain.
        reverse: improve, then select. symmetric: the mean of both orders. threefold: with the interaction.
        mix, routing: selection once more, as what the strata do alike and what they do differently.
        simultaneous: selection, improvement and new strategy with intervals that hold together.
        accuracy_before, accuracy_after: mean over problems of a problem's accuracy.
        length_before, length_after: mean over problems of the mean response length, NaN where unknown.
        problems: those in both; left_out_before, left_out_after: those in one only.
        unsupported_share: part of all responses whose strategy only one of the two checkpoints used in the
            stratum.
        verdict: `selection`, `improvement` or `undecided`: which is larger in size at this level (select
            first).
        order_dependent: the verdict of one order is not that of the other, or is open there.
        interventional: forced responses stand in for dropped strategies in reverse, symmetric and threefold.
        weak: why the intervals may be too narrow; empty where they are not.
        paired: the problems are the same before and after. Else strata are compared: `problems` are those of the
            side with fewer, left out are those of strata without two problems on either side.
        choice: selection and new strategy together. gap: |selection| - |improvement|.
        strategies: strategy, share_before, share_after, accuracy_before, accuracy_after, each also with _low, _high
            and _se (`levels`); responses_before, responses_after, and the sums over strata of what cells contribute.
        strata: by..., problems, accuracy_before, accuracy_after, and gain, selection, improvement,
            new_strategy, each also with _low, _high, _se (null for a stratum of one problem).
        cells: by..., strategy, share_before, share_after, accuracy_before, accuracy_after, accuracy_forced,
            responses_before, responses_after, and what the cell contributes to the total: selection,
                improvement,
            new_strategy and their sum, contribution. Null where undefined.
    """

    gain: Estimate
    selection: Estimate
    improvement: Estimate
    new_strategy: Estimate
    reverse: Split
    symmetric: Split
    threefold: ThreeFold
    mix: Estimate
    routing: Estimate
    simultaneous: Split
    accuracy_before: float
    accuracy_after: float
    length_before: float
    length_after: float
    problems: int
    left_out_before: int
    left_out_after: int
    unsupported_share: float
    verdict: str
    order_dependent: bool
    interventional: bool
    weak: tuple[str, ...]
    by: tuple[str, ...]
    level: float
    paired: bool
    choice: Estimate
    gap: Estimate
    strategies: pl.DataFrame
    strata: pl.DataFrame
    cells: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the tables; NaN becomes null. A bounded term has value null and `bounds`."""
        parts = ("gain", "selection", "improvement", "new_strategy", "reverse", "symmetric", "threefold")
        found: dict[str, Any] = {name: getattr(self, name).as_dict() for name in parts}
        for name in ("mix", "routing", "simultaneous"):
            found[name] = getattr(self, name).as_dict()
        for name in (
            "accuracy_before",
            "accuracy_after",
            "length_before",
            "length_after",
            "unsupported_share",
        ):
            value = float(getattr(self, name))
            found[name] = None if math.isnan(value) else value
        for name in ("problems", "left_out_before", "left_out_after", "level", "verdict"):
            found[name] = getattr(self, name)
        for name in ("order_dependent", "interventional", "paired"):
            found[name] = getattr(self, name)
        return {**found, "weak": list(self.weak), "by": list(self.by)}

    def __str__(self) -> str:
        differ = "" if self.paired else " on the side with fewer, others before than after"
        lines = [
            f"{self.problems} problems{differ}, "
            f"{self.left_out_before} left out before and {self.left_out_after} after",
            f"strata by {', '.join(self.by) or 'nothing'}; {self.level:.0%} intervals, in points",
            f"accuracy {points(self.accuracy_before)} -> {points(self.accuracy_after)}",
            "",
            text_row("gain", self.gain),
        ]
        for title, split in (
            ("select, then improve", self),
            ("improve, then select", self.reverse),
            ("mean of both orders", self.symmetric),
        ):
            lines += [
                "",
                title,
                text_row("  selection", split.selection),
                text_row("  improvement", split.improvement),
            ]
            lines.append(text_row("  new strategy", split.new_strategy))
        lines += [
            "",
            "selection once more",
            text_row("  mix", self.mix),
            text_row("  routing", self.routing),
            "",
            f"larger: {self.verdict}{' (depends on the order)' if self.order_dependent else ''}",
            f"unsupported share {points(self.unsupported_share)} %",
        ]
        if not math.isnan(self.length_before + self.length_after):
            lines.append(f"mean response length {self.length_before:.1f} -> {self.length_after:.1f}")
        if self.interventional:
            lines.append("forced responses stand in for dropped strategies")
        lines += [f"weak: {reason}" for reason in self.weak]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = [("gain", self.gain), *split_rows(self)]
        return forest(rows, f"{self.problems} problems, {self.level:.0%} intervals, in points", str(self))


def split_rows(split: Any) -> list[tuple[str, Term]]:
    """The three terms that sum to a gain, by their names."""
    return [
        (name.replace("_", " "), getattr(split, name))
        for name in ("selection", "improvement", "new_strategy")
    ]
