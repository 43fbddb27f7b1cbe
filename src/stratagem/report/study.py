"""The report of a study: one HTML page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import altair as alt
import polars as pl

from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED
from stratagem.report import charts, format, frames, page, traces, view
from stratagem.report import curves as curves_of_file
from stratagem.report.format import finite
from stratagem.report.page import Charts, Placed
from stratagem.study_result import Summary
from stratagem.tasks import make_task

HEALTH = {
    "reward": "Reward",
    "kl": "KL to the SFT model",
    "entropy": "Entropy",
    "no_signal": "Groups without signal",
    "length": "Length, tokens",
}


def render(summary: Summary, rollouts: pl.DataFrame, curves: pl.DataFrame, metrics: pl.DataFrame) -> str:
    """The page as HTML text.

    Args:
        summary: what summary.json holds.
        rollouts: the rollout table (`records.ROLLOUT_SCHEMA`) with seed, mode ("greedy" or "sampled") and
            error; its checkpoint holds the cell's name.
        curves: training rollouts counted: cell, seed, update, kind, difficulty, strategy, n, right.
        metrics: cell, seed, update, reward, kl, entropy, no_signal, length, seconds.

    Returns:
        One page without any link to another file. Its scripts are named by hash in its content security
        policy, so nothing that a model wrote can run.
    """
    kept = Charts()
    gains, task = view.gains(summary), make_task(summary.task)
    domain = charts.strata_domain(gains)
    arms, kinds, figures = [arm.name for arm in summary.arms], view.kinds(summary), summary.figures
    colours = charts.strategy_colours([*task.strategies, MIXED, OTHER, UNPARSED, TRUNCATED])
    context: dict[str, Any] = {
        "summary": summary,
        "task": task.about,
        "unit": task.unit,
        "facts": _facts(summary),
        "note": view.one_run_note(summary),
        "notes": view.notes(summary),
        "chance": finite(summary.chance),
        "columns": view.columns(summary),
        "terms": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
        "rows": view.table(summary),
        "others": [(name, view.table(summary, name)) for name in summary.others],
        "among": view.among(summary),
        "replicates": _replicates(kept, summary),
        "claims": view.claims(summary),
        "splices": view.splices(summary),
        "gains": gains,
        "orders": {gain.cell: view.orders(gain.result) for gain in gains},
        "overview": kept.add(
            charts.overview(summary), "Selection, improvement and new strategies of each arm"
        )
        if gains
        else None,
        "strata": _strata(kept, gains, domain, kinds, task.unit) if "strata" in figures else None,
        "paths": _paths(kept, summary) if "path" in figures else None,
        "without_path": [
            arm.name
            for arm in summary.arms
            if arm.stage == "rl" and arm.name not in {path.arm for path in summary.paths}
        ],
        "training": _training(kept, curves, finite(summary.chance), kinds, colours, task.unit)
        if "training" in figures
        else None,
        "health": _health(kept, metrics),
        "curves": curves_of_file.panels(kept, summary),
        "errors": _errors(kept, rollouts, arms, kinds) if "errors" in figures else None,
        "attempts": _attempts(kept, rollouts, summary) if "attempts" in figures else None,
        "traces": _traces(rollouts, gains, kinds, task.guesses) if "traces" in figures else None,
    }
    return page.render("study.html", context, kept)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    asked = summary.evaluation
    facts = [("Preset", format.plain(summary.preset)), ("Replicates", format.plain(len(summary.seeds)))]
    if asked is not None:
        facts += [
            ("Held-out problems", format.plain(asked.problems)),
            ("Samples a problem", format.plain(asked.samples)),
            ("Temperature", format.plain(asked.temperature)),
        ]
    return [*facts, ("Time", format.duration(finite(summary.elapsed_s)))]


def _strata(
    kept: Charts, gains: list[view.Gain], domain: tuple[float, float], kinds: list[str], unit: str
) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for gain in gains:
        there = {row.stratum.get("kind") for row in gain.result.strata}
        panels = [
            kept.add(
                charts.strata(gain, kind, domain, unit),
                f"{gain.cell}, {kind}: terms by number of {unit}",
                kind,
            )
            for kind in kinds
            if kind in there
        ]
        if panels:
            runs.append({"cell": gain.cell, "panels": panels})
    return runs


def _replicates(kept: Charts, summary: Summary) -> list[Placed]:
    """A chart for each column of the table, where replicates ship with the study."""
    there = {column for _, column, _, _ in view.beside_replicates(summary)}
    return [
        kept.add(charts.among(summary, column), f"{name}: this run among replicates", name)
        for column, name in view.columns(summary).items()
        if column in there
    ]


def _paths(kept: Charts, summary: Summary) -> list[dict[str, Any]]:
    """A chart for each arm that was trained by RL, all on one scale."""
    named = {
        path.arm: [
            {"update": update, **charts.bar(term, format.number(estimate))}
            for term in view.TERMS
            for update, estimate in zip(path.updates, getattr(path, term), strict=True)
        ]
        for path in summary.paths
    }
    domain = charts.extent([row for rows in named.values() for row in rows])
    x = alt.X("update:Q", title="update").axis(tickCount=4, grid=False)
    tip = alt.Tooltip("update:Q", title="up to update")
    return [
        {
            "arm": arm,
            "panel": kept.add(
                charts.so_far(rows, x, tip, domain=domain), f"{arm}: terms summed up over updates", arm
            ),
        }
        for arm, rows in named.items()
    ]


def _training(
    kept: Charts,
    curves: pl.DataFrame,
    chance: float | None,
    kinds: list[str],
    colours: dict[str, str],
    unit: str,
) -> list[dict[str, Any]]:
    runs: list[dict[str, Any]] = []
    for cell in curves["cell"].unique(maintain_order=True):
        mine = curves.filter(pl.col("cell") == cell)
        steps = charts.step_colours(mine["difficulty"].unique().sort().to_list())
        used = set(mine["strategy"].unique())
        strategies = {name: colour for name, colour in colours.items() if name in used}
        reward: list[Placed] = []
        shares: list[Placed] = []
        for kind in _among(kinds, mine):
            spec = charts.rates(frames.reward_rates(mine, cell, kind), "difficulty", steps, chance, unit)
            reward.append(
                kept.add(spec, f"{cell}: reward on {kind} over updates, by {unit}", f"reward, {kind}")
            )
            if len(used) > 1:  # one strategy alone is a flat line: said in words
                spec = charts.rates(frames.strategy_rates(mine, cell, kind), "strategy", strategies)
                shares.append(
                    kept.add(spec, f"{cell}: strategies on {kind} over updates", f"strategies, {kind}")
                )
        only = next(iter(used)) if len(used) == 1 else None
        runs.append(
            {"cell": cell, "steps": steps, "strategies": strategies, "only": only, "panels": reward + shares}
        )
    return runs


def _health(kept: Charts, metrics: pl.DataFrame) -> dict[str, Any]:
    names = [name for name in HEALTH if name in metrics.columns]
    cells = metrics["cell"].unique(maintain_order=True).to_list()
    scale = {cell: charts.PALETTE[i % len(charts.PALETTE)] for i, cell in enumerate(cells)}
    means = frames.health(metrics, names)
    panels: list[Placed] = []
    for name in names:
        part = means.filter(pl.col("name") == name)
        if part.height:
            panels.append(kept.add(charts.metric(part, scale), f"{HEALTH[name]} over updates", HEALTH[name]))
    return {"scale": scale, "panels": panels}


def _errors(kept: Charts, rollouts: pl.DataFrame, cells: list[str], kinds: list[str]) -> dict[str, Any]:
    shares = frames.error_shares(rollouts)
    names = (
        shares.group_by("error").agg(pl.col("share").sum()).sort("share", "error", descending=[True, False])
    )
    scale = {name: charts.PALETTE[i % len(charts.PALETTE)] for i, name in enumerate(names["error"])}
    there = [cell for cell in cells if cell in set(rollouts["checkpoint"].unique())]
    totals = shares.group_by("checkpoint", "kind").agg(pl.col("share").sum())["share"]
    top = 100 * float(totals.max() or 0)  # type: ignore[arg-type]
    panels: list[Placed] = []
    tables: list[dict[str, Any]] = []
    for kind in _among(kinds, shares):
        part = shares.filter(pl.col("kind") == kind)
        panels.append(
            kept.add(charts.errors(part, there, scale, top), f"Kinds of error on {kind} problems", kind)
        )
        # A kind of error that a cell did not show was seen 0 times there: a count, not a missing number.
        counts = {(c, e): s for c, e, s in part.select("checkpoint", "error", "share").iter_rows()}
        lines = [(cell, [counts.get((cell, name), 0.0) for name in scale]) for cell in there]
        tables.append({"kind": kind, "lines": lines})
    legend = [(format.words(name), colour) for name, colour in scale.items()]
    return {"scale": scale, "legend": legend, "panels": panels, "tables": tables}


def _attempts(kept: Charts, rollouts: pl.DataFrame, summary: Summary) -> dict[str, Any]:
    """A panel for each arm that starts from none, with the arms that come from it."""
    attempts = frames.pass_at_k(rollouts)
    there = {arm.name: arm for arm in summary.arms if arm.name in set(attempts["checkpoint"])}
    families: dict[str, list[str]] = {}
    for name, arm in there.items():
        families.setdefault(arm.root, []).append(name)
    # What was done to an arm last tells it from its family, as a rule; else its name does.
    labels = {name: arm.label for name, arm in there.items()}
    if any(len({labels[name] for name in family}) < len(family) for family in families.values()):
        labels = {name: name for name in there}
    shown = list(dict.fromkeys(labels.values()))
    scale = {label: charts.STAGE_COLOURS[i % len(charts.STAGE_COLOURS)] for i, label in enumerate(shown)}
    panels: list[Placed] = []
    for root, family in families.items():
        part = attempts.filter(pl.col("checkpoint").is_in(family))
        spec = charts.attempts(part.with_columns(pl.col("checkpoint").replace(labels)), scale)
        panels.append(kept.add(spec, f"pass@k of {root} and what comes from it", root))
    return {"scale": scale, "panels": panels}


def _traces(
    rollouts: pl.DataFrame, gains: list[view.Gain], kinds: list[str], guesses: Collection[str]
) -> list[dict[str, Any]]:
    runs = [
        {"cell": gain.cell, "pairs": traces.pairs(rollouts, gain.before, gain.cell, kinds, guesses)}
        for gain in gains
    ]
    return [run for run in runs if run["pairs"]]


def _among(kinds: list[str], frame: pl.DataFrame) -> list[str]:
    """The kinds of problem that are in a frame, in the table's order, others after them."""
    there = set(frame["kind"].unique())
    known = [kind for kind in kinds if kind in there]
    return known + sorted(str(kind) for kind in there - set(kinds) if kind is not None)
