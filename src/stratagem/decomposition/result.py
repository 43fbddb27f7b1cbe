"""What a decomposition returns, as numbers, as JSON and as a table to read."""

from __future__ import annotations

import math
from typing import Any

import polars as pl

from stratagem.decomposition.drawing import forest, text_row
from stratagem.decomposition.leading import lead_sentence, no_split
from stratagem.decomposition.one_label import largest, one_label
from stratagem.decomposition.parts import Account, ByProblem, HasParts, Split, ThreeFold, Unparsed
from stratagem.records import UNDEFINED, UNSET, Estimate, Real, part_of, points


class Decomposed(Account, frozen=True, kw_only=True):
    """The gain between two checkpoints and its parts, without tables; all accuracies are fractions.

    Attributes:
        by_problem: the gain with every problem as its own stratum; undefined where problems are not paired.
        threefold: both changes from the old state, and the interaction.
        new_or_rare: the terms as bounds, over both readings of strategies unseen before: new, or merely rare.
        mix, routing: selection once more, as what the strata do alike and what they do differently.
        accuracy_before, accuracy_after: mean over problems of a problem's accuracy.
        length_before, length_after: mean over problems of the mean response length, NaN where unknown.
        unsupported_share: part of all responses whose strategy only one of the two checkpoints used in the
            stratum.
        problems: those in both; left_out_before, left_out_after: those in one only.
        unparsed: responses in which the labels find no answer. Where they hide the split,
            all that rests on strategies is undefined.
        interventional: forced responses stand in for dropped strategies in reverse, symmetric and threefold.
        paired: the problems are the same before and after. Else strata are compared: `problems` are those of the
            side with fewer, left out are those of strata without two problems on either side.
        weak: why the intervals may be too narrow; empty where they are not.
        by: the columns that make strata.
    """

    by_problem: ByProblem = ByProblem()
    threefold: ThreeFold = ThreeFold()
    new_or_rare: Split = Split()
    mix: Estimate = UNDEFINED
    routing: Estimate = UNDEFINED
    accuracy_before: Real = math.nan
    accuracy_after: Real = math.nan
    length_before: Real = math.nan
    length_after: Real = math.nan
    unsupported_share: Real = math.nan
    unparsed: Unparsed = Unparsed()
    left_out_before: int = 0
    left_out_after: int = 0
    interventional: bool = False
    paired: bool = True
    weak: tuple[str, ...] = ()
    by: tuple[str, ...] = ()


class Decomposition(Decomposed, frozen=True, kw_only=True, eq=False):
    """The gain between two checkpoints and its parts, with tables that JSON leaves out.

    Attributes:
        choice: selection and new strategy together. gap: |selection| - |improvement|.
        strategies: strategy, share_before, share_after, accuracy_before, accuracy_after, each also with _low, _high,
            _se and _n (`strategy_rates`); responses_before, responses_after, and the sums over strata of what cells
            contribute.
        strata: by..., problems, accuracy_before, accuracy_after, and gain, selection, improvement,
            new_strategy, each also with _low, _high, _se (null for a stratum of one problem).
        cells: by..., strategy, share_before, share_after, accuracy_before, accuracy_after, accuracy_forced,
            responses_before, responses_after, and what the cell contributes to the total: selection, improvement,
            new_strategy and their sum, contribution. Null where undefined.
    """

    choice: Estimate
    gap: Estimate
    strategies: pl.DataFrame
    strata: pl.DataFrame
    cells: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the tables and what is made of them; NaN becomes null."""
        return part_of(self, Decomposed).as_dict()

    def __str__(self) -> str:
        differ = "" if self.paired else " on the side with fewer, others before than after"
        first = one_label(largest(self.strategies.select("strategy", "share_before", "share_after").rows()))
        lines = [
            *([first, ""] if first else []),
            f"{self.problems} problems{differ}, "
            f"{self.left_out_before} left out before and {self.left_out_after} after",
            f"strata by {', '.join(self.by) or 'nothing'}; {self.level:.0%} intervals, in points",
            f"accuracy {points(self.accuracy_before)} -> {points(self.accuracy_after)}",
            "",
            text_row("gain", self.gain),
        ]
        if self.lead is None:
            return "\n".join([*lines, "", *([no_split(self.unparsed)] if self.unparsed.hides_split else [])])
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
        lines += _new_or_rare(self)
        lines += _by_problem(self.by_problem)
        lines += [
            "",
            "selection once more",
            text_row("  mix", self.mix),
            text_row("  routing", self.routing),
            "",
            lead_sentence(self),
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


def _new_or_rare(split: Decomposed) -> list[str]:
    if abs(split.new_strategy.value) < 1e-12 or split.new_or_rare.new_strategy.bounds is UNSET:
        return []
    rows = [text_row(f"  {name}", term) for name, term in split_rows(split.new_or_rare)]
    return ["", "over both readings of new strategies: new or merely rare before", *rows]


def _by_problem(split: ByProblem) -> list[str]:
    if split.lead is None:
        return []
    lines = ["", "by problem, select then improve"]
    lines += [text_row("  choice", split.choice), text_row("  improvement", split.improvement)]
    return [*lines, *(["  problems inside a stratum differ"] if split.disagrees else [])]


def split_rows(split: HasParts) -> list[tuple[str, Estimate]]:
    """The three terms that sum to a gain, by their names."""
    return [
        ("selection", split.selection),
        ("improvement", split.improvement),
        ("new strategy", split.new_strategy),
    ]
