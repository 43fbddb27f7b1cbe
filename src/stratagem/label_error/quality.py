"""How good strategy labels are, by responses that were labelled by hand as well (`sheet`).

Every figure is an estimate for the whole log: a row of a stratified sheet weighs as many responses as it stands
for. Without weights, the rows count as a plain random sample.

Estimators. All figures are functions of weighted sums, so their variances come from Taylor linearisation: for a
linearised variable z, sum over cells h of (1 - n_h / N_h) n_h / (n_h - 1) sum of (w z - mean of w z)^2 (Saerndal,
Swensson, Wretman 1992, sections 3.7 and 5.5); for a plain sample this is the binomial variance, and Fleiss,
Cohen, Everitt 1969 (Psychological Bulletin 72, 323) for kappa. Proportions have Wilson intervals at the
effective sample size p (1 - p) / variance, at most n (Korn and Graubard 1998, Survey Methodology 24, 193); where
nothing varies it is that of the weights alone, (sum w)^2 / sum w^2 (Kish 1965).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from stratagem.label_error.confusion import OUTCOMES, Cells, Confusion
from stratagem.label_error.result import Confused, Quality, ScopeQuality, StrategyQuality
from stratagem.label_error.sheet import outcome
from stratagem.records import Estimate, StratagemError
from stratagem.stats.pairs import Floats
from stratagem.stats.uncertainty import quantile, wilson

MOST_WRONG = 5  # pairs of strategies that are named


@dataclass(frozen=True, slots=True)
class Scope:
    """Label quality over all hand-labelled responses, or those of one side or outcome (None: all).

    `precision` (true | label) and `recall` (label | true) hold one Estimate a strategy, NaN where there is no
    response. `confusion` is true x label: how many responses of the log each pair stands for; `shares` holds of each
    pair how many of those truly so are labelled so.
    """

    side: str | None
    outcome: str | None
    labelled: int
    agreement: Estimate
    kappa: Estimate
    precision: tuple[Estimate, ...]
    recall: tuple[Estimate, ...]
    confusion: Floats
    shares: tuple[tuple[Estimate, ...], ...]


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """What hand labels say about a recogniser.

    Attributes:
        names: the strategies, in the order of all tables. sides: the checkpoints.
        designed: the sheet's weights were used; else it counts as a plain sample.
        scopes: all together first, then by side, by outcome, by both.
    """

    names: tuple[str, ...]
    sides: tuple[str, ...]
    level: float
    designed: bool
    scopes: tuple[Scope, ...]
    _sample: _Sample

    @property
    def overall(self) -> Scope:
        return self.scopes[0]

    def scope(self, side: str | None = None, outcome: str | None = None) -> Scope:
        return next(s for s in self.scopes if (s.side, s.outcome) == (side, outcome))

    def confusion(
        self,
        before: str | None = None,
        after: str | None = None,
        split: Collection[str] = ("side", "outcome"),
    ) -> Confusion:
        """P(label | true strategy), for `decompose_corrected`.

        Args:
            before, after: the sides to compare; may be left out where there are two of them, or only one.
            split: what the error may depend on; `()` pools all rows, which needs fewer.

        Source: a row is worth n responses such that a multinomial of n has the row's variance (Rao and Scott
        1981, JASA 76, 221).
        """
        pooled = "side" not in split or (before is None and len(self.sides) == 1)
        pair = (before, after) if before is not None else self.sides
        if not pooled and (len(pair) != 2 or not set(pair) <= set(self.sides)):
            raise StratagemError(
                f"hand labels are of the sides {', '.join(self.sides)}: say which two to compare"
            )
        sides: Sequence[Any] = (None,) if pooled else pair
        outcomes: Sequence[Any] = OUTCOMES if "outcome" in split and self._sample.scored else (None,)
        parts = [[self._sample.rows(side, which) for which in outcomes] for side in sides]
        rate, count = (np.array([[cell[i] for cell in line] for line in parts]) for i in (0, 1))
        return Confusion(self.names, rate, count, self._sample.cells(sides, outcomes))

    def result(self) -> Quality:
        """The same as a part of a result."""
        return Quality(self.level, self.designed, self.sides, tuple(map(self._quality, self.scopes)))

    def _quality(self, scope: Scope) -> ScopeQuality:
        return ScopeQuality(
            side=scope.side,
            outcome=scope.outcome,
            labelled=scope.labelled,
            agreement=scope.agreement,
            kappa=scope.kappa,
            strategies=tuple(map(StrategyQuality, self.names, scope.precision, scope.recall)),
            confusion=tuple(
                Confused(self.names[t], self.names[p], float(scope.confusion[t, p]), scope.shares[t][p])
                for t, p in np.argwhere(scope.confusion > 0)
            ),
        )

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready; NaN becomes null."""
        return self.result().as_dict()

    def __str__(self) -> str:
        whole = self.overall
        wide = max(len(name) for name in (*self.names, "strategy"))
        lines = [
            f"{whole.labelled} responses labelled by hand, "
            f"{'weighted as they were drawn' if self.designed else 'taken as a plain random sample'}; "
            f"{self.level:.0%} intervals",
            f"agreement {_percent(whole.agreement)} %, Cohen's kappa {_plain(whole.kappa)}",
            "",
            f"{'strategy':<{wide}}  {'precision %':>22}  {'recall %':>22}",
        ]
        for name, p, r in zip(self.names, whole.precision, whole.recall, strict=True):
            lines.append(f"{name:<{wide}}  {_percent(p):>22}  {_percent(r):>22}")
        lines += ["", f"{'of 100 truly':<{wide}}  labelled", f"{'':<{wide}}  {_columns(self.names)}"]
        for name, row in zip(self.names, whole.confusion, strict=True):
            if row.sum() > 0:
                cells = [
                    f"{100 * value / row.sum():.0f}".rjust(max(len(other), 3))
                    for other, value in zip(self.names, row, strict=True)
                ]
                lines.append(f"{name:<{wide}}  {'  '.join(cells)}")
        wrong = [
            (whole.shares[t][p], self.names[t], self.names[p])
            for t, p in np.argwhere(whole.confusion > 0)
            if t != p
        ]
        if wrong:
            lines += ["", "most often wrong"]
            for share, true, label in sorted(wrong, key=lambda pair: -pair[0].value)[:MOST_WRONG]:
                lines.append(f"  {true} labelled {label}: {_percent(share)} %")
        if len(self.scopes) > 1:
            lines += ["", "agreement by side and outcome"]
        for scope in (part for part in self.scopes[1:] if part.labelled):
            title = ", ".join(word for word in (scope.side and f"side {scope.side}", scope.outcome) if word)
            lines.append(f"  {title:<24} {scope.labelled:>5} rows  {_percent(scope.agreement)} %")
        return "\n".join(lines)


def validate(sheet: pl.DataFrame, *, level: float = 0.95, names: Sequence[str] | None = None) -> LabelQuality:
    """Precision, recall, confusion, agreement and kappa of labels against a human's.

    Args:
        sheet: one row a response with `strategy` (the label) and `true_strategy`; optionally `score`, `side` and
            `weight`. With weights it is a stratified sample whose cells are side x outcome x strategy.
        names: the order of the strategies; sorted without it.

    Returns:
        Estimates with intervals, in all, by side, by outcome and by both. A score between 0 and 1 counts as
        that much right and the rest wrong.

    Raises:
        StratagemError: a column is missing, or a cell is empty, not a number, or not among `names`.
    """
    for name in ("strategy", "true_strategy"):
        if name not in sheet.columns:
            raise StratagemError(f"sheet: no column {name!r}; there are {', '.join(sheet.columns)}")
        if sheet.is_empty():
            raise StratagemError("sheet: no row has a true_strategy")
        empty = (sheet[name].is_null() | (sheet[name] == "")).fill_null(True).arg_true()
        if empty.len():
            raise StratagemError(f"sheet: row {int(empty[0]) + 2}, {name}: is empty")
    present = sorted(set(sheet["strategy"]) | set(sheet["true_strategy"]))
    order = tuple(names) if names is not None else tuple(present)
    if unknown := [name for name in present if name not in order]:
        raise StratagemError(f"sheet: no strategy {unknown[0]!r}; there are {', '.join(order)}")
    sample = _Sample(sheet, order, level)
    sides = sample.sides
    wheres: list[tuple[str | None, str | None]] = [(None, None)]
    if len(sides) > 1:
        wheres += [(side, None) for side in sides]
    if sample.scored:
        wheres += [(None, which) for which in OUTCOMES]
    if len(sides) > 1 and sample.scored:
        wheres += [(side, which) for side in sides for which in OUTCOMES]
    scopes = tuple(sample.scope(*where) for where in wheres)
    return LabelQuality(order, sides, level, sample.designed, scopes, sample)


class _Sample:
    """The sheet as arrays: true and predicted numbers, weights, outcomes, and the cells it was drawn from."""

    def __init__(self, sheet: pl.DataFrame, names: tuple[str, ...], level: float) -> None:
        number = {name: i for i, name in enumerate(names)}
        self.names, self.level, n = names, level, sheet.height
        self.true = np.array([number[name] for name in sheet["true_strategy"]])
        self.seen = np.array([number[name] for name in sheet["strategy"]])
        self.scored, self.designed = "score" in sheet.columns, "weight" in sheet.columns
        self.weight = self._numbers(sheet, "weight", 1e-300, math.inf) if self.designed else np.ones(n)
        self.right = self._numbers(sheet, "score", 0.0, 1.0) if self.scored else np.ones(n)
        side = sheet["side"].cast(pl.String).fill_null("") if "side" in sheet.columns else pl.Series([""] * n)
        self.side = side.to_numpy()
        every = set(side.to_list())
        self.sides = tuple(sorted(every, key=int if all(s.isdecimal() for s in every) else None))
        self.cell = np.zeros(n, dtype=np.int64)
        if self.designed:
            where = outcome(pl.col("score")) if self.scored else pl.lit("")
            keys = sheet.select(pl.struct(side.alias("side"), where.alias("outcome"), "strategy"))
            self.cell = keys.to_series().rank("dense").to_numpy().astype(np.int64) - 1

    def _numbers(self, sheet: pl.DataFrame, name: str, low: float, high: float) -> Floats:
        x = sheet[name].cast(pl.Float64, strict=False)
        bad = (~(x.is_finite() & x.is_between(low, high))).fill_null(True).arg_true()
        if bad.len():
            raise StratagemError(
                f"sheet: row {int(bad[0]) + 2}, {name}: {sheet[name][int(bad[0])]} is not "
                + ("a number in [0, 1]" if name == "score" else "a number above 0")
            )
        return x.to_numpy().astype(np.float64)

    def part(self, side: str | None, which: str | None) -> Floats:
        """How much of every row lies in the scope."""
        by_outcome = {None: np.ones_like(self.right), "right": self.right, "wrong": 1.0 - self.right}
        return by_outcome[which] * (1.0 if side is None else self.side == side)

    def variance(self, z: Floats) -> float:
        """Of the weighted sum of z, a linearised variable with weighted sum 0."""
        wz = self.weight * z
        n = np.bincount(self.cell)
        mean = np.bincount(self.cell, wz) / np.maximum(n, 1)
        alone = n == 1
        if not self.designed:
            return float(((wz - mean[0]) ** 2).sum())
        square = np.bincount(self.cell, (wz - np.where(alone, 0.0, mean)[self.cell]) ** 2)
        scale = np.where(alone, 1.0, n / np.maximum(n - 1, 1))
        size = np.bincount(self.cell, self.weight)
        return float((np.clip(1.0 - n / np.maximum(size, 1e-300), 0.0, 1.0) * scale * square).sum())

    def proportion(self, top: Floats, base: Floats) -> Estimate:
        """Weighted sum of top over that of base, with its Wilson interval at the effective size."""
        total = float(self.weight @ base)
        n = int((base > 0).sum())
        if not n:
            return Estimate(math.nan)
        p = float(self.weight @ top) / total
        variance = self.variance((top - p * base) / total)
        spread = p * (1 - p)
        wb = (self.weight * base)[base > 0]
        kish = float(wb.sum() ** 2 / (wb**2).sum())
        effective = min(n, spread / variance if variance > 1e-15 and spread > 1e-15 else kish)
        low, high = wilson(p, effective, quantile(self.level, math.inf))
        return Estimate(p, low, high, math.sqrt(variance), n)

    def table(self, part: Floats) -> Floats:
        s = len(self.names)
        flat = np.bincount(self.true * s + self.seen, self.weight * part, s * s)
        return flat.reshape(s, s).astype(np.float64)

    def scope(self, side: str | None, which: str | None) -> Scope:
        part = self.part(side, which)
        same = (self.true == self.seen) * part
        precision, recall = (
            tuple(self.proportion(same * (axis == i), part * (axis == i)) for i in range(len(self.names)))
            for axis in (self.seen, self.true)
        )
        agreement = self.proportion(same, part)
        return Scope(
            side,
            which,
            int((part > 0).sum()),
            agreement,
            self._kappa(part, agreement),
            precision,
            recall,
            self.table(part),
            self._shares(part),
        )

    def _shares(self, part: Floats) -> tuple[tuple[Estimate, ...], ...]:
        numbers = range(len(self.names))
        bases = [part * (self.true == t) for t in numbers]
        return tuple(tuple(self.proportion(base * (self.seen == p), base) for p in numbers) for base in bases)

    def _kappa(self, part: Floats, agreement: Estimate) -> Estimate:
        """Cohen's kappa; undefined (NaN) where one strategy is all there is."""
        table = self.table(part)
        total = table.sum()
        if not total:
            return Estimate(math.nan)
        joint = table / total
        is_true, is_seen = joint.sum(1), joint.sum(0)
        by_chance, same = float(is_true @ is_seen), float(np.trace(joint))
        if 1 - by_chance < 1e-12:
            return Estimate(math.nan, n=agreement.n)
        rest = 1 - by_chance
        kappa = (same - by_chance) / rest
        slope = (self.true == self.seen) / rest - (1 - same) / rest**2 * (
            is_seen[self.true] + is_true[self.seen]
        )
        z = part * (slope - float(self.weight @ (part * slope)) / total) / total
        se = math.sqrt(self.variance(z))
        if se < 1e-9:  # perfect: what the agreement may still be, with chance as it is
            low, high = ((end - by_chance) / rest for end in (agreement.low, agreement.high))
        else:
            reach = quantile(self.level, math.inf) * se
            low, high = kappa - reach, kappa + reach
        return Estimate(kappa, max(-1.0, low), min(1.0, high), se, agreement.n)

    def rows(self, side: str | None, which: str | None) -> tuple[Floats, Floats]:
        """P(label | true) in a scope, and how many responses each of its rows is worth."""
        part = self.part(side, which)
        table, s = self.table(part), len(self.names)
        total = table.sum(1)
        rate = np.full((s, s), math.nan)
        count = np.zeros(s)
        for t in np.flatnonzero(total):
            rate[t] = table[t] / total[t]
            base = part * (self.true == t)
            variance = sum(self.variance(base * ((self.seen == p) - rate[t, p]) / total[t]) for p in range(s))
            wb = (self.weight * base)[base > 0]
            spread = 1.0 - float((rate[t] ** 2).sum())
            kish = float(wb.sum() ** 2 / (wb**2).sum())
            count[t] = min(wb.size, spread / variance if variance > 1e-15 and spread > 1e-15 else kish)
        return rate, count

    def cells(self, sides: Sequence[Any], outcomes: Sequence[Any]) -> Cells | None:
        """What the sheet's cells say in these scopes; None for a plain sample."""
        if not self.designed:
            return None
        s, number = len(self.names), int(self.cell.max()) + 1
        size_h = np.bincount(self.cell, self.weight).astype(np.float64)
        into = [
            [np.bincount(self.cell, self.weight * self.part(side, which)) / size_h for which in outcomes]
            for side in sides
        ]
        label_h = np.zeros(number, dtype=np.int64)
        label_h[self.cell] = self.seen
        hand_ht = np.bincount(self.cell * s + self.true, minlength=number * s).reshape(number, s)
        return Cells(hand_ht.astype(np.float64), size_h, label_h, np.array(into))


def _percent(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "-"
    return f"{100 * estimate.value:.1f} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def _plain(estimate: Estimate) -> str:
    return (
        "-"
        if math.isnan(estimate.value)
        else f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"
    )


def _columns(names: Sequence[str]) -> str:
    return "  ".join(name.rjust(3) for name in names)
