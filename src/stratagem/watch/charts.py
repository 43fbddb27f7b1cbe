"""Charts of a running run: made by `charts` once, then only their rows change.

To build a chart with Altair takes tens of milliseconds, and a page shows dozens, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

import altair as alt
import polars as pl

from stratagem.report import charts, view
from stratagem.report.charts import Rows, Spec
from stratagem.watch.gain import Gain

MOST = 40  # points of a line that are drawn as dots


class Kept:
    """Charts by what shapes them, each with the rows that it was made with, to be replaced by others."""

    def __init__(self) -> None:
        self._made: dict[Hashable, tuple[Spec, Rows]] = {}

    def rates(self, frame: pl.DataFrame, key: str, scale: dict[Any, str]) -> Spec:
        """As `charts.rates`."""
        return self._of(("rates", key, *scale.items()), frame, lambda some: charts.rates(some, key, scale))

    def metric(self, frame: pl.DataFrame, scale: dict[str, str]) -> Spec:
        """As `charts.metric`."""
        plain = frame.select("cell", "update", "value")
        return self._of(("metric", *scale.items()), plain, lambda some: charts.metric(some, scale))

    def _of(self, key: Hashable, frame: pl.DataFrame, make: Callable[[pl.DataFrame], Spec]) -> Spec:
        alone = frame["update"].n_unique() < 2  # one point makes no line, so such a chart has another mark
        if (key, alone) not in self._made:
            some = frame.unique("update", keep="first", maintain_order=True).head(2)
            self._made[key, alone] = make(some), some.to_dicts()
        spec, stand_in = self._made[key, alone]
        return refilled(spec, stand_in, frame.to_dicts())


def refilled(spec: Spec, old: Rows, new: Rows) -> Spec:
    """The chart with other rows, wherever the old ones stand."""
    chart = dict(spec)
    if chart.get("data", {}).get("values") == old:
        chart["data"] = {"values": new}
    if "layer" in chart:
        chart["layer"] = [refilled(layer, old, new) for layer in chart["layer"]]
    return chart


def gain_curve(gains: dict[int, Gain]) -> Spec:
    """The gain since the start and its terms over updates, in points, with their intervals as bands."""
    rows: Rows = []
    for at, gain in sorted(gains.items()):
        for term in (term for term in view.TERMS if term in gain):
            value, low, high = (None if x is None else round(100 * x, 2) for x in gain[term])
            rows.append({"update": at, "term": view.TERMS[term], "value": value, "low": low, "high": high})
    stand_in: Rows = [{"update": 0, "term": "", "value": 0, "low": 0, "high": 0}]
    return refilled(_gain_curve(len(gains) < MOST), stand_in, rows)


@lru_cache
def _gain_curve(dots: bool) -> Spec:
    rows: Rows = [{"update": 0, "term": "", "value": 0, "low": 0, "high": 0}]
    base = alt.Chart(charts.data(rows)).encode(
        x=alt.X("update:Q", title="update").axis(tickCount=5, grid=False),
        color=alt.Color("term:N", legend=None, scale=charts.term_scale()),
        tooltip=["update:Q", *charts.tips_of("term", "value", "low", "high")],
    )
    axis = alt.Y("value:Q", title=None).axis(tickCount=5)
    bands = base.mark_area(opacity=0.16).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    lines = base.mark_line(strokeWidth=2, point=dots).encode(y=axis)
    return charts.spec(190, bands, charts.zero(vertical=False), lines)
