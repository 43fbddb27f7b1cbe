"""Markup in every free string of a study: its page and that of several studies show it as text, in a browser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stratagem.report import overview, study
from stratagem.study_result import Overview, StudyRow, Summary
from tests.report.chrome import CHROMIUM, Tab, runs_nothing_of_texts, tab
from tests.report.hostile import MARKUP
from tests.report.synthetic_study import Inputs, make, typed

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
HOSTILE = f"{MARKUP}--><b><u><i>x</i></u></b><svg onload=window.taken=1>"
# Fields whose values are words of a fixed list, or name a task of the package.
FIXED = ("stage", "verdict", "along", "figures", "task", "by", "level", "problem_id")
NAMED = (
    "cells",
    "study",
    "gains",
    "forced",
    "losses",
    "others",
    "greedy",
    "settings",
    "versions",
)  # keys are free
ALL = "all"  # the column of all problems


def hostile(text: str) -> str:
    return text if text == ALL else text + HOSTILE


def marked(value: Any, field: str = "", depth: int = 0) -> Any:
    """A summary in which every free string has markup behind it, and the same strings stay the same."""
    if field in FIXED:
        return value
    if isinstance(value, str):
        return hostile(value)
    if isinstance(value, list):
        return [marked(item, field if depth else "", depth) for item in value]
    if isinstance(value, dict):
        # Names lie one in another: arm and column, or evaluation, arm and column.
        free = depth or {"others": 3, "forced": 3, "cells": 2, "study": 2, "greedy": 2}.get(
            field, int(field in NAMED)
        )
        inside = [
            (hostile(name) if free else name, marked(item, name, max(0, free - 1)))
            for name, item in value.items()
        ]
        return dict(inside)
    return value


def marked_table(table: pl.DataFrame) -> pl.DataFrame:
    names = [
        name
        for name, dtype in table.schema.items()
        if dtype == pl.String and name not in ("mode", "evidence")
    ]
    return table.with_columns(pl.col(name) + HOSTILE for name in names)


def marked_evidence(text: str | None) -> str | None:
    """The evidence of a label with markup in its errors and in what was expected."""
    if not text:
        return text
    held = json.loads(text)
    held["marks"] = [
        [*mark[:2], *(None if part is None else hostile(str(part)) for part in mark[2:])]
        for mark in held["marks"]
    ]
    return json.dumps(held)


@pytest.fixture(scope="module")
def hostile_study() -> Inputs:
    made = make(problems=8, samples=2, updates=10)
    cells = made.summary["cells"]
    forced = {"value": 0.5, "followed": 0.9, "n": 10}
    made.summary |= {"others": {"longer": cells}, "greedy": cells}
    made.summary["forced"] = {arm: {"forward": {"inversion": forced, "evaluation": forced}} for arm in cells}
    rollouts = marked_table(made.rollouts).with_columns(
        evidence=pl.Series([marked_evidence(text) for text in made.rollouts["evidence"]], dtype=pl.String)
    )
    return Inputs(marked(made.summary), rollouts, marked_table(made.curves), marked_table(made.metrics))


@pytest.fixture
def opened(tmp_path: Path) -> Callable[..., Any]:
    def go(page: Tab, html: str) -> None:
        (tmp_path / "page.html").write_text(html)
        page.go((tmp_path / "page.html").as_uri())

    return go


def test_every_string_is_marked(hostile_study: Inputs) -> None:
    """Else the next test would say little."""
    summary = typed(hostile_study.summary)
    claims, curves = summary.claims, summary.curves
    texts = [
        summary.name,
        summary.title,
        summary.question,
        summary.about,
        summary.source,
        summary.answer,
        summary.preset,
    ]
    texts += (
        [arm.name for arm in summary.arms]
        + [arm.label for arm in summary.arms]
        + [*summary.cells, *summary.gains]
    )
    texts += [claim.statement for claim in claims] + [
        part.statement for claim in claims for part in claim.parts
    ]
    texts += [claim.id for claim in claims] + [curve.title for curve in curves]
    texts += [line.name for curve in curves for line in curve.lines] + [*summary.others, *summary.settings]
    texts += [*summary.versions.values()] + [d.reason for d in summary.deviations] + [*summary.columns[1:]]
    texts += [str(row.stratum["kind"]) for gain in summary.gains.values() for row in gain.strata]
    assert all(text.endswith(HOSTILE) for text in texts)
    assert set(summary.gains) < set(summary.cells) == {arm.name for arm in summary.arms}


def test_markup_in_a_study_is_text(hostile_study: Inputs, tmp_path: Path, opened: Callable[..., Any]) -> None:
    html = study.render(*hostile_study.all())
    with tab(tmp_path / "profile") as page:
        page.size(1280)
        opened(page, html)
        page.until("document.documentElement.dataset.ready")
        page.value("document.querySelectorAll('details').forEach(e => { e.open = true; })")
        page.until("[...document.querySelectorAll('.chart')].every(e => e.querySelector('svg, canvas'))")
        runs_nothing_of_texts(page, "Stratagem: select or improve")
        assert page.value("document.documentElement.dataset.errors") is None
        shown = page.value("document.body.textContent")
        for text in (
            "Table 1",
            "Does RL select or improve?",
            "Forward in training",
            "FB - F on All",
            "FB/RL(6-9)",
        ):
            assert hostile(text) in shown, text
        hovered(page)
        runs_nothing_of_texts(page, "Stratagem: select or improve")


def hovered(page: Tab) -> None:
    """Point at marks of every chart, so that their tooltips show what they stand for."""
    where = """[...document.querySelectorAll('.chart svg')].flatMap(svg => {
      const marks = [...svg.querySelectorAll('.mark-symbol path, .mark-rect path, .mark-line path')];
      const boxes = marks.slice(0, 3).map(e => e.getBoundingClientRect());
      return boxes.map(r => [r.x + r.width / 2, r.y + r.height / 2 + scrollY]);
    })"""
    shown = 0
    for x, y in page.value(where)[:60]:
        page.value(f"window.scrollTo(0, {y} - 300)")
        page.send("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=page.value(f"{y} - scrollY"))
        shown += bool(page.value("document.querySelector('#vg-tooltip-element.visible') !== null"))
        made = page.value("document.querySelectorAll('#vg-tooltip-element :is(img, svg, b, script)').length")
        assert made == 0
    assert shown > 0


def row_of(summary: Summary) -> StudyRow:
    shared = {name: getattr(summary, name) for name in ("name", "title", "question", "answer", "preset")}
    shared |= {name: getattr(summary, name) for name in ("columns", "claims", "cells", "study", "elapsed_s")}
    return StudyRow(
        **shared, command=f"run {HOSTILE}", report=f"javascript:window.taken=1//{HOSTILE}", replicates=1
    )


def test_markup_in_several_studies_is_text(
    hostile_study: Inputs, tmp_path: Path, opened: Callable[..., Any]
) -> None:
    html = overview.render(Overview((row_of(typed(hostile_study.summary)),)))
    with tab(tmp_path / "profile") as page:
        opened(page, html)
        title = page.until("document.title")
        runs_nothing_of_texts(page, title)
        assert "taken" not in title
        shown = page.value("document.body.textContent")
        for text in ("Table 1", "Does RL select or improve?", "FB - F on All", "run "):
            assert hostile(text) in shown, text
        page.value("document.querySelector('a').click()")  # an address that is code: the policy forbids it
        assert page.value("window.taken ?? 0") == 0
