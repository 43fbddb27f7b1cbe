"""Where logs are found: packed, in folders, behind links; and what is no log."""

from __future__ import annotations

import bz2
import decimal
import gzip
import lzma
import os
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from tests.rollouts.logs import record, rows, write_lines


def packed(data: bytes, how: str) -> bytes:
    match how:
        case "gzip":
            return gzip.compress(data)
        case "bz2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
        case "zstd":
            return pa.Codec("zstd").compress(data, asbytes=True)
    return data


@pytest.mark.parametrize("how", ["gzip", "bz2", "xz", "zstd", "zip"])
@pytest.mark.parametrize("kind", ["lines", "csv", "parquet"])
def test_packed_is_the_same_as_plain(tmp_path: Path, how: str, kind: str) -> None:
    table = pl.DataFrame([record(i) for i in range(2000)])
    path = tmp_path / "log"
    {"lines": table.write_ndjson, "csv": table.write_csv, "parquet": table.write_parquet}[kind](path)
    expected = rows(path)
    other = tmp_path / "packed"
    if how == "zip":
        with zipfile.ZipFile(other, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, "folder/log")
    else:
        other.write_bytes(packed(path.read_bytes(), how))
    assert rows(other).equals(expected)
    assert expected.height == 2000


def test_folders_and_globs_in_natural_order(tmp_path: Path) -> None:
    for step in (10, 2, 1):
        write_lines(tmp_path / f"run/global_step_{step}/out.jsonl", [record(0), record(1)])
    expected = ["1", "1", "2", "2", "10", "10"]
    assert rows(tmp_path / "run")["checkpoint"].to_list() == expected
    assert rows(str(tmp_path / "run/*/*.jsonl"))["checkpoint"].to_list() == expected
    assert rows([tmp_path / "run/global_step_2", tmp_path / "run"])["checkpoint"].to_list() == [
        "2",
        "2",
        "1",
        "1",
        "10",
        "10",
    ]


def test_responses_that_were_labelled_are_read_once(tmp_path: Path) -> None:
    table = pl.DataFrame([record(i) for i in range(20)])
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        table.write_parquet(tmp_path / folder / "rollouts.parquet")
    assert len(rows(tmp_path)) == 40
    table.with_columns(strategy=pl.lit("seen")).write_parquet(tmp_path / "one" / "labelled.parquet")
    assert len(rows(tmp_path)) == 40
    assert [row["strategy"] for row in rows(tmp_path / "one").to_dicts()] == ["seen"] * 20


def test_links_in_a_loop_are_followed_once(tmp_path: Path) -> None:
    write_lines(tmp_path / "run/a.jsonl", [record(0), record(1)])
    (tmp_path / "run/again").symlink_to(tmp_path / "run")
    (tmp_path / "run/self").symlink_to(tmp_path / "run/self")
    assert rows(tmp_path / "run").height == 2
    with pytest.raises(StratagemError, match="self: cannot be read"):
        read_rollouts(tmp_path / "run/self")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"\x00\x01\x02\x03" * 100, "neither JSON, CSV, Parquet nor Arrow"),
        (b"PAR1 but no more", "not a readable Parquet file"),
        (b"just a sentence\nand another", "neither JSON, CSV, Parquet nor Arrow"),
        (b"a,b\n1,2\n", "no known format; its columns are a, b: name them with"),
        (b"{broken\n{broken\n", "neither lines of JSON nor one JSON document"),
        (b'{"prompt": 3, "completion": null}\n', "no known format"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "run `git lfs pull`"),
        (b"SQLite format 3\x00", "is a SQLite database; export"),
        (b"\xd0\xcf\x11\xe0\xa1", "is an Excel file; export"),
        (b"\x80\x04\x95", "is a pickle; reading one runs code"),
        (b"ARROW1\x00\x00 no more", "not a readable Arrow file"),
        (b"PK\x03\x04 no archive", "not a readable zip archive"),
        (b"[1, 2, 3]", "no whole record among the first 1000"),
        (b"prompt,completion,score\n", "no whole record among the first 1000"),
        (b"prompt,completion,score,score\nq,c,1,1\n", "two columns are called 'score'"),
        (b"{}\n", "no known format; its columns are none"),
        (
            b'{"step": 1, "prompt": "a", "completion": 5, "r": 1, "advantage": 0}',
            "trl: none of the first records",
        ),
    ],
)
def test_what_is_no_log_is_said_in_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "thing"
    path.write_bytes(content)
    with pytest.raises(StratagemError) as caught:
        read_rollouts(path).read()
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_or_archive_may_hold_other_things(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    write_lines(folder / "log.jsonl", [record(0), record(1)])
    other = {"empty.jsonl": "", "config.json": '{"lr": 1}', "cut.json": '{"a": [', "notes.md": "# so"}
    other["table.csv"] = "a,b\n1,2\n"
    for name, content in other.items():
        (folder / name).write_text(content)
    os.mkfifo(folder / "pipe")
    log = read_rollouts(folder)
    assert log.read().height == 2
    assert {Path(name).name for name, _ in log.skipped} == set(other)
    with zipfile.ZipFile(tmp_path / "run.zip", "w") as archive:
        archive.write(folder / "notes.md", "notes.md")
        for step in (10, 9):
            archive.write(folder / "log.jsonl", f"step_{step}/log.jsonl")
    assert rows(tmp_path / "run.zip")["checkpoint"].to_list() == ["9", "9", "10", "10"]
    with pytest.raises(StratagemError, match=r"table.csv: no known format; its columns are a, b"):
        read_rollouts(folder / "table.csv")


def test_nothing_there(tmp_path: Path) -> None:
    for path, said in (
        (tmp_path / "no", "no such file"),
        (tmp_path / "*.jsonl", "no file matches"),
        (tmp_path, "without"),
    ):
        with pytest.raises(StratagemError, match=said):
            read_rollouts(path)
    with pytest.raises(StratagemError, match="not a file or folder"):
        read_rollouts("/dev/null")


def test_one_side_is_of_one_format(tmp_path: Path) -> None:
    write_lines(tmp_path / "a.jsonl", [record(0)])
    write_lines(tmp_path / "b.jsonl", [{"id": 1, "c": 1, "n": 2}])
    with pytest.raises(
        StratagemError, match=r"b.jsonl: is counts, but .*a.jsonl is plain: give logs of one format"
    ):
        read_rollouts(tmp_path)


def arrow_log(path: Path, columns: dict[str, pa.Array], size: int = 3) -> pl.DataFrame:
    """The rows of a log of eight responses to two problems with further columns, in parts of three rows."""
    plain = {"prompt": pa.array(list("aaaabbbb")), "completion": pa.array(list("12345678"))}
    table = pa.table(plain | {"score": pa.array([0, 1] * 4)} | columns)
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=size)
    return rows(path)


@pytest.mark.parametrize(
    ("kind", "value", "read"),
    [
        (pa.binary(), b"\xff\xfe", None),  # such as pictures beside a prompt
        (pa.binary(), b"text", "text"),
        (pa.binary(2), b"\xff\xfe", None),
        (pa.duration("s"), 77, "PT1M17S"),
        (pa.decimal256(60, 3), decimal.Decimal("1.500"), "1.500"),
        (pa.month_day_nano_interval(), (1, 2, 3), "MonthDayNano(months=1, days=2, nanoseconds=3)"),
        (pa.float16(), 0.5, 0.5),
        (pa.uint64(), 2**64 - 1, str(2**64 - 1)),
        (pa.uint64(), 7, 7),
        (pa.list_(pa.float32(), 3), [1.0, 2.0, 3.0], None),
        (pa.list_view(pa.int8()), [1], "[1]"),
    ],
    ids=str,
)
def test_a_column_of_a_rare_type_costs_no_row(
    tmp_path: Path, kind: pa.DataType, value: Any, read: Any
) -> None:
    read_rows = arrow_log(tmp_path / "log", {"more": pa.array([value, None] * 4, kind)})
    assert read_rows["completion"].to_list() == list("12345678")
    assert read_rows["score"].to_list() == [0, 1] * 4
    if read is not None:
        assert read_rows["more"].to_list() == [read, None] * 4


def test_ids_beyond_63_bits_tell_problems_apart(tmp_path: Path) -> None:
    """As hashes have them; and here the prompts do not tell."""
    ids = [2**64 - 1 - i // 2 for i in range(8)]
    read_rows = arrow_log(
        tmp_path / "log", {"prompt": pa.array(["q"] * 8), "problem_id": pa.array(ids, pa.uint64())}
    )
    assert read_rows["id"].to_list() == [str(identity) for identity in ids]
    table = pa.table(
        {"problem_id": pa.array(ids, pa.uint64()), "completion": list("12345678"), "score": [0, 1] * 4}
    )
    pq.write_table(table, tmp_path / "parquet")
    assert rows(tmp_path / "parquet")["id"].n_unique() == 4
