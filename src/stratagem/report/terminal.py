"""The study "Table 1" in a terminal of 80 columns: the answer, the table, the gains and the claims."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from stratagem.report import view
from stratagem.report.format import (
    Number,
    bounds_text,
    cell_label,
    interval,
    percent,
    plain,
    signed,
    signed_interval,
)
from stratagem.report.view import Summary

STYLES = {"upheld": "green", "refuted": "red", "undecided": "yellow"}
WIDTH = 80


def show(summary: Summary, console: Console) -> None:
    """Prints the summary, the answer first. Colours add nothing that the words do not say."""
    width = min(console.width, WIDTH)

    def put(what: Text | Table | Padding | str = "") -> None:
        console.print(what, width=width, highlight=False)

    put(Text(str(summary["answer"]), style="bold"))
    put()
    put(Text("Accuracy in % with 95% intervals, and the study's", style="dim"))
    put(_table(summary))
    put()
    put(Text("Gain over SFT in points, and its terms, with 95% intervals", style="dim"))
    put(_gains(summary))
    for note in view.notes(summary):
        put(Text(note, style="dim"))
    put()
    put(Text(f"The study's claims. {view.one_run_note(summary)}", style="dim"))
    for claim in view.claims(summary):
        put(_claim(claim))
    evaluation = view.record(summary, "evaluation")
    sizes = f"{plain(evaluation.get('problems'))} problems x {plain(evaluation.get('samples'))} samples"
    put()
    put(
        Text(
            f"preset {plain(summary.get('preset'))}, seeds {plain(summary.get('seeds'))}, {sizes}",
            style="dim",
        )
    )


def _grid(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    for i, name in enumerate(columns):
        table.add_column(name, justify="left" if i == 0 else "right", no_wrap=True)
    return table


def _table(summary: Summary) -> Table:
    table = _grid("", *(part for name in view.COLUMNS.values() for part in (name, "study")))
    rows = view.table(summary)
    for i, row in enumerate(rows):
        cells: list[Text] = []
        for cell in row.cells.values():
            cells.append(_level(cell.ours))
            cells.append(Text(_short(cell.study), style="dim"))
        last = i + 1 < len(rows) and rows[i + 1].family != row.family
        table.add_row(cell_label(row.cell), *cells, end_section=last)
    return table


def _level(n: Number) -> Text:
    """Whole points in the interval: six columns have to fit."""
    ends = " " + interval(n, 0).replace(", ", ",") if n.has_interval else ""
    return Text.assemble((_short(n.value), "bold"), ends)


def _short(x: float | None) -> str:
    return percent(x).replace("100.0", "100")


def _gains(summary: Summary) -> Table:
    table = _grid("", "Gain", *view.TERMS.values())
    for gain in view.gains(summary):
        table.add_row(cell_label(gain.cell), *(_term(n) for n in (gain.gain, *gain.terms.values())))
    return table


def _term(n: Number) -> Text:
    if n.bounds is not None:
        return Text(bounds_text(n))
    return Text.assemble((signed(n.value), "bold"), "\n", (signed_interval(n).replace(", ", ","), "dim"))


def _claim(claim: view.Claim) -> Table:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=11, no_wrap=True)
    row.add_column()
    text = Text(f"{claim.id}. {claim.statement}")
    if claim.difference.value is not None:
        text.append(f" {signed(claim.difference.value)} {signed_interval(claim.difference)}", style="bold")
    row.add_row(Text(f"{claim.sign} {claim.verdict}", style=STYLES.get(claim.verdict, "")), text)
    return row
