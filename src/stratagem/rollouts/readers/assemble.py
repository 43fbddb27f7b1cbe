"""Rows as a table with the columns of a log, the same in every batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stratagem.rollouts.readers.row import SESSION, BadRecord, Row, Scalar

TEXTS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "prompt": pl.String(),
    "question": pl.String(),
    "completion": pl.String(),
    "sample": pl.Int32(),
    "checkpoint": pl.String(),
    "finish_reason": pl.String(),
    "tokens": pl.Int32(),
}
COUNTS: dict[str, pl.DataType] = {
    "id": pl.String(),
    "prompt": pl.String(),
    "question": pl.String(),
    "sample": pl.Int32(),
    "checkpoint": pl.String(),
    "count_n": pl.Int32(),
    "count_c": pl.Float64(),
}
_INT64 = 2**63
MAX_EXTRA = 256  # further columns of a log
MAX_LOST = 1_000  # reasons that are told apart


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a log: its fixed ones, one a score, and the further ones with their types."""

    fixed: Mapping[str, pl.DataType]
    scores: tuple[str, ...]
    extra: Mapping[str, pl.DataType]

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """All of them, in order."""
        return {**self.fixed, **dict.fromkeys(self.scores, pl.Float64()), **self.extra}


def columns_of(rows: Sequence[Row], textual: bool) -> Columns:
    """The columns that some rows have. `textual`: all values are text (CSV), so what looks like a number is one."""
    counts = any(row.get("count_n") is not None for row in rows)
    fixed = COUNTS if counts else TEXTS
    scores = dict.fromkeys(name for row in rows for name in row.get("scores") or {})
    seen: dict[str, set[type]] = {}
    times: Counter[str] = Counter()
    for row in rows:
        for name, value in (row.get("extra") or {}).items():
            if name and value is not None and name not in fixed and name not in scores:
                seen.setdefault(name, set()).add(_looks(value) if textual else type(value))
                times[name] += 1
    kept = set(seen)
    if len(seen) > MAX_EXTRA:  # names that are new in every record tell nothing of it
        kept = {name for name, count in times.most_common(MAX_EXTRA) if count > len(rows) // 100}
    extra = {name: _dtype(types) for name, types in seen.items() if name in kept}
    return Columns(fixed, tuple(name for name in scores if name not in fixed), extra)


def _looks(value: Scalar) -> type:
    text = str(value)
    for kind in (int, float):
        try:
            kind(text)
        except ValueError:
            continue
        plain = not text[:2].strip("+-").startswith("0") or text in ("0", "0.0") or "." in text
        return kind if plain and text.isascii() else str  # 007 is a name
    return str


def _dtype(types: set[type]) -> pl.DataType:
    if types == {bool}:
        return pl.Boolean()
    if types == {int}:
        return pl.Int64()
    if types <= {int, float}:
        return pl.Float64()
    return pl.String()


def usable(row: Row) -> None:
    """Check what every row needs. A response of nothing that was scored (a filter, a time-out) is an empty one.

    Raises:
        BadRecord: neither a response nor counts, or nothing to tell the problem by.
    """
    if row.get("completion") is None and row.get("count_n") is None:
        if all(value is None for value in (row.get("scores") or {}).values()):
            raise BadRecord("completion: missing")
        row["completion"] = ""
    if row.get("id") is None and row.get("prompt") is None:
        raise BadRecord("prompt: missing, and there is no id")


def table_of(rows: Sequence[Row], columns: Columns, lost: Counter[str]) -> pl.DataFrame:
    """Rows as a table. What has no place in the columns is counted in `lost`."""
    made: list[pl.Series] = []
    for name, dtype in columns.fixed.items():
        made.append(pl.Series(name, [row.get(name) for row in rows], dtype, strict=True))
    scores = [row.get("scores") or {} for row in rows]
    for name in columns.scores:
        made.append(pl.Series(name, [row_scores.get(name) for row_scores in scores], pl.Float64, strict=True))
    extras = [row.get("extra") or {} for row in rows]
    for name, dtype in columns.extra.items():
        made.append(_extra(name, [row_extras.get(name) for row_extras in extras], dtype, lost))
    known = {*columns.scores, *columns.extra, *columns.fixed}
    late_scores = Counter(name for row_scores in scores for name in row_scores if name not in known)
    late = Counter(
        name
        for row_extras in extras
        for name, value in row_extras.items()
        if name not in known and value is not None
    )
    for name, times in (late + late_scores).items():
        _lose(name, times, lost)
    sessions = [row.get("session") for row in rows]
    if any(session is not None for session in sessions):
        made.append(pl.Series(SESSION, sessions, pl.String))
    return pl.DataFrame(made)


def _lose(name: str, times: int, lost: Counter[str]) -> None:
    reason = f"column {name!r}: not among the first records"
    if reason not in lost and len(lost) >= MAX_LOST:
        reason = "further columns: not among the first records"
    lost[reason] += times


def _extra(name: str, values: Sequence[Any], dtype: pl.DataType, lost: Counter[str]) -> pl.Series:
    fits = {pl.String(): _text, pl.Float64(): _float, pl.Int64(): _int, pl.Boolean(): _bool}[dtype]
    made = [None if value is None else fits(value) for value in values]
    missed = sum(
        fitted is None and value not in (None, "") for fitted, value in zip(made, values, strict=True)
    )
    if missed:
        lost[f"column {name!r}: no value of type {dtype}"] += missed
    return pl.Series(name, made, dtype)


def _text(value: Scalar) -> str:
    return value if isinstance(value, str) else str(value)


def _float(value: Scalar) -> float | None:
    try:
        return float(value)
    except (ValueError, OverflowError):
        return None


def _int(value: Scalar) -> int | None:
    try:
        number = int(value)
    except (ValueError, OverflowError):
        return None
    same = isinstance(value, str | int) or number == value
    return number if same and -_INT64 <= number < _INT64 else None


def _bool(value: Scalar) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(str(value).strip().lower())


def conform(made: pl.DataFrame, columns: Columns, lost: Counter[str]) -> pl.DataFrame | None:
    """A reader's own table in the columns of the log; None where a value would not fit or a row would not do."""
    texts = [name for name in ("completion", "id", "prompt") if name in made.columns]
    if "completion" not in texts or made["completion"].null_count():
        return None
    keyed = [name for name in texts[1:] if not made[name].null_count()]
    if not keyed:
        return None
    series: list[pl.Series] = []
    for name, dtype in columns.schema.items():  # Series only: an expression costs more than all of this
        column = made[name] if name in made.columns else None
        if column is None or column.dtype == pl.Null():
            column = pl.Series(name, [None], dtype).new_from_index(0, made.height)
        elif column.dtype == pl.Int64() and dtype in (pl.Float64(), pl.String()):
            column = column.cast(dtype)
        elif column.dtype != dtype:
            return None
        series.append(column)
    if SESSION in made.columns and SESSION not in columns.schema:
        series.append(made[SESSION])
    for name in made.columns:
        if name not in (*columns.schema, SESSION) and (times := made.height - made[name].null_count()):
            _lose(name, times, lost)
    return pl.DataFrame(series)
