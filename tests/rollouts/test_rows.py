"""Which rows of a log are taken: by a condition, and training never beside evaluations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.overwritten import Prompts
from stratagem.rollouts.rows import rows_of


def log_of(folder: Path, splits: list[str | None]) -> tuple[pl.DataFrame, Path]:
    table = pl.DataFrame(
        {
            "step": range(len(splits)),
            "problem_id": [f"p{i % 3}" for i in range(len(splits))],
            "completion": ["a", "b"] * (len(splits) // 2),
            "score": [1.0, 0.0] * (len(splits) // 2),
            "split": splits,
        }
    )
    table.write_parquet(folder / "log.parquet")
    return table, folder / "log.parquet"


def test_training_is_read_alone_unless_the_condition_says_otherwise(tmp_path: Path) -> None:
    table, path = log_of(tmp_path, ["train", "eval", "test", "train", None, "eval"])
    log = read_rollouts(path)
    batch = next(log.batches())
    rows = rows_of(log, batch, None, "log")
    assert rows.of(batch)["checkpoint"].to_list() == ["0", "3", "4"]
    assert rows.left == {("split", "eval"): 2, ("split", "test"): 1}
    assert rows.notes() == [
        "log: responses of training alone are read, and not 2 of 'eval', 1 of 'test'; these are read with "
        "--where \"split = 'eval'\""
    ]
    for where, expected in (
        ("split = 'eval'", ["1", "5"]),
        ("step > 1 AND split IS NOT NULL", ["2", "3", "5"]),
        ("step >= 3", ["3", "4"]),  # names no split
        ("problem_id = 'p0' AND score = 1", ["0"]),
    ):
        rows = rows_of(log, batch, where, "log")
        assert rows.of(batch)["checkpoint"].to_list() == expected, where
    with pytest.raises(StratagemError, match="--where 'stop > 1': no column 'stop'; did you mean 'step'"):
        rows_of(log, batch, "stop > 1", "log")
    assert table.height == 6


def test_splits_that_are_mixed_only_later_are_refused(tmp_path: Path) -> None:
    _, path = log_of(tmp_path, ["eval", "eval", "train", "train"])
    log = read_rollouts(path)
    batch = next(log.batches())
    rows = rows_of(log, batch.head(2), None, "log")
    assert rows.of(batch.head(2)).height == 2
    with pytest.raises(StratagemError, match="responses of training and others: choose with --where"):
        rows.of(batch.tail(2))


def test_greedy_responses_are_never_mixed_with_sampled_ones(tmp_path: Path) -> None:
    table, path = log_of(tmp_path, ["train", "eval"] * 3)
    table.with_columns(
        mode=pl.Series(["sampled", "sampled", "sampled", "greedy", "greedy", "sampled"])
    ).write_parquet(path)
    log = read_rollouts(path)
    batch = next(log.batches())
    for where, expected in (
        (None, ["0", "2"]),
        ("mode = 'greedy'", ["4"]),
        ("split = 'eval'", ["1", "5"]),
        ("mode IS NOT NULL AND split IS NOT NULL", ["0", "1", "2", "3", "4", "5"]),
    ):
        rows = rows_of(log, batch, where, "log")
        assert rows.of(batch)["checkpoint"].to_list() == expected, where
    # A greedy response that is a sampled one to the letter, with its number, repeats nothing.
    same = pl.DataFrame(
        {
            "problem_id": "p",
            "sample": [0, 1, 0],
            "completion": ["text " * 20, "other text " * 20, "text " * 20],
            "score": 1.0,
            "mode": ["sampled", "sampled", "greedy"],
        }
    )
    same.write_parquet(path)
    log = read_rollouts(path)
    assert log.read()["mode"].to_list() == ["sampled", "sampled", "greedy"]
    assert log.repeated == 0
    table.with_columns(mode=pl.lit("greedy"), split=pl.lit("train")).write_parquet(path)
    log = read_rollouts(path)
    batch = next(log.batches())
    rows = rows_of(log, batch, None, "log")
    assert rows.of(batch).height == 6
    assert rows.notes() == []


def completions(steps: int, evaluated: list[int], left: int, seed: int) -> pl.DataFrame:
    """Prompts as TRL keeps them: eight groups of two, the evaluation's at the end where one came after training."""
    r = np.random.default_rng(seed)
    frames = []
    for step in range(steps):
        asked = [f"t{i}" for i in r.permutation(500)[:8]]
        if step in evaluated:
            asked = [*asked[:left], *(f"e{i}" for i in range(8 - left))]
        frames.append(pl.DataFrame({"checkpoint": str(step), "prompt": [p for p in asked for _ in range(2)]}))
    return pl.concat(frames)


@given(st.integers(0, 6), st.integers(0, 2**32), st.integers(1, 40))
def test_evaluations_over_training_are_noticed(left: int, seed: int, size: int) -> None:
    for evaluated in ([], [3, 6, 9]):
        prompts = Prompts()
        for part in completions(10, evaluated, left, seed).iter_slices(size):
            prompts.add(part)
        assert prompts.evaluated() == [str(step) for step in evaluated]


def test_the_same_problems_at_every_step_are_no_evaluations() -> None:
    prompts = Prompts()
    for step in range(5):
        prompts.add(pl.DataFrame({"checkpoint": [str(step)] * 4, "prompt": ["a", "a", "b", "b"]}))
    assert prompts.evaluated() == []
