"""Tables of numbers without responses, a column at a time: counts, lists of rewards, one score a row.

What the reader of counts gives record by record, for tables of millions of rows; and, where asked, rewards of any size.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.log import Log
from stratagem.rollouts.readers import naming
from stratagem.rollouts.readers.chunk import Chunk
from stratagem.rollouts.readers.row import BadRecord, identifier, number, prompt_text
from stratagem.rollouts.repeats import Seen

ROWS = 200_000  # that are summed at once
BESIDE = {"id": pl.String(), "prompt": pl.String(), "question": pl.String()}
SUMS = ("n", "total", "squares")
NUMBERED = ("sample", "checkpoint")  # what tells rows of one problem apart
HALVES = ("half_n", "half_total", "half_squares")  # of half of a row's samples, where it has several
OUTSIDE = "outside [0, 1]; for rewards of any size say --reward COLUMN"


@dataclass
class Taken:
    """How the numbers of a log are read, and what could not be."""

    columns: Mapping[str, str]
    score: str | None
    bounded: bool
    left: Counter[str] = field(default_factory=Counter[str])

    @property
    def numbered(self) -> tuple[str, ...]:
        return tuple(what for what in NUMBERED if what in self.columns) if "sample" in self.columns else ()

    @property
    def sums(self) -> tuple[str, ...]:
        return SUMS if self.score is not None else (*SUMS, *HALVES)


def numbers(log: Log, bounded: bool) -> Iterator[pl.DataFrame]:
    """Batches with id, prompt, question, `SUMS` of each row's samples, and `HALVES` where a row has several.

    Args:
        bounded: whether rewards have to lie in [0, 1].

    Raises:
        StratagemError: a record cannot be used and the log is read strictly, or several columns may be the score.
    """
    scores = log.options.scores
    lists = log.options.columns.get("rewards")
    counts = {"count_n", "count_c"} <= set(log.options.columns) and lists is None
    if not counts and lists is None and len(scores) > 1:
        raise StratagemError(
            f"several columns may say what is right: {', '.join(scores)}; name one with --columns score=COLUMN"
        )
    score = None if counts or lists else scores[0]
    taken = Taken(log.options.columns, score, bounded)
    log.left_out.clear()
    held: list[pl.DataFrame] = []
    seen, rows = Seen(), 0
    for source, chunk in log.chunks():
        table = _of_table(chunk.table, taken) if chunk.table is not None else None
        made = _of_records(chunk, taken, source.name, log.options.strict) if table is None else table
        held.append(made)
        rows += made.height
        if rows >= ROWS:
            yield _new(pl.concat(held), taken, seen, log)
            held, rows = [], 0
    if held:
        yield _new(pl.concat(held), taken, seen, log)
    log.left_out.update(taken.left)


def _new(batch: pl.DataFrame, taken: Taken, seen: Seen, log: Log) -> pl.DataFrame:
    """The rows whose sample, by the log's own number, was not there before."""
    if not taken.numbered:
        return batch
    keys = batch.select("id", "prompt", *taken.numbered).hash_rows()
    first = keys.is_first_distinct().to_numpy() & (seen.first(keys.to_numpy()) < 0)
    first |= batch["sample"].is_null().to_numpy()
    new = np.sort(keys.filter(pl.Series(first)).unique().to_numpy())
    seen.add(new[seen.first(new) < 0], np.zeros((seen.first(new) < 0).sum(), np.int64))
    log.repeated += int((~first).sum())
    return batch.filter(pl.Series(first))


def _of_table(table: pl.DataFrame, taken: Taken) -> pl.DataFrame | None:
    """A chunk by its columns; None where one has to be read record by record."""
    columns, key, prompt = taken.columns, taken.columns.get("id"), taken.columns.get("prompt")
    ids = (pl.String, pl.Int64)
    if (key is not None and (key not in table.columns or table[key].dtype not in ids)) or (
        prompt is not None and (prompt not in table.columns or table[prompt].dtype != pl.String)
    ):
        return None
    if any(columns[what] not in table.columns for what in taken.numbered) or "question" in columns:
        return None
    sums = _column_sums(table, taken)
    if sums is None or table.select(sum_ok=sums["ok"])["sum_ok"].all() is not True:
        return None
    return table.select(
        (pl.lit(None, pl.String) if key is None else pl.col(key).cast(pl.String)).alias("id"),
        (pl.lit(None, pl.String) if prompt is None else pl.col(prompt)).alias("prompt"),
        pl.lit(None, pl.String).alias("question"),
        *(sums[name].cast(pl.Float64).alias(name) for name in taken.sums),
        *(pl.col(columns[what]).cast(pl.String).alias(what) for what in taken.numbered),
    )


def _column_sums(table: pl.DataFrame, taken: Taken) -> dict[str, pl.Expr] | None:
    """The sums as expressions, and `ok`, whether a row can be used."""
    if taken.score is not None:
        if taken.score not in table.columns or not _plain(table[taken.score].dtype):
            return None
        value = pl.col(taken.score).cast(pl.Float64)
        ok = value.is_finite() & (value.is_between(0, 1) if taken.bounded else pl.lit(True))
        return {"n": pl.lit(1.0), "total": value, "squares": value.pow(2), "ok": ok.fill_null(False)}
    if (name := taken.columns.get("rewards")) is not None:
        dtype = table.schema.get(name)
        if not isinstance(dtype, pl.List) or not _plain(dtype.inner):  # type: ignore[arg-type]
            return None
        values = pl.col(name).cast(pl.List(pl.Float64))
        half = values.list.gather_every(2)
        ok = (
            (values.list.len() > 0)
            & values.list.sum().is_finite()
            & (values.list.eval(pl.element().is_null()).list.any().not_())
        )
        if taken.bounded:
            ok &= (values.list.min() >= 0) & (values.list.max() <= 1)
        sums = {"n": values.list.len(), "total": values.list.sum(), "squares": _squares(values)}
        sums |= {"half_n": half.list.len(), "half_total": half.list.sum(), "half_squares": _squares(half)}
        return sums | {"ok": ok.fill_null(False)}
    n, right = (taken.columns[what] for what in ("count_n", "count_c"))
    if any(name not in table.columns or not table[name].dtype.is_numeric() for name in (n, right)):
        return None
    right_x, n_x = pl.col(right).cast(pl.Float64), pl.col(n).cast(pl.Float64)
    ok = (right_x >= 0) & (right_x <= n_x) & (right_x.round() == right_x) & (n_x.round() == n_x)
    sums = {"n": n_x, "total": right_x, "squares": right_x}
    return sums | dict.fromkeys(HALVES, pl.lit(0.0)) | {"ok": ok.fill_null(False)}


def _plain(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _squares(values: pl.Expr) -> pl.Expr:
    return values.list.eval(pl.element().pow(2)).list.sum()


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
    numbered = dict.fromkeys(taken.numbered, pl.String())
    schema = BESIDE | dict.fromkeys(taken.sums, pl.Float64()) | numbered
    return pl.DataFrame(rows, schema=schema, orient="row")


def _of_record(record: Mapping[str, Any], taken: Taken) -> tuple[Any, ...]:
    at = {what: naming.value_at(record, column) for what, column in taken.columns.items()}
    values = {what: None if value is naming.MISSING else value for what, value in at.items()}
    prompt, question = prompt_text(values.get("prompt"))
    beside = [values[what] for what in taken.numbered]
    sums = _record_sums(record, values, taken)
    return (
        identifier(values.get("id")),
        prompt,
        values.get("question") or question,
        *sums,
        *map(_text, beside),
    )


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _record_sums(record: Mapping[str, Any], values: Mapping[str, Any], taken: Taken) -> list[float]:
    if taken.score is not None:
        value = naming.value_at(record, taken.score)
        given = None if value is naming.MISSING else number(value, taken.score)
        return _rewards([given], taken, taken.score)[:3]
    if "rewards" in taken.columns:
        if not isinstance(values["rewards"], list) or not values["rewards"]:
            raise BadRecord("rewards: not a list, or an empty one")
        return _rewards([number(reward, "rewards") for reward in values["rewards"]], taken, "rewards")
    n, right = number(values.get("count_n"), "n"), number(values.get("count_c"), "c")
    if n is None or right is None:
        raise BadRecord("n: missing, or c is")
    if not 0 <= right <= n:
        raise BadRecord("c: not between 0 and n")
    if not (n.is_integer() and right.is_integer()):
        raise BadRecord("c: no whole number, so it does not count right samples")
    return [n, right, right, 0.0, 0.0, 0.0]


def _rewards(rewards: Sequence[float | None], taken: Taken, name: str) -> list[float]:
    given = [reward for reward in rewards if reward is not None]
    if len(given) < len(rewards):
        raise BadRecord(f"{name}: missing")
    if taken.bounded and not all(0 <= reward <= 1 for reward in given):
        raise BadRecord(f"{name}: {OUTSIDE}")
    half = given[::2]
    return [
        float(len(given)),
        sum(given),
        sum(reward**2 for reward in given),
        float(len(half)),
        sum(half),
        sum(reward**2 for reward in half),
    ]
