"""Bad input ends in the rows of a plain reader, or in one clear line: never in a traceback, a hang or much memory."""

from __future__ import annotations

import gzip
import io
import json
import random
import tracemalloc
import zipfile
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers import streams

from . import reference


def check(data: bytes, folder: Path) -> bool:
    """Whether a log was read; then its rows are the reference's."""
    path = folder / "log.jsonl"
    path.write_bytes(data)
    expected, bad = reference.read(data)
    try:
        log = read_rollouts(path)
        table = log.read()
    except StratagemError as error:
        refusal = str(error)
    else:
        refusal = None
    if refusal is not None:
        assert "\n" not in refusal
        assert len(expected) <= bad, f"{refusal}: {data!r}"  # most of it was whole: it has to be read
        return False
    rows = table.select("id", "prompt", "completion", "score").rows()
    assert rows == expected, data
    assert sum(log.left_out.values()) == bad, (log.left_out, data)
    return True


def fuzz(numbers: range, folder: Path) -> None:
    read = 0
    for number in numbers:
        rng = random.Random(number)
        read += check(reference.mutated(reference.log(rng), rng), folder)
    assert read > 0.95 * len(numbers)


def test_mutated_logs_are_read_as_line_by_line(tmp_path: Path) -> None:
    fuzz(range(400), tmp_path)


@pytest.mark.slow
def test_ten_thousand_mutated_logs(tmp_path: Path) -> None:
    fuzz(range(10_000), tmp_path)


def damaged(data: bytes, rng: random.Random) -> bytes:
    match rng.randrange(4):
        case 0:
            return data[: rng.randrange(len(data))]
        case 1:
            at = rng.randrange(len(data))
            return data[:at] + rng.randbytes(rng.randrange(1, 20)) + data[at:]
        case 2:
            at = rng.randrange(len(data))
            return data[:at] + data[at + rng.randrange(1, 50) :]
        case _:
            changed = bytearray(data)
            for _ in range(rng.randrange(1, 6)):
                changed[rng.randrange(len(data))] = rng.randrange(256)
            return bytes(changed)


def files(folder: Path) -> dict[str, bytes]:
    """One log in every make of file."""
    lines = [line for seed in range(30) for line in reference.log(random.Random(seed))]
    table = pl.DataFrame([json.loads(line) | {"score": 1.0} for line in lines])
    buffers = {kind: io.BytesIO() for kind in ("csv", "parquet", "zip")}
    table.write_csv(buffers["csv"])
    table.write_parquet(buffers["parquet"])
    with zipfile.ZipFile(buffers["zip"], "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("log.jsonl", b"\n".join(lines))
    whole = {kind: buffer.getvalue() for kind, buffer in buffers.items()}
    whole["json"] = b"[" + b",".join(lines) + b"]"
    whole["gzip"] = gzip.compress(b"\n".join(lines))
    whole["zstd"] = pa.Codec("zstd").compress(b"\n".join(lines), asbytes=True)
    return whole


def damage(kind: str, numbers: range, folder: Path) -> None:
    whole = files(folder)[kind]
    path = folder / "log"
    path.write_bytes(whole)
    rows = read_rollouts(path).read().height
    for number in numbers:
        path.write_bytes(damaged(whole, random.Random(number)))
        said = str(path)
        try:
            height = read_rollouts(path).read().height
        except StratagemError as error:
            height, said = 0, str(error)
        assert height <= rows + 1
        assert said.startswith(str(path))
        assert "\n" not in said


@pytest.mark.parametrize("kind", ["csv", "parquet", "zip", "json", "gzip", "zstd"])
def test_damaged_files_of_every_make(kind: str, tmp_path: Path) -> None:
    damage(kind, range(60), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["csv", "parquet", "zip", "json", "gzip", "zstd"])
def test_many_damaged_files_of_every_make(kind: str, tmp_path: Path) -> None:
    damage(kind, range(1_000, 3_000), tmp_path)


def test_a_column_with_a_damaged_name(tmp_path: Path) -> None:
    path = tmp_path / "log"
    table = pl.DataFrame({"prompt": ["q"], "completion": ["c"], "score": [1.0], "plainname": ["x"]})
    table.write_parquet(path)
    path.write_bytes(path.read_bytes().replace(b"plainname", b"plain\xffame"))
    with pytest.raises(StratagemError, match="not a readable Parquet file"):
        read_rollouts(path)


def test_a_broken_record_at_the_start_settles_no_format(tmp_path: Path) -> None:
    """Without its response it looks like a score alone, of a table of counts."""
    path = tmp_path / "log"
    lines = [{"problem_id": f"p{i // 3}", "completion": f"c{i}", "score": i % 2} for i in range(9)]
    lines[0]["complextion"] = lines[0].pop("completion")
    path.write_text("\n".join(map(json.dumps, lines)))
    log = read_rollouts(path)
    assert log.format == "plain"
    assert log.read()["completion"].to_list() == [f"c{i}" for i in range(1, 9)]
    assert log.left_out == {"completion: missing": 1}


def test_a_text_of_one_record_is_not_the_response_of_all(tmp_path: Path) -> None:
    path = tmp_path / "log"
    lines = [{"prompt": f"q{i // 3}", "completion": f"c{i}", "score": i % 2} for i in range(9)]
    lines[4]["raw response"] = "a text much longer than the others " * 20
    path.write_text("\n".join(map(json.dumps, lines)))
    assert read_rollouts(path).read()["completion"].to_list() == [f"c{i}" for i in range(9)]


@pytest.mark.parametrize("broken", [{"scores": 1.5}, {"scores": None, "was scores": [1, 0]}, {"scores": []}])
def test_the_lists_of_most_records_go_together(tmp_path: Path, broken: dict[str, object]) -> None:
    """The first record is broken; what it has in place of its scores is nothing that the others lack."""
    path = tmp_path / "log"
    lines = [{"prompt": f"q{i}", "responses": [f"a{i}", f"b{i}"], "scores": [1, 0]} for i in range(8)]
    path.write_text("\n".join(map(json.dumps, [lines[0] | broken, *lines[1:]])))
    table = read_rollouts(path).read().filter(pl.col("prompt") != "q0")
    assert table["scores"].to_list() == [1, 0] * 7
    assert table["completion"].to_list() == [f"{x}{i}" for i in range(1, 8) for x in "ab"]


@pytest.mark.parametrize("rollouts", [5, "text", ["text"], [[1]], 1.5, True])
def test_records_of_another_shape_cost_no_more_than_themselves(tmp_path: Path, rollouts: object) -> None:
    path = tmp_path / "log"
    lines = [{"question": f"q{i}", "rollouts": [{"text": f"c{i}", "correct": i % 2}] * 2} for i in range(6)]
    lines[3]["rollouts"] = rollouts
    path.write_text("\n".join(map(json.dumps, lines)))
    log = read_rollouts(path)
    assert log.read()["prompt"].unique(maintain_order=True).to_list() == ["q0", "q1", "q2", "q4", "q5"]
    assert log.left_out.total() == 1


def test_fields_with_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "log"
    odd = {"": 1, "\t": 2, '"': 3, "\\": 4, "\ud800": 5, "id": None, "_question": "x", "row": [1]}
    lines = [{"prompt": "q", "completion": "c", "score": i % 2, **odd} for i in range(4)]
    path.write_text("\n".join(map(json.dumps, lines)))
    log = read_rollouts(path)
    assert log.read()["score"].to_list() == [0, 1, 0, 1]
    assert not log.left_out


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_a_packed_log_that_breaks_off_gives_what_came_before(tmp_path: Path, how: str) -> None:
    rng = random.Random(1)
    lines = [
        json.dumps({"prompt": f"q{i}", "completion": rng.randbytes(200).hex(), "score": 1})
        for i in range(20_000)
    ]
    data = "\n".join(lines).encode()
    packed = gzip.compress(data) if how == "gzip" else pa.Codec("zstd").compress(data, asbytes=True)
    path = tmp_path / "log"
    path.write_bytes(packed[: len(packed) // 2])
    log = read_rollouts(path)
    table = log.read()
    assert 9_000 < table.height < 11_000
    assert table["completion"].to_list() == [json.loads(line)["completion"] for line in lines[: table.height]]
    assert sorted(log.left_out.values()) == [1, 1]  # the line that was cut, and the file
    with pytest.raises(StratagemError, match=r"log: row \d+: "):
        list(read_rollouts(path, type(log.options)(strict=True)).batches())


def peak(path: Path) -> tuple[int, str]:
    tracemalloc.start()
    try:
        log = read_rollouts(path)
        said = f"{sum(batch.height for batch in log.batches())} rows, {dict(log.left_out)}"
    except StratagemError as error:
        said = str(error)
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return most, said


@pytest.mark.parametrize("how", ["gzip", "zip", "zstd"])
def test_what_unpacks_without_end_is_refused(tmp_path: Path, how: str) -> None:
    path = tmp_path / "bomb"
    line = b'{"prompt": "q", "completion": "' + b"a" * 1000 + b'", "score": 1}\n'
    if how == "gzip":
        with gzip.open(path, "wb", compresslevel=9) as file:
            file.write(line * 3)
            for _ in range(300):
                file.write(b" " * (1 << 20))
    elif how == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("log", "w") as file:
            file.write(line * 3)
            for _ in range(300):
                file.write(b" " * (1 << 20))
    else:
        with pa.CompressedOutputStream(str(path), "zstd") as file:
            file.write(line * 3)
            for _ in range(300):
                file.write(b" " * (1 << 20))
    assert path.stat().st_size < 1 << 20
    most, said = peak(path)
    assert "unpacks to more than 200 times its size" in said
    assert most < 200 << 20


@pytest.mark.parametrize(
    ("header", "good", "endless"),
    [
        (b"", b'{"prompt": "q", "completion": "c", "score": 1}\n', b'{"prompt": "%s"}\n'),
        (b"prompt,completion,score\n", b'q,"c\nd",1\n', b'"%s\n'),
        (b"prompt,completion,score\r\n", b"q,c,1\r\n", b"%s,c,1\r\n"),
    ],
    ids=["JSON", "CSV in quotes", "CSV"],
)
def test_a_line_without_end_costs_that_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, header: bytes, good: bytes, endless: bytes
) -> None:
    monkeypatch.setattr(streams, "MAX_LINE", 2 << 20)
    path = tmp_path / "log"
    path.write_bytes(header + good * 3 + endless % (b"x" * (30 << 20)) + good * 2)
    log = read_rollouts(path)
    assert log.read().height == 5
    assert log.left_out == {"line: longer than 2 MB": 1}


def test_the_row_of_a_line_without_end_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "MAX_LINE", 2 << 20)
    good = b'{"prompt": "q", "completion": "c", "score": 1}\n'
    path = tmp_path / "log"
    path.write_bytes(good * 3 + b'{"prompt": "' + b"x" * (3 << 20) + b'"}\n' + good * 2)
    log = read_rollouts(path)
    assert log.read().height == 5
    assert log.examples[0].row == 4


def test_blocks_are_bounded_and_lose_nothing() -> None:
    rng = random.Random(3)
    data = b"{}\n" * 2_000_000 + b"\n".join(
        rng.randbytes(rng.randrange(40_000)).hex().encode() for _ in range(200)
    )
    sizes, lines = [], []
    parts = (data[i : i + streams.CHUNK] for i in range(0, len(data), streams.CHUNK))
    for block in streams.blocks(parts):
        assert isinstance(block, bytes)
        sizes.append(len(block))
        lines += block.split(b"\n")
    assert b"\n".join(lines) == data
    assert max(sizes) <= streams.CHUNK + 80_000
