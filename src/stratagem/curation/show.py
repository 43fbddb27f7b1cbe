"""A choice of prompts in a terminal of 80 columns, the answer first."""

from __future__ import annotations

import math

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stratagem.curation.result import Curation, Moves, PromptSet
from stratagem.records import Estimate

WIDTH = 80
MOST_STRATA = 20
LIES = ("too hard", "frontier", "too easy")


def show_curation(curation: Curation, console: Console) -> None:
    """Prints the result."""
    width = min(console.width, WIDTH)

    def put(what: Text | Table | str = "") -> None:
        console.print(what, width=width, highlight=False)

    put(Text(headline(curation), style="bold"))
    put(_sets(curation))
    for line in _left(curation):
        put(Text(line, style="dim"))
    if len(curation.strata) > 1:
        put()
        put(Text(f"Strata, by {', '.join(curation.by)}", style="dim"))
        put(_strata(curation))
    if curation.moves is not None:
        put()
        put(Text(_moved(curation, curation.moves)))
        put(_moves(curation.moves))


def headline(curation: Curation) -> str:
    """What the choice gains over a random one."""
    chosen, control = curation.chosen, curation.control
    sets = f"{chosen.prompts:,} of {curation.prompts:,} prompts are chosen"
    if chosen.prompts == curation.eligible:
        return (
            f"All {chosen.prompts:,} prompts that may be taken are kept: none is surely flat. --size N or "
            "--keep-signal 0.95 chooses among them."
        )
    if curation.measure == "variance":
        return (
            f"{sets}: the variance of the reward within a group is expected to be {_plain(chosen.signal.value)}, in a "
            f"random choice of this size {_plain(control.signal.value)}."
        )
    return (
        f"{sets}: {percent(chosen.signal.value)} of their groups of {curation.group} should hold right and wrong "
        f"responses, {percent(control.signal.value)} of the random control's."
    )


def _sets(curation: Curation) -> Table:
    rate = curation.measure == "signal"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    table.add_column("prompts", justify="right")
    table.add_column(
        f"groups with signal, {curation.level:.0%} interval" if rate else "variance in a group",
        justify="right",
    )
    table.add_column("pass rate" if rate else "mean reward", justify="right")
    for name, part in (
        ("chosen", curation.chosen),
        ("random control", curation.control),
        ("all that may be taken", curation.everything),
    ):
        shown = _interval(part.signal, rate)
        table.add_row(name, f"{part.prompts:,}", shown, _rate(part, rate))
    return table


def _rate(part: PromptSet, share: bool) -> str:
    if math.isnan(part.rate):
        return "–"
    return percent(part.rate) if share else _plain(part.rate)


def _left(curation: Curation) -> list[str]:
    """Prompts that are not chosen, by reason; and how many samples the others have."""
    dropped = curation.dropped
    parts = [
        (dropped.less, "have less signal"),
        (dropped.all_wrong, "surely all wrong"),
        (dropped.all_right, "surely all right"),
        (dropped.flat, "surely flat"),
        (dropped.no_rollouts, "without rollouts"),
        (dropped.duplicate, "there twice"),
        (dropped.held_out, "held out"),
    ]
    named = [f"{count:,} {what}" for count, what in parts if count]
    low, middle, high = curation.samples
    samples = f"{low}" if low == high else f"{low} to {high} (median {middle:g})"
    lines = [
        f"{curation.with_rollouts:,} prompts have rollouts, {samples} {'sample' if high == 1 else 'samples'} each; "
        f"{curation.shared:,} are in both the choice and the control."
    ]
    return [*([f"Not chosen: {', '.join(named)}."] if named else []), *lines]


def _strata(curation: Curation) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("")
    for name in ("prompts", "chosen", "share", "in the pool", "pass rate"):
        table.add_column(name, justify="right")
    ordered = sorted(curation.strata, key=lambda stratum: -stratum.prompts)
    for stratum in ordered[:MOST_STRATA]:
        table.add_row(
            Text(stratum.name, overflow="ellipsis", no_wrap=True),
            f"{stratum.prompts:,}",
            f"{stratum.chosen:,}",
            percent(stratum.share),
            percent(stratum.prompts / max(curation.eligible, 1)),
            "–" if math.isnan(stratum.mean) else percent(stratum.mean),
        )
    if len(ordered) > MOST_STRATA:
        table.add_row(f"… and {len(ordered) - MOST_STRATA} more", "", "", "", "", "")
    return table


def _moved(curation: Curation, moves: Moves) -> str:
    rate = curation.measure == "signal"
    what = "groups with signal" if rate else "variance of the reward in a group"
    before, after = (_interval(part.signal, rate) for part in (moves.before, moves.after))
    gone = f"{moves.left:,} of {sum(moves.counts[1]):,} prompts left the frontier"
    there = f"{moves.entered:,} entered it"
    return (
        f"Since the first rollouts {gone}, {there}. Over the {moves.prompts:,} prompts with rollouts of both, {what} "
        f"went from {before} to {after}."
    )


def _moves(moves: Moves) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("prompts, before (down) and now")
    used = [i for i in range(3) if any(row[i] for row in moves.counts) or any(moves.counts[i])]
    for i in used:
        table.add_column(LIES[i], justify="right")
    for i in used:
        table.add_row(LIES[i], *(f"{moves.counts[i][k]:,}" for k in used))
    return table


def _interval(estimate: Estimate, share: bool) -> str:
    form = percent if share else _plain
    if math.isnan(estimate.value):
        return "–"
    return f"{form(estimate.value)} [{form(estimate.low)}, {form(estimate.high)}]"


def percent(value: float) -> str:
    return f"{100 * value:.1f}%"


def _plain(value: float) -> str:
    return f"{value:.4g}"
