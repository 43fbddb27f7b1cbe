"""A set of demonstrations with further ones, in the form of those that it has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from stratagem.curation.demonstrations.columns import STRATEGY, Columns
from stratagem.curation.held import Arrow, Held, Lines, Record, Records
from stratagem.curation.shapes import SPEAKERS
from stratagem.records import StratagemError

ASSISTANT = "assistant"


def rewritten(record: Record, text: str, strategy: str, columns: Columns) -> Record:
    """The record of a demonstration with another response: its prompt and all else of it stay, but for the columns of
    the strategy, which is changed, and of reasoning and quality, which are emptied.

    Raises:
        StratagemError: the response stands in a nested field.
    """
    named = columns.named
    changed: Record = {}
    if "completion" in named:
        name = named["completion"]
        if name not in record:
            raise StratagemError(
                f"--write: the response stands in {name}, a nested field; move it to a column"
            )
        turns = isinstance(record[name], list)
        changed[name] = [{"role": ASSISTANT, "content": text}] if turns else text
    if "messages" in named:
        changed[named["messages"]] = _conversation(record[named["messages"]], text)
    for name in (named.get("reasoning"), columns.beside.get("quality")):
        if name in record:
            changed[name] = None
    if STRATEGY in record:
        changed[STRATEGY] = strategy
    return record | changed


def _conversation(turns: Sequence[Mapping[str, Any]], text: str) -> list[dict[str, Any]]:
    """What stands before the assistant's first turn, and that turn with another text."""
    said = [SPEAKERS.get(turn.get("from", ""), turn.get("role", turn.get("from"))) for turn in turns]
    first = said.index(ASSISTANT)
    spoken = "value" if "from" in turns[first] else "content"
    return [*map(dict, turns[:first]), {**turns[first], spoken: text}]


def extended(held: Held, more: Sequence[Record]) -> Held:
    """The rows of a set and further ones after them.

    Raises:
        StratagemError: a value does not fit its column.
    """
    match held:
        case Lines(lines, form):
            return Lines([*lines, *map(msgspec.json.encode, more)], form)
        case Records(records, form):
            return Records([*records, *more], form)
        case Arrow(table, form):
            try:
                added = pa.Table.from_pylist(list(more), schema=table.schema)
            except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
                raise StratagemError(f"--write: {str(error).splitlines()[0]}") from None
            return Arrow(pa.concat_tables([table, added]), form)
        case _:
            raise TypeError(type(held))
