"""The page of a run that is going on: its parts as HTML and its charts, made anew whenever the run has moved on."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import StratagemError
from stratagem.report import charts, format, frames, page, view
from stratagem.report.format import Number
from stratagem.report.page import Charts, Placed
from stratagem.watch.charts import Kept, gain_curve
from stratagem.watch.gain import WINDOW
from stratagem.watch.log import TERMS, Gain
from stratagem.watch.run import CONFIG, STUDY, Run, StageRun, Status, StudyRun, settings_of
from stratagem.watch.trl import TRLRun, is_trl
from stratagem.watch.verl import VerlRun, is_verl

EVERY = 2.0  # seconds between two looks of the page
SHARE = 0.05  # of a core that looking may take, since the run may need it
MOST_KINDS = 6  # panels of one curve
HEALTH = {
    "reward": "Reward",
    "no_signal": "Groups without signal",
    "kl": "KL to the start",
    "entropy": "Entropy",
    "length": "Length, tokens",
    "loss": "Loss",
    "accuracy": "Accuracy of tokens",
    "grad_norm": "Norm of the gradient",
}
STATES = {
    "waiting": "not begun",
    "running": "running",
    "quiet": "nothing new for long",
    "stopped": "no process here works on it; the same command resumes",
    "done": "done",
}


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows at a moment: the HTML of its parts, its charts, and a key that changes with them."""

    key: str
    html: str
    charts: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return {"seen": self.key, "html": self.html, "charts": self.charts, "now": time.time()}


class Named(Charts):
    """Charts by their labels: one that appears later changes the name of no other, so each is kept where it is."""

    def add(self, spec: charts.Spec, label: str, title: str = "") -> Placed:
        """Keeps a chart; a label names one chart of a page."""
        name = f"chart-{hashlib.sha256(label.encode()).hexdigest()[:12]}"
        self.specs[name] = spec
        return {"id": name, "label": label, "title": title}


class Watched:
    """A folder that is watched. Which kind of run it is shows as soon as something is there.

    Args:
        score: for a run of TRL or verl with several rewards, the column that says what is right.

    Raises:
        StratagemError: the folder holds something that cannot be watched, or cannot come to be.
    """

    def __init__(self, out: Path, score: str | None = None) -> None:
        self.out = out.with_name(out.name.removesuffix(".partial")) if out.name != ".partial" else out
        self.score = score
        self._made = Kept()
        self._shown: Shown | None = None
        self._next = 0.0
        self._source: StageRun | StudyRun | TRLRun | VerlRun | None = self._find()
        if self._source is None and not self.out.absolute().parent.is_dir():
            raise StratagemError(
                f"{out}: no such folder, and {self.out.absolute().parent} is not there either"
            )

    def _find(self) -> StageRun | StudyRun | TRLRun | VerlRun | None:
        """What is there; None where there is nothing yet."""
        out, partial = self.out, self.out.with_name(f"{self.out.name}.partial")
        if (out / STUDY).is_file():
            return StudyRun(out)
        for folder in (out, partial):
            if stage := settings_of(folder).get("stage"):
                if stage not in ("sft", "rl"):
                    raise StratagemError(
                        f"{folder}: holds a {stage}: watch shows trainings (sft, rl) and studies"
                    )
                return StageRun(out)
        if out.is_dir() and is_trl(out):
            return TRLRun(out, self.score)
        if out.is_dir() and is_verl(out):
            return VerlRun(out, self.score)
        if partial.is_dir() or not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return None
        if not out.is_dir():
            raise StratagemError(f"{out}: a file; name the folder of a run")
        inside = sorted(
            path.name.removesuffix(".partial")
            for path in out.iterdir()
            if (path / CONFIG).is_file() or (path / STUDY).is_file()
        )
        if inside:
            raise StratagemError(f"{out}: no run itself; it holds {', '.join(inside[:5])}: name one of them")
        raise StratagemError(
            f"{out}: no run there: neither a stage or study of stratagem ({CONFIG}, {STUDY}) nor what TRL writes "
            "(checkpoint-N/trainer_state.json, completions/) or verl (rollout_data_dir with STEP.jsonl)"
        )

    def show(self) -> Shown:
        """The page's parts as the run stands now, or stood a moment ago: looking takes little of a core."""
        now = time.monotonic()
        if self._shown is None or now >= self._next:
            self._shown = self._look()
            self._next = time.monotonic() + (time.monotonic() - now) / SHARE
        return self._shown

    def _look(self) -> Shown:
        if self._source is None:
            self._source = self._find()
        kept = Named()
        context: dict[str, Any] = {"name": self.out.name or str(self.out), "states": STATES, "study": None}
        match self._source:
            case None:
                runs = [Run(self.out.name)]
            case StudyRun() as study:
                runs = study.poll()
                context["study"] = _study(study, runs)
            case one:
                runs = [one.poll()]
        html = page.render("_watch.html", context | _parts(kept, self._made, runs), kept)
        key = hashlib.sha256((html + json.dumps(kept.specs)).encode()).hexdigest()[:16]
        return Shown(key, html, kept.specs)


def shell(shown: Shown, name: str) -> str:
    """The whole page, which then keeps itself up to date from ``data``."""
    context = {"name": name, "shown": shown.html, "every": EVERY, "charts": page.embed(shown.as_json())}
    return page.render("watch.html", context, Charts(), ["watch.js"])


# -- parts -------------------------------------------------------------------------------------------------


def _parts(kept: Charts, made: Kept, runs: Sequence[Run]) -> dict[str, Any]:
    gains = [(label_of(run, runs), run.gains[max(run.gains)], run) for run in runs if run.gains]
    named = [
        (
            f"{label}|gain {format.signed(gain['gain'][0])}"
            if len(runs) > 1
            else f"gain {format.signed(gain['gain'][0])}",
            terms_of(gain),
        )
        for label, gain, _ in gains
    ]
    begun = [run for run in runs if run.scalars.height or run.counts.height]
    found: dict[str, Any] = {
        "one": runs[0] if len(runs) == 1 else None,
        "facts": _facts(runs[0]) if len(runs) == 1 else [],
        "answer": _answer(runs),
        "notes": [
            note if len(runs) == 1 else f"{label_of(run, runs)}: {note}" for run in runs for note in run.notes
        ],
        "rows": [_row(run, runs) for run in runs],
        "split": kept.add(
            charts.split(named, "points of accuracy gained since the start"),
            "The gain since the start, split",
        )
        if named
        else None,
        "window": max((window_of(run) for _, _, run in gains), default=0),
        "curves": [
            kept.add(
                gain_curve(run.gains),
                f"{label_of(run, runs)}: the gain since the start over updates",
                label_of(run, runs) if len(runs) > 1 else "over updates",
            )
            for _, _, run in gains
            if len(run.gains) > 2
        ],
        "terms": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
        "training": _training(kept, made, runs),
        "health": _health(kept, made, begun),
    }
    return found


def _facts(run: Run) -> list[tuple[str, str]]:
    status = run.status
    found = [("State", STATES[status.state] if status.state != "stopped" else "stopped")]
    found.append(("Updates", f"{status.done:,}" + (f" of {status.total:,}" if status.total else "")))
    if status.pace:
        found.append(("Time an update", pace_text(status.pace)))
    if status.left is not None:
        found.append(("To go, about", format.duration(status.left)))
    steps = run.settings.get("steps")
    if isinstance(steps, list) and len(steps) == 2:
        found.append(("Steps", f"{steps[0]}-{steps[1]}"))
    if run.settings.get("strategy"):
        found.append(("Strategies", format.plain(run.settings["strategy"])))
    return found


def _answer(runs: Sequence[Run]) -> str:
    """The run in a sentence."""
    if len(runs) != 1:
        states = [run.status.state for run in runs]
        words = [
            f"{states.count(s)} {s}"
            for s in ("done", "running", "quiet", "stopped", "waiting")
            if s in states
        ]
        return f"{len(runs)} trainings: {', '.join(words)}"
    run = runs[0]
    if run.status.state == "waiting":
        return "Waiting for the run to begin"
    if not run.gains:
        if run.kind == "sft" and "loss" in run.scalars.columns and run.scalars["loss"].count():
            return f"Loss {run.scalars['loss'].drop_nulls()[-1]:.3f} after {run.status.done:,} updates"
        return f"{run.status.done:,} updates so far; a gain needs two batches with strategies"
    at = max(run.gains)
    gain = run.gains[at]
    if not any(clear(gain[term]) for term in TERMS):
        value, low, high = gain["gain"]
        ends = "" if low is None or high is None else f" [{format.signed(low)}, {format.signed(high)}]"
        return f"After {at:,} updates no clear gain yet: {format.signed(value)} points{ends}"
    improved = gain["improvement"][0]
    parts = [
        f"{format.signed(gain['selection'][0])} by selecting strategies",
        f"{format.signed(improved)} by executing them {'worse' if improved < 0 else 'better'}",
    ]
    if abs(gain["new_strategy"][0]) >= 0.0005:
        parts.append(f"{format.signed(gain['new_strategy'][0])} by new ones")
    *first, last = parts
    whole = format.signed(gain["gain"][0])
    return f"After {at:,} updates {whole} points since the start: {', '.join(first)} and {last}"


def clear(term: tuple[float, float | None, float | None]) -> bool:
    """Whether an interval leaves out 0; without an interval nothing is clear."""
    _, low, high = term
    return low is not None and high is not None and (low > 0 or high < 0)


def _row(run: Run, runs: Sequence[Run]) -> dict[str, Any]:
    status = run.status
    reward = run.scalars["reward"].drop_nulls().tail(10).mean() if run.scalars.height else None
    return {
        "label": label_of(run, runs),
        "status": status,
        "part": part_of(status),
        "updates": f"{status.done:,}" + (f" / {status.total:,}" if status.total else "")
        if status.done or status.state == "running"
        else "",
        "pace": pace_text(status.pace) if status.pace else "",
        "left": format.duration(status.left) if status.left is not None else "",
        "reward": format.percent(format.finite(reward)) if reward is not None else "",
    }


def part_of(status: Status) -> float:
    """How much of a run is done, in percent."""
    if status.state == "done":
        return 100.0
    return round(100 * min(1.0, status.done / status.total), 1) if status.total else 0.0


def _study(study: StudyRun, runs: Sequence[Run]) -> dict[str, Any]:
    seeds = sorted({run.seed for run in runs})
    left = [run.status.left for run in runs if run.status.left is not None]
    evaluations = [sum(found[i] for found in study.evaluations.values()) for i in range(3)]
    facts = [
        ("Preset", format.plain(study.settings.get("preset"))),
        ("Seeds begun", format.plain(seeds)),
        (
            "Evaluations and probes",
            f"{evaluations[0]} of {evaluations[2]}"
            + (f", {evaluations[1]} running" if evaluations[1] else ""),
        ),
    ]
    if study.settings.get("model"):
        facts.insert(1, ("Model", format.plain(study.settings["model"])))
    if study.took is not None:
        facts.append(("Took", format.duration(study.took)))
    elif left:
        facts.append(("Longest of those running, about", f"{format.duration(max(left))} to go"))
    return {
        "facts": facts,
        "begun": None if study.took is not None else study.begun,
        "whole": study.took is not None,
    }


def _training(kept: Charts, made: Kept, runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Curves of each cell, its seeds together: reward by number of steps, share and accuracy of each strategy."""
    found: list[dict[str, Any]] = []
    for name in dict.fromkeys(run.name for run in runs):
        mine = [run for run in runs if run.name == name and run.counts.height]
        if not mine:
            continue
        counts = pl.concat(
            [run.counts.with_columns(cell=pl.lit(name), seed=pl.lit(run.seed, pl.Int32)) for run in mine]
        )
        kinds = counts.group_by("kind").agg(pl.col("n").sum()).sort("n", descending=True)["kind"].to_list()
        kinds = sorted(kinds[:MOST_KINDS], key=lambda kind: (kind != "inversion", kind))
        steps = counts["difficulty"].unique().sort().to_list()
        used = (
            counts.group_by("strategy")
            .agg(pl.col("n").sum())
            .sort("n", descending=True)["strategy"]
            .to_list()
        )
        others = [colour for colour in charts.PALETTE if colour not in charts.STRATEGY_COLOURS.values()]
        spare = [*(charts.PALETTE if not set(used) & charts.STRATEGY_COLOURS.keys() else others)]
        unknown = [s for s in used if s not in charts.STRATEGY_COLOURS]
        strategies = {s: charts.STRATEGY_COLOURS.get(s) or spare[unknown.index(s) % len(spare)] for s in used}
        scored = all(run.scored for run in mine)
        panels: list[list[Placed]] = [[], [], []]
        for kind in kinds:
            label = "" if kind == "all" else f", {kind}"
            if scored and len(steps) > 1:
                spec = made.rates(
                    frames.reward_rates(counts, name, kind), "difficulty", charts.step_colours(steps)
                )
                panels[0].append(kept.add(spec, f"{name}: reward by steps{label}", f"reward{label}"))
            if len(used) > 1:
                spec = made.rates(frames.strategy_rates(counts, name, kind), "strategy", strategies)
                panels[1].append(kept.add(spec, f"{name}: share of each strategy{label}", f"share{label}"))
            if scored:
                spec = made.rates(accuracy_rates(counts, kind), "strategy", strategies)
                panels[2].append(kept.add(spec, f"{name}: accuracy by strategy{label}", f"accuracy{label}"))
        found.append({
            "cell": name, "title": format.cell_label(name) if len(runs) > 1 else "",
            "steps": charts.step_colours(steps) if scored and len(steps) > 1 else {},
            "strategies": strategies, "panels": [panel for row in panels for panel in row],
            "only": used[0] if len(used) == 1 else None,
            "wide": len(kinds) == 1,
            "some": len(mine) > 1,
        })  # fmt: skip
    return found


def accuracy_rates(counts: pl.DataFrame, kind: str) -> pl.DataFrame:
    """Share of right responses of each strategy, over updates."""
    mine = counts.filter(pl.col("kind") == kind)
    return frames.rates(mine.rename({"right": "part", "n": "whole"}), "strategy")


def _health(kept: Charts, made: Kept, runs: Sequence[Run]) -> dict[str, Any]:
    tables = [
        run.scalars.with_columns(cell=pl.lit(run.name), seed=pl.lit(run.seed))
        for run in runs
        if run.scalars.height
    ]
    if not tables:
        return {"scale": {}, "panels": []}
    metrics = pl.concat(tables)
    # In a study the stages have different sets of numbers, and one chart less is easier to read.
    names = [name for name in HEALTH if metrics[name].count() and not (name == "grad_norm" and len(runs) > 1)]
    cells = metrics["cell"].unique(maintain_order=True).to_list()
    scale = {cell: charts.PALETTE[i % len(charts.PALETTE)] for i, cell in enumerate(cells)}
    means = frames.health(metrics, names) if names else pl.DataFrame({"name": []})
    panels = [
        kept.add(made.metric(part, scale), f"{HEALTH[name]} over updates", HEALTH[name])
        for name in names
        if (part := means.filter(pl.col("name") == name)).height
    ]
    legend = {format.cell_label(cell): colour for cell, colour in scale.items()} if len(cells) > 1 else {}
    return {"scale": legend, "panels": panels}


def label_of(run: Run, runs: Sequence[Run]) -> str:
    """A run's name, with its seed where there are several."""
    label = format.cell_label(run.name)
    return f"{label} seed {run.seed}" if len({one.seed for one in runs}) > 1 else label


def terms_of(gain: Gain) -> dict[str, Number]:
    return {term: Number(*gain[term]) for term in TERMS if term != "gain"}


def window_of(run: Run) -> int:
    """Updates on each side of the latest gain."""
    return min(WINDOW, run.counts["update"].n_unique() // 2)


def pace_text(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 60 else format.duration(seconds)
