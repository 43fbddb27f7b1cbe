"""Lists of messages as text, a whole column at once: what `row.prompt_text` and `row.completion_text` do for one."""

from __future__ import annotations

import contextlib
from typing import Literal

import polars as pl

from stratagem.rollouts.readers.row import STORED, BadRecord, completion_text, prompt_text


def prompts(column: pl.Series) -> tuple[pl.Series, pl.Series] | None:
    """Prompts and questions; None where a list is more than roles and texts, or texts hold no lists."""
    if _stored(column):
        with contextlib.suppress(BadRecord):
            texts, questions = zip(*map(prompt_text, column), strict=True)
            return pl.Series(texts, dtype=pl.String), pl.Series(questions, dtype=pl.String)
        return None
    said = _said(column)
    if said is None:
        return None
    alone = pl.len().over("row") == 1
    line = pl.when(alone).then("content").otherwise(pl.concat_str("role", pl.lit(": "), "content"))
    asked = pl.col("content").filter(pl.col("role") == "user").last()
    made = said.with_columns(line.alias("line")).group_by("row", maintain_order=True)
    text = made.agg(pl.col("line").str.join("\n\n"), asked)
    return text["line"], text["content"]


def completions(column: pl.Series, turns: Literal["last", "all"]) -> pl.Series | None:
    """The last turns of the assistant, or all; None where a list is more than roles and texts, or texts hold no
    lists."""
    if _stored(column):
        with contextlib.suppress(BadRecord):
            return pl.Series([completion_text(text, turns) for text in column], dtype=pl.String)
        return None
    said = _said(column)
    if said is None:
        return None
    own = pl.col("content").filter(pl.col("role") == "assistant")
    text = own.last().fill_null("") if turns == "last" else own.str.join("\n\n")
    return said.group_by("row", maintain_order=True).agg(text)["content"]


def _stored(column: pl.Series) -> bool:
    """Whether texts of the column may hold lists of messages."""
    return column.dtype == pl.String and bool(column.str.contains(STORED).any())


def _said(column: pl.Series) -> pl.DataFrame | None:
    """Every message with its row, role and content."""
    if not isinstance(column.dtype, pl.List) or not isinstance(column.dtype.inner, pl.Struct):
        return None
    fields = {field.name: field.dtype for field in column.dtype.inner.fields}
    if fields.get("role") != pl.String or fields.get("content") != pl.String:
        return None
    if column.null_count() or not (column.list.len() > 0).all():
        return None
    rows = pl.DataFrame({"message": column}).with_row_index("row").explode("message")
    if rows["message"].null_count():
        return None
    said = rows.unnest("message")
    others = [name for name in fields if name not in ("role", "content")]
    if said["role"].null_count() or any(said[name].null_count() < said.height for name in others):
        return None
    return said.select("row", "role", pl.col("content").fill_null(""))
