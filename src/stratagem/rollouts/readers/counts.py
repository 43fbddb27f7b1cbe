"""Logs of counts: so many attempts at a problem, so many right, and no texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stratagem.rollouts.readers import naming
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    extras,
    identifier,
    number,
    prompt_text,
    whole,
)

NAME = "counts"
plan = naming.plan


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether there are counts or rewards of a problem, and no response."""
    columns = plan([record], ReadOptions()).columns
    named = "id" in columns or "prompt" in columns
    counted = {"count_n", "count_c"} <= set(columns) or "rewards" in columns
    return named and counted and not {"completion", "messages"} & set(columns)


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The counts of one problem."""
    if not options.planned:
        options = plan([record], options)
    found = {what: naming.value_at(record, name) for what, name in options.columns.items()}
    found = {what: None if value is naming.MISSING else value for what, value in found.items()}
    prompt, question = prompt_text(found.get("prompt"))
    if (rewards := found.get("rewards")) is not None:
        if not isinstance(rewards, list):
            raise BadRecord("rewards: not a list")
        values = [number(one, "rewards") for one in rewards]
        if any(one is None or not 0 <= one <= 1 for one in values):
            raise BadRecord("rewards: outside [0, 1]; write 1 for right and 0 for wrong")
        attempts, right = len(values), sum(one or 0.0 for one in values)
    else:
        attempts, right = whole(found.get("count_n"), "n"), number(found.get("count_c"), "c")
        if attempts is None or right is None:
            raise BadRecord("n: missing, or c is")
        if not 0 <= right <= attempts:
            raise BadRecord("c: not between 0 and n")
    yield {
        "id": identifier(found.get("id")),
        "prompt": prompt,
        "question": question,
        "checkpoint": identifier(found.get("checkpoint"), "checkpoint"),
        "count_n": attempts,
        "count_c": right,
        "extra": extras(record, set(options.columns.values())),
    }
