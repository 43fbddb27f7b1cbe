"""What a file holds, found by content (lines of JSON, a JSON document, CSV, tables), and its records in chunks."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.readers import archives, kinds, streams, tables
from stratagem.rollouts.readers.chunk import (
    MAX_KEYS,
    NO_LIMIT,
    Chunk,
    Record,
    Source,
    check_names,
    chunk_of,
    python_chunk,
)
from stratagem.rollouts.readers.fields import Tabulator, one_a_line
from stratagem.rollouts.readers.row import BadRecord

MAX_FIELD = 16 << 20
TABLE = 1 << 22  # bytes of lines that become one table
CSV_ROWS = 4_096
SNIFFED_LINES = 64
TOO_WIDE = f"record: more than {MAX_KEYS:,} keys"
BROKEN = "line: not one whole JSON object"

_decoder = msgspec.json.Decoder()
_decode, _decode_lines = _decoder.decode, _decoder.decode_lines
_split = msgspec.json.Decoder(list[msgspec.Raw]).decode  # the values of a list as they stand, without a copy


def lines_source(path: Path, lines: bytes) -> Source:
    """Whole lines of JSON that were read from a file that grows."""
    return Source(str(path), path, "lines", partial(_json_lines, lambda: iter([lines])))


def parquet_source(path: Path, unread: Collection[str] = ()) -> Source:
    """A Parquet file. Of columns that are `unread` nothing is taken from the disk: their values are empty texts."""
    parts = partial(streams.chunks, path)
    return Source(str(path), path, "parquet", partial(tables.parquet, str(path), path, parts, unread=unread))


def sources(path: Path) -> list[Source]:
    """The logs in a file; none if it is empty.

    Raises:
        StratagemError: not to be read, or of no kind that is known here.
    """
    archive = archives.members(path)
    if archive is None:
        return _source(str(path), path, partial(streams.chunks, path))
    members, broken = archive
    logs: list[Source] = []
    refused: list[StratagemError] = []
    for name, parts in members:
        try:
            logs += _source(f"{path}/{name}", path, parts)
        except StratagemError as error:  # a note beside the logs
            refused.append(error)
    if refused and not logs:
        raise refused[0]
    if broken and logs:
        logs[-1] = replace(logs[-1], read=partial(_ending_in, broken, logs[-1].read))
    return logs


def _ending_in(
    broken: BadRecord, read: Callable[..., Iterator[Chunk]], *given: Any, **named: Any
) -> Iterator[Chunk]:
    """The chunks of a log, and behind them a record that says that there should be more."""
    number = 1
    for chunk in read(*given, **named):
        yield chunk
        number = max([number, *chunk.numbers[-1:]]) + 1
    yield python_chunk([number], [broken])


def _source(name: str, path: Path, parts: Callable[[], streams.Parts]) -> list[Source]:
    head = streams.gather(parts(), streams.HEAD)
    if not head.strip(b"\x00 \t\r\n"):
        return [] if len(head) < streams.HEAD else _refuse(name)
    if head.startswith(b"PAR1"):
        return [Source(name, path, "parquet", partial(tables.parquet, name, path, parts))]
    if head.startswith((tables.ARROW, tables.STREAM)):
        return [Source(name, path, "arrow", partial(tables.arrow, name, path, parts))]
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    share = _whole_lines(parts)
    if share >= 0.5 or (share and text.startswith(b"{")):
        return [Source(name, path, "lines", partial(_json_lines, parts))]
    if (what := kinds.refused(head)) is not None:
        raise StratagemError(f"{name}: {what}")
    if (encoding := kinds.encoding(head)) is not None:
        recoded = partial(streams.recoded, parts, encoding)
        return [
            replace(source, note=f"{name}: read as {encoding}") for source in _source(name, path, recoded)
        ]
    if text.startswith((b"{", b"[")):
        return [Source(name, path, "document", partial(_document, name, parts))]
    if delimiter := _delimiter(text):
        return [Source(name, path, "csv", partial(_csv, name, parts, delimiter))]
    return _refuse(name) if not share else [Source(name, path, "lines", partial(_json_lines, parts))]


def _refuse(name: str) -> list[Source]:
    raise StratagemError(
        f"{name}: neither JSON, CSV, Parquet nor Arrow (also packed as gzip, zstd, bz2, xz, zip or tar)"
    )


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
            value = _without_surrogates(json.loads(line.decode()))
        except UnicodeDecodeError:
            return BadRecord("line: not UTF-8")
        except RecursionError:
            return BadRecord("line: nested too deeply")
        except ValueError:
            return BadRecord(BROKEN)
    return value if isinstance(value, dict) else BadRecord(BROKEN)


def _without_surrogates(value: Any) -> Any:
    """Without halves of surrogate pairs, which UTF-8 has no way to write."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return value
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(name): _without_surrogates(item) for name, item in value.items()}
    return value


def _json_lines(
    parts: Callable[[], streams.Parts], at_most: int = NO_LIMIT, tabulator: Tabulator | None = None
) -> Iterator[Chunk]:
    number = 1
    held: list[bytes] = []  # blocks that the tabulator could decode, and their lines
    decoded: list[Any] = []
    size = 0  # of what is held, in bytes
    for data in streams.blocks(parts()):
        blank = isinstance(data, bytes) and data.isspace()  # empty lines alone, of which there may be many
        if isinstance(data, bytes) and at_most < NO_LIMIT and not blank:
            left = at_most + 1 - number
            if left <= 0:
                return
            data = b"\n".join(data.split(b"\n", left)[:left])
        lines = tabulator.decode(data) if tabulator and isinstance(data, bytes) and not blank else None
        if lines is not None and isinstance(data, bytes):
            held.append(data)
            decoded += lines
            size += len(data)
        if tabulator and decoded and (lines is None or size >= TABLE):
            yield _decoded(number, held, tabulator.table(decoded))
            number, held, decoded, size = number + len(decoded), [], [], 0
        if isinstance(data, bytes) and blank:
            number += data.count(b"\n") + 1
        elif lines is None:
            chunk = chunk_of(number, [data] if isinstance(data, BadRecord) else objects(data))
            yield chunk
            number += len(chunk.numbers)
    if tabulator and decoded:
        yield _decoded(number, held, tabulator.table(decoded))


def _decoded(number: int, held: Sequence[bytes], table: pl.DataFrame | None) -> Chunk:
    def records() -> list[Record]:
        return [record for data in held for record in objects(data)]

    lines = sum(data.count(b"\n") + 1 for data in held) if table is None else table.height
    return Chunk(range(number, number + lines), records, table)


def objects(lines: bytes) -> list[Record]:
    """Each line as an object, None or `BadRecord`: all at once where every line is whole, else one by one."""
    try:
        records = _decode_lines(lines)
        if one_a_line(lines, len(records)) and set(map(type, records)) == {dict}:
            return narrow(records)
    except (ValueError, RecursionError):
        pass
    return narrow([whole_object(line) for line in lines.split(b"\n")])


def narrow(records: list[Record]) -> list[Record]:
    """The records, with `BadRecord` for those of too many keys."""
    if max((len(record) for record in records if isinstance(record, dict)), default=0) <= MAX_KEYS:
        return records
    return [
        BadRecord(TOO_WIDE) if isinstance(record, dict) and len(record) > MAX_KEYS else record
        for record in records
    ]


def _whole_lines(parts: Callable[[], streams.Parts]) -> float:
    """The share of the first lines that are whole objects."""
    whole = lines = 0
    for chunk in _json_lines(parts, SNIFFED_LINES):
        read = [record for record in chunk.records() if record is not None]
        whole, lines = whole + sum(isinstance(record, dict) for record in read), lines + len(read)
    return whole / max(lines, 1)


def _document(name: str, parts: Callable[[], streams.Parts], at_most: int = NO_LIMIT) -> Iterator[Chunk]:
    """A JSON list of records, one object, or objects one after another over several lines each."""
    data = streams.all_bytes(parts(), name).removeprefix(b"\xef\xbb\xbf")
    start = 1
    for some in _values(name, data, at_most):
        records: list[Record] = [
            record if isinstance(record, dict | BadRecord) else BadRecord("record: not an object")
            for record in some
        ]
        yield python_chunk(range(start, start + len(some)), narrow(records))
        start += len(some)


def _values(name: str, data: bytes, at_most: int) -> Iterator[list[Any]]:
    """The values of a document, some at a time: decoded at once they take three times its size."""
    done = 0
    with contextlib.suppress(ValueError, RecursionError):
        undecoded = _split(data)[:at_most]
        while done < len(undecoded):
            some = [_decode(value) for value in undecoded[done : done + CSV_ROWS]]
            yield some
            done += len(some)
        return
    value = _whole_document(name, data)[:at_most]
    for start in range(done, len(value), CSV_ROWS):
        yield value[start : start + CSV_ROWS]


def _whole_document(name: str, data: bytes) -> list[Any]:
    """The same of what is no list, or that Python's own reader alone takes."""
    try:
        value = _decode(data)
    except (ValueError, RecursionError):
        try:
            value = _without_surrogates(json.loads(data.decode()))
        except UnicodeDecodeError:
            raise StratagemError(f"{name}: not UTF-8") from None
        except RecursionError:
            raise StratagemError(f"{name}: nested too deeply") from None
        except ValueError as error:
            if (values := _one_after_another(data)) is None:
                raise StratagemError(
                    f"{name}: neither lines of JSON nor one JSON document ({error})"
                ) from None
            value = values
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise StratagemError(f"{name}: a JSON document that is no list of records")
    return value


def _one_after_another(data: bytes) -> list[Any] | None:
    """Several JSON values as jq writes them, and `BadRecord` for what is broken at the end; None if not several."""
    text, place, values = data.decode(errors="replace"), 0, list[Any]()
    decoder = json.JSONDecoder()
    while (place := _next(text, place)) < len(text):
        try:
            value, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            values.append(BadRecord("record: breaks off, or is not JSON"))
            break
        values.append(_without_surrogates(value))
    return values if len(values) > 1 and isinstance(values[0], dict) else None


def _next(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


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
    counts = {separator: text.count(separator) for separator in "\t,;|"}
    best = max(counts, key=lambda separator: counts[separator])
    return best if counts[best] else None


def _csv(
    name: str, parts: Callable[[], streams.Parts], delimiter: str, at_most: int = NO_LIMIT
) -> Iterator[Chunk]:
    raw = archives.PartsFile(parts())
    buffered = io.BufferedReader(raw, streams.CHUNK)
    text = io.TextIOWrapper(buffered, "utf-8-sig", errors="surrogateescape", newline="")
    limited = _LimitedLines(text)
    lines = csv.reader(limited, delimiter=delimiter)
    names: list[str] = []
    while at_most > 0:
        numbers, records = list[int](), list[Record]()
        before = csv.field_size_limit(MAX_FIELD)  # of the whole process: put back before others run
        try:
            names = names or next(lines)
            check_names(name, names)
            while len(records) < min(CSV_ROWS, at_most):
                try:
                    record = _csv_record(names, next(lines))
                    if limited.ended:  # it asked for one more line
                        record = BadRecord("line: breaks off within quotation marks")
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
        yield python_chunk(numbers, records)


class _LimitedLines:
    """The lines of a text. One that is too long is passed over in pieces and raises `csv.Error` in its place. `ended`
    says whether one was asked for behind the last."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self.text, self.ended = text, False

    def __iter__(self) -> _LimitedLines:
        return self

    def __next__(self) -> str:
        most = streams.MAX_LINE
        line = self.text.readline(most)
        if not line:
            self.ended = True
            raise StopIteration
        if len(line) < most or line[-1] in "\r\n":
            return line
        while (piece := self.text.readline(most)) and piece[-1] not in "\r\n":
            pass
        raise csv.Error(f"longer than {most >> 20} MB")


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
