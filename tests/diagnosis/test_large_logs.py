"""A log that is read in parts, with numbers for names, says what it says when it is read at once; and of a large one,
which responses are chosen for their texts."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.diagnosis import diagnose as whole
from stratagem.diagnosis import side, table
from stratagem.diagnosis.columns import coded
from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look, open_side, read_side
from stratagem.labelling.rules import read_rules
from stratagem.rollouts import log

from .test_diagnose import RULES

WORDS = ("forward", "backward", "sideways", "let me check", "ä")
SCORES = (0.0, 0.25, 0.5, 1.0)  # sums of them are exact in any order


def records(seed: int, side: int, named: bool, spread: bool) -> list[dict[str, Any]]:
    """Random responses to some of thirty problems, most of which both sides have.

    Args:
        named: whether problems have ids and samples numbers; else a problem is its prompt.
        spread: whether the responses to a problem lie all over the log.
    """
    rng = np.random.default_rng([seed, side])
    rows: list[dict[str, Any]] = []
    for problem in rng.choice(30, 25, replace=False).tolist():
        for sample in range(int(rng.integers(1, 9))):
            text = " ".join(rng.choice(WORDS, int(rng.integers(1, 4))).tolist())
            row = {"prompt": f"problem {problem}", "completion": f"{text} {len(rows)}"}
            row |= {"score": SCORES[int(rng.integers(4))], "kind": f"kind {problem % 3}"}
            row |= {"id": f"ü{problem}", "sample": sample} if named else {}
            rows.append(row)
    return [rows[i] for i in rng.permutation(len(rows))] if spread else rows


def written(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Look:
    (tmp_path / "rules.toml").write_text(RULES)
    return Look(rules=read_rules(tmp_path / "rules.toml"))


def in_parts(patch: pytest.MonkeyPatch, rows: int = 7) -> None:
    patch.setattr(log, "BATCH_ROWS", rows)
    patch.setattr(side, "MERGE_AT", 2)


def half(problem: str, name: str, sample: int) -> int:
    """As `stats.counts` splits the samples of a problem."""
    coins = int.from_bytes(hashlib.sha256(f"0\x1f{name}\x1f{problem}".encode()).digest()[:4], "big")
    return (sample + (coins >> (sample // 2 % 32))) % 2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("named", "spread"), [(True, False), (True, True), (False, True)])
def test_counts_in_parts_are_those_of_a_plain_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: Look, seed: int, named: bool, spread: bool
) -> None:
    rows = records(seed, 0, named, spread)
    counts: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0.0, 0.0, 0.0])
    shown: dict[tuple[Any, ...], list[float]] = defaultdict(lambda: [0, 0.0])
    numbers: dict[str, int] = defaultdict(int)
    for row in rows:
        text, score = row["completion"], row["score"]
        strategy = next((word for word in WORDS[:2] if word in text), "other")
        checks = "let me check" in text
        problem = row.get("id") or hashlib.sha256(row["prompt"].encode()).hexdigest()[:16]
        sample = row.get("sample", numbers[problem])
        numbers[problem] += 1
        with_checks = "with" if checks else "without"
        key = "it", problem, row["kind"], with_checks, strategy, half(problem, "it", sample)
        counts[key] = [a + b for a, b in zip(counts[key], (1, score, score**2, len(text)), strict=True)]
        for behaviour in (None, "checks") if checks else (None,):
            one = shown["it", problem, behaviour]
            shown["it", problem, behaviour] = [one[0] + 1, one[1] + score]
    in_parts(monkeypatch)
    path = written(tmp_path / "log.jsonl", rows)
    read = read_side(
        open_side([path], rules, "it"), {"kind": pl.String()}, lambda _: None, lambda *_: None, 0, ["checks"]
    )
    keys = ["checkpoint", "problem_id", "kind", "checks", "strategy", "half"]
    found = read.counts.select(*keys, "n", "right", "squares", "length").rows()
    assert {row[:6]: list(row[6:]) for row in found} == counts
    assert len(found) == len(counts)
    assert read.behaviours is not None
    found = read.behaviours.select("checkpoint", "problem_id", "behaviour", "n", "right").rows()
    assert {row[:3]: list(row[3:]) for row in found} == shown
    assert len(found) == len(shown)
    ids = read.counts["problem_id"].cast(pl.String)
    assert ids.is_sorted()
    assert read.problems["problem_id"].n_unique() == len(numbers) == ids.n_unique()


@pytest.mark.parametrize("join", ["auto", "prompt", "none"])
@pytest.mark.parametrize("named", [True, False])
def test_a_diagnosis_in_parts_is_that_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rules: Look, named: bool, join: str
) -> None:
    logs = [written(tmp_path / f"{i}.jsonl", records(5, i, named, True)) for i in range(2)]
    look = Look(rules=rules.rules, by=("kind",), join=join)
    once = diagnose(logs, look, draws=200, sample=60)
    in_parts(monkeypatch)
    parts = diagnose(logs, look, draws=200, sample=60)
    assert parts.as_dict() == once.as_dict()
    assert parts.sample is not None
    assert once.sample is not None
    assert parts.sample.equals(once.sample)
    bare = diagnose(logs, look, draws=200, texts=False)
    for module in (side, whole.match):  # names as they stand
        monkeypatch.setattr(module, "coded", lambda table: table)
    assert diagnose(logs, look, draws=200, texts=False).as_dict() == bare.as_dict()


# -- which rows of a large table are looked at ------------------------------------------------------------------


def labelled(path: Path, sizes: dict[tuple[int, str], int], seed: int) -> pl.DataFrame:
    """A labelled table whose rows are shuffled, with so many by side and problem."""
    rows = [(number, "x", name, "s", 1.0) for (number, name), n in sizes.items() for _ in range(n)]
    rows = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))]
    schema = {name: table.COLUMNS[name] for name in ("side", "checkpoint", "problem_id", "strategy", "score")}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    frame.write_parquet(path)
    return frame


def keys_of(frame: pl.DataFrame) -> list[pl.DataFrame]:
    names = [frame.filter(side=i).select("problem_id", key="problem_id").unique() for i in range(2)]
    return [coded(table) for table in names]


ENDS = pl.col("side") == 0, pl.col("side") == 1


def test_whole_problems_by_their_ids_are_chosen_from_a_large_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 400)
    both = {(i, f"p{k}"): 5 for i in range(2) for k in range(100)}
    alone = {(0, f"q{k}"): 5 for k in range(100)}
    chosen: list[set[str]] = []
    for seed in range(2):
        frame = labelled(tmp_path / "t.parquet", both | alone, seed)
        rows, note = table.without_texts(tmp_path / "t.parquet", keys_of(frame), ENDS, 0)
        assert rows.height == 400
        assert note is not None
        assert "400 of 1,500" in note
        assert "40 of the 200" in note
        assert set(rows.group_by("problem_id", "side").len()["len"]) == {5}
        assert frame[rows["row"].to_list()]["problem_id"].to_list() == rows["problem_id"].to_list()
        assert rows["row"].is_sorted()
        assert rows["row"].is_unique().all()
        chosen.append(set(rows["problem_id"]))
    assert chosen[0] == chosen[1]
    assert all(name.startswith("p") for name in chosen[0])
    rows, _ = table.without_texts(tmp_path / "t.parquet", keys_of(frame), ENDS, 1)
    assert set(rows["problem_id"]) != chosen[0]


def test_few_problems_with_very_many_responses_are_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "MOST_ROWS", 1_000)
    monkeypatch.setattr(table, "LEAST_ROWS", 8)
    frame = labelled(
        tmp_path / "t.parquet", {(0, "a"): 4_000, (1, "a"): 3, (0, "b"): 2_000, (1, "b"): 900}, 0
    )
    rows, note = table.without_texts(tmp_path / "t.parquet", keys_of(frame), ENDS, 0)
    sizes = {(where, name): n for where, name, n in rows.group_by("side", "problem_id").len().iter_rows()}
    assert sizes[1, "a"] == 3
    assert set(sizes) == {(0, "a"), (1, "a"), (0, "b"), (1, "b")}
    assert all(n == pytest.approx(250, abs=60) for key, n in sizes.items() if key != (1, "a"))
    assert note is not None
    assert "2 of the 2 problems" in note


def test_a_table_that_is_not_large_is_looked_at_as_a_whole(tmp_path: Path) -> None:
    frame = labelled(tmp_path / "t.parquet", {(0, "a"): 40, (1, "b"): 3}, 0)
    rows, note = table.without_texts(tmp_path / "t.parquet", keys_of(frame), ENDS, 0)
    assert note is None
    assert rows["row"].to_list() == list(range(43))
    assert rows.select("side", "problem_id").rows() == frame.select("side", "problem_id").rows()
