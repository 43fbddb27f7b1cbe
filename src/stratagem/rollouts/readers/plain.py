"""JSON lines, CSV and Parquet with columns that name themselves, or that the user names."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stratagem.rollouts.readers import assemble, averages, conversation, naming
from stratagem.rollouts.readers import unfold as unfolding
from stratagem.rollouts.readers.row import (
    QUESTION,
    BadRecord,
    ReadOptions,
    Row,
    completion_text,
    conversation_parts,
    extras,
    finish,
    identifier,
    in_think_marks,
    messages_in,
    number,
    prompt_text,
    whole,
)

NAME = "plain"
PLANNED = 1_000  # responses by which columns are settled


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether there is a response, and a prompt or an id to group it by."""
    if averages.is_ungraded(record):
        return False
    try:
        flat = unfolding.unfolded(record, unfolding.shape_of([record]))[0]
    except BadRecord:
        return False
    spoken = any(messages_in(flat.get(name)) is not None for name in naming.NAMES["messages"])
    return spoken or (naming.holds_response(flat) and naming.names_problem(flat))


def belongs(path: Path) -> bool:
    """False for the averages that evaluations write beside their responses."""
    return re.fullmatch(r"(.*[_-])?(metrics|summary|stats)\.json", path.name) is None


def holds(record: Mapping[str, Any], completion: str) -> bool:
    """Whether a record has the column of the response that the user named."""
    try:
        shape = unfolding.shape_of([record], completion)
        flat = unfolding.unfolded(record, shape)[0]
    except BadRecord:
        return True
    return naming.value_at(flat, unfolding.within(completion, shape)) is not naming.MISSING


def plan(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> ReadOptions:
    """How the records hold their responses, and what their columns are."""
    shape = unfolding.shape_of(records, options.columns.get("completion"))
    flat: list[Mapping[str, Any]] = []
    several = False
    for record in records:
        if len(flat) < len(records) or len(flat) < PLANNED:
            with contextlib.suppress(BadRecord):
                rows = unfolding.unfolded(record, shape)
                flat += rows[:PLANNED]
                several |= len(rows) > 1
    if shape is not None and not several:
        shape = replace(shape, shared=())  # one response a record: nothing is shared
    columns = {what: unfolding.within(name, shape) for what, name in options.columns.items()}
    scores = tuple(unfolding.within(name, shape) for name in options.scores)
    return naming.plan(flat or records, replace(options, columns=columns, scores=scores), shape)


def unfold(record: Mapping[str, Any], options: ReadOptions) -> list[dict[str, Any]]:
    """The records of one response each that a record holds.

    Raises:
        BadRecord: none, or lists that belong together and are not as long as each other.
    """
    name = options.columns.get("completion", "")
    texts = record.get(name)
    if options.shape is None and isinstance(texts, list) and all(isinstance(text, str) for text in texts):
        listed = [score for score in options.scores if isinstance(record.get(score), list)]
        return unfolding.zipped(record, (name, *listed))
    return unfolding.unfolded(record, options.shape)


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one record, which holds no more than that."""
    values = {what: _value(record, name) for what, name in options.columns.items()}
    scores = {name: _value(record, name) for name in options.scores}
    prompt, question = prompt_text(values.get("prompt"), options.columns.get("prompt", "prompt"))
    if isinstance(values.get("question"), str):
        question = values["question"]
    completion = values.get("completion")
    where = options.columns.get("completion", "completion")
    if "messages" not in options.columns and naming.value_at(record, where) is naming.MISSING:
        raise BadRecord("completion: missing")
    if (messages := messages_in(values.get("messages"))) is not None:
        asked, last, said = conversation_parts(messages)
        completion = said if "completion" not in options.columns else completion
        prompt, question = (asked, last) if prompt is None else (prompt, question or last)
    yield {
        "id": identifier(values.get("id"), options.columns.get("id", "id")),
        "prompt": prompt,
        "question": question,
        "completion": _thought(completion_text(completion, options.turns, where), values.get("reasoning")),
        "scores": {name: number(value, name) for name, value in scores.items()},
        "sample": _sample(record, values, options),
        "checkpoint": identifier(values.get("checkpoint"), options.columns.get("checkpoint", "checkpoint")),
        "finish_reason": _finish(values),
        "tokens": whole(values.get("tokens"), options.columns.get("tokens", "tokens")),
        "extra": extras(record, {unfolding.SAMPLE, *options.columns.values(), *options.scores}),
    }


def _thought(completion: str | None, reasoning: Any) -> str | None:
    """A response with the reasoning that stands in a column of its own."""
    if completion is None or not isinstance(reasoning, str) or not reasoning or "<think>" in completion:
        return completion
    return in_think_marks(reasoning) + completion


def _sample(record: Mapping[str, Any], values: Mapping[str, Any], options: ReadOptions) -> int | None:
    """The number of a response among those to its problem: as the log has it, or its place in the record's list."""
    if values.get("sample") is None and options.shape is not None:
        columns, shared = options.columns, options.shape.shared
        if columns.get("id") in shared or ("id" not in columns and columns.get("prompt") in shared):
            return record.get(unfolding.SAMPLE)
    if unfolding.SAMPLE in record and options.shape is None:
        return record[unfolding.SAMPLE]
    return whole(values.get("sample"), options.columns.get("sample", "sample"))


def _value(record: Mapping[str, Any], name: str) -> Any:
    value = naming.value_at(record, name)
    return None if value is naming.MISSING else value


def _finish(values: Mapping[str, Any]) -> Any:
    cut = values.get("truncated")
    if cut is not None and number(cut, "truncated"):
        return "length"
    return finish(values.get("finish_reason"))


def frame(table: pl.DataFrame, options: ReadOptions) -> pl.DataFrame | None:
    """The same as `rows`, column by column, where every column holds plain text and numbers."""
    columns = options.columns
    if options.shape is not None or "messages" in columns:
        return None
    flat = _flat(_texts(table, options), {*columns.values(), *options.scores})
    if "completion" not in columns or flat is None:
        return None
    table = flat
    wanted = dict.fromkeys(("id", "prompt", "question", "completion", "checkpoint"), pl.String)
    wanted |= dict.fromkeys(("sample", "tokens"), pl.Int32)
    made: dict[str, pl.Series] = {}
    if QUESTION in table.columns:
        columns = {**columns, "question": QUESTION}
    for what, dtype in wanted.items():
        if (name := columns.get(what)) not in table.columns:
            if name is not None and "." in name:
                return None
            continue
        column = table[name]
        if what in ("prompt", "question", "completion") and column.dtype not in (pl.String, pl.Null):
            return None
        if dtype == pl.String and column.dtype not in (pl.String, pl.Int64, pl.Null):
            return None
        if dtype == pl.Int32 and column.dtype not in (pl.Int64, pl.Null):
            return None
        cast = column.cast(dtype, strict=False)
        if cast.null_count() != column.null_count():
            return None
        made[what] = cast
    if columns.get("reasoning") in table.columns and "completion" in made:
        made["completion"] = _with_reasoning(made["completion"], table[columns["reasoning"]])
    if "truncated" in columns and columns["truncated"] in table.columns:
        return None
    if (reason := columns.get("finish_reason")) in table.columns:
        words = table[reason]
        if words.dtype == pl.String:
            made["finish_reason"] = words.replace_strict(
                {word: finish(word) for word in words.unique().drop_nulls()},
                default=None,
                return_dtype=pl.String,
            )
    for name in options.scores:
        if name not in table.columns:
            if "." in name:
                return None
            continue
        column = table[name]
        if not column.dtype.is_numeric() and column.dtype not in (pl.Boolean, pl.Null):
            return None
        column = column.cast(pl.Float64)
        values = column.to_numpy()
        if np.isinf(values).any():
            return None
        made[name] = column.fill_nan(None) if np.isnan(values).any() else column
    taken = {*columns.values(), *options.scores, *assemble.TEXTS}
    rest = [column for column in table if column.name not in taken]
    return pl.DataFrame([*(column.alias(name) for name, column in made.items()), *rest])


def _with_reasoning(completion: pl.Series, reasoning: pl.Series) -> pl.Series:
    """The same as `_thought`, for whole columns."""
    said, first = pl.col("completion"), pl.col("reasoning").cast(pl.String)
    whole = pl.concat_str(pl.lit("<think>\n"), first.str.strip_chars(), pl.lit("\n</think>\n\n"), said)
    apart = (first.fill_null("") != "") & ~said.str.contains("<think>", literal=True)
    table = pl.DataFrame({"completion": completion, "reasoning": reasoning})
    return table.select(pl.when(apart).then(whole).otherwise(said).alias("completion"))["completion"]


def _texts(table: pl.DataFrame, options: ReadOptions) -> pl.DataFrame:
    """With lists of messages as text, where they are no more than that."""
    prompt, completion = (options.columns.get(name, "") for name in ("prompt", "completion"))
    if prompt in table.columns and "question" not in options.columns:
        read = conversation.prompts(table[prompt])
        table = table if read is None else table.with_columns(read[0].alias(prompt), read[1].alias(QUESTION))
    if completion in table.columns:
        said = conversation.completions(table[completion], options.turns)
        table = table if said is None else table.with_columns(said.alias(completion))
    return table


def _flat(table: pl.DataFrame, wanted: Collection[str]) -> pl.DataFrame | None:
    """The scalars, those of objects as "name.field"; None where a column that is wanted is nested."""
    flat: list[pl.Series] = []
    for column in table:
        if not column.dtype.is_nested():
            flat.append(column)
        elif column.name in wanted:
            return None
        elif isinstance(column.dtype, pl.Struct):
            inner = [
                column.struct.field(field.name).alias(f"{column.name}.{field.name}")
                for field in column.dtype.fields
            ]
            flat += [series for series in inner if not series.dtype.is_nested()]
    if len({series.name for series in flat}) < len(flat):
        return None
    return pl.DataFrame(flat)
