"""JSON lines, CSV and Parquet with columns that name themselves, or that the user names."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from stratagem.rollouts.readers import assemble, conversation, naming
from stratagem.rollouts.readers.row import (
    QUESTION,
    BadRecord,
    ReadOptions,
    Row,
    completion_text,
    extras,
    finish,
    identifier,
    messages_of,
    number,
    prompt_text,
    whole,
)

NAME = "plain"
plan = naming.plan


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether there is a response, and a prompt or an id to group it by."""
    columns = plan([record], ReadOptions()).columns
    return "messages" in columns or ("completion" in columns and ("prompt" in columns or "id" in columns))


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one record, or each of its responses where it holds a list of them."""
    if not options.planned:
        options = plan([record], options)
    found = {what: _value(record, name) for what, name in options.columns.items()}
    scores = {name: _value(record, name) for name in options.scores}
    prompt, question = prompt_text(found.get("prompt"), options.columns.get("prompt", "prompt"))
    if isinstance(found.get("question"), str):
        question = found["question"]
    completion = found.get("completion")
    if "completion" not in options.columns and isinstance(found.get("messages"), list):
        prompt, question, completion = _conversation(found["messages"])
    where = options.columns.get("completion", "completion")
    shared: Row = {
        "id": identifier(found.get("id"), options.columns.get("id", "id")),
        "prompt": prompt,
        "question": question,
        "sample": whole(found.get("sample"), options.columns.get("sample", "sample")),
        "checkpoint": identifier(found.get("checkpoint"), options.columns.get("checkpoint", "checkpoint")),
        "finish_reason": _finish(found),
        "tokens": whole(found.get("tokens"), options.columns.get("tokens", "tokens")),
        "extra": extras(record, {*options.columns.values(), *options.scores}),
    }
    if completion == []:
        raise BadRecord(f"{where}: an empty list")
    if isinstance(completion, list) and all(isinstance(one, str) for one in completion):
        for sample, text in enumerate(completion):
            picked = {name: _pick(value, sample, len(completion), name) for name, value in scores.items()}
            yield {**shared, "completion": text, "scores": _numbers(picked), "sample": sample}
        return
    yield {
        **shared,
        "completion": completion_text(completion, options.turns, where),
        "scores": _numbers(scores),
    }


def _value(record: Mapping[str, Any], name: str) -> Any:
    value = naming.value_at(record, name)
    return None if value is naming.MISSING else value


def _numbers(scores: Mapping[str, Any]) -> dict[str, float | None]:
    return {name: number(value, name) for name, value in scores.items()}


def _pick(value: Any, index: int, length: int, name: str) -> Any:
    if not isinstance(value, list):
        return value
    if len(value) != length:
        raise BadRecord(f"{name}: not as many as there are completions")
    return value[index]


def _finish(found: Mapping[str, Any]) -> Any:
    cut = found.get("truncated")
    if cut is not None and number(cut, "truncated"):
        return "length"
    return finish(found.get("finish_reason"))


def _conversation(messages: Any) -> tuple[str | None, str | None, list[Any]]:
    """A whole conversation: what comes before the assistant's first turn is the prompt."""
    messages = messages_of(messages, "messages")
    first = next((i for i, one in enumerate(messages) if one["role"] == "assistant"), len(messages))
    if first == len(messages):
        raise BadRecord("messages: no turn of the assistant")
    return *prompt_text(messages[:first], "messages"), list(messages[first:])


def frame(table: pl.DataFrame, options: ReadOptions) -> pl.DataFrame | None:
    """The same as `rows`, column by column, where every column holds plain text and numbers."""
    columns = options.columns
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
                column.struct.field(one.name).alias(f"{column.name}.{one.name}")
                for one in column.dtype.fields
            ]
            flat += [one for one in inner if not one.dtype.is_nested()]
    if len({one.name for one in flat}) < len(flat):
        return None
    return pl.DataFrame(flat)
