"""The charts that a study's file asks for: arms side by side, over updates or over the arms themselves."""

from __future__ import annotations

from typing import Any

import altair as alt

from stratagem.records import Estimate
from stratagem.report import charts
from stratagem.report.format import number
from stratagem.report.page import Charts
from stratagem.study_result import CurveResult, Summary


def panels(kept: Charts, summary: Summary) -> list[dict[str, Any]]:
    """Each chart, kept, with the colours of its lines."""
    placed: list[dict[str, Any]] = []
    for curve in summary.curves:
        names = [line.name for line in curve.lines]
        scale = {name: charts.PALETTE[i % len(charts.PALETTE)] for i, name in enumerate(names)}
        panel = kept.add(spec(curve, scale), curve.title, curve.title)
        placed.append({"panel": panel, "scale": scale})
    return placed


def spec(curve: CurveResult, scale: dict[str, str]) -> charts.Spec:
    """Lines with their intervals, in percent: as a band over updates, as rules over arms."""
    rows = [
        {"line": line.name, "x": x, **ends(estimate)}
        for line in curve.lines
        for x, estimate in zip(line.x, line.y, strict=True)
    ]
    over_arms = curve.along == "arms"
    x: Any = alt.X("x:Q", title="update").axis(tickCount=5, grid=False)
    if over_arms:
        x = alt.X("x:N", title=None, sort=None).axis(labelAngle=0, labelLimit=90)
    base = alt.Chart(charts.data(rows)).encode(
        x=x,
        color=alt.Color(
            "line:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
        ),
        tooltip=[
            alt.Tooltip("line:N"),
            alt.Tooltip("x:N" if over_arms else "x:Q", title="arm" if over_arms else "update"),
            *(alt.Tooltip(f"{name}:Q", format=".1f") for name in ("value", "low", "high")),
        ],
    )
    axis = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 100])).axis(values=[0, 25, 50, 75, 100])
    lines = base.mark_line(strokeWidth=2, point=over_arms or len(rows) == len(scale), clip=True).encode(
        y=axis
    )
    span = base.mark_rule(strokeWidth=1.5) if over_arms else base.mark_area(opacity=0.18, clip=True)
    return charts.spec(220, span.encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q")), lines)


def ends(estimate: Estimate) -> dict[str, float | None]:
    """A value with its interval in percent, within 0 and 100."""
    n = number(estimate)
    within = {"value": n.value, "low": n.low, "high": n.high}
    return {
        name: None if part is None else round(100 * min(max(part, 0.0), 1.0), 2)
        for name, part in within.items()
    }
