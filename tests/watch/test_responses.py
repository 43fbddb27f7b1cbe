"""Responses are the same whoever wrote them, and no file is read twice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.watch import trl
from stratagem.watch.responses import Asked, Described, described
from stratagem.watch.trl import TRLRun
from stratagem.watch.verl import VerlRun
from tests.watch import runs
from tests.watch.test_verl import responses, write


def test_trl_and_verl_that_wrote_the_same_responses_show_the_same(tmp_path: Path) -> None:
    for step in range(1, 25):
        rows = responses(step, np.random.default_rng(step), drift=0.02)
        write(tmp_path / "verl", step, rows)
        columns = {
            name: [row[name] for row in rows] for name in ("problem_id", "strategy", "kind", "steps")
        } | {"prompt": [row["input"] for row in rows], "completion": [row["output"] for row in rows]}
        columns |= {"step": [step] * len(rows), "right": [float(row["acc"]) for row in rows]}
        columns |= {"steps": [int(row["steps"]) for row in rows], "advantage": [0.0] * len(rows)}
        names = (
            "step",
            "prompt",
            "completion",
            "right",
            "problem_id",
            "strategy",
            "kind",
            "steps",
            "advantage",
        )
        folder = tmp_path / "trl/completions"
        folder.mkdir(parents=True, exist_ok=True)
        table = pl.DataFrame({name: columns[name] for name in names})
        table.write_parquet(folder / f"completions_{step:05d}.parquet")
    by_trl, by_verl = TRLRun(tmp_path / "trl").poll(), VerlRun(tmp_path / "verl", Asked("acc")).poll()
    assert by_trl.counts.equals(by_verl.counts)
    assert by_trl.gains == by_verl.gains
    assert by_trl.gains.keys() == {20, 24}


def test_what_was_read_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    for step in (1, 2, 3):
        runs.completions(tmp_path / "trl", step, rng)
    run = TRLRun(tmp_path / "trl")
    run.poll()
    opened: list[str] = []
    source = trl.parquet_source
    monkeypatch.setattr(
        trl, "parquet_source", lambda path, unread: opened.append(path.name) or source(path, unread)
    )
    run.poll()
    assert opened == []
    runs.completions(tmp_path / "trl", 4, rng)
    assert run.poll().counts["update"].max() == 3
    assert opened == ["completions_00004.parquet"]


def test_a_file_written_anew_replaces_what_it_held(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        runs.completions(tmp_path / "trl", step, np.random.default_rng(step))
    run = TRLRun(tmp_path / "trl")
    run.poll()
    runs.completions(tmp_path / "trl", 2, np.random.default_rng(9), drift=0.2)
    grown, fresh = run.poll(), TRLRun(tmp_path / "trl").poll()
    assert grown.counts.equals(fresh.counts)
    assert grown.gains == fresh.gains


def test_columns_that_describe_a_problem_have_few_values_and_one_a_problem() -> None:
    n = 48
    table = pl.DataFrame(
        {
            "id": [f"p{i // 2}" for i in range(n)],
            "kind": ["ab"[i // 2 % 2] for i in range(n)],
            "hard": [i // 2 % 3 == 0 for i in range(n)],
            "level": [str(1 + i // 2 % 4) for i in range(n)],
            "gold": [f"answer {i // 2}" for i in range(n)],
            "guess": ["ab"[i % 2] for i in range(n)],
            "score": [float(i // 2) for i in range(n)],
        }
    )
    assert described(table, table.columns[1:]) == Described(kinds=("kind", "hard"), steps="level")
