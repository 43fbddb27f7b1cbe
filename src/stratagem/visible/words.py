"""The visible shift in sentences, for every place that shows it."""

from __future__ import annotations

from stratagem.records import Estimate, points
from stratagem.visible.result import VisibleShift

MUCH = 0.02  # of accuracy, by which the intervals have to be apart for names to be called too coarse
UNLIKE = (
    0.2  # of the responses, from which it is said that the old rate is carried beyond what it was seen for
)
GROUPS = {"length": "length", "answer_form": "the form of the answer", "wording": "wording"}


def in_words(visible: VisibleShift, gain: Estimate, choice: Estimate) -> list[str]:
    """What the visible shift says beside the gain and the choice that the named strategies show."""
    if visible.reason:
        return [f"Without names of strategies: not estimable ({visible.reason})."]
    shift = visible.shift
    said = f"{points(shift.value)} points, {points(shift.low)} to {points(shift.high)}"
    parts = ", ".join(f"{name} {points(getattr(visible, part).value)}" for part, name in GROUPS.items())
    if shift.low > 0 or shift.high < 0:
        lines = [
            f"Without names of strategies: of the change of {points(gain.value)} points a visible shift of {said}, "
            f"goes with a change in how answers are written ({parts})."
        ]
    else:
        lines = [
            "Without names of strategies: no part of the change can be shown to go with how answers are written "
            f"(visible shift {said}: {parts})."
        ]
    if shift.low > max(choice.high, 0) + MUCH:
        lines.append(
            f"The named strategies show {points(choice.value)} of it as choice: they are too coarse to see what moved. "
            f"Told by: {phrases(visible)}."
        )
    if visible.unlike > UNLIKE:
        lines.append(
            f"{visible.unlike:.0%} of the responses after are like none before in this, so that the old rate is "
            "carried beyond what it was seen for."
        )
    return lines


def phrases(visible: VisibleShift, most: int = 4) -> str:
    """What the responses that moved are told by, with the share of the responses that have it."""
    return ", ".join(
        f"\u201c{phrase.text}\u201d ({phrase.share_before:.0%} \u2192 {phrase.share_after:.0%})"
        for phrase in visible.phrases[:most]
    )
