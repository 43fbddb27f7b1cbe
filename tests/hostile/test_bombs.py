"""Files that unpack without end, of too many parts, keys or columns: a line in time and memory, or an answer."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

pytestmark = pytest.mark.timeout(300)
MOST_BYTES = 1 << 30
# Reads a log to its end and says how many rows it has and how much memory was taken.
READ = """
import re, sys
from pathlib import Path
from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
try:
    log = read_rollouts(sys.argv[1])
    print("rows", sum(batch.height for batch in log.batches()), sum(log.left_out.values()))
except StratagemError as error:
    print(error)
# ru_maxrss would be that of the process from which this one was forked, where that is larger.
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024)
"""


def row(number: int) -> dict[str, object]:
    return {"prompt": f"q{number % 50}", "completion": f"answer {number}", "reward": number % 2}


def lines(rows: int) -> bytes:
    return b"".join(json.dumps(row(i)).encode() + b"\n" for i in range(rows))


def read(path: Path, **env: str) -> str:
    """What reading a file to its end came to."""
    ran = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
    )
    assert ran.returncode == 0, ran.stderr
    said, memory = ran.stdout.strip().rsplit("\n", 1)
    assert int(memory) < MOST_BYTES, f"{int(memory) >> 20} MiB"
    assert "\n" not in said
    return said


def flood(head: bytes, byte: bytes, gib: int) -> bytes:
    """A gzip file of a few MB with many GiB of one byte behind its head: packed zeros are a row of equal blocks."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    begun = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(byte * (1 << 22)) + packer.flush(zlib.Z_FULL_FLUSH)
    return b"\x1f\x8b\x08\0\0\0\0\0\0\x03" + begun + block * (gib << 8)


@pytest.mark.parametrize(
    ("head", "byte"),
    [(b"", b"\0"), (lines(40), b"\0"), (lines(40), b" "), (lines(2_000), b"\n"), (lines(40), b"a")],
    ids=["zeros alone", "zeros", "spaces", "newlines", "one text"],
)
def test_ten_gigabytes_in_a_few_megabytes(tmp_path: Path, head: bytes, byte: bytes) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(flood(head, byte, 10))
    assert path.stat().st_size < 20 << 20
    said = read(path)
    assert "unpacks to more than 200 times" in said or (not head and "neither JSON, CSV" in said), said


def test_the_limit_can_be_lifted(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(gzip.compress(lines(40) + b"\n" * (300 << 20) + lines(3), 1))
    assert "set STRATAGEM_LIMITS=off" in read(path)
    assert read(path, STRATAGEM_LIMITS="off") == "rows 43 0"


def test_lines_are_numbered_over_empty_ones(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    empty = 700_000
    path.write_bytes(lines(3) + b"\n" * empty + b"{broken\n" + lines(2))
    from stratagem.rollouts.log import read_rollouts

    log = read_rollouts(path)
    assert sum(batch.height for batch in log.batches()) == 5
    assert [fault.row for fault in log.examples] == [3 + empty + 1]


def zip_of(names: Callable[[int], str], files: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        with zipfile.ZipFile(path, "w") as archive:
            for number in range(files):
                archive.writestr(names(number), json.dumps(row(number)) + "\n")

    return make


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (zip_of(lambda number: f"f{number}.jsonl", 10_001), "more than 10,000 files in one archive"),
        (zip_of(lambda number: "same.jsonl", 1_000), "rows 1000 0"),
    ],
    ids=["many", "equal names"],
)
def test_archives_of_many_files(tmp_path: Path, make: Callable[[Path], None], expected: str) -> None:
    path = tmp_path / "log.zip"
    make(path)
    assert expected in read(path)


def test_archives_in_archives_are_not_opened(tmp_path: Path) -> None:
    inner = tmp_path / "inner.zip"
    zip_of(lambda number: f"f{number}.jsonl", 2)(inner)
    for depth in range(20):
        outer = tmp_path / f"outer{depth}.zip"
        with zipfile.ZipFile(outer, "w") as archive:
            archive.write(inner, inner.name)
        inner = outer
    assert "neither JSON, CSV, Parquet nor Arrow" in read(inner)


def test_many_streams_in_one_file(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    path.write_bytes(
        b"".join(gzip.compress(json.dumps(row(i)).encode() + b"\n", 1) for i in range(2_000)) * 20
        + gzip.compress(b"") * 50_000
    )
    assert read(path) == "rows 40000 0"


def test_a_value_that_a_table_holds_once_for_many_rows(tmp_path: Path) -> None:
    path, rows = tmp_path / "log.parquet", 10_000
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * 50_000_000]))
    table = {"prompt": ["a", "b"] * (rows // 2), "completion": texts, "reward": [0, 1] * (rows // 2)}
    pq.write_table(pa.table(table), path)
    assert path.stat().st_size < 5 << 20
    assert "unpacks to more than 200 times" in read(path)


def test_a_damaged_header_of_a_page(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    table = {"prompt": ["a", "b"] * 50, "completion": ["c"] * 100, "reward": [0, 1] * 50}
    pq.write_table(pa.table(table), path)
    start = pq.ParquetFile(path).metadata.row_group(0).column(0).dictionary_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 40] = b"\xff" * 40
    path.write_bytes(content)
    assert "not a readable Parquet file (a damaged header of a page)" in read(path)


def test_tables_of_many_columns(tmp_path: Path) -> None:
    wide = pl.DataFrame({"prompt": ["a"], "completion": ["b"], "reward": [1]}).with_columns(
        pl.lit(1).alias(f"c{number}") for number in range(10_000)
    )
    wide.write_parquet(tmp_path / "log.parquet")
    wide.write_csv(tmp_path / "log.csv")
    for name in ("log.parquet", "log.csv"):
        assert "10,003 columns, 10,000 are read" in read(tmp_path / name)


def test_records_of_many_keys(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    wide = {**row(0), **{f"k{number}": number for number in range(100_000)}}
    path.write_text(json.dumps(wide) + "\n")
    assert "no whole record" in read(path)
    path.write_bytes(lines(50) + json.dumps(wide).encode() + b"\n" + lines(50))
    assert read(path) == "rows 100 1"


def test_a_new_key_in_every_record(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps({**row(i), f"k{i}": i}) + "\n" for i in range(20_000)))
    assert read(path) == "rows 20000 0"
    from stratagem.rollouts.log import read_rollouts

    log = read_rollouts(path)
    assert log.extra == ()
    assert sum(batch.height for batch in log.batches()) == 20_000
    assert len(log.lost) <= 1_001
