"""The charts of a diagnosis: what changed for each strategy and stratum, over checkpoints and over attempts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import altair as alt
import polars as pl

from stratagem.decomposition.behaviours import BehaviourChange
from stratagem.decomposition.path import Step
from stratagem.report import charts
from stratagem.report.charts import INK, MUTED, TERM_COLOURS, Rows, Spec
from stratagem.report.diagnosis_view import Terms, short, stratum_name, terms_of
from stratagem.report.format import Number, number, signed, words
from stratagem.report.view import TERMS
from stratagem.result import Attempts, Headrooms, StrategyChange, StratumGain

BEFORE, AFTER = "#8c959f", "#0072B2"
SIDES = {"before": BEFORE, "after": AFTER}
MOST_STRATEGIES = 14
MOST_STRATA = 40
MOST_BARS = 8  # steps drawn as bars; more of them are lines


@dataclass(frozen=True, slots=True)
class Change:
    """A fraction before and after, as points of a dumbbell."""

    name: str
    before: Number
    after: Number


def overview(named: Sequence[tuple[str, Terms]]) -> Spec:
    """The terms of every comparison, side by side."""
    known = [
        (name, terms, {part: n for part, n in terms.terms.items() if n.value is not None or n.bounds})
        for name, terms in named
    ]
    return charts.split(
        [(_label(name, terms), some or terms.terms) for name, terms, some in known],
        "points of accuracy gained",
        legend=False,
    )


def path(steps: Sequence[Step]) -> Spec:
    """The terms of every step between checkpoints; where these are many, their sums so far."""
    if len(steps) <= MOST_BARS:
        named = [(_label(terms.title, terms), terms.terms) for terms in map(terms_of, steps)]
        return charts.split(named, "points of accuracy gained from one to the next", legend=False)
    rows: Rows = []
    sums = dict.fromkeys(TERMS, 0.0)
    for at, step in enumerate(steps):
        for term, title in TERMS.items():
            shown = number(getattr(step, term))
            middle = sum(shown.bounds) / 2 if shown.bounds else shown.value
            sums[term] += 100 * (middle or 0.0)
            row = {"at": at + 1, "checkpoint": short(step.after, 20), "term": title}
            rows.append({**row, "value": round(sums[term], 2), "middle": "yes" if shown.bounds else "no"})
    x = alt.X("at:Q", title="checkpoints, in order").axis(tickMinStep=1, grid=False)
    return charts.so_far(
        rows,
        x,
        alt.Tooltip("checkpoint:N", title="up to"),
        alt.Tooltip("middle:N", title="middle of a range"),
    )


def dumbbells(changes: Sequence[Change], title: str) -> Spec:
    """Fractions before and after, a line each, in the given order: hollow before, full after."""
    rows: Rows = []
    ends: Rows = []
    for change in changes:
        sides = {"before": change.before, "after": change.after}
        for side, share in sides.items():
            if share.value is not None:
                low, high = (
                    (_percent(share.low), _percent(share.high)) if share.has_interval else (None, None)
                )
                rows.append(
                    {
                        "name": change.name,
                        "side": side,
                        "value": _percent(share.value),
                        "low": low,
                        "high": high,
                    }
                )
        if change.before.value is not None and change.after.value is not None:
            ends.append(
                {
                    "name": change.name,
                    "from": _percent(change.before.value),
                    "to": _percent(change.after.value),
                }
            )
    names = [change.name for change in changes]
    y = alt.Y("name:N", sort=names, title=None, scale=alt.Scale(domain=names)).axis(
        labelColor=INK,
        labelFontSize=12,
        ticks=False,
        domain=False,
        labelPadding=10,
        labelLimit=150,
        grid=True,
    )
    top = max([100.0 if not rows else 0.0, *(row["high"] or row["value"] for row in rows)])
    x = alt.X(
        "value:Q", title=title, scale=alt.Scale(domain=[0, min(100.0, max(10.0, 1.08 * top))], nice=False)
    ).axis(tickCount=5, grid=False)
    lines = (
        alt.Chart(charts.data(ends))
        .mark_rule(strokeWidth=3, color=AFTER, opacity=0.35)
        .encode(y=y, x=alt.X("from:Q"), x2=alt.X2("to:Q"))
    )
    base = alt.Chart(charts.data(rows)).encode(y=y)
    tips = [
        alt.Tooltip("name:N"),
        alt.Tooltip("side:N"),
        alt.Tooltip("value:Q", title="%", format=".1f"),
        alt.Tooltip("low:Q", format=".1f"),
        alt.Tooltip("high:Q", format=".1f"),
    ]
    whiskers = base.mark_rule(strokeWidth=1.2).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    first = base.transform_filter("datum.side === 'before'").mark_point(
        size=75, strokeWidth=2, stroke=MUTED, filled=False
    )
    last = base.transform_filter("datum.side === 'after'").mark_point(
        size=80, filled=True, fill=AFTER, opacity=1
    )
    layers = [lines, whiskers] if any(row["low"] is not None for row in rows) else [lines]
    return charts.spec(
        26 * len(names) + 20, *layers, first.encode(x=x, tooltip=tips), last.encode(x=x, tooltip=tips)
    )


def strategies(rows: Sequence[StrategyChange], what: Literal["share", "accuracy"]) -> Spec:
    """Share or accuracy of every strategy before and after, in %."""
    changes = [
        Change(
            short(row.strategy, 24),
            number(row.share_before if what == "share" else row.accuracy_before),
            number(row.share_after if what == "share" else row.accuracy_after),
        )
        for row in rows[:MOST_STRATEGIES]
    ]
    return dumbbells(changes, "% of responses" if what == "share" else "% right")


def behaviours(rows: Sequence[BehaviourChange]) -> Spec:
    """How many responses show each behaviour, before and after, in %."""
    changes = [
        Change(short(words(row.behaviour), 24), number(row.share_before), number(row.share_after))
        for row in rows
    ]
    return dumbbells(changes, "% of responses that show it")


def strata(strata: Sequence[StratumGain]) -> Spec:
    """The gain of every stratum with its interval, and its selection and improvement, in points."""
    rows: Rows = []
    names: list[str] = []
    for row in strata[:MOST_STRATA]:
        names.append(short(stratum_name(row.stratum), 26))
        terms = {"gain": row.gain, "selection": row.selection}
        terms |= {"improvement": row.improvement, "new_strategy": row.new_strategy}
        points = {name: _percent(number(term).value) for name, term in terms.items()}
        gain = number(row.gain)
        ends = {"low": _percent(gain.low), "high": _percent(gain.high)}
        rows.append({"stratum": names[-1], **points, **ends, "problems": row.problems})
    y = alt.Y("stratum:N", sort=names, title=None, scale=alt.Scale(domain=list(dict.fromkeys(names)))).axis(
        labelColor=INK,
        labelFontSize=12,
        ticks=False,
        domain=False,
        labelPadding=10,
        labelLimit=160,
        grid=True,
    )
    tips = [
        alt.Tooltip("stratum:N"),
        alt.Tooltip("problems:Q"),
        *(
            alt.Tooltip(f"{name}:Q", title=name.replace("_", " "), format="+.1f")
            for name in ("gain", "low", "high", "selection", "improvement", "new_strategy")
        ),
    ]
    base = alt.Chart(charts.data(rows)).encode(y=y, tooltip=tips)
    axis = alt.X("gain:Q", title="points of accuracy gained").axis(tickCount=6, grid=False)
    whiskers = base.mark_rule(strokeWidth=1.6).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    gains = base.mark_point(size=70, filled=True, opacity=1, fill=INK, stroke=INK).encode(x=axis)
    shapes = (("selection", "diamond"), ("improvement", "square"), ("new_strategy", "triangle-up"))
    shown = [
        base.mark_point(size=58, filled=True, opacity=1, shape=shape, color=TERM_COLOURS[name]).encode(
            x=alt.X(f"{name}:Q")
        )
        for name, shape in shapes
        if name != "new_strategy" or any(row[name] for row in rows)
    ]
    return charts.spec(26 * len(names) + 20, charts.zero(vertical=True), whiskers, *shown, gains)


def headroom(headrooms: Headrooms) -> Spec:
    """What better choice, and better execution, could still win on either side: brackets, in points."""
    rows: Rows = []
    names: list[str] = []
    sides = {"before": headrooms.before, "after": headrooms.after}
    for term in ("selection", "improvement"):
        for side, left in sides.items():
            if left is not None:
                names.append(f"{term}, {side}")
                rows.append({"name": names[-1], **charts.bar(term, number(getattr(left, term)))})
    y = alt.Y("name:N", sort=names, title=None).axis(
        labelColor=INK, labelFontSize=12, ticks=False, domain=False, labelPadding=10
    )
    tips = [
        alt.Tooltip("name:N"),
        *(alt.Tooltip(f"{end}:Q", format="+.1f") for end in ("from", "to", "low", "high")),
    ]
    base = alt.Chart(charts.data(rows)).encode(y=y, tooltip=tips)
    axis = alt.X("from:Q", title="points of accuracy still to be won").axis(tickCount=6)
    colour = alt.Color("term:N", legend=None, scale=charts.term_scale())
    return charts.spec(
        30 * len(names) + 16,
        base.mark_bar(height=12, minBandSize=2).encode(x=axis, x2=alt.X2("to:Q"), color=colour),
        base.mark_rule(strokeWidth=1.4).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q")),
        charts.zero(vertical=True),
    )


def attempts(rows: Sequence[Attempts]) -> Spec:
    """pass@k before and after, with intervals."""
    points: Rows = []
    for row in rows:
        for side, estimate in (("before", row.before), ("after", row.after)):
            mean = number(estimate)
            if mean.value is not None:
                ends = {"low": _percent(mean.low), "high": _percent(mean.high)}
                points.append({"checkpoint": side, "k": row.k, "value": _percent(mean.value), **ends})
    frame = pl.DataFrame(
        points,
        schema={
            "checkpoint": pl.String,
            "k": pl.Int64,
            **dict.fromkeys(("value", "low", "high"), pl.Float64),
        },
    )
    return charts.attempts(frame, SIDES)


def _percent(x: float | None) -> float | None:
    return None if x is None else round(100 * x, 2)


def _label(name: str, terms: Terms) -> str:
    return run_label(name, terms.gain.value)


def run_label(name: str, gain: float | None) -> str:
    """A name in lines of some 20 characters, its gain below."""
    clean = short(name.replace("|", "¦"), 48)
    pieces = re.split(r"(?<=[\s/_.-])", clean)
    lines = [""]
    for piece in pieces:
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > 20:
            lines.append("")
        lines[-1] += piece
    shown = [short(line.strip(), 22) for line in lines]
    return "|".join([*shown[:4], f"gain {signed(gain)}"])
