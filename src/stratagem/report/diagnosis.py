"""The report of `stratagem diagnose`: one HTML page that needs nothing but itself."""

from __future__ import annotations

from functools import partial
from typing import Any

import polars as pl

from stratagem.records import Stratum
from stratagem.report import charts, format, page, view, visible_view
from stratagem.report import diagnosis_charts as draw
from stratagem.report import diagnosis_view as shown
from stratagem.report.browser import browser_data
from stratagem.report.diagnosis_view import Entry, Terms
from stratagem.report.flips_view import OTHERS, matrix
from stratagem.report.page import Charts
from stratagem.result import Findings

LIMIT = 25_000_000  # bytes of a page
MOST_ROWS = 200  # of a table: diagnosis.json has the rest
MEANINGS = {
    "selection": "by choosing other strategies, each executed as before",
    "choice": "problem by problem, by choosing other strategies, new ones too, each executed as before",
    "improvement": "by the same strategies, executed better",
    "new_strategy": "by strategies not seen before",
}
OPENING = '<script type="application/json" id="rollouts">'


def render(findings: Findings, sample: pl.DataFrame | None) -> str:
    """The page as HTML text.

    Args:
        findings: what `diagnosis.json` holds.
        sample: labelled responses for the browser of rollouts: side, problem_id, sample, the columns of the strata,
            prompt, completion, score, strategy, evidence, behaviours, finish_reason, length. None leaves out every
            prompt and every completion.

    Returns:
        One page of at most 25 MB without any link to another file, under the policy of `page.render`. Longer texts
        are cut in their middle, with a note.
    """
    safe = shown.shown(findings)
    kept = Charts()
    entries = shown.entries(safe)
    start = [entry for entry in entries if entry.before == entries[0].before]
    start.sort(key=lambda entry: entry.number)
    steps = () if safe.path is None else safe.path.steps
    context: dict[str, Any] = {
        "findings": safe,
        "full_names": _full_names(findings, safe),
        "by": safe.by,
        "level": shown.interval_name(safe),
        "facts": _facts(safe, entries),
        "main": entries[0] if entries else None,
        "entries": entries,
        "others": entries[1:],
        "start": start,
        "between": [entry for entry in entries if entry not in start],
        "order": sorted(entries, key=lambda entry: entry.number),
        "overview": None
        if all(entry.result.lead is None for entry in start)
        else kept.add(_overview(start), "Selection, improvement and new strategies"),
        "path": None if len(steps) < 2 else kept.add(draw.path(steps), "The terms over checkpoints"),
        "steps": [shown.terms_of(step) for step in steps],
        "bars": draw.MOST_BARS,
        "path_note": shown.path_note(safe),
        "ways": _ways(safe),
        "parts": [_parts(kept, entry) for entry in entries],
        "descriptions": {rule.name: rule.description for rule in safe.strategy_names},
        "terms": _legend(start),
        "term_colours": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
        "sides_legend": list(draw.SIDES.items()),
        "notes": shown.notes(entries[0], evidence=True) if entries else [],
        "visible": safe.visible_shift,
        "visible_words": visible_view.in_words(safe) if entries else [],
        "visible_rows": visible_view.rows(safe.visible_shift)
        if safe.visible_shift and not safe.visible_shift.reason
        else [],
        "most": MOST_ROWS,
        "flips": any(entry.result.flips is not None for entry in entries),
        "text": sample is not None,
        "pair": partial(_pair, len(safe.sides) > 2 or len(safe.sides) == 1),
        "place": _place,
        "strategies_of": _strategies_of,
    }
    html = page.render("diagnosis.html", context, kept, ["browser.js"])
    html = html.encode("utf-8", "replace").decode()
    if sample is None:
        return html
    head, tail = html.split(OPENING, 1)
    browser = browser_data(sample, findings, LIMIT - len(html.encode()))
    data = browser.json.encode("utf-8", "replace").decode()
    return f"{head}{OPENING}{data}{tail}"


def _pair(several: bool, entry: Entry, **more: str) -> dict[str, str]:
    """What shows pairs of responses of a comparison in the browser; `several`: there are other sides too."""
    ends = {"first": entry.before, "last": entry.after} if several else {}
    return {"view": "pairs", **ends, **more}


def _strategies_of(before: str, after: str) -> dict[str, str]:
    """Of a pair of responses, the strategies asked for; those that a table joins cannot be."""
    asked = {"from": before, "to": after}
    return {side: name for side, name in asked.items() if name != OTHERS}


def _place(stratum: Stratum, **more: str) -> dict[str, str]:
    """What shows responses of a stratum in the browser."""
    columns = {f"by.{name}": format.plain(value) for name, value in stratum.items() if name != "problem_id"}
    return {**columns, **more}


def _full_names(findings: Findings, safe: Findings) -> list[str]:
    """The sides' names where any is called otherwise on the page."""
    names = [str(shown.tidy(side.name)) for side in findings.sides]
    return names if names != [side.name for side in safe.sides] else []


def _facts(findings: Findings, entries: list[Entry]) -> list[tuple[str, str]]:
    facts = [("Logs", str(len(findings.sides)))] if len(findings.sides) > 2 else []
    if entries:
        result = entries[0].result
        ends = [format.percent(format.finite(x)) for x in (result.accuracy_before, result.accuracy_after)]
        facts += [
            ("Before", result.before),
            ("After", result.after),
            ("Accuracy, %", " → ".join(ends)),
            ("Problems", format.plain(result.problems)),
        ]
    facts.append(("Strategies by", findings.strategies_from))
    facts.append(("Strata", format.plain(findings.by or "one")))
    return facts


def _overview(start: list[Entry]) -> charts.Spec:
    return draw.overview(
        [(entry.after if len(start) > 1 else entry.title, entry.levels[0]) for entry in start]
    )


def _legend(start: list[Entry]) -> list[tuple[str, str, str]]:
    """The parts that the first picture shows, with their colours and what they mean."""
    by_problem = [entry.level.new_strategy is None for entry in start]
    terms = list(charts.TERM_COLOURS.items())
    legend = [(view.TERMS[term], colour, MEANINGS[term]) for term, colour in terms]
    if any(by_problem):
        legend[0] = ("Choice" if all(by_problem) else "Selection or choice", terms[0][1], MEANINGS["choice"])
    return legend[:-1] if start and all(by_problem) else legend


def _ways(findings: Findings) -> list[tuple[str, Terms]]:
    """The whole way twice: summed along the path, and from end to end."""
    if findings.path is None:
        return []
    ways = {"summed along the path": findings.path.along, "first against last": findings.path.endpoints}
    return [(title, shown.terms_of(step)) for title, step in ways.items()]


def _parts(kept: Charts, entry: Entry) -> dict[str, Any]:
    """The charts and tables of one comparison."""
    result, title = entry.result, entry.title
    seen = [row for row in result.behaviours if row.share_before > 0 or row.share_after > 0]
    headroom = result.headroom
    return {
        "entry": entry,
        "strategies": result.strategies,
        "strategy_charts": [
            kept.add(
                draw.strategies(result.strategies, "share"), f"{title}: share of each strategy", "how often"
            ),
            kept.add(
                draw.strategies(result.strategies, "accuracy"),
                f"{title}: accuracy of each strategy",
                "how right",
            ),
        ]
        if result.strategies
        else [],
        "strata": result.strata,
        "strata_chart": kept.add(draw.strata(result.strata), f"{title}: gain by stratum")
        if len(result.strata) > 1
        else None,
        "cells": result.cells if result.by else (),
        "unsupported": result.unsupported,
        "behaviours": seen,
        "unseen": [row.behaviour for row in result.behaviours if row not in seen],
        "behaviour_chart": kept.add(draw.behaviours(seen), f"{title}: behaviours") if seen else None,
        "transitions": matrix(result.flips),
        "headroom": headroom,
        "headroom_differs": any(
            room is not None and abs(room.accuracy - accuracy) > 0.0005
            for room, accuracy in (
                (headroom.before, result.accuracy_before),
                (headroom.after, result.accuracy_after),
            )
        ),
        "headroom_chart": kept.add(draw.headroom(headroom), f"{title}: headroom")
        if headroom.before or headroom.after
        else None,
        "attempts": result.passk,
        "attempts_chart": kept.add(draw.attempts(result.passk), f"{title}: pass@k")
        if len(result.passk) > 1
        else None,
        "robustness": shown.robustness_text(entry),
        "changes": result.robustness,
        "label_error": result.label_error,
    }
