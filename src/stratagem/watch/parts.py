"""What the page of a run says, for its template: where the run stands, its gain, and the charts to place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from stratagem.decomposition.leading import lead_clause, leading, no_split, ranges
from stratagem.decomposition.one_label import Shares, largest, one_label
from stratagem.report import charts, format, view
from stratagem.report.format import Number
from stratagem.report.page import Charts
from stratagem.watch.charts import Kept, gain_curve
from stratagem.watch.gain import TERMS, Gain, lead_terms, missed
from stratagem.watch.panels import health, label_of, training
from stratagem.watch.run import Run, State, Status
from stratagem.watch.source import Source
from stratagem.watch.stage import STAGES
from stratagem.watch.study import StudyRun

STATES: dict[State, str] = {
    "waiting": "not begun",
    "running": "running",
    "quiet": "nothing new for long",
    "stopped": "no process here works on it; the same command resumes",
    "done": "done",
}
IN_ORDER: tuple[State, ...] = ("done", "running", "quiet", "stopped", "waiting")


def parts(kept: Charts, made: Kept, source: Source | None, name: str) -> dict[str, Any]:
    """The template's context as the run stands now; its charts are added to `kept`, from those `made` before."""
    match source:
        case None:
            runs, study = [Run(name)], None
        case StudyRun():
            runs = source.poll()
            study = study_parts(source, runs)
        case _:
            runs, study = [source.poll()], None
    alone = runs[0] if len(runs) == 1 else None
    begun = [run for run in runs if run.scalars.height or run.counts.height]
    return {
        "states": STATES,
        "study": study,
        "alone": alone,
        "facts": facts(alone) if alone else [],
        "answer": answer(alone) if alone else answer_of_several(runs),
        "notes": [note if alone else f"{label_of(run, runs)}: {note}" for run in runs for note in run.notes],
        "rows": [row(run, runs) for run in runs],
        "training": training(kept, made, runs),
        "health": health(kept, made, begun),
    } | gain_parts(kept, runs)


def gain_parts(kept: Charts, runs: Sequence[Run]) -> dict[str, Any]:
    """The gain of each run now, and over updates."""
    several = len(runs) > 1
    split = [run for run in runs if run.gains and "selection" in run.gains[max(run.gains)]]
    bars: list[tuple[str, dict[str, Number]]] = []
    for run in split:
        gain = run.gains[max(run.gains)]
        title = f"gain {format.signed(gain['gain'][0])}"
        bars.append((f"{label_of(run, runs)}|{title}" if several else title, terms_of(gain)))
    return {
        "split": kept.add(
            charts.split(bars, "percentage points since the start", legend=False),
            "The gain since the start, split",
        )
        if bars
        else None,
        "by_problem": all(run.by_problem for run in split),
        "window": max(map(window_of, split), default=0),
        "curves": [
            kept.add(
                gain_curve(run.gains),
                f"{label_of(run, runs)}: the gain since the start over updates",
                label_of(run, runs) if several else "over updates",
            )
            for run in split
            if len(run.gains) > 2
        ],
        "terms": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
    }


def facts(run: Run) -> list[tuple[str, str]]:
    """Where one run stands, as names and values."""
    status = run.status
    pairs = [("State", STATES[status.state] if status.state != "stopped" else "stopped")]
    pairs.append(("Updates", f"{status.done:,}" + (f" of {status.total:,}" if status.total else "")))
    if status.pace:
        pairs.append(("Time an update", pace_text(status.pace)))
    if status.left is not None:
        pairs.append(("To go, about", format.duration(status.left)))
    steps = run.settings.get("steps")
    if isinstance(steps, list) and len(steps) == 2:
        pairs.append(("Steps", f"{steps[0]}-{steps[1]}"))
    if run.settings.get("strategy"):
        pairs.append(("Strategies", format.plain(run.settings["strategy"])))
    return pairs


def answer_of_several(runs: Sequence[Run]) -> str:
    """How many runs there are, by state; none where a study has only just begun."""
    if not runs:
        return "Waiting for the study to begin"
    states = [run.status.state for run in runs]
    return f"{len(runs)} trainings: " + ", ".join(f"{states.count(s)} {s}" for s in IN_ORDER if s in states)


def answer(run: Run) -> str:
    """The run in a sentence, or in three where its labels cannot show selection."""
    split = bool(run.gains) and missed(run.gains[max(run.gains)]) is None
    first = one_label(largest(_shares(run)), exact=run.kind in STAGES) if split else ""
    return f"{first} {_answer(run)}".lstrip()


def _shares(run: Run) -> list[Shares]:
    """Shares of every strategy in the first and the last updates, as many as a gain compares."""
    window, counts = window_of(run), run.counts
    updates = counts["update"].unique().sort()
    if not window:
        return []
    sides = [
        counts.filter(pl.col("update").is_in(ends.to_list()))
        for ends in (updates[:window], updates[-window:])
    ]
    parts = [dict(side.group_by("strategy").agg(pl.col("n").sum()).rows()) for side in sides]
    wholes = [sum(part.values()) for part in parts]
    if not all(wholes):
        return []
    names = [name for name in parts[0].keys() | parts[1].keys() if name is not None]
    return [(name, parts[0].get(name, 0) / wholes[0], parts[1].get(name, 0) / wholes[1]) for name in names]


def _answer(run: Run) -> str:
    if run.status.state == "waiting":
        return "Waiting for the run to begin"
    if not run.gains:
        if run.kind == "sft" and run.scalars["loss"].count():
            return f"Loss {run.scalars['loss'].drop_nulls()[-1]:.3f} after {run.status.done:,} updates"
        needs = "two batches with strategies" if run.scored else "to know what is right"
        return f"{run.status.done:,} updates so far; a gain needs {needs}"
    at = max(run.gains)
    gain = run.gains[at]
    value, low, high = gain["gain"]
    ends = "" if low is None or high is None else f" [{format.signed(low)}, {format.signed(high)}]"
    if (unparsed := missed(gain)) is not None:
        return f"After {at:,} updates {format.signed(value)} percentage points{ends}. {no_split(unparsed)}"
    if not any(excludes_zero(gain[term]) for term in TERMS):
        return f"After {at:,} updates no clear gain yet: {format.signed(value)} percentage points{ends}"
    split = lead_terms(gain)
    clause = lead_clause(split) if "lead" in gain else ""  # older logs do not say
    whole = format.signed(gain["gain"][0])
    if split.order_dependent:
        return f"After {at:,} updates {whole} percentage points{clause}: {ranges(leading(split))}"
    improved = gain["improvement"][0]
    terms = [
        f"{format.signed(gain['selection'][0])} by selecting strategies",
        f"{format.signed(improved)} by executing them {'worse' if improved < 0 else 'better'}",
    ]
    if abs(gain["new_strategy"][0]) >= 0.0005:
        terms.append(f"{format.signed(gain['new_strategy'][0])} by new ones")
    *first, last = terms
    return f"After {at:,} updates {whole} percentage points{clause}: {', '.join(first)} and {last}"


def excludes_zero(term: tuple[float, float | None, float | None]) -> bool:
    """Whether the interval of a term excludes 0; without an interval none does."""
    _, low, high = term
    return low is not None and high is not None and (low > 0 or high < 0)


def row(run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    """One line of a study's table."""
    status = run.status
    reward = format.finite(run.scalars["reward"].drop_nulls().tail(10).mean())
    return {
        "label": label_of(run, runs),
        "status": status,
        "part": part_of(status),
        "updates": f"{status.done:,}" + (f" / {status.total:,}" if status.total else "")
        if status.done or status.state == "running"
        else "",
        "pace": pace_text(status.pace) if status.pace else "",
        "left": format.duration(status.left) if status.left is not None else "",
        "reward": format.percent(reward) if reward is not None else "",
    }


def part_of(status: Status) -> float:
    """How much of a run is done, in percent."""
    if status.state == "done":
        return 100.0
    return round(100 * min(1.0, status.done / status.total), 1) if status.total else 0.0


def study_parts(study: StudyRun, runs: Sequence[Run]) -> dict[str, Any]:
    """What stands above the table of a study."""
    left = [run.status.left for run in runs if run.status.left is not None]
    settings = study.plan.settings
    done, running, total = study.evaluations()
    pairs = [
        (title, format.plain(settings[name]))
        for name, title in (("preset", "Preset"), ("model", "Model"))
        if settings.get(name)
    ]
    pairs += [
        ("Replicates begun", format.plain(sorted({run.replicate for run in runs}))),
        ("Evaluations and probes", f"{done} of {total}" + (f", {running} running" if running else "")),
    ]
    if study.took is not None:
        pairs.append(("Took", format.duration(study.took)))
    elif left:
        pairs.append(("Longest of those running, about", f"{format.duration(max(left))} to go"))
    whole = study.took is not None
    return {"facts": pairs, "begun": None if whole else study.begun, "whole": whole}


def terms_of(gain: Gain) -> dict[str, Number]:
    return {term: Number(*gain[term]) for term in TERMS if term != "gain" and term in gain}


def window_of(run: Run) -> int:
    """Updates on each side of the latest gain."""
    return min(run.window, run.counts["update"].n_unique() // 2)


def pace_text(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 60 else format.duration(seconds)
