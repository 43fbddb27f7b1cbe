"""The visible shift of texts: known worlds, placebos, and what cannot be estimated."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.report.visible_view import GROUPS
from stratagem.visible.shift import visible_shift
from tests.conftest import Run
from tests.visible.worlds import texts


def test_a_change_of_style_that_pays_is_seen() -> None:
    table, truth = texts(np.random.default_rng(0))
    said = visible_shift(table, rng=np.random.default_rng(1), draws=200)
    assert said.reason == ""
    assert said.shift.low <= truth <= said.shift.high
    assert said.shift.low > 0.1
    assert sum(getattr(said, name).value for name in GROUPS) == pytest.approx(said.shift.value, abs=1e-9)
    for placebo in (said.shuffled, said.halves):
        assert placebo is not None
        assert placebo.low <= 0 <= placebo.high
        assert abs(placebo.mean) < 0.03
    assert said.unlike < 0.1
    assert all(
        phrase.toward == (1 if phrase.share_after > phrase.share_before else -1) for phrase in said.phrases
    )
    assert (said.problems, said.responses, said.rates) == (150, 1200, 1)


def test_a_gain_without_a_change_of_style_is_not_visible() -> None:
    table, _ = texts(np.random.default_rng(2), shares=(0.5, 0.5))
    table = table.with_columns(score=pl.when("after").then(1.0).otherwise("score"))
    said = visible_shift(table, rng=np.random.default_rng(1), draws=200)
    assert said.shift.low < 0 < said.shift.high
    assert said.shift.high < 0.1


def test_what_cannot_be_estimated_is_said() -> None:
    table, _ = texts(np.random.default_rng(0), problems=60)
    once = table.filter(pl.col("after") | (pl.col("sample") == 0))
    said = visible_shift(once, rng=np.random.default_rng(1))
    assert said.reason == "0 problems have two responses or more before; 50 are needed"
    assert np.isnan(said.shift.value)
    alike = table.with_columns(score=pl.lit(1.0))
    said = visible_shift(alike, rng=np.random.default_rng(1))
    assert said.reason == "0 problems have responses of different scores before; 50 are needed"


def test_a_diagnosis_says_that_its_names_are_too_coarse(stratagem: Run, tmp_path: Path) -> None:
    table, truth = texts(np.random.default_rng(4))
    (tmp_path / "once").mkdir()
    for name, after in (("before", False), ("after", True)):
        table.filter(after=after).drop("after").with_columns(strategy=pl.lit("addition")).write_ndjson(
            tmp_path / f"{name}.jsonl"
        )
        once = table.filter((pl.col("after") == after) & (pl.col("sample") == 0)).drop("after", "sample")
        once.with_columns(strategy=pl.lit("addition")).write_ndjson(tmp_path / "once" / f"{name}.jsonl")
    done = stratagem("diagnose", "before.jsonl", "after.jsonl", "--json", "--draws", 200, "--out", "out")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)["visible_shift"]
    assert said["shift"]["low"] <= truth <= said["shift"]["high"]
    again = stratagem("diagnose", "before.jsonl", "after.jsonl", "--draws", 200, "--out", "out")
    assert "too coarse to see what moved" in " ".join(again.stdout.split())
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Without names of strategies" in page
    assert "Placebo: right and wrong shuffled within each problem" in page
    done = stratagem("diagnose", "once/before.jsonl", "once/after.jsonl", "--draws", 200, "--out", "once/out")
    assert "not estimable, since 0 problems have two responses or more before" in " ".join(
        done.stdout.split()
    )


def test_a_shift_beyond_what_an_accuracy_can_change_is_not_estimable() -> None:
    """Responses before differ in a few words of no meaning, and all after are three times as long."""
    rng = np.random.default_rng(3)
    rows = [
        {
            "after": after,
            "problem_id": str(i),
            "sample": j,
            "prompt": f"question {i}",
            "completion": " ".join(
                ["add them up", *rng.choice(["so", "now", "value"], 4), *["ok"] * 30 * after]
            ),
            "score": float(rng.random() < 0.5),
        }
        for after in (False, True)
        for i in range(120)
        for j in range(4)
    ]
    said = visible_shift(pl.DataFrame(rows), rng=np.random.default_rng(1), draws=100)
    assert "no rate can be told: with right and wrong shuffled it would be anything from -" in said.reason
    assert np.isnan(said.shift.value)
