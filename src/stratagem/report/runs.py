"""Several runs on one page: a table, a picture, and for each what it needs next and where its own page is."""

from __future__ import annotations

from collections import Counter
from typing import Any

from stratagem.report import charts, page, view
from stratagem.report.diagnosis_charts import run_label
from stratagem.report.diagnosis_view import tidy
from stratagem.report.format import number
from stratagem.report.page import Charts
from stratagem.result import Run, Runs

LEVELS = (
    "Choice and improvement are problem by problem where problems have 4 responses or more, and choice then has new "
    "strategies in it; else they are by stratum."
)
PARTS = {"selection": "choice", "improvement": "improvement", "new_strategy": "new_strategy"}


def render(runs: Runs) -> str:
    """The page as HTML text, which links the runs' own pages in the folders beside it and nothing else."""
    kept = Charts()
    known = [run for run in runs.runs if number(run.gain).value is not None]
    context: dict[str, Any] = {
        "headline": headline(runs),
        "levels": LEVELS,
        "rows": [(run, larger(run), tidy(run.sentence), tidy(run.aim)) for run in runs.runs],
        "terms": [
            ("Choice" if term == "selection" else view.TERMS[term], colour)
            for term, colour in charts.TERM_COLOURS.items()
        ],
        "overview": kept.add(_overview(known), "Choice, improvement and new strategies of every run")
        if known
        else None,
    }
    return page.render("runs.html", context, kept).encode("utf-8", "replace").decode()


def _overview(runs: list[Run]) -> charts.Spec:
    named = [
        (
            run_label(run.name, number(run.gain).value),
            {term: number(getattr(run, part)) for term, part in _parts(run).items()},
        )
        for run in runs
    ]
    return charts.split(named, "points of accuracy gained", legend=False)


def _parts(run: Run) -> dict[str, str]:
    """The parts that sum to a run's gain: by problem, new strategies are in the choice."""
    return {term: part for term, part in PARTS.items() if part != "new_strategy" or not by_problem(run)}


def by_problem(run: Run) -> bool:
    return run.level == "problem by problem"


def headline(runs: Runs) -> str:
    """In how many runs accuracy rose or fell, and which part was larger in how many."""
    total = len(runs.runs)
    ways = Counter(
        "rose" if run.gain.low > 0 else "fell" if run.gain.high < 0 else "open" for run in runs.runs
    )
    said = [f"{verb} in {_of(ways[verb], total)}" for verb in ("rose", "fell") if ways[verb]]
    if ways["open"]:
        said.append(
            f"no change can be shown in {ways['open']}" if said else "no change can be shown in any of them"
        )
    leads = Counter(larger(run) for run in runs.runs)
    named = [
        f"{name} in {_of(leads[name], total)}"
        for name in ("choice", "improvement", "new strategies")
        if leads[name]
    ]
    parts = f"; the larger part was {_joined(named)}" if named else ""
    accuracy = "accuracy " if ways["rose"] or ways["fell"] else ""
    return f"{total} {'run' if total == 1 else 'runs'}: {accuracy}{_joined(said)}{parts}."


def larger(run: Run) -> str:
    """Which part was larger, in words."""
    return {
        "selection": "choice",
        "choice": "choice",
        "improvement": "improvement",
        "new_strategy": "new strategies",
    }.get(run.lead, "open")


def _of(count: int, total: int) -> str:
    return "all" if count == total > 1 else str(count)


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
