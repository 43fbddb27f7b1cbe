"""Laws of reading: however a log is cut, packed or parsed, its rows are the same."""

from __future__ import annotations

import gzip
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts.log import Log, read_rollouts
from stratagem.rollouts.readers import READERS
from stratagem.rollouts.readers.row import ReadOptions

TEXT = st.text(max_size=20)
NUMBER = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(width=32), st.sampled_from(["1", "true", "x"])
)
SCALAR = st.one_of(NUMBER, TEXT, st.integers(-(2**70), 2**70))
RECORD = st.fixed_dictionaries(
    {"prompt": TEXT, "completion": TEXT, "score": NUMBER},
    optional={
        "problem_id": st.one_of(TEXT, st.integers(0, 5), st.floats(0, 5)),
        "sample": st.one_of(st.none(), st.integers(-5, 2**33)),
        "level": SCALAR,
        "meta": st.dictionaries(st.sampled_from(["a", "b"]), st.one_of(SCALAR, st.just([1])), max_size=2),
        "tags": st.lists(TEXT, max_size=2),
        "finish_reason": st.sampled_from(["stop", "length", "odd", None, 3]),
        "is_truncated": st.booleans(),
    },
)  # fmt: skip
LOG = st.lists(RECORD, min_size=1, max_size=15)


def lines(records: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in records).encode()


def outcome(log: Log) -> tuple[Any, ...]:
    table = log.read().drop("file", strict=False)  # tells files apart where there are several
    rows = [tuple("NaN" if value != value else value for value in row) for row in table.rows()]
    return tuple(table.schema.items()), rows, dict(log.left_out)


def opened(*contents: bytes) -> Any:
    """What reading files with these contents gives, or the refusal."""
    with tempfile.TemporaryDirectory() as folder:
        for number, content in enumerate(contents):
            Path(folder, f"{chr(97 + number)}.jsonl").write_bytes(content)
        try:
            return outcome(read_rollouts(folder))
        except StratagemError:
            return "refused"


@settings(max_examples=60, deadline=None)
@given(LOG, st.data())
def test_in_files_is_as_whole(records: list[dict[str, Any]], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(records)), max_size=3)))
    parts = [records[a:b] for a, b in zip([0, *cuts], [*cuts, len(records)], strict=True)]
    assert opened(*[lines(part) for part in parts]) == opened(lines(records))


@settings(max_examples=40, deadline=None)
@given(LOG)
def test_packed_is_as_plain(records: list[dict[str, Any]]) -> None:
    data = lines(records)
    plain = opened(data)
    assert opened(gzip.compress(data)) == plain
    assert opened(pa.Codec("zstd").compress(data, asbytes=True)) == plain


@settings(max_examples=150, deadline=None)
@given(LOG)
def test_column_by_column_is_as_row_by_row(records: list[dict[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        path.write_bytes(lines(records))
        try:
            log = read_rollouts(path)
        except StratagemError:
            return
        fast = outcome(log)
        log._reader = replace(log._reader, frame=None)
        assert outcome(log) == fast


TEXTS = ("1.0", "0", "-1e-3", "True", "False", "true", " 1", "nan", "inf", "x", "", None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=12))
def test_numbers_that_verl_wrote_as_text_are_the_same_by_column(texts: list[str | None]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "1.jsonl")
        row = {"input": "q", "output": "a", "gts": "1", "score": 1.0, "step": 1}
        path.write_bytes(lines([row | {"acc": "1.0"}] * 20 + [row | {"acc": text} for text in texts]))
        log = read_rollouts(path)
        fast = outcome(log)
        log._reader = replace(log._reader, frame=None)
        assert outcome(log) == fast


@pytest.mark.parametrize("name", ["plain", "verl"])
def test_whole_logs_are_read_column_by_column(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the law above would hold of nothing."""
    record = {
        "prompt": "q",
        "completion": "c",
        "score": 1,
        "problem_id": "p",
        "meta": {"a": 1, "b": [2]},
        "tags": [],
    }
    if name == "verl":
        record = {"input": "q", "output": "c", "gts": "1", "score": 1.0, "step": 1}
    (tmp_path / "log").write_bytes(lines([{**record, "n": i, "uid": f"a_{i}_0"} for i in range(10)]))
    log = read_rollouts(tmp_path / "log")
    assert log.format == name

    def refuse(*_: Any) -> Any:
        raise AssertionError("row by row")

    monkeypatch.setattr(Log, "_slow", refuse)
    assert log.read().height == 10


def test_parquet_column_by_column_is_as_row_by_row(tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "prompt": ["a", None, "c"],
            "problem_id": [1, 2, 3],
            "completion": ["x", "y", "z"],
            "score": pl.Series([1.0, float("nan"), None], dtype=pl.Float32),
            "meta": [{"a": 1, "b": [1]}, {"a": None, "b": []}, {"a": 3, "b": []}],
            "when": pl.Series(["2026-01-01"] * 3).str.to_date(),
            "kind": pl.Series(["F", "B", "F"], dtype=pl.Categorical()),
            "finish_reason": ["stop", "length", None],
        }
    )
    table.write_parquet(tmp_path / "log")
    log = read_rollouts(tmp_path / "log")
    fast = outcome(log)
    log._reader = replace(log._reader, frame=None)
    assert outcome(log) == fast
    assert fast[1][0] == ("1", "a", None, "x", None, None, "stop", None, 1.0, 1, "2026-01-01", "F")


ROLE = st.sampled_from(["system", "user", "assistant", "tool"])
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": ROLE, "content": st.one_of(st.none(), TEXT), "name": st.none()}),
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(MESSAGES, MESSAGES), min_size=1, max_size=6), st.sampled_from(["last", "all"]))
def test_messages_column_by_column_are_as_row_by_row(lists: list[Any], turns: Any) -> None:
    message = pl.Struct({"role": pl.String, "content": pl.String, "name": pl.String})
    schema = {"step": pl.Int64, "prompt": pl.List(message), "completion": pl.List(message), "r": pl.Float64}
    records = [{"step": 1, "prompt": a, "completion": b, "r": 1.0, "advantage": 0.0} for a, b in lists]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log")
        pl.DataFrame(records, schema=schema | {"advantage": pl.Float64}).write_parquet(path)
        try:
            log = read_rollouts(path, ReadOptions(turns=turns))
        except StratagemError:
            return
        fast = outcome(log)
        log._reader = replace(log._reader, frame=None)
        assert outcome(log) == fast


def test_messages_in_parquet_are_read_column_by_column(monkeypatch: pytest.MonkeyPatch) -> None:
    log = read_rollouts(Path(__file__).parent / "fixtures/trl/trl-1.16/chat")

    def refuse(*_: Any) -> Any:
        raise AssertionError("row by row")

    monkeypatch.setattr(Log, "_slow", refuse)
    assert log.read()["question"].n_unique() == 2


def test_readers_are_named_as_users_know_them() -> None:
    assert list(READERS)[-1] == "plain"
    assert {"trl", "verl", "counts"} <= set(READERS)
