"""What the page and the terminal show, from what summary.json holds: only differences are computed here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stratagem.report.format import Number, cell_label, finite, number, percent, signed

COLUMNS = {"all": "All", "inversion": "Inversion", "evaluation": "Evaluation"}
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
    """One number of Table 1: ours and the study's, both as fractions."""

    ours: Number
    study: float | None

    @property
    def difference(self) -> float | None:
        if self.ours.value is None or self.study is None:
            return None
        return self.ours.value - self.study


@dataclass(frozen=True, slots=True)
class TableRow:
    cell: str
    cells: dict[str, TableCell]

    @property
    def family(self) -> str:
        return self.cell.split("/")[0]


@dataclass(frozen=True, slots=True)
class Gain:
    """One RL run: its gain over the SFT it began from, and the gain's terms."""

    cell: str
    gain: Number
    terms: dict[str, Number]
    raw: dict[str, Any]


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


def before(cell: str) -> str:
    """The cell that an RL run began from: ``FB/SFT`` for ``FB/RL(6-9)``."""
    return cell.split("/")[0] + "/SFT"


def table(summary: Summary) -> list[TableRow]:
    """Table 1's rows in the order of `cells`; rows that only the study has come last."""
    cells, study = summary["cells"], summary["study"]
    rows: list[TableRow] = []
    for cell in dict.fromkeys([*cells, *study]):
        ours, theirs = record(cells, cell), record(study, cell)
        found: dict[str, TableCell] = {}
        for name in COLUMNS:
            published = finite(theirs.get(name))
            found[name] = TableCell(number(ours.get(name)), None if published is None else published / 100)
        rows.append(TableRow(cell, found))
    return rows


def gains(summary: Summary) -> list[Gain]:
    """The RL runs with their gains, in the order of summary.json."""
    return [
        Gain(cell, number(raw.get("gain")), {term: number(raw.get(term)) for term in TERMS}, raw)
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
    levels = sorted({str(run.raw["level"]) for run in runs if run.raw.get("level")})
    if levels:
        found.append(f"Level: {', '.join(levels)}.")
    if hangs := [cell_label(run.cell) for run in runs if run.raw.get("order_dependent")]:
        found.append(f"Selecting first or improving first gives another verdict in {', '.join(hangs)}.")
    shares = [(number(run.raw.get("unsupported_share")).value, cell_label(run.cell)) for run in runs]
    known = [(share, cell) for share, cell in shares if share is not None]
    if known:
        share, cell = max(known)
        where = f", in {cell}" if share else ""
        found.append(f"Responses without a counterpart in the other model: at most {percent(share)}%{where}.")
    changes: list[tuple[float, str]] = []
    for run in runs:
        first, last = (finite(run.raw.get(key)) for key in ("length_before", "length_after"))
        if first and last is not None:
            changes.append((last / first - 1, cell_label(run.cell)))
    if changes:
        change, cell = max(changes, key=lambda it: abs(it[0]))
        found.append(f"Mean length changed most in {cell}, by {signed(change)}%.")
    return found


def one_run_note(summary: Summary) -> str:
    """What the seeds allow one to say (STATISTICS.md, Uncertainty)."""
    listed: list[Any] = summary.get("seeds") or []
    if (seeds := len(listed)) == 1:
        return (
            "One training seed: each verdict holds in this run. Intervals cover the choice of problems only."
        )
    return f"{seeds} training seeds."


def chance(summary: Summary) -> float | None:
    return finite(summary.get("chance"))
