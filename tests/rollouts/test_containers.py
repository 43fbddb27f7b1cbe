"""Files of every make that hold the same records: text in other encodings, tables, archives, spread-out objects."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from tests.rollouts.logs import record, rows, write_lines

RECORDS = [record(i, completion=f"text {i} – café") for i in range(6)]
LINES = "".join(json.dumps(fields) + "\n" for fields in RECORDS)


def tar(kind: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tarfile.open(path, f"w:{kind}") as archive:
            for name, content in (
                ("notes.md", b"# so"),
                ("run/log.jsonl", LINES.encode()),
                ("run/.hidden", b"x"),
            ):
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))

    return write


def arrow(stream: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        table = pa.Table.from_pylist(RECORDS)
        make = pa.ipc.new_stream if stream else pa.ipc.new_file
        with pa.OSFile(str(path), "wb") as file, make(file, table.schema) as writer:
            writer.write_table(table, max_chunksize=4)

    return write


def csv(path: Path) -> None:
    pl.DataFrame(RECORDS).write_csv(path)
    path.write_bytes(path.read_text().encode("cp1252"))


WAYS: dict[str, Callable[[Path], object]] = {
    "tar": tar(""),
    "tar.gz": tar("gz"),
    "tar.xz": tar("xz"),
    "Arrow file": arrow(stream=False),
    "Arrow stream": arrow(stream=True),
    "UTF-16": lambda path: path.write_text(LINES, encoding="utf-16"),
    "CSV of Windows": csv,
    "objects over lines": lambda path: path.write_text(
        "\n".join(json.dumps(fields, indent=2) for fields in RECORDS)
    ),
}


@pytest.mark.parametrize("way", WAYS)
def test_the_same_records_are_read_from(way: str, tmp_path: Path) -> None:
    WAYS[way](tmp_path / "log")
    table = rows(tmp_path / "log")
    assert table["completion"].to_list() == [fields["completion"] for fields in RECORDS]
    assert table["score"].to_list() == [fields["score"] for fields in RECORDS]


@pytest.mark.parametrize("kind", ["", "gz", "xz", "zip"])
@pytest.mark.parametrize("made", ["Parquet", "Arrow file", "Arrow stream"])
def test_tables_in_archives_are_read(kind: str, made: str, tmp_path: Path) -> None:
    inside = tmp_path / "table"
    if made == "Parquet":
        pl.DataFrame(RECORDS).write_parquet(inside)
    else:
        WAYS[made](inside)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "log", "w") as archive:
            archive.write(inside, "run/table")
    else:
        with tarfile.open(tmp_path / "log", f"w:{kind}") as archive:
            archive.add(inside, "run/table")
    assert rows(tmp_path / "log")["completion"].to_list() == [fields["completion"] for fields in RECORDS]


def test_a_column_of_the_log_that_is_called_file_is_its_own(tmp_path: Path) -> None:
    for name in ("one", "two"):
        lines = [json.dumps(fields | {"file": f"{name} {i}"}) for i, fields in enumerate(RECORDS)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines).replace("text", name))
    files = rows(tmp_path)["file"].to_list()
    assert files == [f"{name} {i}" for name in ("one", "two") for i in range(len(RECORDS))]


def test_objects_over_lines_that_break_off_cost_the_last(tmp_path: Path) -> None:
    text = "\n".join(json.dumps(fields, indent=2) for fields in RECORDS)
    (tmp_path / "log").write_text(text[:-9])
    log = read_rollouts(tmp_path / "log")
    assert (log.read().height, dict(log.left_out)) == (5, {"record: breaks off, or is not JSON": 1})


def test_a_data_set_saved_to_disk_or_cloned_is_read_with_its_notes_passed_over(tmp_path: Path) -> None:
    arrow(stream=True)(tmp_path / "data-00000-of-00001.arrow")
    (tmp_path / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data"}], "_split": "train"})
    )
    (tmp_path / "dataset_info.json").write_text(json.dumps({"description": "", "features": {"score": {}}}))
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n")
    log = read_rollouts(tmp_path)
    assert (log.read().height, len(log.skipped)) == (6, 3)


@pytest.mark.parametrize(
    ("names", "said"),
    [(("[Content_Types].xml", "xl/worksheets/sheet1.xml"), "Excel"), (("archive/data.pkl",), "torch")],
)
def test_archives_of_something_else_are_refused_by_name(
    names: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "log", "w") as archive:
        for name in names:
            archive.writestr(name, "<x/>")
    with pytest.raises(StratagemError, match=said):
        read_rollouts(tmp_path / "log")


def test_a_file_that_lies_in_a_folder_twice_is_read_once(tmp_path: Path) -> None:
    many = [record(i, completion=f"{i} " * 50) for i in range(80)]
    for name in ("a.jsonl", "b.jsonl"):
        write_lines(tmp_path / name, many)
    log = read_rollouts(tmp_path)
    assert (log.read().height, log.skipped) == (
        80,
        ((str(tmp_path / "b.jsonl"), f"the same file as {tmp_path / 'a.jsonl'}"),),
    )


@pytest.mark.parametrize("rows", [100, 700, 3_000])
def test_lists_of_dictionaries_over_several_row_groups(tmp_path: Path, rows: int) -> None:
    """Arrow makes no batch over two row groups whose lists have dictionaries of their own."""
    count = 3_000
    role = pa.array(["user", "assistant"] * count).dictionary_encode()
    content = pa.array([f"{'question' if i % 2 == 0 else 'answer'} {i // 2}" for i in range(2 * count)])
    turns = pa.StructArray.from_arrays([role, content], ["role", "content"])
    table = {
        "messages": pa.ListArray.from_arrays(pa.array(range(0, 2 * count + 1, 2), pa.int32()), turns),
        "score": [i % 2 for i in range(count)],
    }
    path = tmp_path / "log.parquet"
    pq.write_table(pa.table(table), path, row_group_size=rows)
    read = pl.concat(read_rollouts(path).batches())
    assert read["completion"].to_list() == [f"answer {i}" for i in range(count)]
