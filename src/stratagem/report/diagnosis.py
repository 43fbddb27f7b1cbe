"""The report of `stratagem diagnose`: one HTML page that needs nothing but itself."""

from __future__ import annotations

from typing import Any

import polars as pl

from stratagem.report import charts, format, page, view
from stratagem.report import diagnosis_charts as draw
from stratagem.report import diagnosis_view as lens
from stratagem.report.browser import browser_data
from stratagem.report.diagnosis_view import Comparison, Raw
from stratagem.report.page import Charts

LIMIT = 25_000_000  # bytes of a page
MOST_ROWS = 200  # of a table: diagnosis.json has the rest
OPENING = '<script type="application/json" id="rollouts">'


def render(diagnosis: Raw, sample: pl.DataFrame | None) -> str:
    """The page as HTML text.

    Args:
        diagnosis: what diagnosis.json holds (`lens.diagnose.Diagnosis.summary`).
        sample: labelled responses for the browser of rollouts: side, problem_id, sample, the columns of the strata,
            prompt, completion, score, strategy, evidence, behaviours, finish_reason, length. None leaves out every
            prompt and every completion.

    Returns:
        One page of at most 25 MB without any link to another file, under the policy of `page.render`. Longer texts
        are cut in their middle, with a note.
    """
    given = diagnosis
    diagnosis = lens.titled(lens.tidy(diagnosis))
    by: list[str] = diagnosis.get("by") or []
    kept = Charts()
    found = lens.comparisons(diagnosis)
    start = [one for one in found if one.before == found[0].before] if found else []
    start.sort(key=lambda one: one.number)
    steps = view.records(diagnosis.get("path") or {}, "steps")
    context: dict[str, Any] = {
        "diagnosis": diagnosis,
        "by": by,
        "level": lens.interval_name(diagnosis),
        "facts": _facts(diagnosis, found),
        "main": found[0] if found else None,
        "found": found,
        "others": found[1:],
        "start": start,
        "between": [one for one in found if one not in start],
        "order": sorted(found, key=lambda one: one.number),
        "overview": None
        if not start
        else kept.add(_overview(start), "Selection, improvement and new strategies"),
        "path": None if len(steps) < 2 else kept.add(draw.path(steps), "The terms over checkpoints"),
        "steps": [lens.gain_of(step) for step in steps],
        "bars": draw.MOST_BARS,
        "path_note": lens.path_note(diagnosis),
        "ways": _ways(diagnosis.get("path") or {}),
        "orders": {one.number: view.orders(one.gain) for one in found},
        "parts": [_parts(kept, one, by) for one in found],
        "descriptions": {
            str(rule.get("name")): rule.get("description")
            for rule in view.records(diagnosis, "strategy_names")
        },
        "terms": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
        "sides_legend": list(draw.SIDES.items()),
        "notes": lens.notes(found[0], by) if found else [],
        "most": MOST_ROWS,
        "text": sample is not None,
    }
    html = page.render("diagnosis.html", context, kept, ["browser.js"])
    html = html.encode("utf-8", "replace").decode()
    if sample is None:
        return html
    head, tail = html.split(OPENING, 1)
    shown = browser_data(sample, given, LIMIT - len(html.encode()))
    data = shown.json.encode("utf-8", "replace").decode()
    return f"{head}{OPENING}{data}{tail}"


def _facts(diagnosis: Raw, found: list[Comparison]) -> list[tuple[str, str]]:
    sides = lens.side_names(diagnosis)
    facts = [("Logs", str(len(sides)))] if len(sides) > 2 else []
    if found:
        raw = found[0].raw
        ends = [format.percent(format.finite(raw.get(f"accuracy_{side}"))) for side in draw.SIDES]
        facts += [
            ("Before", found[0].before),
            ("After", found[0].after),
            ("Accuracy, %", " → ".join(ends)),
            ("Problems", format.plain(raw.get("problems"))),
        ]
    facts.append(("Strategies by", format.plain(diagnosis.get("strategies_from"))))
    facts.append(("Strata", format.plain(diagnosis.get("by") or "one")))
    return facts


def _overview(start: list[Comparison]) -> charts.Spec:
    return draw.overview([(one.after if len(start) > 1 else one.title, one.raw) for one in start])


def _ways(path: Raw) -> list[tuple[str, view.Gain]]:
    """The whole way twice: summed along the path, and from end to end."""
    names = {"along": "summed along the path", "endpoints": "first against last"}
    return [(title, lens.gain_of(path[key])) for key, title in names.items() if path.get(key)]


def _parts(kept: Charts, one: Comparison, by: list[str]) -> dict[str, Any]:
    """The charts and tables of one comparison."""
    raw = one.raw
    strategies, strata = view.records(raw, "strategies"), view.records(raw, "strata")
    behaviours, attempts = view.records(raw, "behaviours"), view.records(raw, "passk")
    room = raw.get("headroom") or {}
    seen = [row for row in behaviours if any(format.finite(row.get(f"share_{side}")) for side in draw.SIDES)]
    title = one.title
    return {
        "one": one,
        "strategies": strategies,
        "strategy_charts": [
            kept.add(draw.strategies(strategies, "share"), f"{title}: share of each strategy", "how often"),
            kept.add(
                draw.strategies(strategies, "accuracy"), f"{title}: accuracy of each strategy", "how right"
            ),
        ]
        if strategies
        else [],
        "strata": strata,
        "strata_chart": kept.add(draw.strata(strata, by), f"{title}: gain by stratum")
        if len(strata) > 1
        else None,
        "cells": view.records(raw, "cells") if by else [],
        "behaviours": seen,
        "unseen": [str(row.get("behaviour")) for row in behaviours if row not in seen],
        "behaviour_chart": kept.add(draw.behaviours(seen), f"{title}: behaviours") if seen else None,
        "headroom": room,
        "headroom_chart": kept.add(draw.headroom(room), f"{title}: headroom") if any(room.values()) else None,
        "attempts": attempts,
        "attempts_chart": kept.add(draw.attempts(attempts), f"{title}: pass@k")
        if len(attempts) > 1
        else None,
        "robustness": lens.robustness_text(one),
        "changes": view.records(raw, "robustness"),
        "label_error": raw.get("label_error"),
    }
