"""Demonstrations that are not to be chosen: held out, wrong, repeated, nearly the same."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.curation.demonstrations.near import available
from tests.commands.demonstrations.sets import (
    Curate,
    conversations,
    lab,
    lines,
    result,
    rows_of,
    world,
)


@pytest.mark.parametrize("chat", [False, True])
def test_held_out_wrong_repeated_and_near_demonstrations_are_left_out(
    curate: Curate, here: Path, chat: bool
) -> None:
    rows = world(problems=60, traces=1)
    changed = [*rows[5]["completion"].split(), "indeed"]
    rows.append({**rows[5], "completion": " ".join(changed)})
    rows.append(rows[7])
    lines(here / "sft.jsonl", rows)
    asked = [{"question": row["prompt"].upper()} for row in rows[10:14]]
    lines(here / "evaluation.jsonl", conversations(rows[10:14]) if chat else asked)
    words = ["--strategies", "ways.toml", "--holdout", "evaluation.jsonl", "--size", "50", "--out", "chosen"]
    _, said = curate(*words)
    assert "4 demonstrations left out: their prompts are also those of evaluations (--holdout)" in said
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table["decision"][10:14].to_list() == ["held out"] * 4
    assert table["reason"][10] == "also a prompt of evaluation.jsonl"
    assert (table["decision"][61], table["reason"][61]) == ("repeat", "the same as row 8")
    if available():
        assert (table["decision"][60], table["reason"][60]) == ("near-duplicate", "nearly the same as row 6")
    prompts = {row["prompt"] for row in rows_of(here / "chosen" / "chosen.jsonl")}
    assert not prompts & {row["prompt"] for row in rows[10:14]}
    kept = json.loads(curate("--strategies", "ways.toml", "--duplicates", "keep", "--json")[0])
    assert kept["everything"]["demonstrations"] == 62


def test_without_the_library_repeats_are_still_told(
    curate: Curate, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    lines(here / "sft.jsonl", [*world(problems=30), world()[3]])
    made = result(curate("--strategies", "ways.toml", "--json")[0])
    assert made.dropped.repeat == 1
    assert np.isnan(made.near)
    assert "near-duplicates were not looked for: pip install 'stratagem[near]'" in made.notes
    _, said = curate("--strategies", "ways.toml", "--near", "0.9", code=2)
    assert "--near: needs rensa: pip install 'stratagem[near]'" in said


def test_wrong_demonstrations_of_a_task_are_left_out(curate: Curate, here: Path) -> None:
    rows = lab()
    rows[4]["completion"] = rows[4]["completion"][:-1] + str((int(rows[4]["completion"][-1]) + 1) % 10)
    first, *steps = rows[9]["completion"].split()
    steps[2] = str((int(steps[2]) + 1) % 10)  # a running total with a slip and the right answer
    rows[9]["completion"] = " ".join([first, *steps])
    lines(here / "sft.jsonl", rows)
    made = result(curate("--json")[0])
    assert made.dropped.wrong == 2
    assert {lack.strategy for lack in made.missing} == {"mental", "tally"}
    assert made.labels == "the task's recogniser"
