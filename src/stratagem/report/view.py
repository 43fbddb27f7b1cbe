"""What the page and the terminal show, from what summary.json holds: only differences are computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from stratagem.decomposition.leading import Terms, lead_sentence
from stratagem.records import ALL
from stratagem.report.format import Number, finite, number, percent, signed, words

TERMS = {"selection": "Selection", "improvement": "Improvement", "new_strategy": "New strategy"}
VERDICT_SIGNS = {"upheld": "✓", "refuted": "✗", "undecided": "?"}
ORDERS = {
    "select, then improve": None,
    "improve, then select": "reverse",
    "symmetric": "symmetric",
    "three-fold": "threefold",
}

Summary = dict[str, Any]


@dataclass(frozen=True, slots=True)
class TableCell:
    """One number of the table: ours and the published one, both as fractions."""

    ours: Number
    study: float | None

    @property
    def difference(self) -> float | None:
        if self.ours.value is None or self.study is None:
            return None
        return self.ours.value - self.study


@dataclass(frozen=True, slots=True)
class TableRow:
    """An arm's row; `root` is the arm that it comes from, first of all."""

    cell: str
    root: str
    cells: dict[str, TableCell]


@dataclass(frozen=True, slots=True)
class Gain:
    """One arm: its gain over the arm `before` that it began from, and the gain's terms."""

    cell: str
    gain: Number
    terms: dict[str, Number]
    raw: dict[str, Any]
    before: str = ""


@dataclass(frozen=True, slots=True)
class Claim:
    id: str
    statement: str
    verdict: str
    difference: Number
    parts: list[Claim]

    @property
    def sign(self) -> str:
        return VERDICT_SIGNS.get(self.verdict, "?")


def record(source: dict[str, Any], key: str) -> dict[str, Any]:
    """The object under `key`, empty where there is none."""
    return source.get(key) or {}


def records(source: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key`, empty where there is none."""
    return source.get(key) or []


def arms(summary: Summary) -> dict[str, dict[str, Any]]:
    """What the study says of each arm, by name."""
    return {arm["name"]: arm for arm in summary["arms"]}


def columns(summary: Summary) -> dict[str, str]:
    """The columns of the table with their titles: all problems, and each kind."""
    return {name: words(name).capitalize() for name in summary["columns"]}


def kinds(summary: Summary) -> list[str]:
    """Kinds of problem in the order of the table."""
    return [name for name in summary["columns"] if name != ALL]


def table(summary: Summary, evaluation: str | None = None) -> list[TableRow]:
    """The table's rows in the order of the arms, of the first evaluation or of another one, which nobody published."""
    cells = summary["cells"] if evaluation is None else summary["others"][evaluation]
    rows: list[TableRow] = []
    for name, arm in arms(summary).items():
        published = record(summary["study"], name) if evaluation is None else {}
        row: dict[str, TableCell] = {}
        for column in summary["columns"]:
            theirs = finite(published.get(column))
            row[column] = TableCell(
                number(record(cells, name).get(column)), None if theirs is None else theirs / 100
            )
        rows.append(TableRow(name, arm["root"], row))
    return rows


def gains(summary: Summary) -> list[Gain]:
    """The arms with their gains, in the order of summary.json."""
    starts = arms(summary)
    return [
        Gain(
            cell,
            number(raw.get("gain")),
            {term: number(raw.get(term)) for term in TERMS},
            raw,
            starts[cell]["start"],
        )
        for cell, raw in summary["gains"].items()
    ]


def claims(summary: Summary) -> list[Claim]:
    return [
        Claim(
            str(raw.get("id", "")),
            str(raw.get("statement", "")),
            str(raw.get("verdict") or "undecided"),
            number(raw, "difference"),
            [
                Claim(
                    "",
                    str(part.get("statement", "")),
                    str(part.get("verdict") or "undecided"),
                    number(part),
                    [],
                )
                for part in records(raw, "parts")
            ],
        )
        for raw in summary["claims"]
    ]


def orders(gain: Gain) -> list[tuple[str, dict[str, Number]]]:
    """The gain's terms in each order of accounting, `interaction` too where it has one."""
    found: list[tuple[str, dict[str, Number]]] = []
    for name, key in ORDERS.items():
        source = gain.raw if key is None else record(gain.raw, key)
        found.append((name, {term: number(source.get(term)) for term in (*TERMS, "interaction")}))
    return found


def notes(summary: Summary) -> list[str]:
    """What has to be said beside the gains: their level, the order, cells without support, lengths."""
    found: list[str] = []
    runs = gains(summary)
    levels = sorted({" x ".join(run.raw["by"]) for run in runs if run.raw.get("by")})
    if levels:
        found.append(f"Level: {', '.join(levels)}.")
    found += leads(runs)
    shares = [(number(run.raw.get("unsupported_share")).value, run.cell) for run in runs]
    known = [(share, cell) for share, cell in shares if share is not None]
    if known:
        share, cell = max(known)
        where = f", in {cell}" if share else ""
        found.append(f"Responses without a counterpart in the other model: at most {percent(share)}%{where}.")
    changes: list[tuple[float, str]] = []
    for run in runs:
        first, last = (finite(run.raw.get(key)) for key in ("length_before", "length_after"))
        if first and last is not None:
            changes.append((last / first - 1, run.cell))
    if changes:
        change, cell = max(changes, key=lambda it: abs(it[0]))
        found.append(f"Mean length changed most in {cell}, by {signed(change)}%.")
    return found


def leads(runs: list[Gain]) -> list[str]:
    """Which part of each gain is larger, gains of one answer together."""
    cells: dict[str, list[str]] = {}
    for run in runs:
        if run.raw.get("lead") is None:
            continue
        known = {name: run.raw[name] for name in Terms.__struct_fields__ if run.raw.get(name) is not None}
        sentence = lead_sentence(msgspec.convert(_agreed(known) | {"by": None}, Terms, strict=False))
        cells.setdefault(sentence, []).append(run.cell)
    return [f"{', '.join(names)}: {sentence[:1].lower()}{sentence[1:]}" for sentence, names in cells.items()]


def _agreed(known: dict[str, Any]) -> dict[str, Any]:
    """Where replicates have different leads, none leads."""
    parts = {name: _agreed(part) if name == "by_problem" else part for name, part in known.items()}
    split = parts.get("lead") in (None, "selection", "choice", "improvement", "undecided")
    return parts if split else parts | {"lead": "undecided"}


def one_run_note(summary: Summary) -> str:
    """What the replicates allow one to say."""
    replicates = len(summary.get("seeds") or [])
    if replicates == 1:
        return "One replicate: each verdict holds in this run. Intervals cover the choice of problems only."
    return f"{replicates} replicates, each with a training seed of its own; intervals are over replicates."


def chance(summary: Summary) -> float | None:
    return finite(summary.get("chance"))
