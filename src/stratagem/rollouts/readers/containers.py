"""What a file holds, found by content (lines of JSON, one JSON document, CSV, Parquet), and its records in chunks."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from stratagem.records import StratagemError
from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.fields import Tabulator, one_a_line
from stratagem.rollouts.readers.files import natural
from stratagem.rollouts.readers.row import BadRecord

Kind: TypeAlias = Literal["lines", "document", "csv", "parquet"]
Record: TypeAlias = dict[str, Any] | BadRecord | None
MAX_DOCUMENT = 1 << 30
MAX_FIELD = 16 << 20
NO_LIMIT = 1 << 62
TABLE = 1 << 22  # bytes of lines that become one table
CSV_ROWS = 4_096
PARQUET_ROWS = 1_024
SNIFFED_LINES = 64
_POLARS_FAULTS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
BROKEN = "line: not one whole JSON object"

_decoder = msgspec.json.Decoder()
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records in a row, as a table where the file's kind allows, and as Python when asked.

    `numbers` are their lines or rows in the file, from 1. None among the records is an empty line.
    """

    numbers: Sequence[int]
    records: Callable[[], Sequence[Record]]
    table: pl.DataFrame | None = None


def chunk_of(start: int, records: Sequence[Record]) -> Chunk:
    """Records that stand one after the other, the first with the number `start`."""
    return _python(range(start, start + len(records)), records)


def _python(numbers: Sequence[int], records: Sequence[Record]) -> Chunk:
    return Chunk(numbers, lambda: records)


@dataclass(frozen=True, slots=True)
class Source:
    """One log: a file, or a file in a zip archive.

    `read` gives its chunks from the start each time; with `at_most`, no more than so many records. Of lines of JSON
    it gives tables where the `tabulator` can make them.
    """

    name: str
    path: Path
    kind: str
    read: Callable[..., Iterator[Chunk]]


def sources(path: Path) -> list[Source]:
    """The logs in a file; none if it is empty.

    Raises:
        StratagemError: not to be read, or of no kind that is known here.
    """
    head = streams.raw_head(path)
    if streams.packing(head) == "zip":
        return _members(path)
    return _source(str(path), path, partial(streams.chunks, path))


def lines_source(path: Path, lines: bytes) -> Source:
    """Whole lines of JSON that were read from a file that grows."""
    return Source(str(path), path, "lines", partial(_json_lines, lambda: iter([lines])))


def parquet_source(path: Path, unread: Collection[str] = ()) -> Source:
    """A Parquet file. Of columns that are `unread` nothing is taken from the disk: their values are empty texts."""
    return Source(
        str(path),
        path,
        "parquet",
        partial(_parquet, str(path), path, partial(streams.chunks, path), unread=unread),
    )


def _members(path: Path) -> list[Source]:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not one.is_dir() and one.file_size]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise StratagemError(f"{path}: not a readable zip archive ({error})") from None
    hidden = ("__MACOSX/", ".")
    members = [one for one in members if not one.filename.startswith(hidden)]
    found: list[Source] = []
    refused: list[StratagemError] = []
    for member in sorted(members, key=lambda one: natural(Path(one.filename))):
        try:
            found += _source(f"{path}/{member.filename}", path, partial(streams.member, path, member))
        except StratagemError as error:  # a note beside the logs
            refused.append(error)
    if refused and not found:
        raise refused[0]
    return found


def _source(name: str, path: Path, parts: Callable[[], streams.Parts]) -> list[Source]:
    head = streams.gather(parts(), streams.HEAD)
    if not head.strip(b"\x00 \t\r\n"):
        return [] if len(head) < streams.HEAD else _refuse(name)
    if head.startswith(b"PAR1"):
        return [Source(name, path, "parquet", partial(_parquet, name, path, parts))]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    share = _whole_lines(parts)
    if share >= 0.5 or (share and text.startswith(b"{")):
        return [Source(name, path, "lines", partial(_json_lines, parts))]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise StratagemError(f"{name}: is UTF-16; write it as UTF-8 (iconv -f UTF-16 -t UTF-8)")
    if text.startswith((b"{", b"[")):
        return [Source(name, path, "document", partial(_document, name, parts))]
    if delimiter := _delimiter(text):
        return [Source(name, path, "csv", partial(_csv, name, parts, delimiter))]
    return _refuse(name) if not share else [Source(name, path, "lines", partial(_json_lines, parts))]


def _refuse(name: str) -> list[Source]:
    raise StratagemError(f"{name}: neither JSON, CSV nor Parquet (also packed as gzip, zstd, bz2, xz or zip)")


# --- JSON ---------------------------------------------------------------------------------------------------------


def whole_object(line: bytes) -> dict[str, Any] | BadRecord | None:
    """One line as an object; None if it is empty.

    What Python's own reader takes and the standard does not (NaN, Infinity, halves of surrogate pairs) is taken too:
    many logs are written by it.
    """
    line = line.strip()
    if not line:
        return None
    try:
        value = _decode(line)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors
        try:
            value = _mended(json.loads(line.decode()))
        except UnicodeDecodeError:
            return BadRecord("line: not UTF-8")
        except RecursionError:
            return BadRecord("line: nested too deeply")
        except ValueError:
            return BadRecord(BROKEN)
    return value if isinstance(value, dict) else BadRecord(BROKEN)


def _mended(value: Any) -> Any:
    """Without halves of surrogate pairs, which UTF-8 has no way to write."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, list):
        return [_mended(one) for one in value]
    if isinstance(value, dict):
        return {_mended(name): _mended(one) for name, one in value.items()}
    return value


def _json_lines(
    parts: Callable[[], streams.Parts], at_most: int = NO_LIMIT, tabulator: Tabulator | None = None
) -> Iterator[Chunk]:
    number = 1
    held: list[bytes] = []  # blocks that the tabulator could decode, and their lines
    found: list[Any] = []
    for data in streams.blocks(parts()):
        if isinstance(data, bytes) and at_most < NO_LIMIT:
            left = at_most + 1 - number
            if left <= 0:
                return
            data = b"\n".join(data.split(b"\n", left)[:left])
        lines = tabulator.decode(data) if tabulator and isinstance(data, bytes) else None
        if lines is not None and isinstance(data, bytes):
            held.append(data)
            found += lines
        if tabulator and found and (lines is None or sum(map(len, held)) >= TABLE):
            yield _decoded(number, held, tabulator.table(found))
            number, held, found = number + len(found), [], []
        if lines is None:
            chunk = chunk_of(number, [data] if isinstance(data, BadRecord) else objects(data))
            yield chunk
            number += len(chunk.numbers)
    if tabulator and found:
        yield _decoded(number, held, tabulator.table(found))


def _decoded(number: int, held: Sequence[bytes], table: pl.DataFrame | None) -> Chunk:
    def records() -> list[Record]:
        return [record for data in held for record in objects(data)]

    lines = sum(data.count(b"\n") + 1 for data in held) if table is None else table.height
    return Chunk(range(number, number + lines), records, table)


def objects(lines: bytes) -> list[Record]:
    """Each line as an object, None or `BadRecord`: all at once where every line is whole, else one by one."""
    try:
        found = _decode_lines(lines)
        if one_a_line(lines, len(found)) and set(map(type, found)) == {dict}:
            return found
    except (ValueError, RecursionError):
        pass
    return [whole_object(line) for line in lines.split(b"\n")]


def _whole_lines(parts: Callable[[], streams.Parts]) -> float:
    """The share of the first lines that are whole objects."""
    whole = lines = 0
    for chunk in _json_lines(parts, SNIFFED_LINES):
        read = [one for one in chunk.records() if one is not None]
        whole, lines = whole + sum(isinstance(one, dict) for one in read), lines + len(read)
    return whole / max(lines, 1)


def _document(name: str, parts: Callable[[], streams.Parts], at_most: int = NO_LIMIT) -> Iterator[Chunk]:
    """A JSON list of records; an object that is one record, or that holds one list of records."""
    data = streams.all_bytes(parts(), MAX_DOCUMENT, name).removeprefix(b"\xef\xbb\xbf")
    try:
        value = _decode(data)
    except (ValueError, RecursionError):
        try:
            value = _mended(json.loads(data.decode()))
        except UnicodeDecodeError:
            raise StratagemError(f"{name}: not UTF-8") from None
        except RecursionError:
            raise StratagemError(f"{name}: nested too deeply") from None
        except ValueError as error:
            raise StratagemError(f"{name}: neither lines of JSON nor one JSON document ({error})") from None
    if isinstance(value, dict):
        lists = [one for one in value.values() if isinstance(one, list) and one and isinstance(one[0], dict)]
        value = lists[0] if len(lists) == 1 and len(lists[0]) > 1 else [value]
    if not isinstance(value, list):
        raise StratagemError(f"{name}: a JSON document that is no list of records")
    value = value[:at_most]
    for start in range(0, len(value), CSV_ROWS):
        some = value[start : start + CSV_ROWS]
        yield _python(
            range(start + 1, start + 1 + len(some)),
            [one if isinstance(one, dict) else BadRecord("record: not an object") for one in some],
        )


# --- CSV ----------------------------------------------------------------------------------------------------------


def _delimiter(head: bytes) -> str | None:
    """What separates the names in the first line, if that is a line of names in UTF-8."""
    line = head.split(b"\n", 1)[0]
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return None
    if not text.strip() or not text.replace("\t", " ").strip("\r").isprintable() or len(line) == streams.HEAD:
        return None
    counts = {one: text.count(one) for one in "\t,;|"}
    best = max(counts, key=lambda one: counts[one])
    return best if counts[best] else None


class _Text(io.RawIOBase):
    """Parts of a file as a file, for the csv module."""

    def __init__(self, parts: streams.Parts) -> None:
        self.parts, self.left, self.broken = parts, b"", None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.left:
            part = next(self.parts, b"")
            if isinstance(part, BadRecord):
                self.broken = part
                return 0
            if not part:
                return 0
            self.left = part
        size = min(len(buffer), len(self.left))
        buffer[:size], self.left = self.left[:size], self.left[size:]
        return size


def _csv(
    name: str, parts: Callable[[], streams.Parts], delimiter: str, at_most: int = NO_LIMIT
) -> Iterator[Chunk]:
    raw = _Text(parts())
    buffered = io.BufferedReader(raw, streams.CHUNK)
    text = io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
    lines = csv.reader(text, delimiter=delimiter)
    names: list[str] = []
    while at_most > 0:
        numbers, records = list[int](), list[Record]()
        before = csv.field_size_limit(MAX_FIELD)  # of the whole process: put back before others run
        try:
            names = names or next(lines)
            if twice := [one for one in names if names.count(one) > 1]:
                raise StratagemError(f"{name}: two columns are called {twice[0]!r}")
            while len(records) < min(CSV_ROWS, at_most):
                try:
                    record = _csv_record(names, next(lines))
                except csv.Error as error:
                    record = BadRecord(f"line: {error}")
                numbers.append(lines.line_num)
                records.append(record)
        except StopIteration:
            at_most = 0
            if raw.broken:
                numbers.append(lines.line_num + 1)
                records.append(raw.broken)
        finally:
            csv.field_size_limit(before)
        at_most -= len(records)
        yield _python(numbers, records)


def _csv_record(names: list[str], values: list[str]) -> Record:
    if not values:
        return None
    if len(values) != len(names):
        return BadRecord("line: not as many fields as the header has")
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return BadRecord("line: not UTF-8")
    return {name: value if value != "" else None for name, value in zip(names, values, strict=True)}


# --- Parquet ------------------------------------------------------------------------------------------------------


def _parquet(
    name: str,
    path: Path,
    parts: Callable[[], streams.Parts],
    at_most: int = NO_LIMIT,
    unread: Collection[str] = (),
) -> Iterator[Chunk]:
    plain = streams.packing(streams.raw_head(path)) is None
    source = str(path) if plain else pa.BufferReader(streams.all_bytes(parts(), MAX_DOCUMENT, name))
    number = 1
    try:
        with pq.ParquetFile(source) as file:
            _check_ratio(name, file.metadata)
            wanted = (
                [column for column in file.schema_arrow.names if column not in unread] if unread else None
            )
            for batch in file.iter_batches(min(PARQUET_ROWS, at_most), columns=wanted):
                batch.validate(full=True)
                names = [*map(str, batch.schema.names)]  # a damaged one is an error here, in Polars a panic
                if twice := [one for one in names if names.count(one) > 1]:
                    raise StratagemError(f"{name}: two columns are called {twice[0]!r}")
                table = pl.DataFrame(dict(zip(names, map(pl.from_arrow, batch.columns), strict=True)))
                table = _simple(table).with_columns(pl.lit("").alias(column) for column in unread)
                yield Chunk(range(number, number + table.height), table.to_dicts, table)
                number += table.height
                if number > at_most:
                    return
    except (pa.ArrowException, OSError, *_POLARS_FAULTS, ValueError) as error:
        if number == 1:
            raise StratagemError(f"{name}: not a readable Parquet file ({_first_line(error)})") from None
        yield _python([number], [BadRecord("file: a damaged part of a Parquet file, and what follows it")])


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]


def _check_ratio(name: str, metadata: pq.FileMetaData) -> None:
    for group in range(metadata.num_row_groups):
        columns = [metadata.row_group(group).column(i) for i in range(metadata.num_columns)]
        whole = sum(column.total_uncompressed_size for column in columns)
        packed = sum(column.total_compressed_size for column in columns)
        if whole > streams.FREE and whole > streams.RATIO * max(packed, 1):
            raise StratagemError(f"{name}: unpacks to more than {streams.RATIO} times its size; not a log")


def _simple(table: pl.DataFrame) -> pl.DataFrame:
    """With text, numbers and truth values of the plain kinds; times become text."""
    casts: list[pl.Expr] = []
    for column, dtype in table.schema.items():
        if dtype.is_decimal() or dtype == pl.Float32:
            casts.append(pl.col(column).cast(pl.Float64))
        elif dtype.is_integer() and dtype != pl.Int64:
            casts.append(pl.col(column).cast(pl.Int64, strict=False))
        elif dtype.is_temporal() or dtype in (pl.Categorical, pl.Enum):
            casts.append(pl.col(column).cast(pl.String))
        elif dtype == pl.Binary:
            casts.append(pl.col(column).cast(pl.String, strict=False))
    return table.with_columns(casts)
