"""Tables of numbers without responses, a column at a time: counts, lists of rewards, one score a row.

What the reader of counts gives record by record, for tables of millions of rows; and rewards of any size, where asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import polars as pl

from stratagem.conditions import condition
from stratagem.records import StratagemError
from stratagem.rollouts.correctness import quoted
from stratagem.rollouts.log import Log
from stratagem.rollouts.readers import naming
from stratagem.rollouts.readers.chunk import Chunk
from stratagem.rollouts.readers.row import BadRecord, identifier, number, prompt_text
from stratagem.rollouts.repeats import Seen

ROWS = 200_000  # that are summed at once
NUMBERED = ("sample", "checkpoint")  # what tells rows of one problem apart
HALVES = ("half_n", "half_total", "half_squares")  # of half of a row's samples, where it has several
Kind = Literal["counts", "rewards", "score"]


@dataclass
class Taken:
    """How the numbers of a log are read, and how many rows could not be, by reason.

    Attributes:
        column: of the rewards, or of the score; none of counts.
        correct: which rewards are right; None where they say so themselves.
        bounded: whether they have to lie in [0, 1].
    """

    name: str
    kind: Kind
    columns: Mapping[str, str]
    column: str
    correct: pl.Expr | None
    bounded: bool
    left: Counter[str] = field(default_factory=Counter[str])

    @property
    def numbered(self) -> tuple[str, ...]:
        return tuple(what for what in NUMBERED if what in self.columns) if "sample" in self.columns else ()

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """Of the rows as they are summed."""
        values: dict[str, pl.DataType] = {"value": pl.Float64()}
        if self.kind == "counts":
            values = {"n": pl.Float64(), "right": pl.Float64()}
        if self.kind == "rewards":
            values = {"value": pl.List(pl.Float64())}
        return dict.fromkeys(("id", "prompt", "question", *self.numbered), pl.String()) | values


def taken_of(log: Log, name: str, score: str | None, correct: str | None, reward: str | None) -> Taken:
    """How the numbers of a log are to be read.

    Args:
        score, correct, reward: as of `tally.Reward`.

    Raises:
        StratagemError: several columns may be the score, or the named one is none of them; a condition on counts.
    """
    columns, scores = log.options.columns, log.options.scores
    rewards = columns.get("rewards")
    if {"count_n", "count_c"} <= set(columns) and rewards is None:
        for option, given in (("--score", score), ("--correct", correct), ("--reward", reward)):
            if given is not None:
                raise StratagemError(
                    f"{name}: {option} {given}: holds counts of right samples, which need none"
                )
        return Taken(name, "counts", columns, "", None, True)
    held: tuple[str, ...] = scores if rewards is None else (rewards,)
    asked = score or reward
    if asked is not None and asked not in held:
        option = "--score" if score else "--reward"
        raise StratagemError(
            f"{name}: {option} {asked}: no such column of grades; there is {', '.join(held)}"
        )
    if asked is None and len(held) > 1:
        raise StratagemError(
            f"{name}: several columns may say what is right: {', '.join(held)}; name one with --score COLUMN"
        )
    column = asked or next(iter(held), "")
    if not column:
        raise StratagemError(f"{name}: no column says what is right; name one with --columns score=COLUMN")
    expression = None
    if correct is not None:
        expression = condition(correct, {column: pl.Float64()}, f"{name}: --correct")
    kind: Kind = "score" if rewards is None else "rewards"
    return Taken(name, kind, columns, column, expression, reward is None)


def numbers(log: Log, taken: Taken) -> Iterator[pl.DataFrame]:
    """Batches with id, prompt, question; n, total, squares of each row's samples; `HALVES` where a row has several.

    Raises:
        StratagemError: a record cannot be used and the log is read strictly, or a reward lies outside [0, 1] that has
            to lie in it.
    """
    log.left_out.clear()
    held: list[pl.DataFrame] = []
    seen, rows = Seen(), 0
    for source, chunk in log.chunks():
        table = _of_table(chunk.table, taken) if chunk.table is not None else None
        held.append(_of_records(chunk, taken, source.name, log.options.strict) if table is None else table)
        rows += held[-1].height
        if rows >= ROWS:
            yield _new(_summed(pl.concat(held), taken), taken, seen, log)
            held, rows = [], 0
    if held:
        yield _new(_summed(pl.concat(held), taken), taken, seen, log)
    log.left_out.update(taken.left)


def _of_table(table: pl.DataFrame, taken: Taken) -> pl.DataFrame | None:
    """The rows of a chunk by its columns; None where one has to be read record by record."""
    if "question" in taken.columns:
        return None
    names = {what: taken.columns[what] for what in ("id", "prompt", *taken.numbered) if what in taken.columns}
    values = {"n": "count_n", "right": "count_c"}
    for what, dtype in taken.schema.items():
        name = names.get(what)
        if what == "value":
            name = taken.column
        elif what in values:
            name = taken.columns[values[what]]
        if name is None:
            continue
        if name not in table.columns or not _fits(table[name].dtype, dtype, whole=what != "prompt"):
            return None
        names[what] = name
    columns = (
        (pl.col(names[what]) if what in names else pl.lit(None)).cast(dtype).alias(what)
        for what, dtype in taken.schema.items()
    )
    return table.select(*columns)


def _fits(dtype: pl.DataType, wanted: pl.DataType, whole: bool) -> bool:
    """Whether a column is cast without a loss. `whole`: numbers may stand for text, as in ids."""
    if isinstance(wanted, pl.List):
        return isinstance(dtype, pl.List) and _fits(dtype.inner, pl.Float64(), whole)  # type: ignore[arg-type]
    if wanted == pl.String:
        return dtype in (pl.String, pl.Null) or (whole and dtype == pl.Int64)
    return dtype.is_numeric() or dtype == pl.Boolean


def _of_records(chunk: Chunk, taken: Taken, name: str, strict: bool) -> pl.DataFrame:
    rows: list[tuple[Any, ...]] = []
    for place, record in zip(chunk.numbers, chunk.records(), strict=True):
        if record is None:
            continue
        try:
            if isinstance(record, BadRecord):
                raise record
            rows.append(_of_record(record, taken))
        except BadRecord as fault:
            if strict:
                raise StratagemError(f"{name}: row {place}: {fault}") from None
            taken.left[str(fault)] += 1
    return pl.DataFrame(rows, schema=taken.schema, orient="row")


def _of_record(record: Mapping[str, Any], taken: Taken) -> tuple[Any, ...]:
    at = {what: naming.value_at(record, column) for what, column in taken.columns.items()}
    values = {what: None if value is naming.MISSING else value for what, value in at.items()}
    prompt, question = prompt_text(values.get("prompt"))
    asked = values.get("question") or question
    beside = [None if values[what] is None else str(values[what]) for what in taken.numbered]
    return identifier(values.get("id")), prompt, asked, *beside, *_numbers(record, values, taken)


def _numbers(record: Mapping[str, Any], values: Mapping[str, Any], taken: Taken) -> list[Any]:
    if taken.kind == "counts":
        return [number(values.get("count_n"), "n"), number(values.get("count_c"), "c")]
    if taken.kind == "score":
        value = naming.value_at(record, taken.column)
        return [None if value is naming.MISSING else number(value, taken.column)]
    if not isinstance(values["rewards"], list):
        raise BadRecord(f"{taken.column}: not a list")
    return [[number(reward, taken.column) for reward in values["rewards"]]]


def _summed(rows: pl.DataFrame, taken: Taken) -> pl.DataFrame:
    """The sums of each row that can be used; the others are counted."""
    if taken.kind == "counts":
        n, right = pl.col("n"), pl.col("right")
        known = _kept(rows, taken, n.is_not_null() & right.is_not_null(), "n: missing, or c is")
        known = _kept(
            known, taken, (right >= 0) & (right <= n) & (n > 0), "c: not between 0 and n, or n is 0"
        )
        whole = (n.round() == n) & (right.round() == right)
        known = _kept(known, taken, whole, "c: no whole number, so it does not count right samples")
        sums = [
            n,
            right.alias("total"),
            right.alias("squares"),
            *(pl.lit(0.0).alias(half) for half in HALVES),
        ]
        return known.select("id", "prompt", "question", *taken.numbered, *sums)
    if taken.correct is not None:
        rows = rows.with_columns(_graded(rows["value"], taken.correct, taken.column))
    value = pl.col("value")
    if taken.kind == "score":
        known = _kept(rows, taken, value.is_finite().fill_null(False), f"{taken.column}: missing")
        _check(known["value"], taken)
        sums = [pl.lit(1.0).alias("n"), value.alias("total"), value.pow(2).alias("squares")]
        return known.select("id", "prompt", "question", *taken.numbered, *sums)
    ok = (value.list.len() > 0) & value.list.eval(pl.element().is_finite().fill_null(False)).list.all()
    known = _kept(rows, taken, ok.fill_null(False), f"{taken.column}: empty, or a reward is missing")
    _check(known["value"].explode(), taken)
    sums = [*_of_list(value, ("n", "total", "squares")), *_of_list(value.list.gather_every(2), HALVES)]
    return known.select("id", "prompt", "question", *taken.numbered, *sums)


def _kept(rows: pl.DataFrame, taken: Taken, ok: pl.Expr, reason: str) -> pl.DataFrame:
    kept = rows.filter(ok)
    if kept.height < rows.height:
        taken.left[reason] += rows.height - kept.height
    return kept


def _check(values: pl.Series, taken: Taken) -> None:
    """
    Raises:
        StratagemError: a reward lies outside [0, 1] that has to lie in it.
    """
    outside = values.filter(~values.is_between(0, 1)) if taken.bounded else values.head(0)
    if len(outside):
        raise StratagemError(
            f"{taken.name}: {taken.column!r} holds {outside[0]:g}, outside [0, 1]: say what is right, such as "
            f"--correct '{quoted(taken.column)} > 0', or take it for a reward of any size with --reward {taken.column}"
        )


def _graded(values: pl.Series, correct: pl.Expr, column: str) -> pl.Series:
    """The rewards as 1 where the condition on them holds, else 0; null where it is neither true nor false."""
    rows = pl.DataFrame({column: values})
    if not isinstance(values.dtype, pl.List):
        return rows.select(correct.cast(pl.Float64).alias("value"))["value"]
    apart = rows.with_row_index("_row").explode(column).with_columns(correct.cast(pl.Float64).alias(column))
    return apart.group_by("_row", maintain_order=True).agg(column)[column].alias("value")


def _of_list(values: pl.Expr, names: tuple[str, ...]) -> list[pl.Expr]:
    squares = values.list.eval(pl.element().pow(2)).list.sum()
    sums = (values.list.len().cast(pl.Float64), values.list.sum(), squares)
    return [expression.alias(name) for expression, name in zip(sums, names, strict=True)]


def _new(batch: pl.DataFrame, taken: Taken, seen: Seen, log: Log) -> pl.DataFrame:
    """The rows whose sample, by the log's own number, was not there before."""
    if not taken.numbered or batch.is_empty():
        return batch
    keys = batch.select("id", "prompt", *taken.numbered).hash_rows()
    first = keys.is_first_distinct().to_numpy() & (seen.first(keys.to_numpy()) < 0)
    fresh = np.sort(keys.to_numpy()[first])
    seen.add(fresh, np.zeros(len(fresh), np.int64))
    first |= batch["sample"].is_null().to_numpy()
    log.repeated += int((~first).sum())
    return batch.filter(pl.Series(first))
