"""What an SFT set shows, and a choice among its demonstrations, in a terminal of 80 columns, the answer first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stratagem.curation.demonstrations.result import DemonstrationCuration, KindFacts, Missing, SetFacts
from stratagem.curation.show import WIDTH, percent
from stratagem.records import Estimate

MOST_KINDS, MOST_STRATEGIES, MOST_MISSING = 8, 12, 12


def show_demonstrations(curation: DemonstrationCuration, console: Console) -> None:
    """Prints the result."""
    width = min(console.width, WIDTH)

    def put(what: Text | Table | str = "") -> None:
        console.print(what, width=width, highlight=False)

    put(Text(headline(curation), style="bold"))
    put(_sets(curation))
    put()
    put(Text(f"Strategies, by {curation.labels}", style="dim"))
    put(_strategies(curation))
    if curation.kinds:
        put()
        put(Text(f"Strategies in effect, by {', '.join(curation.by)}", style="dim"))
        put(_kinds(curation.kinds))
    if curation.missing:
        put()
        put(Text("Missing", style="dim"))
        put(_missing(curation.missing))


def headline(curation: DemonstrationCuration) -> str:
    """What the set shows, or what the choice gains over a random one."""
    whole = curation.everything
    strategies = len(curation.cover)
    if curation.chosen is None or curation.control is None:
        said = (
            f"{whole.demonstrations:,} of {curation.demonstrations:,} demonstrations may be taken: they show "
            f"{_number(whole.effective.value)} of {strategies} strategies in effect"
        )
        if math.isnan(curation.ess):
            return f"{said}."
        return (
            f"{said}, weighted {_number(curation.weighted)}; the weights cost as much as leaving "
            f"{whole.demonstrations - round(curation.ess):,} of them out."
        )
    chosen, new = curation.chosen.demonstrations, curation.written
    written = f" and {new:,} written by the task, {chosen:,} in all" if new else ""
    return (
        f"{chosen - new:,} of {curation.demonstrations:,} demonstrations are chosen{written}: they show "
        f"{_number(curation.chosen.effective.value)} of {strategies} strategies in effect, the random control "
        f"{_number(curation.control.effective.value)}."
    )


Sets = Sequence[tuple[str, SetFacts]]


def _known(everything: SetFacts, chosen: SetFacts | None, control: SetFacts | None) -> Sets:
    """The sets that there are, by name."""
    named = (("all", everything), ("chosen", chosen), ("control", control))
    return [(name, part) for name, part in named if part is not None]


def _sets(curation: DemonstrationCuration) -> Table:
    table = _table("")
    marks = [what for what in ("difficulty", "quality") if not math.isnan(getattr(curation.everything, what))]
    for name in ("rows", "problems", "in 2+ ways", f"in effect, {curation.level:.0%}", "words", *marks):
        table.add_column(name, justify="right", no_wrap=True)
    for name, part in _known(curation.everything, curation.chosen, curation.control):
        table.add_row(
            name,
            f"{part.demonstrations:,}",
            f"{part.problems:,}",
            f"{part.ways:,}",
            _interval(part.effective),
            _number(part.words, 0),
            *(_number(getattr(part, what), 2) for what in marks),
        )
    return table


def _strategies(curation: DemonstrationCuration) -> Table:
    """The share of each strategy in each set, of the demonstrations that show one by name."""
    table = _table("")
    sets = _known(curation.everything, curation.chosen, curation.control)
    table.add_column("rows", justify="right")
    for name, _ in sets:
        table.add_column(name, justify="right")
    shares = {
        strategy.name: (strategy.demonstrations, [part.strategies[place].share for _, part in sets])
        for place, strategy in enumerate(curation.everything.strategies)
    }
    used = [name for name, (count, _) in shares.items() if count or name in curation.cover]
    for name in used[:MOST_STRATEGIES]:
        count, of_sets = shares[name]
        table.add_row(
            name, f"{count:,}", *("–" if math.isnan(share) else percent(share) for share in of_sets)
        )
    _more(table, len(used) - MOST_STRATEGIES)
    if any(part.unnamed > 0 for _, part in sets):
        table.add_row("no name, of all", "", *(percent(part.unnamed) for _, part in sets))
    return table


def _kinds(kinds: Sequence[KindFacts]) -> Table:
    table = _table("")
    ordered = sorted(kinds, key=lambda kind: -kind.everything.demonstrations)
    table.add_column("rows", justify="right")
    for name, _ in _known(ordered[0].everything, ordered[0].chosen, ordered[0].control):
        table.add_column(name, justify="right")
    for kind in ordered[:MOST_KINDS]:
        table.add_row(
            Text(kind.name, overflow="ellipsis", no_wrap=True),
            f"{kind.everything.demonstrations:,}",
            *(_interval(part.effective) for _, part in _known(kind.everything, kind.chosen, kind.control)),
        )
    _more(table, len(ordered) - MOST_KINDS)
    return table


def _missing(missing: Sequence[Missing]) -> Table:
    table = _table("strategy")
    table.add_column("type")
    for name in ("there", "share", "wanted", "prompts to ask", "written"):
        table.add_column(name, justify="right")
    ordered = sorted(missing, key=lambda lack: -lack.wanted)
    for lack in ordered[:MOST_MISSING]:
        numbers = (lack.wanted, lack.asked, lack.written)
        table.add_row(
            lack.strategy,
            Text(lack.kind, overflow="ellipsis", no_wrap=True),
            f"{lack.demonstrations:,}",
            percent(lack.share),
            *(f"{number:,}" for number in numbers),
        )
    _more(table, len(ordered) - MOST_MISSING)
    return table


def _table(first: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column(first, no_wrap=True)
    return table


def _more(table: Table, number: int) -> None:
    """A line for those that are not shown."""
    if number > 0:
        table.add_row(f"… and {number} more", *[""] * (len(table.columns) - 1))


def _interval(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "–"
    return f"{_number(estimate.value)} [{_number(estimate.low)}, {_number(estimate.high)}]"


def _number(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:,.{digits}f}"
