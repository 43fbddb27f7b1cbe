"""The charts, as Vega-Lite specifications made with Altair.

One palette (Okabe-Ito) for all of them, no facets: a small chart is a chart of its own and takes the width of
its container. INK, MUTED and GRID are the colours that the page swaps in the dark.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import altair as alt
import polars as pl
import vl_convert

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, StratagemError
from stratagem.report import view
from stratagem.report.format import Number, bounds_text, number, signed
from stratagem.study_result import Summary

INK, MUTED, GRID = "#1f2328", "#656d76", "#d8dee4"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Liberation Sans', Arial, sans-serif"
TERM_COLOURS = {"selection": "#0072B2", "improvement": "#E69F00", "new_strategy": "#009E73"}
# What is no strategy has colours of its own, whatever strategies there are.
VALUE_COLOURS = {MIXED: "#CC79A7", OTHER: "#009E73", UNPARSED: "#8c959f", TRUNCATED: "#E69F00"}
STRATEGY_PALETTE = ("#0072B2", "#D55E00", "#56B4E9", "#B3A700", "#5E3C99", "#7A5195", "#004D40", "#8B5A2B")
STAGE_COLOURS = ("#8c959f", "#56B4E9", "#D55E00", "#009E73", "#CC79A7")
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8c959f", "#B3A700")
COLD_TO_WARM = ("#0072B2", "#56B4E9", "#E69F00", "#D55E00")

CONFIG: dict[str, Any] = {
    "background": "white",
    "font": FONT,
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "titleFontWeight": "normal",
        "labelFontSize": 11,
        "titleFontSize": 11,
        "gridColor": GRID,
        "domainColor": GRID,
        "tickColor": GRID,
        "labelOverlap": True,
    },
    "legend": {
        "labelColor": MUTED,
        "labelFontSize": 11,
        "columnPadding": 8,
        "layout": {"bounds": "full", "top": {"anchor": "start", "bounds": "full"}},
    },
    "text": {"color": INK, "fontSize": 11},
    "rule": {"color": INK},
}

Spec = dict[str, Any]
Rows = list[dict[str, Any]]


def spec(height: int, *layers: alt.Chart) -> Spec:
    """The layers without what all charts share (schema, configuration), as wide as their container."""
    chart: Any = alt.layer(*layers).properties(width="container", height=height)
    # Altair checks the parts when they are built; checking each finished chart again costs seconds a page.
    vega: Spec = chart.to_dict(validate=False)
    for shared in ("$schema", "config"):
        vega.pop(shared, None)
    vega["autosize"] = {"type": "fit-x", "contains": "padding"}
    return vega


def data(rows: Rows) -> alt.Data:
    """Rows as inline values: they are reduced before, so Altair's limit on their number is not needed."""
    return alt.Data(values=rows)


def strategy_colours(names: Sequence[str]) -> dict[str, str]:
    """A colour for each strategy, none of them that of a value such as mixed; the same for the same names in order."""
    named = [name for name in names if name not in VALUE_COLOURS]
    return {
        name: VALUE_COLOURS[name]
        if name in VALUE_COLOURS
        else STRATEGY_PALETTE[named.index(name) % len(STRATEGY_PALETTE)]
        for name in names
    }


def step_colours(steps: Sequence[int]) -> dict[int, str]:
    """Colours from cold (few steps) to warm (many), blended where there are more than four."""
    if len(steps) == 1:
        return {steps[0]: COLD_TO_WARM[0]}
    colours: dict[int, str] = {}
    for i, step in enumerate(steps):
        at = i * (len(COLD_TO_WARM) - 1) / (len(steps) - 1)
        left = min(int(at), len(COLD_TO_WARM) - 2)
        a, b = (bytes.fromhex(COLD_TO_WARM[left + j][1:]) for j in (0, 1))
        blend = (round(x + (y - x) * (at - left)) for x, y in zip(a, b, strict=True))
        colours[step] = "#" + "".join(f"{c:02x}" for c in blend)
    return colours


# -- select or improve -------------------------------------------------------------------------------------


def overview(summary: Summary) -> Spec:
    """Selection, improvement and new strategies of every arm that starts from another, with their intervals."""
    named = [(f"{g.cell}|gain {signed(g.gain.value)}", g.terms) for g in view.gains(summary)]
    return split(named, "percentage points of accuracy gained")


def split(named: Sequence[tuple[str, dict[str, Number]]], title: str, legend: bool = True) -> Spec:
    """A group of bars for every gain: its terms with their intervals, a range where only bounds are known.

    Args:
        named: a label and the terms; "|" in a label begins a new line.
        legend: whether the chart has one, or the page.
    """
    rows: Rows = []
    for label, terms in named:
        rows += [{"run": label, **bar(term, estimate)} for term, estimate in terms.items()]
    labels = [label for label, _ in named]
    low, high = extent(rows)
    ranged = any(row["from"] is not None for row in rows)
    room = (0.34 if ranged else 0.14) * (high - low)  # for the numbers at the bars' ends
    base = alt.Chart(data(rows)).encode(
        y=alt.Y("run:N", sort=labels, title=None, scale=alt.Scale(paddingInner=0.28)).axis(
            labelExpr="split(datum.label, '|')",
            labelColor=INK,
            labelFontSize=12,
            labelPadding=8,
            ticks=False,
            domain=False,
            labelLineHeight=15,
        ),
        yOffset=alt.YOffset("term:N", sort=list(view.TERMS.values())),
    )
    axis = alt.X("value:Q", title=title, scale=alt.Scale(domain=[low, high + room], nice=False)).axis(
        tickCount=7
    )
    key = alt.Legend(orient="top", symbolType="square", symbolOpacity=1) if legend else None
    colour = alt.Color("term:N", title=None, scale=term_scale(), legend=key)
    tips = tips_of("run", "term", "value", "low", "high")
    layers = [base.mark_bar().encode(x=axis, color=colour, tooltip=tips)]
    if ranged:
        ranges = base.mark_bar(opacity=0.45).encode(
            x=alt.X("from:Q"), x2=alt.X2("to:Q"), color=colour, tooltip=tips
        )
        layers.append(ranges)
    ends = base.mark_rule(strokeWidth=1.4).encode(x=alt.X("low:Q"), x2=alt.X2("high:Q"))
    text = base.mark_text(align="left", dx=5, baseline="middle").encode(
        x=alt.X("end:Q"), text=alt.Text("label:N")
    )
    return spec(max(66 * len(labels), 80), *layers, ends, zero(vertical=True), text)


def strata(gain: view.Gain, kind: str, domain: tuple[float, float], unit: str) -> Spec:
    """The same terms of one run and one type of problem, by difficulty, which `unit` is the word for."""
    rows: Rows = []
    for row in gain.result.strata:
        if row.stratum.get("kind") == kind:
            steps = row.stratum.get("difficulty")
            rows += [{"steps": steps, **bar(term, number(getattr(row, term)))} for term in view.TERMS]
    base = alt.Chart(data(rows)).encode(
        x=alt.X("steps:O", title=unit).axis(labelAngle=0),
        xOffset=alt.XOffset("term:N", sort=list(view.TERMS.values())),
    )
    bars = base.mark_bar().encode(
        y=alt.Y("value:Q", title=None, scale=alt.Scale(domain=list(domain), nice=False)).axis(tickCount=5),
        color=alt.Color("term:N", legend=None, scale=term_scale()),
        tooltip=[alt.Tooltip("steps:N", title=unit), *tips_of("term", "value", "low", "high")],
    )
    ends = base.mark_rule(strokeWidth=1.2).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    return spec(150, bars, ends, zero(vertical=False))


def strata_domain(gains: Sequence[view.Gain]) -> tuple[float, float]:
    """One scale for all runs, so that the small charts can be compared."""
    estimates = [
        number(getattr(row, term)) for gain in gains for row in gain.result.strata for term in view.TERMS
    ]
    return extent([bar("selection", n) for n in estimates])


def bar(term: str, estimate: Number) -> dict[str, Any]:
    """A term in percentage points; `from` and `to` where only bounds are known."""

    def points(x: float | None) -> float | None:
        return None if x is None else round(100 * x, 2)

    low, high = (points(estimate.low), points(estimate.high)) if estimate.has_interval else (None, None)
    first, last = (points(x) for x in estimate.bounds or (None, None))
    end = max(0.0, points(estimate.value) or 0.0, high or 0.0, last or 0.0)
    return {
        "term": view.TERMS[term],
        "value": points(estimate.value),
        "low": low,
        "high": high,
        "from": first,
        "to": last,
        "end": end,
        "label": bounds_text(estimate, 0) or signed(estimate.value),
    }


def extent(rows: Rows) -> tuple[float, float]:
    values = [
        row[key] for row in rows for key in ("value", "low", "high", "from", "to") if row[key] is not None
    ]
    low, high = min([0.0, *values]), max([0.0, *values])
    pad = 0.04 * (high - low) or 1.0
    return (low - pad if low < 0 else 0.0), high + pad


def term_scale() -> alt.Scale:
    return alt.Scale(domain=list(view.TERMS.values()), range=list(TERM_COLOURS.values()))


def zero(*, vertical: bool) -> alt.Chart:
    rule = alt.Chart(data([{"zero": 0}])).mark_rule(color=MUTED, strokeWidth=1)
    return rule.encode(x=alt.X("zero:Q")) if vertical else rule.encode(y=alt.Y("zero:Q"))


def tips_of(*names: str) -> list[alt.Tooltip]:
    return [
        alt.Tooltip(f"{n}:N", title=n)
        if n in ("run", "term", "checkpoint")
        else alt.Tooltip(f"{n}:Q", title=n, format=".1f")
        for n in names
    ]


def among(summary: Summary, column: str) -> Spec:
    """Accuracies of all arms on a column of the table: a tick a replicate that ships, a dot this run, in %."""
    rows = [row for row in view.beside_replicates(summary) if row[1] == column]
    arms = [arm for arm, _, _, _ in rows]
    ticks = [
        {"arm": arm, "value": round(100 * value, 2), "replicate": number}
        for arm, _, _, values in rows
        for number, value in enumerate(values)
    ]
    dots = [{"arm": arm, "value": round(100 * value, 2)} for arm, _, value, _ in rows]
    y = alt.Y("arm:N", title=None, sort=arms).axis(labelColor=INK, ticks=False, domain=False)
    x = alt.X("value:Q", title="% right", scale=alt.Scale(domain=[0, 100])).axis(tickCount=5)
    shipped = (
        alt.Chart(data(ticks))
        .mark_tick(color=MUTED, thickness=2, size=14)
        .encode(
            x=x,
            y=y,
            tooltip=["arm:N", alt.Tooltip("replicate:Q"), alt.Tooltip("value:Q", title="%", format=".1f")],
        )
    )
    ours = (
        alt.Chart(data(dots))
        .mark_circle(color=PALETTE[0], size=60, opacity=0.8)
        .encode(x=x, y=y, tooltip=["arm:N", alt.Tooltip("value:Q", title="this run, %", format=".1f")])
    )
    return spec(24 * len(arms) + 10, shipped, ours)


# -- over updates ------------------------------------------------------------------------------------------


def rates(
    frame: pl.DataFrame,
    key: str,
    scale: dict[Any, str],
    chance: float | None = None,
    unit: str = "difficulty",
) -> Spec:
    """Rates over updates: each seed's raw line faint, the smooth line of all seeds strong.

    Args:
        frame: `key`, seed (null on the smooth line), update, rate in percent, as `frames.rates` gives it.
        scale: a colour for each value of `key`.
        chance: success by guessing, a fraction, drawn as a dashed line.
        unit: what a problem's difficulty counts.
    """
    base = alt.Chart(data(frame.to_dicts())).encode(
        x=alt.X("update:Q", title="update").axis(tickCount=4, grid=False),
        y=alt.Y("rate:Q", title=None, scale=alt.Scale(domain=[0, 100])).axis(values=[0, 25, 50, 75, 100]),
        color=alt.Color(
            f"{key}:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
        ),
        tooltip=[
            alt.Tooltip(f"{key}:N", title=unit if key == "difficulty" else key),
            alt.Tooltip("update:Q"),
            alt.Tooltip("rate:Q", title="percent", format=".1f"),
        ],
    )
    alone = frame["update"].n_unique() < 2  # one point makes no line
    raw = base.mark_line(opacity=0.28, strokeWidth=1, clip=True).encode(detail=alt.Detail("seed:N"))
    raw = raw.transform_filter("datum.seed !== null")
    smooth = base.mark_line(strokeWidth=2, point=alone, clip=True).transform_filter("datum.seed === null")
    layers: list[alt.Chart] = [raw, smooth]
    if chance is not None:
        line = alt.Chart(data([{"chance": 100 * chance}]))
        layers.insert(
            0, line.mark_rule(color=MUTED, strokeDash=[3, 3], strokeWidth=1).encode(y=alt.Y("chance:Q"))
        )
    return spec(150, *layers)


def so_far(rows: Rows, x: alt.X, *tips: alt.Tooltip, domain: tuple[float, float] | None = None) -> Spec:
    """The terms of a gain summed up along a run: rows with term, value and what `x` and `tips` name, in points.

    Args:
        domain: of the values, where several such charts are to be compared. Rows then have low and high too.
    """
    scale = alt.Undefined if domain is None else alt.Scale(domain=list(domain), nice=False)
    base = alt.Chart(data(rows)).encode(
        x=x,
        color=alt.Color("term:N", legend=None, scale=term_scale()),
        tooltip=[alt.Tooltip("term:N"), alt.Tooltip("value:Q", title="points so far", format=".1f"), *tips],
    )
    lines = base.mark_line(point=True, strokeWidth=2).encode(
        y=alt.Y("value:Q", title="points of accuracy gained so far", scale=scale)
    )
    layers = [zero(vertical=False), lines]
    if any(row.get("low") is not None for row in rows):
        layers.insert(
            1, base.mark_area(opacity=0.18, clip=True).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
        )
    return spec(200, *layers)


def metric(frame: pl.DataFrame, scale: dict[str, str]) -> Spec:
    """One training metric over updates, a line a run: columns cell, update, value."""
    base = alt.Chart(data(frame.select("cell", "update", "value").to_dicts()))
    lines = base.mark_line(strokeWidth=1.5, point=frame["update"].n_unique() < 2).encode(
        x=alt.X("update:Q", title="update").axis(tickCount=4, grid=False),
        y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False)).axis(tickCount=4, format="~g"),
        color=alt.Color(
            "cell:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
        ),
        tooltip=[alt.Tooltip("cell:N", title="run"), "update:Q", alt.Tooltip("value:Q", format=".4~g")],
    )
    return spec(150, lines)


# -- errors and attempts -----------------------------------------------------------------------------------


def errors(frame: pl.DataFrame, cells: Sequence[str], scale: dict[str, str], top: float) -> Spec:
    """What went wrong in each cell, of one type of problem: checkpoint, error, share; `top` in percent."""
    order = {name: i for i, name in enumerate(scale)}
    rows: Rows = [
        {
            "cell": row["checkpoint"],
            "error": row["error"],
            "order": order[row["error"]],
            "share": round(100 * row["share"], 2),
        }
        for row in frame.iter_rows(named=True)
    ]
    bars = (
        alt.Chart(data(rows))
        .mark_bar(height=alt.RelativeBandSize(0.72))
        .encode(
            y=alt.Y("cell:N", title=None, scale=alt.Scale(domain=list(cells))).axis(
                labelColor=INK, ticks=False, domain=False, labelPadding=6
            ),
            x=alt.X("share:Q", title="% of responses", stack="zero", scale=alt.Scale(domain=[0, top])).axis(
                tickCount=5
            ),
            color=alt.Color(
                "error:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("cell:N"),
                alt.Tooltip("error:N"),
                alt.Tooltip("share:Q", title="%", format=".1f"),
            ],
        )
    )
    return spec(22 * len(cells) + 10, bars)


def attempts(frame: pl.DataFrame, scale: dict[str, str]) -> Spec:
    """pass@k by k, a line a checkpoint: columns checkpoint, k, value, low, high."""
    base = alt.Chart(data(frame.to_dicts())).encode(
        x=alt.X("k:O", title="k").axis(labelAngle=0),
        color=alt.Color(
            "checkpoint:N", legend=None, scale=alt.Scale(domain=list(scale), range=list(scale.values()))
        ),
        tooltip=tips_of("checkpoint", "value", "low", "high"),
    )
    axis = alt.Y("value:Q", title=None, scale=alt.Scale(domain=[0, 100])).axis(values=[0, 25, 50, 75, 100])
    lines = base.mark_line(strokeWidth=2, point=True).encode(y=axis)
    ends = base.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q"), y2=alt.Y2("high:Q"))
    return spec(170, ends, lines)


# -- pictures ----------------------------------------------------------------------------------------------


def save_overview(summary: Summary, path: Path | str, width: int = 760) -> None:
    """Writes the picture of selection and improvement, as `write_picture` does."""
    picture = overview(summary)
    picture |= {
        "width": width,
        "config": CONFIG,
        "padding": 12,
        "autosize": {"type": "fit-x", "contains": "padding"},
    }
    picture["title"] = {
        "text": "Did RL select better strategies, or execute them better?",
        "subtitle": "Gain in accuracy over the SFT model, split into its terms, with 95% intervals",
        "anchor": "start",
        "frame": "group",
        "fontSize": 15,
        "color": INK,
        "subtitleColor": MUTED,
        "subtitleFontSize": 12,
        "offset": 10,
    }
    write_picture(picture, Path(path))


def write_picture(picture: Spec, path: Path) -> None:
    """Writes a whole specification to a .png (at double resolution) or .svg file.

    Raises:
        StratagemError: the path ends in neither.
    """
    match path.suffix.lower():
        case ".svg":
            path.write_text(vl_convert.vegalite_to_svg(picture), encoding="utf-8")
        case ".png":
            path.write_bytes(vl_convert.vegalite_to_png(picture, scale=2))
        case other:
            raise StratagemError(f"{path}: a picture ends in .png or .svg, not in {other or 'nothing'}")
