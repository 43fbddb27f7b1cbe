"""The visible shift as pages and the terminal show it."""

from __future__ import annotations

import math
from typing import NamedTuple

from stratagem.decomposition.leading import leading
from stratagem.records import Estimate, points
from stratagem.report.format import Number, number
from stratagem.result import Findings
from stratagem.visible.result import Placebo, VisibleShift

MUCH = 0.02  # of accuracy, by which the intervals have to be apart for names to be called too coarse
UNLIKE = (
    0.2  # of the responses, from which it is said that the old rate is carried beyond what it was seen for
)
GROUPS = {"length": "length", "answer_form": "form of the answer", "wording": "wording"}


class Row(NamedTuple):
    """A line of the table: what it is, and the part of the change that goes with it."""

    name: str
    shift: Number


def in_words(findings: Findings) -> list[str]:
    """What the visible shift says beside the gain and the choice that the named strategies show."""
    visible = findings.visible_shift
    if visible is None:
        return []
    if visible.reason:
        return [f"Not estimable, since {visible.reason}."]
    shift, choice = visible.shift, leading(findings).choice
    said = f"{points(shift.value)} points ({points(shift.low)} to {points(shift.high)})"
    if shift.low > 0 or shift.high < 0:
        lines = [
            f"{said} of the {points(findings.gain.value)} points go with a change in how answers are written "
            f"({_parts(visible)})."
        ]
    else:
        lines = [
            f"No part of the change can be shown to go with how answers are written: {said}, {_parts(visible)}."
        ]
    if shift.low > max(choice.high, 0.0) + MUCH:
        lines.append(
            f"The named strategies show {points(choice.value)} points of choice: they are too coarse to see what "
            f"moved. It is told by {phrases(visible)}."
        )
    if visible.unlike > UNLIKE:
        lines.append(
            f"{visible.unlike:.0%} of the responses after are unlike any before: for them the shift rests on a rate "
            "that was seen on others."
        )
    return lines


def _parts(visible: VisibleShift) -> str:
    parts = ", ".join(f"{name} {points(getattr(visible, part).value)}" for part, name in GROUPS.items())
    parts = "whose parts cannot be told apart" if math.isnan(visible.length.value) else f"of which {parts}"
    kinds = (
        "one rate for all kinds of problem"
        if visible.rates == 1
        else f"rates of {visible.rates} kinds of problem"
    )
    return f"{parts}, at {kinds}"


def phrases(visible: VisibleShift, most: int = 4) -> str:
    """What the responses that moved are told by, with the share of the responses that have it."""
    return ", ".join(
        f"“{phrase.text}” ({phrase.share_before:.0%} → {phrase.share_after:.0%})"
        for phrase in visible.phrases[:most]
    )


def rows(visible: VisibleShift) -> list[Row]:
    """The shift, its parts, other resolutions and the placebos, in this order."""
    table = [Row("All", number(visible.shift))]
    table += [Row(name.capitalize(), number(getattr(visible, part))) for part, name in GROUPS.items()]
    table += [
        Row(f"All, with {resolution.components} components of wording", number(resolution.shift))
        for resolution in visible.resolutions
    ]
    placebos = (
        ("Placebo: right and wrong shuffled within each problem", visible.shuffled),
        ("Placebo: the side before, split at random in two", visible.halves),
    )
    return [*table, *(Row(name, _placebo(placebo)) for name, placebo in placebos if placebo is not None)]


def _placebo(placebo: Placebo) -> Number:
    return number(Estimate(placebo.mean, placebo.low, placebo.high))
