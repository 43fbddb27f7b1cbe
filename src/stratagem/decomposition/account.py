"""A gain in both orders of accounting, from the totals of what-if accuracies."""

from __future__ import annotations

import numpy as np

from stratagem.decomposition.counterfactuals import Totals
from stratagem.decomposition.parts import Account, Lead, Split
from stratagem.records import Estimate
from stratagem.stats.pairs import Floats
from stratagem.stats.uncertainty import bounded, max_t, percentile


def account(totals: Totals, gain: Estimate, level: float) -> Account:
    """Selection, improvement and new strategy, in either order and as their mean.

    Args:
        totals: of all strata, with their bootstrap draws and the level that quantiles of these are taken at.
        gain: with an interval of its own.
        level: of the intervals.
    """
    selection, improvement = totals.point("kept", "old"), totals.point("seen", "kept")
    new = totals.point("now", "seen")
    terms = (selection.value, improvement.value, new.value)
    family = max_t(terms, term_draws(totals), level=totals.level, n=totals.n)
    lead = larger(gap_draws(totals), level=totals.level)
    return Account(
        gain=gain,
        selection=selection,
        improvement=improvement,
        new_strategy=new,
        reverse=Split(totals.term(seen=1, swapped=-1), totals.term(swapped=1, old=-1), new),
        symmetric=Split(
            totals.term(kept=0.5, old=-0.5, seen=0.5, swapped=-0.5),
            totals.term(seen=0.5, kept=-0.5, swapped=0.5, old=-0.5),
            new,
        ),
        simultaneous=Split(*family),
        lead=lead,
        order_dependent=_order_dependent(totals, lead, selection.value, improvement.value),
        problems=totals.n,
        level=level,
    )


def new_or_rare(totals: Totals) -> Split:
    """The terms, bounded over both readings of strategies unseen before in their stratum.

    They are new, or they were merely rare, with an accuracy that nobody knows: then they add nothing as new ones, and
    what they bring is selection and improvement.
    """
    none = np.zeros_like(totals.draw["now"])

    def over(*readings: tuple[float, Floats]) -> Estimate:
        values, draws = [value for value, _ in readings], [draw_d for _, draw_d in readings]
        ends_d = np.minimum.reduce(draws), np.maximum.reduce(draws)
        return bounded((min(values), max(values)), *ends_d, level=totals.level, n=totals.n)

    def reading(plus: str, minus: str) -> tuple[float, Floats]:
        return totals.total[plus] - totals.total[minus], totals.draw[plus] - totals.draw[minus]

    kept = ("kept", "rare_low", "rare_high")
    return Split(
        over(*(reading(name, "old") for name in kept)),
        over(reading("seen", "kept"), *(reading("now", name) for name in kept[1:])),
        over(reading("now", "seen"), (0.0, none)),
    )


def term_draws(totals: Totals) -> Floats:
    """Draws of selection, improvement and new strategy (d x 3)."""
    old, kept, seen, now = (totals.draw[name] for name in ("old", "kept", "seen", "now"))
    return np.stack([kept - old, seen - kept, now - seen], axis=1)


def gap_draws(totals: Totals) -> Floats:
    """Draws of |selection| - |improvement|, selecting first."""
    old, kept, seen = (totals.draw[name] for name in ("old", "kept", "seen"))
    return np.abs(kept - old) - np.abs(seen - kept)


def larger(low_d: Floats, high_d: Floats | None = None, *, level: float) -> Lead:
    """Which of selection and improvement is larger in size.

    Args:
        low_d: draws of |selection| - |improvement|, or of its lower bound; `high_d` of its upper bound.
    """
    if percentile(0.0, low_d, level=level).low > 0:
        return "selection"
    return (
        "improvement"
        if percentile(0.0, low_d if high_d is None else high_d, level=level).high < 0
        else "undecided"
    )


def _order_dependent(totals: Totals, lead: Lead, selection: float, improvement: float) -> bool:
    """Whether the part that leads in either order does not lead in the other, or may not.

    It may not if the other order's difference, anywhere in its bounds, has the other sign. Between the bounds the
    comparison is monotone, so their ends are enough.
    """
    old, seen = totals.total["old"], totals.total["seen"]
    old_d, seen_d = totals.draw["old"], totals.draw["seen"]
    swapped = ("swapped_low", "swapped_high")
    forward = abs(selection) - abs(improvement)
    backward = [abs(seen - totals.total[name]) - abs(totals.total[name] - old) for name in swapped]
    backward_d = [np.abs(seen_d - totals.draw[name]) - np.abs(totals.draw[name] - old_d) for name in swapped]
    second = larger(np.minimum.reduce(backward_d), np.maximum.reduce(backward_d), level=totals.level)
    sign = {"selection": 1, "improvement": -1, "undecided": 0}
    other = [sign[lead] * value for value in backward] + [sign[second] * forward]
    return min(other) < -1e-12
