"""Inputs by number: what each writes into a folder, the command that is run there, and what a plain reader finds."""

from __future__ import annotations

import bz2
import csv
import decimal
import gzip
import io
import json
import lzma
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.hostile.forms import FLAT, FORMS, Form, Found, Row, changed, find
from tests.rollouts import reference

LOG = "log"


@dataclass(frozen=True)
class Input:
    """A command in a folder.

    Attributes:
        kind: what is counted together.
        words: of the command, without --json.
        found: what a plain reader finds in the log; None where it cannot judge.
        most: rows that there may be at most, where no more can be said.
        named: a refusal names one of these.
        graded: whether the scores of what is found stand in the log as such.
        after: what a plain reader finds in the log after, of two that are compared.
    """

    kind: str
    words: tuple[str, ...]
    found: Found | None = None
    most: int | None = None
    named: tuple[str, ...] = (LOG,)
    graded: bool = True
    after: Found | None = None


def command(rng: random.Random) -> tuple[str, ...]:
    return ("passk" if rng.random() < 0.2 else "rollouts", LOG)


# --- lines of JSON, packed or not ---------------------------------------------------------------------------------


def zipped(data: bytes, name: str = "log.jsonl") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return buffer.getvalue()


def tarred(data: bytes, name: str = "log.jsonl") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "plain": bytes,
    "gzip": gzip.compress,
    "gzip of two streams": lambda data: (
        gzip.compress(data[: len(data) // 2]) + gzip.compress(data[len(data) // 2 :])
    ),
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zstd": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
    "zip": zipped,
    "tar": tarred,
}


def packed(data: bytes, rng: random.Random) -> bytes:
    return data if rng.random() < 0.4 else PACKINGS[rng.choice(list(PACKINGS))](data)


def mutated_lines(rng: random.Random, path: Path) -> Input:
    data = reference.mutated(reference.log(rng), rng)
    path.write_bytes(packed(data, rng))
    rows, bad = reference.read(data)
    return Input("lines", command(rng), Found([Row(id, prompt, score) for id, prompt, _, score in rows], bad))


# --- records of every form ----------------------------------------------------------------------------------------


def records_of(form: Form, rng: random.Random, wrong: float = 0.3) -> list[Any]:
    """The records of a log, with something wrong in at most a third of them."""
    records = [form.write(i, rng) for i in range(rng.randrange(6, 16))]
    if rng.random() < 0.8:
        for _ in range(rng.randrange(1, max(2, int(wrong * len(records))))):
            place = rng.randrange(len(records))
            if isinstance(records[place], dict):
                records[place] = changed(records[place], form.fields, rng)
    return records


def written_lines(records: list[Any], rng: random.Random) -> bytes:
    wide, end = rng.random() < 0.5, rng.choice(["\n", "\n", "\r\n", "\n\n"])
    text = end.join(json.dumps(record, ensure_ascii=wide) for record in records) + rng.choice(["", end])
    data = text.encode(errors="surrogatepass")
    return b"\xef\xbb\xbf" + data if rng.random() < 0.1 else data


def as_utf8(records: list[Any]) -> list[Any]:
    """Records with None for those that cannot be written in UTF-8."""

    def whole(record: Any) -> bool:
        try:
            json.dumps(record, ensure_ascii=False).encode()
        except UnicodeEncodeError:
            return False
        return True

    return [record if whole(record) else None for record in records]


def of_a_form(rng: random.Random, path: Path) -> Input:
    name = rng.choice(list(FORMS))
    form = FORMS[name]
    records = records_of(form, rng)
    if rng.random() < 0.3:
        kind = "document"
        indent = rng.choice([None, 1, 4])
        data = json.dumps(records, indent=indent).encode()  # escapes: halves of pairs are read as U+FFFD
    else:
        kind = "lines"
        data = written_lines(records, rng)
        if b"\xed\xa0\x80" in data:  # half of a surrogate pair as it stands, and not as an escape
            records = as_utf8(records)
    path.write_bytes(packed(data, rng))
    return Input(f"{name}, {kind}", command(rng), find(records, form), graded=form.graded)


def folder_of(rng: random.Random, path: Path) -> Input:
    """A log in files, beside others that are none."""
    name = rng.choice(["flat", "prompt-completion", "chat", "groups", "nested"])
    form = FORMS[name]
    records = [form.write(i, rng) for i in range(rng.randrange(6, 20))]
    path.mkdir()
    parts = rng.randrange(1, 5)
    for part in range(parts):
        some = records[part::parts]
        place = path / rng.choice(
            [f"part-{part}.jsonl", f"deep/er/{part}", f"[{part}]*.jsonl", f"{part}\n.json"]
        )
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(packed("".join(json.dumps(record) + "\n" for record in some).encode(), rng))
    for junk in rng.sample(list(JUNK), rng.randrange(4)):
        (path / junk).write_bytes(JUNK[junk])
    if rng.random() < 0.3:
        (path / "loop").symlink_to(".")
        (path / "nowhere").symlink_to("none")
    return Input("folder", command(rng), find(records, form))


JUNK = {
    "empty.jsonl": b"",
    "blank.jsonl": b"\n\n \n",
    ".hidden.jsonl": b'{"prompt": "q", "completion": "c", "score": 1}\n',
    "README.md": b"# A log\n\nOf two runs.\n",
    "zeros.bin": b"\0" * 100,
    "image.png": b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
    "metrics.json": b'{"accuracy": 0.5}',
    "weights.pkl": b"\x80\x04\x95\x00",
    "deep.json": b"[" * 5_000,
}


def said_again(rng: random.Random, path: Path) -> Input:
    """Rows of a resumed run, which wrote some again: numbered samples with long texts are read once."""
    rows = [
        {"problem_id": f"p{i // 4}", "prompt": f"What is {i // 4}?", "sample": i % 4}
        | {"completion": f"A long response that nobody writes twice: {i} {rng.random()}", "score": i % 3 == 0}
        for i in range(rng.randrange(8, 24))
    ]
    start = rng.randrange(len(rows))
    again = rows[start:] if rng.random() < 0.5 else rng.sample(rows, rng.randrange(1, len(rows)))
    path.write_bytes(packed("".join(json.dumps(row) + "\n" for row in [*rows, *again]).encode(), rng))
    return Input("again", command(rng), find(rows, FLAT))


# --- CSV ----------------------------------------------------------------------------------------------------------


def cell(value: Any) -> str:
    return "" if value is None else str(value)


def table_of_text(rng: random.Random, path: Path) -> Input:
    form = FORMS[rng.choice(["flat", "prompt-completion"])]
    records = [form.write(i, rng) for i in range(rng.randrange(6, 16))]
    names = list(records[0])
    lines = [[cell(record[name]) for name in names] for record in records]
    for _ in range(rng.randrange(4)):
        line = lines[rng.randrange(len(lines))]
        match rng.randrange(4):
            case 0:
                line.append("more")
            case 1:
                line.pop()
            case _:
                odd = rng.choice(
                    ["", "NaN", "inf", "1e999", "abc", " 1 ", "1_0", '"', "a\nb", "a,b;c|d", "\u202e", "'"]
                )
                line[rng.randrange(len(line))] = odd
    text = io.StringIO()
    how = rng.choice([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
    end, delimiter = rng.choice(["\n", "\r\n"]), rng.choice(",;\t|")
    csv.writer(text, delimiter=delimiter, quoting=how, lineterminator=end).writerows([names, *lines])
    said = text.getvalue()
    if rng.random() < 0.2:
        said = said.replace(end, end + end, 3)
    encoding = rng.choice(["utf-8", "utf-8", "utf-8-sig", "utf-16"])
    path.write_bytes(packed(said.encode(encoding), rng))
    read = [line for line in csv.reader(io.StringIO(said, newline=""), delimiter=delimiter) if line][1:]
    found = [
        {name: value or None for name, value in zip(names, line, strict=True)}
        if len(line) == len(names)
        else None
        for line in read
    ]
    return Input("csv", command(rng), find(found, form))


# --- Parquet and Arrow --------------------------------------------------------------------------------------------

TEXTS: list[pa.DataType] = [
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.binary(),
]
IDS: list[pa.DataType] = [
    *TEXTS,
    pa.int8(),
    pa.uint16(),
    pa.int32(),
    pa.int64(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
]
SCORES: list[pa.DataType] = [
    *(pa.bool_(), pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64()),
    *(pa.decimal128(5, 2), pa.decimal256(50, 2), pa.dictionary(pa.int8(), pa.float64()), pa.string()),
]  # fmt: skip
FURTHER: dict[str, tuple[pa.DataType, Any]] = {
    "nothing": (pa.null(), None),
    "a time": (pa.timestamp("ns", "UTC"), 10**18),
    "a day": (pa.date32(), 20_000),
    "an hour": (pa.time64("us"), 10**9),
    "a span": (pa.duration("s"), 77),
    "a list": (pa.list_(pa.int64()), [1, 2]),
    "large lists": (pa.large_list(pa.string()), ["a"]),
    "three": (pa.list_(pa.float32(), 3), [1.0, 2.0, 3.0]),
    "an object": (pa.struct({"a": pa.int8(), "b": pa.list_(pa.string())}), {"a": 1, "b": ["x"]}),
    "no fields": (pa.struct({}), {}),
    "a map": (pa.map_(pa.string(), pa.int64()), [("a", 1)]),
    "bytes": (pa.binary(), b"\xff\xfe"),
    "some bytes": (pa.binary(4), b"\xff\xfe\x00\x01"),
    "a half": (pa.float16(), 0.5),
    "a decimal": (pa.decimal256(60, 3), decimal.Decimal("1.5")),
    "deep lists": (pa.list_(pa.list_(pa.list_(pa.int8()))), [[[1]]]),
    "a huge number": (pa.uint64(), 2**64 - 1),
    "months": (pa.month_day_nano_interval(), (1, 2, 3)),
    "a view of bytes": (pa.binary_view(), b"\xff"),
    "a view of lists": (pa.list_view(pa.int8()), [1]),
    "an odd [name] {x} *": (pa.int8(), 1),
    "": (pa.int8(), 1),
}  # fmt: skip
MESSAGE = pa.struct({"role": pa.string(), "content": pa.string()})


def _column(values: list[Any], kind: pa.DataType) -> pa.Array:
    value_kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_decimal(value_kind):
        values = [None if value is None else decimal.Decimal(int(value)) for value in values]
    elif pa.types.is_boolean(value_kind):
        values = [None if value is None else bool(value) for value in values]
    elif pa.types.is_integer(value_kind):
        values = [None if value is None else int(value) for value in values]
    elif pa.types.is_floating(value_kind):
        values = [None if value is None else float(value) for value in values]
    elif pa.types.is_binary(value_kind):
        values = [None if value is None else str(value).encode() for value in values]
    else:
        values = [None if value is None else str(value) for value in values]
    made = pa.array(values, value_kind)
    return made.dictionary_encode().cast(kind) if pa.types.is_dictionary(kind) else made


def columns_on_disk(rng: random.Random, path: Path) -> Input:
    rows = rng.randrange(6, 16)
    chatty = rng.random() < 0.25
    made = [(chat_row if chatty else FORMS["flat"].write)(i, rng) for i in range(rows)]
    large = rng.random() < 0.5  # ids from hashes
    arrays: dict[str, pa.Array] = {}
    if not chatty:
        kind = rng.choice(IDS)
        ids = [i // 3 + (2**64 - 100 if large and kind == pa.uint64() else 0) for i in range(rows)]
        if rng.random() < 0.2:
            ids[rng.randrange(rows)] = None
        arrays["problem_id"] = _column(ids, kind)
        for row, identity in zip(made, ids, strict=True):
            row["problem_id"] = identity
    for name in ("prompt", "completion"):
        values = [row[name] for row in made]
        message = pa.list_(MESSAGE) if rng.random() < 0.5 else pa.large_list(MESSAGE)
        arrays[name] = pa.array(values, message) if chatty else _column(values, rng.choice(TEXTS))
    kind = rng.choice(SCORES)
    if kind in (pa.float16(), pa.float32(), pa.float64()) and rng.random() < 0.5:
        made[rng.randrange(rows)]["score"] = rng.choice([float("nan"), 0.5, float("inf")])
    arrays["score"] = _column([row["score"] for row in made], kind)
    for name in rng.sample(list(FURTHER), rng.randrange(4)):
        kind, value = FURTHER[name]
        arrays[name] = pa.array([rng.choice([value, None]) for _ in range(rows)], kind)
    order = list(arrays)
    rng.shuffle(order)
    table = pa.table({name: arrays[name] for name in order})
    container = rng.choice(["parquet", "arrow", "stream"])
    try:
        path.write_bytes(packed(TABLES[container](table, rng), rng))
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):  # a type that this container has no way to hold
        container = "stream"
        path.write_bytes(packed(TABLES[container](table, rng), rng))
    return Input(container, command(rng), find(made, FLAT))


def chat_row(i: int, rng: random.Random) -> dict[str, Any]:
    return FORMS["chat"].write(i, rng)


def _parquet(table: pa.Table, rng: random.Random) -> bytes:
    buffer = io.BytesIO()
    how = rng.choice(["none", "snappy", "gzip", "zstd", "lz4", "brotli"])
    version = rng.choice(["1.0", "2.4", "2.6"])
    pages = rng.choice(["1.0", "2.0"])
    coded = rng.random() < 0.5
    pq.write_table(
        table,
        buffer,
        compression=how,
        version=version,
        data_page_version=pages,
        use_dictionary=coded,
        row_group_size=rng.choice([1, 3, 1_000]),
    )
    return buffer.getvalue()


def _arrow(table: pa.Table, rng: random.Random, new: Callable[..., Any] = pa.ipc.new_file) -> bytes:
    buffer = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=rng.choice([None, "lz4", "zstd"]))
    with new(buffer, table.schema, options=options) as writer:
        writer.write_table(table, max_chunksize=rng.choice([1, 3, 1_000]))
    return buffer.getvalue()


TABLES: dict[str, Callable[[pa.Table, random.Random], bytes]] = {
    "parquet": _parquet,
    "arrow": _arrow,
    "stream": lambda table, rng: _arrow(table, rng, pa.ipc.new_stream),
}


# --- damage that no plain reader can judge --------------------------------------------------------------------------


def damaged(data: bytes, rng: random.Random) -> bytes:
    """Some bytes lost, added or changed."""
    at = rng.randrange(len(data))
    match rng.randrange(6):
        case 0:
            return data[:at]
        case 1:
            return data[:at] + rng.randbytes(rng.randrange(1, 20)) + data[at:]
        case 2:
            return data[:at] + data[at + rng.randrange(1, 50) :]
        case 3:
            return data[:at] + b"\0" * rng.randrange(1, 500) + data[at:]
        case 4:
            return data[at:]
        case _:
            made = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                made[rng.randrange(len(data))] = rng.randrange(256)
            return bytes(made)


def damaged_file(rng: random.Random, path: Path) -> Input:
    whole = KINDS[rng.choice(["forms", "csv", "tables"])][1](rng, path)
    assert whole.found is not None
    path.write_bytes(damaged(path.read_bytes(), rng))
    # Two halves of a line of text may each be a row of a table.
    return Input("damaged", whole.words, most=2 * (len(whole.found.rows) + whole.found.bad) + 2)


KINDS: dict[str, tuple[float, Callable[[random.Random, Path], Input]]] = {
    "lines": (16, mutated_lines),
    "forms": (30, of_a_form),
    "folders": (5, folder_of),
    "again": (3, said_again),
    "csv": (12, table_of_text),
    "tables": (14, columns_on_disk),
    "damaged": (12, damaged_file),
}
