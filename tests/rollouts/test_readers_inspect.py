"""The reader of inspect_ai's logs."""

import json
import struct
import zipfile
import zlib

import pyarrow as pa
import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers import inspect_ai
from tests.rollouts.frameworks import ALL, HERE, LAST, columns, damaged, records

SAMPLES = [
    ("sums/easy", "<think>\n2 and 3\n</think>\n\nIt is 5", 1.0, 0.5, 1.0, None, "stop", 3),
    ("sums/hard", "21, let me see, 4 times", 0.0, 0.5, 0.0, 0.5, "length", 6),
    ("sums/slow", "1, 2, 3", 1.0, 0.5, 1.0, None, "length", 3),
]


@pytest.mark.parametrize("name", ["sums.eval", "sums.json"])
def test_inspect_samples(name):
    """Grades C, I and P; a score of two values, one of them NaN; a limit of tokens and one of messages."""
    wanted = (
        "id",
        "completion",
        "includes",
        "partly",
        "form.short",
        "form.graded",
        "finish_reason",
        "tokens",
        "sample",
    )
    rows = columns(f"inspect_ai/{name}", *wanted)
    assert rows == [(*sample, epoch) for epoch in (1, 2) for sample in SAMPLES]


@pytest.mark.parametrize("name", ["sums.eval", "sums.json"])
def test_inspect_facts_and_failures(name):
    log = read_rollouts(HERE / "inspect_ai" / name)
    log.read()
    assert dict(log.left_out) == {"error: RuntimeError": 2}
    stated = {"model": {"mockllm/model"}, "temperature": {"0.5"}, "max_tokens": {"64"}, "task": {"sums"}}
    assert {name: log.facts[name] for name in stated} == stated


def test_inspect_examples_in_the_prompt_are_not_the_models():
    rows = columns("inspect_ai/sums.eval", "prompt", "question", options=ALL)
    assert rows[1] == ("system: Answer.\n\nuser: 1*1?\n\nassistant: 1\n\nuser: 4*5?", "4*5?")


def test_inspect_all_turns():
    assert columns("inspect_ai/sums.eval", "completion", "tokens", options=ALL)[2] == (
        "1, 2, 3\n\n1, 2, 3",
        None,
    )


@pytest.mark.parametrize(
    ("value", "score"),
    [
        ("C", 1.0),
        ("I", 0.0),
        ("P", 0.5),
        ("N", 0.0),
        ("Yes", 1.0),
        ("false", 0.0),
        ("0.25", 0.25),
        (True, 1.0),
        (3, 3.0),
    ],
)
def test_inspect_values_become_numbers(value, score):
    """scorer/_metric.py, value_to_float."""
    record = damaged(records("inspect_ai/sums.json")[1], "scores", {"one": {"value": value}})
    (row,) = inspect_ai.rows(record, LAST)
    assert row["scores"] == {"one": score}


def test_inspect_a_value_that_is_a_word_is_no_score():
    record = damaged(
        records("inspect_ai/sums.json")[1], "scores", {"tone": {"value": "rude"}, "list": {"value": [1]}}
    )
    (row,) = inspect_ai.rows(record, LAST)
    assert row["scores"] == {}
    assert row["extra"]["tone"] == "rude"


def test_inspect_texts_that_are_kept_apart(tmp_path):
    log = json.loads((HERE / "inspect_ai/sums.json").read_text())
    sample = damaged(log["samples"][2], "messages.4.content", "attachment://0f")
    log["samples"] = [sample | {"attachments": {"0f": "a long text"}}]
    (tmp_path / "apart.json").write_text(json.dumps(log))
    assert read_rollouts(tmp_path / "apart.json").read()["completion"].to_list() == ["a long text"]


def test_inspect_deflated_archive_and_a_run_that_broke_off(tmp_path):
    """Versions before zstd; and without header.json, which the end of a run writes."""
    samples = records("inspect_ai/sums.json")[1:3]
    header = json.loads((HERE / "inspect_ai/sums.json").read_text())
    with zipfile.ZipFile(tmp_path / "old.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "_journal/start.json", json.dumps({"version": 2, "eval": header["eval"], "plan": header["plan"]})
        )
        for number, sample in enumerate(samples):
            archive.writestr(f"samples/{number}_epoch_1.json", json.dumps(sample))
        archive.writestr("samples/9_epoch_1.json", '{"id": 9, "epo')
    log = read_rollouts(tmp_path / "old.eval")
    assert log.read()["id"].to_list() == ["sums/easy", "sums/hard"]
    assert dict(log.left_out) == {"sample: not one whole JSON object": 1}
    assert log.facts["temperature"] == {"0.5"}


def test_inspect_a_damaged_sample_costs_that_sample(tmp_path):
    data = bytearray((HERE / "inspect_ai/sums.eval").read_bytes())
    with zipfile.ZipFile(HERE / "inspect_ai/sums.eval") as archive:
        info = archive.getinfo("samples/easy_epoch_1.json")
    name, extra = struct.unpack("<26x2H", data[info.header_offset : info.header_offset + 30])
    start = info.header_offset + 30 + name + extra
    data[start + 40 : start + 80] = bytes(40)
    (tmp_path / "damaged.eval").write_bytes(data)
    log = read_rollouts(tmp_path / "damaged.eval")
    assert log.read()["id"].to_list().count("sums/easy") == 1
    assert sum(log.left_out.values()) == 3


def test_inspect_chunked_samples_are_refused_with_the_fix(tmp_path):
    with zipfile.ZipFile(tmp_path / "chunked.eval", "w") as archive:
        archive.writestr("header.json", "{}")
        archive.writestr("samples/a_epoch_1/sample.json", "{}")
    with pytest.raises(StratagemError, match="samples are in chunks; write them as whole samples"):
        read_rollouts(tmp_path / "chunked.eval")


def test_inspect_a_sample_that_unpacks_without_end_is_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(inspect_ai.streams, "FREE", 10_000)
    samples = records("inspect_ai/sums.json")[1:2]
    with zipfile.ZipFile(tmp_path / "bomb.eval", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("header.json", json.dumps({"eval": {"task": "sums"}}))
        archive.writestr("samples/1_epoch_1.json", json.dumps(samples[0]))
        archive.writestr("samples/2_epoch_1.json", json.dumps(samples[0]) + " " * 10_000_000)
    log = read_rollouts(tmp_path / "bomb.eval")
    assert log.read().height == 1
    assert dict(log.left_out) == {"sample: unpacks to more than 200 times its size": 1}


def zstd_archive(path, files):
    """An archive whose files are zstd (method 93) in two frames each, as inspect writes large ones."""
    codec = pa.Codec("zstd")
    packed = {
        name: b"".join(codec.compress(part, asbytes=True) for part in (data[:50], data[50:]))
        for name, data in files.items()
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in packed.items():
            archive.writestr(name, data)
    made = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        at = archive.start_dir
        for info in archive.infolist():
            data = files[info.filename]
            for start in (info.header_offset + 8, at + 10):  # of the local header, of the central directory
                struct.pack_into("<H", made, start, 93)
                struct.pack_into("<L", made, start + 6, zlib.crc32(data))
                struct.pack_into("<L", made, start + 14, len(data))
            at += 46 + len(info.filename)
    path.write_bytes(made)


def test_inspect_large_samples_are_in_several_frames(tmp_path):
    sample = records("inspect_ai/sums.json")[1]
    files = {"header.json": {"eval": {"task": "sums"}}, "samples/easy_epoch_1.json": sample}
    zstd_archive(
        tmp_path / "frames.eval", {name: json.dumps(value).encode() for name, value in files.items()}
    )
    assert read_rollouts(tmp_path / "frames.eval").read()["id"].to_list() == ["sums/easy"]


@pytest.mark.parametrize(
    ("where", "reason"),
    [(24, "sample: not of the size that the archive says"), (16, "sample: its packing is damaged")],
)
def test_inspect_a_sample_of_other_size_or_checksum_than_the_archive_says(tmp_path, where, reason):
    sample = json.dumps(records("inspect_ai/sums.json")[1]).encode()
    files = {"header.json": b"{}", "samples/1_epoch_1.json": sample, "samples/2_epoch_1.json": sample}
    zstd_archive(tmp_path / "lies.eval", files)
    made = bytearray((tmp_path / "lies.eval").read_bytes())
    with zipfile.ZipFile(tmp_path / "lies.eval") as archive:
        last = archive.start_dir + sum(46 + len(name) for name in archive.namelist()[:2])
    struct.pack_into("<L", made, last + where, 60)
    (tmp_path / "lies.eval").write_bytes(made)
    log = read_rollouts(tmp_path / "lies.eval")
    assert log.read().height == 1
    assert dict(log.left_out) == {reason: 1}


@pytest.mark.parametrize(
    ("data", "why"), [(b"It is \xff", "not UTF-8"), (b'It is "5', "not one whole JSON object")]
)
def test_inspect_a_broken_document_is_refused(tmp_path, data, why):
    log = (HERE / "inspect_ai/sums.json").read_bytes().replace(b"It is 5", data)
    (tmp_path / "broken.json").write_bytes(log)
    with pytest.raises(StratagemError, match=why):
        read_rollouts(tmp_path / "broken.json")
