"""Demonstrations that a task writes in the missing strategies."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands.demonstrations.sets import (
    SHAPES,
    Curate,
    lab,
    lines,
    result,
    rows_of,
)


@pytest.mark.parametrize("shape", [*SHAPES, "plain"])
def test_a_task_writes_what_is_missing(curate: Curate, here: Path, shape: str) -> None:
    rows = lab()
    lines(here / "sft.jsonl", [SHAPES[shape](row) if shape != "plain" else row for row in rows])
    made = result(curate("--size", "60", "--write", "--out", "chosen", "--json")[0])
    assert made.chosen is not None
    assert {s.name: s.demonstrations for s in made.chosen.strategies} == dict.fromkeys(
        ("mental", "running", "tally"), 20
    )
    assert made.written == 40
    assert {(lack.strategy, lack.written) for lack in made.missing} == {
        ("mental", 10),
        ("tally", 10),
    }  # of two types
    again = result(curate("--json", data="chosen/chosen.jsonl")[0])
    assert again.everything.strategies == made.chosen.strategies
    assert again.dropped.wrong == 0
    written = rows_of(here / "chosen" / "written.jsonl")
    assert rows_of(here / "chosen" / "chosen.jsonl")[20:] == written
    assert len(written) == 40


def test_a_control_that_cannot_be_as_large_is_said(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", lab())
    shown, said = curate("--size", "60", "--write")
    assert "20 of 60 demonstrations are chosen and 40 written by the task, 60 in all" in " ".join(
        shown.split()
    )
    assert "the random control has" not in said
    words = ["--size", "150", "--write"]
    shown, said = curate(*words)
    made = result(curate(*words, "--json")[0])
    assert made.chosen is not None
    assert made.control is not None
    assert (made.chosen.demonstrations, made.control.demonstrations) == (150, 60)
    note = "the random control has 60 demonstrations, not 150: the set has no more that may be taken"
    assert any(note in line for line in made.notes)
    assert note in said
    headline = f"{150 - made.written} of 60 demonstrations are chosen and {made.written} written by the task"
    assert headline in " ".join(shown.split())
