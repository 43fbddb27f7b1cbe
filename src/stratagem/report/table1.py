"""The report of the study "Table 1": one HTML page that needs nothing but itself."""

from __future__ import annotations

from typing import Any

import polars as pl

from stratagem.report import charts, format, frames, page, traces, view
from stratagem.report.page import Charts, Placed
from stratagem.report.view import Summary

HEALTH = {
    "reward": "Reward",
    "kl": "KL to the SFT model",
    "entropy": "Entropy",
    "no_signal": "Groups without signal",
    "length": "Length, tokens",
}
KIND_ORDER = ("inversion", "evaluation")  # the order of the study's table


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
    gains = view.gains(summary)
    domain = charts.strata_domain(gains)
    context: dict[str, Any] = {
        "summary": summary,
        "facts": _facts(summary),
        "note": view.one_run_note(summary),
        "notes": view.notes(summary),
        "chance": view.chance(summary),
        "columns": view.COLUMNS,
        "terms": [(view.TERMS[term], colour) for term, colour in charts.TERM_COLOURS.items()],
        "rows": view.table(summary),
        "claims": view.claims(summary),
        "gains": gains,
        "orders": {gain.cell: view.orders(gain) for gain in gains},
        "overview": kept.add(
            charts.overview(summary), "Selection, improvement and new strategies of each RL run"
        ),
        "strata": _strata(kept, gains, domain),
        "training": _training(kept, curves, view.chance(summary)),
        "health": _health(kept, metrics),
        "errors": _errors(kept, rollouts, [row.cell for row in view.table(summary)]),
        "attempts": _attempts(kept, rollouts, [row.cell for row in view.table(summary)]),
        "traces": _traces(rollouts, gains),
    }
    return page.render("table1.html", context, kept)


def _facts(summary: Summary) -> list[tuple[str, str]]:
    evaluation = view.record(summary, "evaluation")
    return [
        ("Preset", format.plain(summary.get("preset"))),
        ("Seeds", format.plain(summary.get("seeds"))),
        ("Held-out problems", format.plain(evaluation.get("problems"))),
        ("Samples a problem", format.plain(evaluation.get("samples"))),
        ("Temperature", format.plain(evaluation.get("temperature"))),
        ("Time", format.duration(summary.get("elapsed_s"))),
    ]


def _strata(kept: Charts, gains: list[view.Gain], domain: tuple[float, float]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for gain in gains:
        there = {stratum.get("kind") for stratum in view.records(gain.raw, "strata")}
        panels = [
            kept.add(
                charts.strata(gain, kind, domain), f"{gain.cell}, {kind}: terms by number of steps", kind
            )
            for kind in _kinds(there)
        ]
        if panels:
            found.append({"cell": gain.cell, "panels": panels})
    return found


def _training(kept: Charts, curves: pl.DataFrame, chance: float | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for cell in curves["cell"].unique(maintain_order=True):
        mine = curves.filter(pl.col("cell") == cell)
        steps = charts.step_colours(mine["difficulty"].unique().sort().to_list())
        used = mine["strategy"].unique().sort().to_list()
        strategies = {name: charts.STRATEGY_COLOURS.get(name, charts.PALETTE[3]) for name in used}
        reward: list[Placed] = []
        shares: list[Placed] = []
        for kind in _kinds(set(mine["kind"].unique())):
            spec = charts.rates(frames.reward_rates(mine, cell, kind), "difficulty", steps, chance)
            reward.append(
                kept.add(spec, f"{cell}: reward on {kind} over updates, by steps", f"reward, {kind}")
            )
            if len(used) > 1:  # one strategy alone is a flat line: said in words
                spec = charts.rates(frames.strategy_rates(mine, cell, kind), "strategy", strategies)
                shares.append(
                    kept.add(spec, f"{cell}: strategies on {kind} over updates", f"strategies, {kind}")
                )
        only = used[0] if len(used) == 1 else None
        found.append(
            {"cell": cell, "steps": steps, "strategies": strategies, "only": only, "panels": reward + shares}
        )
    return found


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
    return {"scale": {format.cell_label(cell): colour for cell, colour in scale.items()}, "panels": panels}


def _errors(kept: Charts, rollouts: pl.DataFrame, cells: list[str]) -> dict[str, Any]:
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
    for kind in _kinds(set(shares["kind"].unique())):
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


def _attempts(kept: Charts, rollouts: pl.DataFrame, cells: list[str]) -> dict[str, Any]:
    found = frames.pass_at_k(rollouts)
    stages = list(dict.fromkeys(cell.split("/")[-1] for cell in cells))
    scale = {s: charts.STAGE_COLOURS[i % len(charts.STAGE_COLOURS)] for i, s in enumerate(stages)}
    split = found.with_columns(
        family=pl.col("checkpoint").str.split("/").list.first(),
        checkpoint=pl.col("checkpoint").str.split("/").list.last(),
    )
    families = [f for f in dict.fromkeys(c.split("/")[0] for c in cells) if f in set(split["family"])]
    panels: list[Placed] = []
    for family in families:
        part = split.filter(pl.col("family") == family).drop("family")
        panels.append(kept.add(charts.attempts(part, scale), f"pass@k of {family} models", family))
    return {"scale": scale, "panels": panels}


def _traces(rollouts: pl.DataFrame, gains: list[view.Gain]) -> list[dict[str, Any]]:
    found = [{"cell": g.cell, "pairs": traces.pairs(rollouts, view.before(g.cell), g.cell)} for g in gains]
    return [run for run in found if run["pairs"]]


def _kinds(there: set[Any]) -> list[str]:
    """The kinds that are there, in the study's order, others after them."""
    known = [kind for kind in KIND_ORDER if kind in there]
    return known + sorted(str(kind) for kind in there - set(KIND_ORDER) if kind is not None)
