"""Tables on disk, Parquet and Arrow, a part at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stratagem.records import StratagemError
from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.chunk import NO_LIMIT, Chunk, check_names, python_chunk
from stratagem.rollouts.readers.row import BadRecord

ARROW = b"ARROW1"
STREAM = b"\xff\xff\xff\xff"  # how an Arrow stream starts
END = STREAM + bytes(4)  # and how it ends
PARQUET_ROWS = 1_024
_POLARS_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)


def parquet(
    name: str,
    path: Path,
    parts: Callable[[], streams.Parts],
    at_most: int = NO_LIMIT,
    unread: Collection[str] = (),
) -> Iterator[Chunk]:
    """The rows of a Parquet file; columns that are `unread` are not taken from the disk, their values are empty texts.

    Raises:
        StratagemError: not to be read from its start.
    """
    source = str(path) if _on_disk(name, path) else pa.BufferReader(streams.all_bytes(parts(), name))

    def tables() -> Iterator[pl.DataFrame]:
        with pq.ParquetFile(source) as file:
            names = file.schema_arrow.names
            check_names(name, names)
            longest = _longest_repeated(source, file.metadata)
            wanted = [column for column in names if column not in unread] if unread else None
            rows = max(1, min(PARQUET_ROWS, at_most, 2 * streams.FREE // max(longest, 1)))
            unpacked, packed = 0, _size(source)  # bytes
            for batch in _record_batches(file, rows, wanted):
                table = _table(name, batch)
                unpacked += table.estimated_size()
                streams.limit_unpacked(name, int(unpacked), packed)
                yield table.with_columns(pl.lit("").alias(column) for column in unread)

    yield from _chunks(name, "a Parquet file", tables(), at_most)


def arrow(
    name: str, path: Path, parts: Callable[[], streams.Parts], at_most: int = NO_LIMIT
) -> Iterator[Chunk]:
    """The rows of an Arrow file (Feather) or stream, as `datasets` saves them.

    Raises:
        StratagemError: not to be read from its start.
    """

    def tables() -> Iterator[pl.DataFrame]:
        with contextlib.ExitStack() as stack:
            if _on_disk(name, path):
                source: Any = stack.enter_context(pa.memory_map(str(path)))
            else:
                source = pa.BufferReader(streams.all_bytes(parts(), name))
            for batch in _batches(source, stack):
                for start in range(0, batch.num_rows, PARQUET_ROWS):
                    yield _table(name, batch.slice(start, PARQUET_ROWS))

    yield from _chunks(name, "an Arrow file", tables(), at_most)


def _record_batches(file: pq.ParquetFile, rows: int, columns: list[str] | None) -> Iterator[pa.RecordBatch]:
    """The file in batches of `rows`. Where a list or a struct holds values that are written as numbers of a dictionary,
    each row group has a dictionary of its own, and Arrow makes no batch over two of them."""
    apart = any(_holds_dictionary(kind) for kind in file.schema_arrow.types)
    every = range(file.metadata.num_row_groups)
    for groups in [[group] for group in every] if apart else [[*every]]:
        yield from file.iter_batches(rows, row_groups=groups, columns=columns)


def _holds_dictionary(kind: pa.DataType) -> bool:
    """Whether there is a dictionary within a type, such as that of a list."""
    parts = [kind.field(place).type for place in range(kind.num_fields)]
    return any(pa.types.is_dictionary(part) or _holds_dictionary(part) for part in parts)


def _on_disk(name: str, path: Path) -> bool:
    """Whether a table is a file of its own, and not packed: members of archives have names of their own."""
    return name == str(path) and streams.packing(streams.raw_head(path)) is None


def _chunks(name: str, kind: str, tables: Iterator[pl.DataFrame], at_most: int) -> Iterator[Chunk]:
    """The tables numbered, until there are more than `at_most` rows; where one cannot be read, it and the rest are one
    bad record."""
    number = 1
    try:
        for table in tables:
            yield Chunk(range(number, number + table.height), table.to_dicts, table)
            number += table.height
            if number > at_most:
                return
    except (pa.ArrowException, OSError, *_POLARS_FAULTS, ValueError) as error:
        if number == 1:
            what = kind.split(maxsplit=1)[1]
            raise StratagemError(f"{name}: not a readable {what} ({_first_line(error)})") from None
        yield python_chunk([number], [BadRecord(f"file: a damaged part of {kind}, and what follows it")])


def _batches(source: Any, stack: contextlib.ExitStack) -> Iterator[pa.RecordBatch]:
    whole = bytes(source.read(len(ARROW))) == ARROW
    source.seek(0)
    if not whole:
        yield from stack.enter_context(pa.ipc.open_stream(source))
        # The library takes the end of the file for that of the stream.
        source.seek(max(0, source.tell() - len(END)))
        if bytes(source.read(len(END))) != END:
            raise ValueError("it breaks off")
        return
    file = stack.enter_context(pa.ipc.open_file(source))
    for place in range(file.num_record_batches):
        yield file.get_batch(place)


def _table(name: str, batch: pa.RecordBatch) -> pl.DataFrame:
    batch.validate(full=True)
    names = [*map(str, batch.schema.names)]  # a damaged one is an error here, in Polars a panic
    check_names(name, names)
    return _simple(pl.DataFrame(dict(zip(names, map(_column, batch.columns), strict=True))))


def _column(values: pa.Array) -> pl.Series | pl.DataFrame:
    """A column as Polars has it; of a type that Polars has not, its values as text."""
    kind = values.type
    if pa.types.is_fixed_size_list(kind):  # where one is null, Polars cannot take a part of them
        values = values.cast(pa.list_(kind.value_type))
    if "decimal256" not in str(kind):  # nested too: Polars would panic
        with contextlib.suppress(*_POLARS_FAULTS, pa.ArrowNotImplementedError):
            return pl.from_arrow(values)
    texts = [None if value is None else str(value) for value in values.to_pylist()]
    return pl.Series(texts, dtype=pl.String)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _size(source: str | pa.BufferReader) -> int:
    return Path(source).stat().st_size if isinstance(source, str) else source.size()


def _longest_repeated(source: str | pa.BufferReader, metadata: pq.FileMetaData) -> int:
    """An upper bound of the bytes of a value that a page of different values holds once for many rows."""
    longest = 0
    with pa.OSFile(source) if isinstance(source, str) else contextlib.nullcontext(source) as file:
        for group in range(metadata.num_row_groups):
            for place in range(metadata.num_columns):
                column = metadata.row_group(group).column(place)
                if column.physical_type == "BYTE_ARRAY" and column.has_dictionary_page:
                    file.seek(column.dictionary_page_offset)
                    longest = max(longest, _unpacked_size(bytes(file.read(32))))
    return longest


def _unpacked_size(header: bytes) -> int:
    """The second number of a page's header: its size before it was packed (Thrift's compact protocol)."""
    place, numbers = 0, list[int]()
    while len(numbers) < 2:
        place += 1  # a byte that says: the next field, an integer of 32 bits
        number = shift = 0
        while True:
            if place >= len(header):
                raise ValueError("a damaged header of a page")
            byte = header[place]
            number |= (byte & 127) << shift
            place, shift = place + 1, shift + 7
            if byte < 128:
                break
        numbers.append(number >> 1)  # zigzag
    return numbers[1]


def _simple(table: pl.DataFrame) -> pl.DataFrame:
    """With text, numbers and truth values of the plain kinds; times become text, and so do whole numbers beyond 64
    bits. Bytes that are no UTF-8 are no value."""
    casts: list[pl.Expr | pl.Series] = []
    for column, dtype in table.schema.items():
        if dtype.is_decimal() or dtype in (pl.Float16, pl.Float32):
            casts.append(pl.col(column).cast(pl.Float64))
        elif dtype.is_integer() and dtype != pl.Int64:
            values = table[column]
            cast = values.cast(pl.Int64, strict=False)
            casts.append(cast if cast.null_count() == values.null_count() else values.cast(pl.String))
        elif dtype == pl.Duration:
            casts.append(pl.col(column).dt.to_string("iso"))
        elif dtype.is_temporal() or dtype in (pl.Categorical, pl.Enum):
            casts.append(pl.col(column).cast(pl.String))
        elif dtype == pl.Binary:
            casts.append(_decoded(table[column]))
    return table.with_columns(casts)


def _decoded(column: pl.Series) -> pl.Series:
    try:
        return column.cast(pl.String)
    except pl.exceptions.PolarsError:
        return pl.Series(column.name, [_utf8(value) for value in column], pl.String)


def _utf8(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
