"""Logs in every container, cut short: what `stratagem rollouts` says of each, against what a plain reader finds in it.

`python -m tests.hostile.cut` runs the long form.
"""

from __future__ import annotations

import bz2
import contextlib
import csv
import gzip
import io
import json
import lzma
import random
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stratagem import cli
from tests.hostile.inputs import Input, tarred, zipped
from tests.hostile.long_form import REFUSED, Wrong, check_line, limit, words_read_once

SHARED = Path(__file__).parents[2] / ".." / "shared" / "data" / "logs"
RECORDS = [
    {
        "problem_id": f"p{i // 3}",
        "prompt": f"What is {i // 3}?",
        "completion": f"It is “{i}”.",
        "score": i % 2,
    }
    for i in range(24)
]
LINES = [json.dumps(record).encode() + b"\n" for record in RECORDS]
Count = tuple[int, int]  # rows, and records that give none


# --- what is cut ---------------------------------------------------------------------------------------------------


def separated(delimiter: str, how: Any = csv.QUOTE_MINIMAL) -> bytes:
    text = io.StringIO()
    writer = csv.DictWriter(text, [*RECORDS[0]][::-1], delimiter=delimiter, quoting=how, lineterminator="\n")
    writer.writeheader()
    writer.writerows(RECORDS)
    return text.getvalue().encode()


def parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(RECORDS), buffer, row_group_size=5)
    return buffer.getvalue()


def arrow(new: Callable[..., Any]) -> bytes:
    table, buffer = pa.Table.from_pylist(RECORDS), io.BytesIO()
    with new(buffer, table.schema) as writer:
        writer.write_table(table, max_chunksize=5)
    return buffer.getvalue()


def archived(mode: str) -> bytes:
    """Three files of eight records in a tar archive."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for part in range(3):
            data = b"".join(LINES[8 * part : 8 * part + 8])
            info = tarfile.TarInfo(f"part-{part}.jsonl")
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def evaluation() -> bytes:
    """A log of inspect_ai: JSON in a zip archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "header.json", json.dumps({"eval": {"task": "t", "model": "m"}, "status": "success"})
        )
        for i, record in enumerate(RECORDS):
            sample = {"id": record["problem_id"], "epoch": 1 + i % 3, "input": record["prompt"]}
            sample["output"] = {
                "choices": [
                    {
                        "message": {"role": "assistant", "content": record["completion"]},
                        "stop_reason": "stop",
                    }
                ]
            }
            sample["scores"] = {"match": {"value": "CI"[i % 2]}}
            archive.writestr(f"samples/{record['problem_id']}_epoch_{1 + i % 3}.json", json.dumps(sample))
    return buffer.getvalue()


def two_streams(pack: Callable[[bytes], bytes]) -> bytes:
    return pack(b"".join(LINES[:12])) + pack(b"".join(LINES[12:]))


def zstd(data: bytes) -> bytes:
    return pa.Codec("zstd").compress(data, asbytes=True)


ALL_LINES = b"".join(LINES)
MADE: dict[str, Callable[[], bytes]] = {
    "log.jsonl": lambda: ALL_LINES,
    "list.json": lambda: json.dumps(RECORDS).encode(),
    "indented.json": lambda: json.dumps(RECORDS, indent=1).encode(),
    "one after another.json": lambda: "\n".join(json.dumps(record, indent=1) for record in RECORDS).encode(),
    "columns.json": lambda: json.dumps({name: [record[name] for record in RECORDS] for name in RECORDS[0]}).encode(),
    "log.csv": lambda: separated(","),
    "quoted.csv": lambda: separated(",", csv.QUOTE_ALL),
    "log.tsv": lambda: separated("\t"),
    "log.parquet": parquet,
    "log.arrow": lambda: arrow(pa.ipc.new_file),
    "stream.arrow": lambda: arrow(pa.ipc.new_stream),
    "log.jsonl.gz": lambda: gzip.compress(ALL_LINES, mtime=0),
    "two.jsonl.gz": lambda: two_streams(gzip.compress),
    "log.jsonl.bz2": lambda: bz2.compress(ALL_LINES),
    "two.jsonl.bz2": lambda: two_streams(bz2.compress),
    "log.jsonl.xz": lambda: lzma.compress(ALL_LINES),
    "two.jsonl.xz": lambda: two_streams(lzma.compress),
    "log.jsonl.zst": lambda: zstd(ALL_LINES),
    "two.jsonl.zst": lambda: two_streams(zstd),
    "log.csv.gz": lambda: gzip.compress(separated(","), mtime=0),
    "log.parquet.gz": lambda: gzip.compress(parquet(), mtime=0),
    "stream.arrow.zst": lambda: zstd(arrow(pa.ipc.new_stream)),
    "log.zip": lambda: zipped(ALL_LINES),
    "log.tgz": lambda: tarred(ALL_LINES),
    "parts.tar": lambda: archived("w"),
    "parts.tgz": lambda: archived("w:gz"),
    "parts.tar.xz": lambda: archived("w:xz"),
    "log.eval": evaluation,
}  # fmt: skip


def shared_logs() -> list[Path]:
    """The logs before RL of the shared folder of forms, but for those that are folders or links to elsewhere."""
    return sorted(path for path in SHARED.glob("*/before*") if path.is_file()) if SHARED.is_dir() else []


# --- where it is cut -----------------------------------------------------------------------------------------------

EDGES = (
    b"\n",
    b"}",
    b"PAR1",
    b"ARROW1",
    b"\xff\xff\xff\xff",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"(\xb5/\xfd",
)
EDGES += (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"YZ", b"ustar")


def edges(data: bytes) -> set[int]:
    """Before and behind what structures a file: ends of lines and objects, marks, blocks of a tar archive."""
    places = {0, 1, len(data) - 1, *range(0, len(data), 512)}
    for mark in EDGES:
        at = data.find(mark)
        while at >= 0:
            places |= {at, at + len(mark)}
            at = data.find(mark, at + 1)
    return {place for place in places if place < len(data)}


def places(data: bytes, rng: random.Random, most: int) -> list[int]:
    """At most so many places, half of them edges."""
    structural = sorted(edges(data))
    chosen = rng.sample(structural, min(most // 2, len(structural)))
    return sorted({*chosen, *(rng.randrange(len(data)) for _ in range(most - len(chosen)))})


# --- a plain reader ------------------------------------------------------------------------------------------------


def count_lines(data: bytes) -> Count:
    """Of lines of JSON."""
    rows = bad = 0
    for line in data.split(b"\n"):
        try:
            rows += isinstance(json.loads(line), dict)
        except ValueError:
            bad += bool(line.strip())
    return rows, bad


def count_csv(data: bytes, delimiter: str = ",") -> Count:
    """A line of which the quotation marks do not end breaks off, whatever it holds."""
    text = data.decode(errors="replace")
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=delimiter) if line][1:]
    open_at_end = text.count('"') % 2 == 1
    whole = [len(line) == len(RECORDS[0]) for line in lines]
    if open_at_end and whole:
        whole[-1] = False
    if whole and whole[-1] and b"\xef\xbf\xbd" in lines[-1][1].encode():
        whole[-1] = False  # cut within a letter
    return sum(whole), len(whole) - sum(whole)


def count_values(data: bytes) -> Count | None:
    """Of JSON objects one after another, of which there are several."""
    text, place, rows = data.decode(errors="replace"), 0, 0
    while text[place:].strip():
        place += len(text[place:]) - len(text[place:].lstrip())
        try:
            _, place = json.JSONDecoder().raw_decode(text, place)
        except ValueError:
            return (rows, 1) if rows else None
        rows += 1
    return (rows, 0) if rows else None


def unpacked_zstd(data: bytes) -> bytes:
    return pa.input_stream(io.BytesIO(data), compression="zstd").read()


UNPACKED: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
    ".zst": unpacked_zstd,
}


def plainly(name: str, data: bytes) -> Count | None:
    """What a plain reader finds in a file of lines; None where it can read none, or is none."""
    for suffix, unpack in UNPACKED.items():
        if name.endswith(suffix) and ".tar" not in name:
            try:
                name, data = name.removesuffix(suffix), unpack(data)
            except (OSError, EOFError, ValueError, lzma.LZMAError):
                return None
    if name.endswith(".jsonl"):
        return count_lines(data)
    if name.endswith((".csv", ".tsv")):
        return count_csv(data, "\t" if name.endswith(".tsv") else ",")
    return count_values(data) if name == "one after another.json" else None


# --- what is said --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """A reading: its rows, and how many records gave none, each with a line that says why."""

    rows: int
    left_out: int


def said(path: Path) -> Said | None:
    """What `stratagem rollouts` says of a log; None where it refuses it.

    Raises:
        Wrong: it does so in more than one line, or without its name.
    """
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), limit(20):
        code = cli.run(["rollouts", str(path), "--json"])
    if code == REFUSED:
        check_line(error.getvalue(), Input("cut", (), named=(path.name,)))
        return None
    if code:
        raise Wrong(f"exit code {code}: {error.getvalue()}")
    result = json.loads(out.getvalue())
    log = result["logs"][0]
    left_out = sum(log["left_out"].values())
    return Said(log["rows"], left_out)


def said_of_whole_lines(path: Path, data: bytes) -> Count | None:
    """What has to be said of lines of JSON of any form: what is said of the whole ones, and that one breaks off."""
    at = data.rfind(b"\n") + 1
    _, bad = count_lines(data[at:])
    if not bad:
        return None
    path.write_bytes(data[:at])
    whole = said(path)
    return None if whole is None else (whole.rows, whole.left_out + 1)


def plainly_shared(path: Path, cut: bytes, read: Said | None) -> Count | None:
    """What a plain reader finds in a log of any form, where one can tell; None where none can, or it was refused."""
    if read is None:
        return None
    if path.suffix == ".jsonl" and (torn := said_of_whole_lines(path, cut)):
        return torn
    if path.suffix in (".jsonl", ".csv", ".tsv"):
        return read.rows, read.left_out  # cut at the end of a line, or of a cell
    whole_objects = count_values(cut) if path.suffix == ".json" else None
    return whole_objects if whole_objects == (read.rows, 0) else None


def check(plain: Count | None, whole: Said | None, cut: Said | None) -> str:
    """What came of a cut: refused, said (that something is missing), plain (as a plain reader has it) or whole.

    Raises:
        Wrong: rows are missing in silence, or there are more than there were.
    """
    if cut is None:
        return "refused"
    assert whole is not None, "what is refused whole is read in part"
    if cut.rows > whole.rows:
        raise Wrong(f"{cut.rows} rows, and {whole.rows} in the whole file")
    if plain is not None:
        if (cut.rows, cut.left_out) != plain:
            raise Wrong(f"{cut.rows} rows and {cut.left_out} left out, but a plain reader finds {plain}")
        return "plain"
    if cut.left_out > whole.left_out:
        return "said"
    if cut.rows < whole.rows:
        raise Wrong(f"{cut.rows} of {whole.rows} rows, in silence")
    return "whole"


def run(logs: dict[str, bytes], most: int, folder: Path) -> tuple[Counter[tuple[str, str]], list[str]]:
    """What came of each log cut at so many places at most, by log, and what was wrong. A plain reader judges those that
    are made here."""
    counts: Counter[tuple[str, str]] = Counter()
    wrong: list[str] = []
    with words_read_once():
        for number, (name, data) in enumerate(logs.items()):
            path = folder / f"log{number}{''.join(Path(name).suffixes)}"
            path.write_bytes(data)
            whole = said(path)
            for place in places(data, random.Random(number), most):
                cut = data[:place]
                try:
                    path.write_bytes(cut)
                    read = said(path)
                    plain = plainly(name, cut) if name in MADE else plainly_shared(path, cut, read)
                    came = check(plain, whole, read)
                except Exception as error:
                    came = "wrong"
                    wrong.append(f"{name} cut at {place}: {type(error).__name__}: {error}")
                counts[name, came] += 1
            path.unlink()
    return counts, wrong


def made_logs() -> dict[str, bytes]:
    return {name: make() for name, make in MADE.items()}


def read_shared_logs() -> dict[str, bytes]:
    return {f"{path.parent.name} {path.name}": path.read_bytes() for path in shared_logs()}


def main() -> None:
    warnings.simplefilter("error")
    for logs, most in ((made_logs(), 400), (read_shared_logs(), 60)):
        with tempfile.TemporaryDirectory() as folder:
            counts, wrong = run(logs, most, Path(folder))
        for name in logs:
            print(name, {came: n for (of, came), n in counts.items() if of == name})
        print(
            sum(counts.values()), Counter(came for _, came in counts.elements()), *wrong, sep="\n", flush=True
        )


if __name__ == "__main__":
    main()
