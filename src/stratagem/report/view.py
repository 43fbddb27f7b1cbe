"""What the page and the terminal show of a study: only differences are computed here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stratagem.decomposition.leading import lead_sentence, terms_of
from stratagem.decomposition.one_label import Shares, largest, one_label
from stratagem.decomposition.result import Decomposed
from stratagem.records import ALL
from stratagem.report.format import Number, finite, number, percent, signed, words
from stratagem.study_result import ArmGain, ClaimResult, Part, Summary

TERMS = {"selection": "Selection", "improvement": "Improvement", "new_strategy": "New strategy"}
VERDICT_SIGNS = {"upheld": "✓", "refuted": "✗", "undecided": "?"}


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
    before: str
    result: ArmGain

    @property
    def gain(self) -> Number:
        return number(self.result.gain)

    @property
    def terms(self) -> dict[str, Number]:
        return {term: number(getattr(self.result, term)) for term in TERMS}


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim or a part of one, with its number and how it came out."""

    id: str
    statement: str
    verdict: str
    difference: Number
    parts: list[Claim]

    @property
    def sign(self) -> str:
        return VERDICT_SIGNS[self.verdict]


def columns(summary: Summary) -> dict[str, str]:
    """The columns of the table with their titles: all problems, and each kind."""
    return {name: words(name).capitalize() for name in summary.columns}


def kinds(summary: Summary) -> list[str]:
    """Kinds of problem in the order of the table."""
    return [name for name in summary.columns if name != ALL]


def table(summary: Summary, evaluation: str | None = None) -> list[TableRow]:
    """The table's rows in the order of the arms, of the first evaluation or of another one, which nobody published."""
    cells = summary.cells if evaluation is None else summary.others[evaluation]
    rows: list[TableRow] = []
    for arm in summary.arms:
        ours = cells.get(arm.name, {})
        published = summary.study.get(arm.name, {}) if evaluation is None else {}
        row: dict[str, TableCell] = {}
        for column in summary.columns:
            theirs = finite(published.get(column))
            row[column] = TableCell(number(ours.get(column)), None if theirs is None else theirs / 100)
        rows.append(TableRow(arm.name, arm.root, row))
    return rows


def gains(summary: Summary) -> list[Gain]:
    """The arms with their gains, in the order of summary.json."""
    starts = {arm.name: arm.start or "" for arm in summary.arms}
    return [Gain(name, starts[name], result) for name, result in summary.gains.items()]


def claims(summary: Summary) -> list[Claim]:
    return [claim(result) for result in summary.claims]


def claim(result: ClaimResult | Part) -> Claim:
    if isinstance(result, Part):
        difference = Number(finite(result.value), finite(result.low), finite(result.high))
        return Claim("", result.statement, result.verdict, difference, [])
    difference = Number(finite(result.difference), finite(result.low), finite(result.high))
    return Claim(
        result.id, result.statement, result.verdict, difference, [claim(part) for part in result.parts]
    )


@dataclass(frozen=True, slots=True)
class SplicedRow:
    """A splice: who opened, who went on, how often that was right, and the model by itself where it is one."""

    opener: str
    other: str
    right: Number
    alone: Number | None
    surprise: float


@dataclass(frozen=True, slots=True)
class SplicedGain:
    """An arm's terms by experiment and by accounting, and the splices behind them."""

    arm: str
    terms: list[tuple[str, Number, Number]]
    rows: list[SplicedRow]


def splices(summary: Summary) -> list[SplicedGain]:
    starts = {arm.name: {"before": arm.start or "", "after": arm.name} for arm in summary.arms}
    shown: list[SplicedGain] = []
    for arm, spliced in summary.splices.items():
        rows: list[SplicedRow] = []
        for pair, right in spliced.spliced.items():
            opener, other = pair.split()
            alone = number(spliced.observed[opener]) if opener == other else None
            named = starts[arm][opener], starts[arm][other]
            rows.append(SplicedRow(*named, number(right), alone, spliced.surprise[pair]))
        terms = [
            (TERMS[name], number(getattr(spliced, name)), number(getattr(spliced, f"accounted_{name}")))
            for name in ("selection", "improvement")
        ]
        shown.append(SplicedGain(arm, terms, rows))
    return shown


def orders(result: Decomposed) -> list[tuple[str, dict[str, Number]]]:
    """A gain's terms in each order of accounting, `interaction` too where it has one."""
    ways = {
        "select, then improve": result,
        "improve, then select": result.reverse,
        "symmetric": result.symmetric,
        "three-fold": result.threefold,
    }
    return [
        (name, {term: number(getattr(way, term, None)) for term in (*TERMS, "interaction")})
        for name, way in ways.items()
    ]


def notes(summary: Summary) -> list[str]:
    """What has to be said beside the gains: their level, the order, cells without support, lengths."""
    lines: list[str] = []
    runs = gains(summary)
    levels = sorted({" x ".join(run.result.by) for run in runs if run.result.by})
    if levels:
        lines.append(f"Level: {', '.join(levels)}.")
    lines += leads(runs)
    shares = [(finite(run.result.unsupported_share), run.cell) for run in runs]
    known = [(share, cell) for share, cell in shares if share is not None]
    if known:
        share, cell = max(known)
        where = f", in {cell}" if share else ""
        lines.append(f"Responses without a counterpart in the other model: at most {percent(share)}%{where}.")
    changes: list[tuple[float, str]] = []
    for run in runs:
        first, last = finite(run.result.length_before), finite(run.result.length_after)
        if first and last is not None:
            changes.append((last / first - 1, run.cell))
    if changes:
        change, cell = max(changes, key=lambda pair: abs(pair[0]))
        lines.append(f"Mean length changed most in {cell}, by {signed(change)}%.")
    return lines


def leads(runs: list[Gain]) -> list[str]:
    """Which part of each gain is larger, gains of one answer together."""
    cells: dict[str, list[str]] = {}
    for run in runs:
        result = run.result
        if result.lead is not None:
            single = one_label(largest(shares_of(result)), exact=True)
            sentence = single or lead_sentence(terms_of(result, result.by_problem))
            cells.setdefault(sentence, []).append(run.cell)
    return [f"{', '.join(names)}: {sentence[:1].lower()}{sentence[1:]}" for sentence, names in cells.items()]


def shares_of(result: ArmGain) -> list[Shares]:
    """Shares of every strategy over all strata."""
    problems = {tuple(row.stratum.items()): row.problems for row in result.strata}
    whole = sum(problems.values())
    shares: dict[str, list[float]] = {}
    for cell in result.cells:
        weight = problems.get(tuple(cell.stratum.items()), 0) / whole if whole else 0.0
        mine = shares.setdefault(cell.strategy, [0.0, 0.0])
        for i, share in enumerate((cell.share_before, cell.share_after)):
            mine[i] += weight * (finite(share) or 0.0)
    return [(name, before, after) for name, (before, after) in shares.items()]


def beside_replicates(summary: Summary) -> list[tuple[str, str, float, tuple[float, ...]]]:
    """Arm, column, this run's accuracy, and those of the replicates that ship with the study, where both are known."""
    shipped = {} if summary.shipped is None else summary.shipped.cells
    return [
        (arm, column, summary.cells[arm][column].value, values)
        for arm, columns in shipped.items()
        for column, values in columns.items()
        if values
        and column in summary.cells.get(arm, {})
        and all(map(math.isfinite, (summary.cells[arm][column].value, *values)))
    ]


def among(summary: Summary) -> str:
    """How this run's accuracies lie among those of the replicates that ship with the study; empty where none do."""
    rows = beside_replicates(summary)
    if not rows or summary.shipped is None:
        return ""
    inside = sum(min(values) - 1e-4 <= value <= max(values) + 1e-4 for _, _, value, values in rows)
    made = f"{summary.shipped.command}, {summary.shipped.date}, bases {', '.join(summary.shipped.bases)}"
    return (
        f"{inside} of this run's {len(rows)} accuracies lie within the range of the {len(rows[0][3])} replicates that "
        f"ship with the study ({made})."
    )


def one_run_note(summary: Summary) -> str:
    """What the replicates allow one to say."""
    replicates = len(summary.seeds)
    if replicates == 1:
        return "One replicate: each verdict holds in this run. Intervals cover the choice of problems only."
    bases = len(summary.bases[:replicates])
    over = {
        0: "",
        1: ", all from one base model, over which the intervals say nothing",
        replicates: " and a base model of its own",
    }.get(bases, f", from {bases} base models in turn, so that the intervals say little of other base models")
    return (
        f"{replicates} replicates, each with a training seed of its own{over}; intervals are over replicates."
    )
