"""Logs reduced to sums: tables of numbers by columns give what the readers give row by row."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.curation.tally import SUMS, Reward, Tally, tally
from stratagem.records import StratagemError
from stratagem.rollouts.readers.row import ReadOptions


def read(path: Path, **asked: Any) -> Tally:
    return tally([path], Reward(**asked), path.name, 0, lambda rows: None)


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def of(log: Tally) -> dict[str, tuple[float, float, float]]:
    return {
        name: (n, total, squares)
        for name, n, total, squares, *_ in log.sums.select("problem_id", *SUMS).rows()
    }


COUNTS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(1, 20), st.integers(0, 20)).filter(lambda row: row[2] <= row[1]),
    min_size=1,
    max_size=30,
)


@settings(max_examples=40)
@given(COUNTS)
def test_counts_are_those_of_the_reader(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, int, int]]
) -> None:
    folder = tmp_path_factory.mktemp("counts")
    made = [{"id": f"p{i}", "n": n, "c": c} for i, n, c in rows]
    path = jsonl(folder / "counts.jsonl", made)
    pl.DataFrame(made).write_parquet(folder / "counts.parquet")
    pl.DataFrame(made).write_csv(folder / "counts.csv")
    (folder / "packed.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    slow = of(read(path, where="n >= 0"))  # a condition has every row read by the reader
    for name in ("counts.jsonl", "counts.parquet", "counts.csv", "packed.jsonl.gz"):
        log = read(folder / name)
        assert of(log) == slow
        assert log.binary


@settings(max_examples=40)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.lists(st.integers(0, 1), min_size=1, max_size=8)),
        min_size=1,
        max_size=20,
    )
)
def test_lists_single_scores_and_counts_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, list[int]]]
) -> None:
    folder = tmp_path_factory.mktemp("rewards")
    lists = jsonl(folder / "lists.jsonl", [{"id": f"p{i}", "rewards": rewards} for i, rewards in rows])
    single = jsonl(
        folder / "single.jsonl",
        [{"id": f"p{i}", "score": reward} for i, rewards in rows for reward in rewards],
    )
    pl.DataFrame([{"id": f"p{i}", "rewards": rewards} for i, rewards in rows]).write_parquet(
        folder / "lists.parquet"
    )
    counts = jsonl(folder / "counts.jsonl", [{"id": f"p{i}", "n": len(r), "c": sum(r)} for i, r in rows])
    expected = of(read(counts))
    for path in (lists, single, folder / "lists.parquet"):
        assert of(read(path)) == expected


REWARD = st.one_of(st.booleans(), st.integers(-3, 3), st.floats(-1e6, 1e6), st.none(), st.just("0.5"))


@settings(max_examples=40)
@given(st.lists(st.lists(REWARD, max_size=6) | st.none(), min_size=1, max_size=12))
def test_lists_by_columns_and_record_by_record_say_the_same(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[Any] | None]
) -> None:
    """Lines are read by columns where they can be; a document of the same rows never is."""
    rows = [
        {"id": "first", "rewards": [0.5, 1]},
        *({"id": f"p{i}", "rewards": r} for i, r in enumerate(lists)),
    ]
    folder = tmp_path_factory.mktemp("lists")
    (folder / "document.json").write_text(json.dumps(rows))
    by_columns = read(jsonl(folder / "lines.jsonl", rows), reward="rewards")
    by_records = read(folder / "document.json", reward="rewards")
    assert by_columns.sums.equals(by_records.sums)
    assert [note.split(": ", 1)[1] for note in by_columns.notes] == [
        note.split(": ", 1)[1] for note in by_records.notes
    ]


def test_lists_of_numbers_in_lines_make_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [{"id": f"p{i}", "rewards": [i % 2, 0.5, True], "meta": {"seed": i}} for i in range(50)]
    monkeypatch.setattr("stratagem.curation.numbers._of_records", None)
    assert of(read(jsonl(tmp_path / "lines.jsonl", rows)))["p1"] == (3.0, 2.5, 2.25)


def test_responses_say_the_same_as_their_counts(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = [
        {
            "problem_id": f"p{i % 10}",
            "prompt": f"what is {i % 10}?",
            "response": f"thinking of {i} at length",
            "score": int(rng.random() < 0.4),
        }
        for i in range(80)
    ]
    log = read(jsonl(tmp_path / "log.jsonl", rows))
    right = pl.DataFrame(rows).group_by("problem_id").agg(pl.col("score").sum(), n=pl.len())
    assert of(log) == {name: (n, c, c) for name, c, n in right.select("problem_id", "score", "n").rows()}
    assert log.score == "column 'score'"
    # Half of the samples, not all or none.
    assert 20 < log.sums["half_n"].sum() < 60


def test_rewards_of_any_size_keep_their_squares(tmp_path: Path) -> None:
    rows = [{"id": "a", "rewards": [-1.5, 0.5, 2.0, 2.0]}, {"id": "b", "rewards": [3, 3, 3]}]
    log = read(jsonl(tmp_path / "rewards.jsonl", rows), reward="rewards")
    assert not log.binary
    assert of(log) == {"a": (4.0, 3.0, 10.5), "b": (3.0, 9.0, 27.0)}
    a = log.sums.filter(problem_id="a")
    assert a.select("half_n", "half_total", "half_squares").row(0) == (2.0, 0.5, 6.25)


def test_fractions_are_no_right_and_wrong(tmp_path: Path) -> None:
    log = read(jsonl(tmp_path / "log.jsonl", [{"id": "a", "score": 0.5}, {"id": "a", "score": 1}]))
    assert not log.binary
    graded = read(tmp_path / "log.jsonl", correct="score >= 0.5")
    assert graded.binary
    assert of(graded) == {"a": (2.0, 2.0, 2.0)}


def test_a_sample_that_is_there_twice_counts_once(tmp_path: Path) -> None:
    rows = [{"id": "a", "sample": i, "score": i % 2} for i in range(6)]
    log = read(jsonl(tmp_path / "log.jsonl", [*rows, *rows[:3], {"id": "b", "sample": 0, "score": 1}]))
    assert of(log) == {"a": (6.0, 3.0, 3.0), "b": (1.0, 1.0, 1.0)}
    assert any("3 rows repeat" in note for note in log.notes)


def test_steps_that_are_pooled_are_said(tmp_path: Path) -> None:
    rows = [
        {
            "problem_id": f"p{i % 5}",
            "step": i // 10,
            "response": f"a longer response, number {i}",
            "score": i % 2,
        }
        for i in range(30)
    ]
    log = read(jsonl(tmp_path / "log.jsonl", rows))
    assert any("3 steps" in note for note in log.notes)
    assert read(tmp_path / "log.jsonl", where="step = 2").responses == 10


BAD: list[tuple[list[dict[str, Any]], dict[str, Any], str]] = [
    ([{"id": "a", "score": -1}, {"id": "b", "score": 1}], {}, r"'score' holds -1, .*--correct 'score > 0'"),
    ([{"id": "a", "score": 1}], {"where": "id = 'a'", "correct": "score > 0"}, "--where goes with"),
    ([{"id": "a", "rewards": [0, 2]}], {}, "'rewards' holds 2, outside"),
    ([{"id": "a", "n": 4, "c": 2}], {"correct": "c > 1"}, "--correct c > 1: holds counts"),
    ([{"id": "a", "n": 4, "c": 2}], {"reward": "c"}, "--reward c: holds counts"),
    ([{"id": "a", "n": 4, "c": 5}, {"id": "b", "n": 4, "c": 2.5}], {}, "c: not between 0 and n"),
    ([{"id": "a", "score": 1}], {"reward": "points"}, "--reward points: no such column"),
    ([{"id": "a", "score": 1, "reward": 0}], {}, "several columns may say what is right"),
    ([{"id": "a", "score": 1}], {"score": "score", "reward": "score"}, "--reward: give it without"),
    ([{"id": "a", "response": "a text", "score": 2}], {}, "outside"),
    ([{"id": "a", "response": "a text", "score": 2}], {"reward": "scor"}, "did you mean 'score'"),
    ([{"id": "a", "response": "a text", "score": 2}], {"where": "score > 5", "reward": "score"}, "for no response"),
]  # fmt: skip


@pytest.mark.parametrize(("rows", "asked", "said"), BAD)
def test_bad_logs_are_one_clear_line(
    tmp_path: Path, rows: list[dict[str, Any]], asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(StratagemError, match=said) as error:
        read(jsonl(tmp_path / "log.jsonl", rows), **asked)
    assert "\n" not in str(error.value)


def test_rows_that_cannot_be_used_are_counted_or_refused(tmp_path: Path) -> None:
    rows = [{"id": "a", "n": 4, "c": 2}, {"id": "b", "n": 4, "c": None}, {"id": "c", "n": 4, "c": 1.5}]
    path = jsonl(tmp_path / "counts.jsonl", rows)
    path.write_text(path.read_text() + "{broken\n")
    log = read(path)
    assert of(log) == {"a": (4.0, 2.0, 2.0)}
    assert len([note for note in log.notes if "left out" in note]) == 3
    with pytest.raises(StratagemError, match="row 4"):
        read(path, read=ReadOptions(strict=True))
