"""Lines of JSON as a table, a block at once, where every line has the fields that the first records have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from stratagem.rollouts.readers.row import QUESTION, BadRecord, ReadOptions, completion_text, prompt_text

_ODD = re.compile(r'[\x00-\x1f"\\]')  # what a name in a struct of msgspec must not hold
_decode = msgspec.json.Decoder().decode
_NULL = msgspec.Raw(b"null")
_DTYPES: dict[type, pl.DataType] = {
    str: pl.String(),
    bool: pl.Boolean(),
    int: pl.Int64(),
    float: pl.Float64(),
}


@dataclass(frozen=True, slots=True)
class Tabulator:
    """Makes tables of lines.

    `types` are those of the log's fields (None: nested, or of several types: such values are decoded when a table is
    made, each different one once, since prompts of one problem and metadata repeat).
    """

    types: Mapping[str, type | None]
    options: ReadOptions
    decoder: msgspec.json.Decoder[Any]

    def decode(self, lines: bytes) -> list[Any] | None:
        """The lines as structs; None unless each is one object with these fields and types."""
        try:
            structs = self.decoder.decode_lines(lines)
        except (ValueError, RecursionError):
            return None
        return structs if one_a_line(lines, len(structs)) else None

    def table(self, lines: Sequence[Any]) -> pl.DataFrame | None:
        """Decoded lines with a column a field; None where one holds values of several types.

        Prompts and completions that are lists of messages become text, and the users' last messages the column
        `QUESTION`. Lists of rewards are kept as numbers. Of nested objects the scalars become columns "name.field";
        any other column of lists only says that there were lists.
        """
        made: list[pl.Series | None] = []
        for i, (name, known) in enumerate(self.types.items()):
            values = list(map(attrgetter(f"f{i}"), lines))
            if known is not None:
                made.append(_series(name, values, {known}))
                continue
            try:
                different, index = _different(values)
            except (ValueError, RecursionError):
                return None
            types = set(map(type, different)) - {type(None)}
            if types == {dict}:
                columns = _inner(name, different)
            elif types == {list}:
                columns = _lists(name, different, self.options)
            else:
                columns = [_series(name, different, types)]
            made += [None if column is None else column.gather(index) for column in columns]
        whole = [column for column in made if column is not None]
        return pl.DataFrame(whole) if len({column.name for column in whole}) == len(made) else None


def tabulator(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> Tabulator:
    """A tabulator for logs with the fields of some records."""
    types: dict[str, type | None] = {}
    for name in dict.fromkeys(name for record in records for name in record):
        if _ODD.search(name):  # then lines that have it are read one by one
            continue
        value_types = {type(record.get(name)) for record in records} - {type(None)}
        value_types = {float} if value_types == {int, float} else value_types
        types[name] = value_types.pop() if len(value_types) == 1 and value_types <= _DTYPES.keys() else None
    line = msgspec.defstruct(
        "Line",
        [
            (f"f{i}", msgspec.Raw, _NULL) if value_type is None else (f"f{i}", value_type | None, None)
            for i, value_type in enumerate(types.values())
        ],
        rename={f"f{i}": name for i, name in enumerate(types)},
        forbid_unknown_fields=True,
        gc=False,  # lines hold no cycles
    )
    return Tabulator(types, options, msgspec.json.Decoder(line))


def one_a_line(lines: bytes, values: int) -> bool:
    """Whether so many values stand one a line.

    Every line ends with "}" and the next starts with "{". JSON allows this between two values only, so no value goes
    over two lines, and as there are as many as lines, no line has two.
    """
    if not (lines.startswith(b"{") and lines.endswith(b"}")):
        return False
    data = np.frombuffer(lines, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    between = data[ends - 1] == ord("}")
    return values == len(ends) + 1 and bool(between.all() and (data[ends + 1] == ord("{")).all())


def _different(values: Sequence[msgspec.Raw]) -> tuple[list[Any], NDArray[np.uint32]]:
    """The different values, and for each of all its place among them.

    Raises:
        ValueError, RecursionError: one is no JSON, or too deep.
    """
    places: dict[bytes, int] = {}
    index = [places.setdefault(bytes(value), len(places)) for value in values]
    return list(map(_decode, places)), np.array(index, np.uint32)


def _inner(name: str, values: Sequence[Any]) -> list[pl.Series | None]:
    made: list[pl.Series | None] = []
    for inner in dict.fromkeys(key for value in values if value for key in value):
        below = [value.get(inner) if value else None for value in values]
        types = set(map(type, below)) - {type(None)}
        if types & _DTYPES.keys() or not types:
            made.append(_series(f"{name}.{inner}", below, types))
    return made


def _lists(name: str, values: Sequence[Any], options: ReadOptions) -> list[pl.Series | None]:
    columns = options.columns
    try:
        if name == columns.get("prompt") and "question" not in columns:
            read = [prompt_text(value, name) for value in values]
            texts, questions = zip(*read, strict=True)
            return [pl.Series(name, texts, pl.String), pl.Series(QUESTION, questions, pl.String)]
        if name == columns.get("completion"):
            return [
                pl.Series(name, [completion_text(value, options.turns, name) for value in values], pl.String)
            ]
    except BadRecord:
        return [None]
    if name == columns.get("rewards"):
        return [_rewards(name, values)]
    return [pl.Series(name, [[]] * len(values), pl.List(pl.Null))]


def _rewards(name: str, values: Sequence[Any]) -> pl.Series | None:
    """Lists of numbers; None where one is missing, holds anything else or a number too large."""
    if None in values or not set(map(type, chain.from_iterable(values))) <= {bool, int, float}:
        return None
    try:
        flat = np.fromiter(chain.from_iterable(values), np.float64)
    except OverflowError:
        return None
    ends = np.cumsum([0, *map(len, values)], dtype=np.int64)
    return pl.Series(name, pa.LargeListArray.from_arrays(ends, flat))


def _series(name: str, values: Sequence[Any], types: set[type]) -> pl.Series | None:
    if types == {int, float}:
        types = {float}
    dtype = pl.Null() if not types else _DTYPES.get(next(iter(types)))
    if len(types) > 1 or dtype is None or not name:
        return None
    try:
        return pl.Series(name, values, dtype, strict=True)
    except (OverflowError, TypeError, pl.exceptions.PolarsError):
        return None
