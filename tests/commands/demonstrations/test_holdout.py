"""Problems of evaluations are held out of a set, whatever the shapes of both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.commands.demonstrations.sets import (
    Curate,
    lines,
    result,
)


def small(shape: str, start: int = 0) -> list[dict[str, Any]]:
    """Twelve rows of a shape, of which each asks another question; conversations begin with the same greeting."""
    made: list[dict[str, Any]] = []
    for i in range(start, start + 12):
        asked, said = f"What is {i} plus 3?", f"It is {i + 3}."
        turns = [("user", "Hello"), ("assistant", "Hi!"), ("user", asked), ("assistant", said)]
        row = {
            "plain": {"prompt": asked, "completion": said},
            "Alpaca": {"instruction": "Solve this.", "input": asked, "output": said},
            "ShareGPT": {
                "conversations": [
                    {"from": {"user": "human", "assistant": "gpt"}[role], "value": text}
                    for role, text in turns[2:]
                ]
            },
            "turns": {"messages": [{"role": role, "content": text} for role, text in turns]},
        }[shape]
        made.append({**row, "strategy": "ab"[i % 2]})
    return made


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("evaluation", ["plain", "Alpaca", "ShareGPT", "turns"])
@pytest.mark.parametrize("data", ["plain", "Alpaca", "ShareGPT", "turns"])
def test_evaluations_are_held_out_whatever_the_shapes(
    curate: Curate, here: Path, data: str, evaluation: str, form: str
) -> None:
    for name, rows in (("data", small(data)), ("eval", small(evaluation)[:4])):
        if form == "jsonl":
            lines(here / f"{name}.jsonl", rows)
        else:
            pl.DataFrame(rows).write_parquet(here / f"{name}.parquet")
    words = ["--near", "1", "--holdout", f"eval.{form}", "--size", "4", "--out", "chosen"]
    curate(*words, data=f"data.{form}")
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table.filter(decision="held out")["row"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize("shape", ["plain", "Alpaca", "ShareGPT", "turns"])
def test_an_evaluation_that_matches_nothing_is_said(curate: Curate, here: Path, shape: str) -> None:
    lines(here / "data.jsonl", small(shape))
    lines(here / "eval.jsonl", small(shape)[:1])
    lines(here / "other.jsonl", small(shape, 50))
    words = ["--near", "1", "--holdout", "eval.jsonl", "other.jsonl"]
    _, said = curate(*words, data="data.jsonl")
    assert "--holdout other.jsonl: none of its problems is in data.jsonl" in said
    assert "--holdout eval.jsonl" not in said
    assert "1 demonstration left out" in said


def test_two_instructions_with_one_input_are_two_problems(curate: Curate, here: Path) -> None:
    row = {"input": "No input", "output": "x", "strategy": "a"}
    lines(here / "data.jsonl", [{**row, "instruction": f"Task {i}."} for i in range(9)])
    lines(here / "eval.jsonl", [{**row, "instruction": f"Task {i}."} for i in range(3)])
    made = result(curate("--near", "1", "--holdout", "eval.jsonl", "--json", data="data.jsonl")[0])
    assert made.dropped.held_out == 3
    # One instruction for all is a template: problems are told apart by their inputs.
    rows = small("Alpaca")
    lines(here / "data.jsonl", rows)
    lines(here / "eval.jsonl", [{**row, "instruction": "Answer."} for row in rows[:4]])
    made = result(curate("--near", "1", "--holdout", "eval.jsonl", "--json", data="data.jsonl")[0])
    assert made.dropped.held_out == 4


def test_a_turn_that_cannot_be_read_is_one_clear_line(curate: Curate, here: Path) -> None:
    rows = small("turns")
    rows[5]["messages"][2]["content"] = 3
    lines(here / "data.jsonl", rows)
    lines(here / "eval.jsonl", small("plain")[:4])
    _, said = curate("--near", "1", "--holdout", "eval.jsonl", data="data.jsonl", code=2)
    assert "data.jsonl: row 6: message.content: int, neither text" in said
    _, said = curate("--near", "1", "--holdout", "data.jsonl", data="eval.jsonl", code=2)
    assert "data.jsonl: row 6: prompt.content: int, neither text" in said
