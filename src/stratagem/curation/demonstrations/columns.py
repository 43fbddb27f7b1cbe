"""The demonstrations of an SFT set as its file has them: a prompt, a response and what else is asked of each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from stratagem.curation.held import Arrow, Held, Record
from stratagem.curation.pool import as_text, check_column, value_of
from stratagem.curation.shapes import usual
from stratagem.records import StratagemError
from stratagem.rollouts.readers import naming, plain
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    completion_text,
    conversation_parts,
    finish,
    identifier,
    in_think_marks,
    prompt_text,
)

WANTED = ("id", "prompt", "question", "completion", "reasoning", "messages", "finish_reason")
TEXTS = ("id", "prompt", "question", "completion", "finish_reason")
STRATEGY = "strategy"  # the column that names strategies where no rules are given


@dataclass(frozen=True, slots=True)
class Columns:
    """How the rows of a set are read.

    Attributes:
        named: which column is what, of `WANTED`.
        beside: further columns, read as text, by what they are called here.
        changed: whether rows have to be put into usual words first (`shapes.usual`).
    """

    named: Mapping[str, str]
    beside: Mapping[str, str]
    changed: bool
    notes: tuple[str, ...] = ()


def settle(
    path: str, sample: Sequence[Record], named: Mapping[str, str], beside: Mapping[str, tuple[str, str]]
) -> Columns:
    """Which column is what, by the first records of a set.

    Args:
        named: columns that the user names: ``id``, ``prompt``, ``completion``.
        beside: further columns by what they are called here: the column, and the option that names it.

    Raises:
        StratagemError: no prompt and no id, no response, several texts that may be it, or no such column.
    """
    records = [usual(record) for record in sample]
    there = ", ".join(dict.fromkeys(name for record in sample for name in record))
    try:
        options = naming.plan(records, ReadOptions(columns=dict(named), turns="all"))
    except StratagemError as error:
        fixed = str(error).replace("--columns completion=COLUMN", "--response COLUMN")
        raise StratagemError(f"{path}: {fixed}") from None
    taken = {what: name for what, name in options.columns.items() if what in WANTED}
    if not {"completion", "messages"} & set(taken):
        raise StratagemError(f"{path}: no response; its columns are {there}: name one with --response COLUMN")
    if not {"id", "prompt", "messages"} & set(taken):
        raise StratagemError(
            f"{path}: neither a prompt nor an id; its columns are {there}: name one with --prompt COLUMN or --id COLUMN"
        )
    for column, option in beside.values():
        check_column(path, sample, column, option)
    return Columns(
        taken,
        {what: column for what, (column, _) in beside.items()},
        any(new is not old for new, old in zip(records, sample, strict=True)),
        tuple(f"{path}: {note}" for note in options.notes),
    )


def texts(path: str, held: Held, rows: range, columns: Columns) -> pl.DataFrame:
    """Some rows: `TEXTS` and the columns beside, all of them text, null where a row has none.

    Raises:
        StratagemError: a row cannot be read.
    """
    table = _by_columns(held, rows, columns) if isinstance(held, Arrow) and not columns.changed else None
    return by_records(path, held, rows, columns) if table is None else table


def _by_columns(held: Arrow, rows: range, columns: Columns) -> pl.DataFrame | None:
    """The same as `by_records`, column by column; None where one holds more than texts and whole numbers."""
    wanted = list(dict.fromkeys((*columns.named.values(), *columns.beside.values())))
    if "messages" in columns.named or not set(wanted) <= set(held.held.schema.names):
        return None
    part = held.held.select(wanted).slice(rows.start, len(rows))
    table = pl.DataFrame({name: pl.from_arrow(part.column(name)) for name in wanted})  # type: ignore[arg-type]
    beside = [table[name] for name in columns.beside.values()]
    if not all(column.dtype == pl.String or column.dtype.is_integer() for column in beside):
        return None
    made = plain.frame(table, ReadOptions(columns=dict(columns.named), turns="all"))
    if made is None:
        return None
    absent = [pl.lit(None, pl.String).alias(name) for name in TEXTS if name not in made.columns]
    values = [
        table[name].cast(pl.String).replace("", None).alias(what) for what, name in columns.beside.items()
    ]
    return made.with_columns(absent).select(TEXTS).with_columns(values)


def by_records(path: str, held: Held, rows: Sequence[int] | range, columns: Columns) -> pl.DataFrame:
    """The same as `texts`, of any rows."""
    wanted = [name.split(".")[0] for name in (*columns.named.values(), *columns.beside.values())]
    whole = None if columns.changed else wanted
    made: list[tuple[str | None, ...]] = []
    for row, record in zip(rows, held.records(rows, whole), strict=True):
        if columns.changed:
            record = usual(record)
        try:
            read = _texts(record, columns.named)
        except BadRecord as fault:
            raise StratagemError(f"{path}: row {row + 1}: {fault}") from None
        made.append((*read, *(as_text(value_of(record, name)) for name in columns.beside.values())))
    schema = dict.fromkeys((*TEXTS, *columns.beside), pl.String())
    table = pl.DataFrame(made, schema=schema, orient="row")
    nothing = as_text(None)
    return table.with_columns(pl.col(list(columns.beside)).replace(nothing, None))


def _texts(record: Record, named: Mapping[str, str]) -> tuple[str | None, ...]:
    """`TEXTS` of one record.

    Raises:
        BadRecord: one cannot be read.
    """
    values: dict[str, Any] = {what: value_of(record, name) for what, name in named.items()}
    prompt, question = prompt_text(values.get("prompt"), named.get("prompt", "prompt"))
    asked = values.get("question")
    question = asked if isinstance(asked, str) else question
    completion = values.get("completion")
    if values.get("messages") is not None:
        before, last, said = conversation_parts(values["messages"])
        completion = said if "completion" not in named else completion
        prompt, question = (before, last) if prompt is None else (prompt, question or last)
    response = completion_text(completion, "all", named.get("completion", "completion"))
    thought = values.get("reasoning")
    if response is not None and isinstance(thought, str) and thought and "<think>" not in response:
        response = in_think_marks(thought) + response
    key = identifier(values.get("id"), named.get("id", "id"))
    return key, prompt, question, response, finish(values.get("finish_reason"))
