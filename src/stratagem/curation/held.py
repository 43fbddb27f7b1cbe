"""The rows of a pool of prompts as their file has them: lines of JSON, records, Arrow tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stratagem.records import NO_VALUE, StratagemError
from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.containers import objects, sources
from stratagem.rollouts.readers.row import BadRecord

Form = Literal["jsonl", "parquet", "csv", "dataset"]
Record = dict[str, Any]
Rows = NDArray[np.int64]


class Held(Protocol):
    """The rows of a pool, as its file has them."""

    @property
    def form(self) -> Form: ...

    def __len__(self) -> int: ...

    def records(self, rows: Sequence[int] | range, columns: Sequence[str] | None = None) -> Sequence[Record]:
        """Rows as Python; at least these columns of them."""
        ...

    def lines(self, rows: Rows) -> Sequence[bytes]:
        """Rows as lines of JSON."""
        ...

    def table(self, rows: Rows) -> pa.Table: ...


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of JSON, byte by byte as they were."""

    held: Sequence[bytes]
    form: Form = "jsonl"

    def __len__(self) -> int:
        return len(self.held)

    def records(self, rows: Sequence[int] | range, columns: Sequence[str] | None = None) -> Sequence[Record]:
        decode = msgspec.json.decode
        made: list[Record] = []
        for row in rows:
            try:
                made.append(decode(self.held[row]))
            except ValueError:  # what Python's own writer writes and the standard has not, such as NaN
                record = objects(self.held[row])[0]
                assert isinstance(record, dict)
                made.append(record)
        return made

    def lines(self, rows: Rows) -> Sequence[bytes]:
        return [self.held[row] for row in rows]

    def table(self, rows: Rows) -> pa.Table:
        return _table(self.records(rows.tolist()))


@dataclass(frozen=True, slots=True)
class Records:
    """Rows of a CSV file or of a JSON document."""

    held: Sequence[Record]
    form: Form

    def __len__(self) -> int:
        return len(self.held)

    def records(self, rows: Sequence[int] | range, columns: Sequence[str] | None = None) -> Sequence[Record]:
        return [self.held[row] for row in rows]

    def lines(self, rows: Rows) -> Sequence[bytes]:
        return [msgspec.json.encode(self.held[row]) for row in rows]

    def table(self, rows: Rows) -> pa.Table:
        return _table(self.records(rows.tolist()))


@dataclass(frozen=True, slots=True)
class Arrow:
    """A Parquet file or a folder of `datasets`, with the types of its columns."""

    held: pa.Table
    form: Form

    def __len__(self) -> int:
        return self.held.num_rows

    def records(self, rows: Sequence[int] | range, columns: Sequence[str] | None = None) -> Sequence[Record]:
        table = (
            self.held
            if columns is None
            else self.held.select([c for c in columns if c in self.held.schema.names])
        )
        if isinstance(rows, range):
            return table.slice(rows.start, len(rows)).to_pylist()
        return table.take(pa.array(rows, pa.int64())).to_pylist()

    def texts(self, rows: range, taken: Mapping[str, str], columns: Sequence[str]) -> pl.DataFrame | None:
        """Some rows' id, prompt, question, and `columns`, each called "_NAME", as text; None where one holds more than
        texts and whole numbers, and has to be read row by row."""
        types = dict(zip(self.held.schema.names, self.held.schema.types, strict=True))
        named = {**taken, **{f"_{name}": name for name in columns}}
        for what, name in named.items():
            text = name in types and (
                pa.types.is_string(types[name]) or pa.types.is_large_string(types[name])
            )
            whole = name in types and what not in ("prompt", "question") and pa.types.is_integer(types[name])
            if not (text or whole):
                return None
        part = self.held.slice(rows.start, len(rows))
        nothing = pl.lit(NO_VALUE)
        table = pl.DataFrame(
            {what: pl.from_arrow(part.column(name)).cast(pl.String) for what, name in named.items()}  # type: ignore[union-attr]
        )
        absent = [
            pl.lit(None, pl.String).alias(what) for what in ("id", "prompt", "question") if what not in named
        ]
        strata = [
            pl.when(pl.col(f"_{name}") == "")
            .then(nothing)
            .otherwise(pl.col(f"_{name}").fill_null(nothing))
            .alias(f"_{name}")
            for name in columns
        ]
        return table.with_columns(*absent, *strata).select(
            "id", "prompt", "question", *(f"_{name}" for name in columns)
        )

    def lines(self, rows: Rows) -> Sequence[bytes]:
        return [msgspec.json.encode(record) for record in self.records(rows.tolist())]

    def table(self, rows: Rows) -> pa.Table:
        return self.held.take(pa.array(rows))


def _table(records: Sequence[Record]) -> pa.Table:
    names = dict.fromkeys(name for record in records for name in record)
    try:
        return pa.table({name: pa.array([record.get(name) for record in records]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StratagemError(
            f"--format: a column holds values of several types ({str(error).splitlines()[0]}); take jsonl"
        ) from None


def read_rows(path: str, files: Sequence[Path]) -> Held:
    """The rows of all files, which are of one kind.

    Args:
        path: what the user named.

    Raises:
        StratagemError: a file or a row cannot be read, files are of several kinds, or there are none.
    """
    kinds: dict[str, Path] = {}
    parts: list[Any] = []
    for file in files:
        inside = sources(file)
        for source in inside:
            kinds.setdefault(source.kind, file)
            if len(kinds) > 1:
                first, second = list(kinds.values())[:2]
                raise StratagemError(
                    f"{path}: {first.name} and {second.name} are of two kinds; name one of them"
                )
            parts.append(_READ[source.kind](source.name, file, source.read))
    if not kinds:
        raise StratagemError(f"{path}: is empty")
    kind = next(iter(kinds))
    if kind in ("parquet", "arrow"):
        try:
            whole = pa.concat_tables(parts)
        except pa.ArrowInvalid as error:
            raise StratagemError(
                f"{path}: its files have other columns ({str(error).splitlines()[0]})"
            ) from None
        return Arrow(whole, "parquet" if kind == "parquet" else "dataset")
    rows = [row for part in parts for row in part]
    return Lines(rows) if kind == "lines" else Records(rows, "csv" if kind == "csv" else "jsonl")


def _read_lines(name: str, path: Path, read: Callable[..., Any]) -> list[bytes]:
    held: list[bytes] = []
    place = 0
    if "/" in name.removeprefix(str(path)):
        raise StratagemError(f"{name}: unpack the archive first")
    for block in streams.blocks(streams.chunks(path)):
        if isinstance(block, BadRecord):
            raise StratagemError(f"{name}: row {place + 1}: {block}")
        lines = block.split(b"\n")
        for line, record in zip(lines, objects(block), strict=True):
            place += 1
            if isinstance(record, BadRecord):
                raise StratagemError(f"{name}: row {place}: {record}; mend it or take it out")
            if record is not None:
                held.append(line.strip().removeprefix(b"\xef\xbb\xbf"))
    return held


def _read_records(name: str, path: Path, read: Callable[..., Any]) -> list[Record]:
    held: list[Record] = []
    for chunk in read():
        for place, record in zip(chunk.numbers, chunk.records(), strict=True):
            if isinstance(record, BadRecord):
                raise StratagemError(f"{name}: row {place}: {record}; mend it or take it out")
            if record is not None:
                held.append(record)
    return held


def _read_parquet(name: str, path: Path, read: Callable[..., Any]) -> pa.Table:
    try:
        return pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise StratagemError(f"{name}: not a readable Parquet file ({str(error).splitlines()[0]})") from None


def _read_arrow(name: str, path: Path, read: Callable[..., Any]) -> pa.Table:
    try:
        with pa.memory_map(str(path)) as source:
            whole = bytes(source.read(6)) == b"ARROW1"
            source.seek(0)
            return (pa.ipc.open_file(source) if whole else pa.ipc.open_stream(source)).read_all()
    except (pa.ArrowException, OSError) as error:
        raise StratagemError(f"{name}: not a readable Arrow file ({str(error).splitlines()[0]})") from None


_READ: Mapping[str, Callable[[str, Path, Callable[..., Any]], Any]] = {
    "lines": _read_lines,
    "document": _read_records,
    "csv": _read_records,
    "parquet": _read_parquet,
    "arrow": _read_arrow,
}
