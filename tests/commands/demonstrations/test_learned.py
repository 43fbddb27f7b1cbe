"""`stratagem curate demonstrations --strategies SHEET.csv`: strategies as a sheet of hand labels teaches them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.pool import read_pool
from stratagem.annotate.session import Session
from stratagem.diagnosis.side import Look
from tests.commands.demonstrations.sets import SHAPES, Curate, lines, result, rows_of, world

LABELS = 60


@pytest.fixture
def sheet(here: Path) -> Path:
    """Labels by somebody who is never wrong, of some of the set's own demonstrations, in the order of `annotate`."""
    rows = [row | {"correct": row["grade"] > 0.5} for row in world(problems=200)]
    lines(here / "sft.jsonl", rows)
    ways = {(row["prompt"], row["completion"]): row["way"] for row in rows}
    responses = read_pool([[here / "sft.jsonl"]], Look(), ["sft"])
    session = Session(responses, {}, here / "labels.csv")
    for _ in range(LABELS):
        assert session.question
        asked = responses.table.select("prompt", "completion").row(session.question.row)
        session.answer(session.question.row, ways[asked])
        session.wait()
    session.close()
    return here / "labels.csv"


def test_a_sheet_names_the_strategies_of_a_whole_set(curate: Curate, here: Path, sheet: Path) -> None:
    words = ["--strategies", sheet.name, "--size", "30", "--json"]
    made = result(curate(*words, "--out", "chosen")[0])
    truth = [row["way"] for row in rows_of(here / "sft.jsonl")]
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet").sort("row")
    assert (table["strategy"] == pl.Series(truth)).mean() > 0.97  # type: ignore[operator]
    share = np.array(list(Counter(truth).values())) / len(truth)
    assert made.everything.effective.value == pytest.approx(np.exp(-(share * np.log(share)).sum()), abs=0.1)
    assert set(made.cover) == set(truth)
    assert made.labels == "labels.csv"
    chosen = Counter(row["way"] for row in rows_of(here / "chosen" / "chosen.jsonl"))
    rarest = min(Counter(truth).values())
    assert min(chosen.values()) >= min(rarest, 10) - 1
    control = Counter(row["way"] for row in rows_of(here / "chosen" / "control.jsonl"))
    assert control["by_parts"] > 2 * chosen["by_parts"] - 5
    # The same in the shape that trainers read.
    lines(here / "talks.jsonl", [SHAPES["ShareGPT"](row) for row in rows_of(here / "sft.jsonl")])
    talks = result(curate(*words, data="talks.jsonl")[0])
    assert talks.everything.strategies == made.everything.strategies


def test_sheets_that_teach_nothing_are_said_in_a_line(curate: Curate, here: Path, sheet: Path) -> None:
    few = sheet.read_text(encoding="utf-8-sig").splitlines(keepends=True)[:3]
    (here / "few.csv").write_text("".join(few))
    (here / "other.csv").write_text("id,strategy\na,b\n")
    for name, said in (
        ("few.csv", "too few labels to learn from"),
        ("other.csv", "no column 'true_strategy'"),
        ("none.csv", "none.csv"),
    ):
        _, error = curate("--strategies", name, code=2)
        assert error.count("\n") == 1
        assert said in error
