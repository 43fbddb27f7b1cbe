"""The sample of the page's browser: some of everything, whole problems, pairs first."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.report.sample import MOST_ALIKE, outcome, sample_for_browser


def table(problems: int, samples: int, rare: int = 0, sides: int = 2, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(side, f"p{p}", s) for side in range(sides) for p in range(problems) for s in range(samples)]
    frame = pl.DataFrame(rows, schema=["side", "problem_id", "sample"], orient="row")
    names = np.array(["direct", "equations"])[rng.integers(0, 2, frame.height)].astype(object)
    names[rng.choice(frame.height, rare, replace=False)] = "rare"
    return frame.with_columns(
        strategy=pl.Series(names.tolist(), dtype=pl.String),
        score=pl.Series(rng.integers(0, 2, frame.height) * 1.0),
    )


def test_a_small_table_is_taken_whole() -> None:
    frame = table(5, 2)
    assert sample_for_browser(frame, 20, np.random.default_rng(0)).equals(frame)
    assert sample_for_browser(frame, 0, np.random.default_rng(0)).is_empty()


def test_rare_strategies_are_there_and_problems_are_whole_and_paired() -> None:
    frame = table(2000, 4, rare=3)
    sample = sample_for_browser(frame, 400, np.random.default_rng(0))
    assert sample.height == 400
    assert sample.filter(strategy="rare").height == 3
    sizes = sample.group_by("problem_id").len()["len"]
    assert (sizes == 8).sum() >= len(
        sizes
    ) - 1  # four responses on each of two sides; the last may be in part
    both = sample.group_by("problem_id").agg(pl.col("side").n_unique())["side"]
    assert (both == 2).sum() >= len(both) - 1


def test_every_stratum_has_its_part() -> None:
    frame = table(3000, 1).with_columns(
        strategy=pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.lit("seldom")).otherwise(pl.lit("usual"))
    )
    sample = sample_for_browser(frame, 600, np.random.default_rng(1))
    counts = sample.group_by("side", "strategy", outcome=outcome()).len()
    assert counts.height == 8  # two sides, two strategies, two outcomes
    seldom = frame.filter(strategy="seldom").height
    assert sample.filter(strategy="seldom").height > 0.9 * seldom  # 2 % of the table, all of it wanted


def test_problems_of_one_side_come_last() -> None:
    frame = table(100, 1)
    alone = frame.with_columns(problem_id=pl.col("problem_id") + "-alone").filter(side=0)
    sample = sample_for_browser(pl.concat([alone, frame]), 100, np.random.default_rng(0))
    assert not sample["problem_id"].str.ends_with("-alone").any()
    assert sample["problem_id"].n_unique() == 50


def test_a_problem_with_many_responses_shows_its_different_ones() -> None:
    frame = table(3, 500, rare=0).with_columns(
        strategy=pl.when(pl.col("sample") == 499).then(pl.lit("once")).otherwise(pl.lit("often")),
        score=pl.lit(0.0),
    )
    sample = sample_for_browser(frame, 100, np.random.default_rng(0))
    assert sample.group_by("problem_id", "side").len()["len"].max() == MOST_ALIKE
    assert sample.filter(strategy="once").height == 6


def test_checkpoints_of_one_log_count_as_sides() -> None:
    frame = table(60, 2, sides=3).rename({"side": "checkpoint"}).with_columns(side=pl.lit(0))
    sample = sample_for_browser(frame, 60, np.random.default_rng(0))
    assert (
        sample.group_by("problem_id").agg(pl.col("checkpoint").n_unique())["checkpoint"].to_list() == [3] * 10
    )


def test_outcomes() -> None:
    frame = pl.DataFrame({"score": [1.0, 0.0, 0.5, None, float("nan")]}).select(outcome().alias("o"))
    assert frame["o"].to_list() == ["right", "wrong", "partly", "unscored", "unscored"]


@settings(max_examples=40)
@given(
    st.integers(1, 30), st.integers(1, 12), st.integers(1, 3), st.integers(0, 200), st.integers(0, 2**32 - 1)
)
def test_laws(problems: int, samples: int, sides: int, size: int, seed: int) -> None:
    """Never more than asked for; rows of the table, none twice, in order; the same for the same seed."""
    frame = table(problems, samples, sides=sides, seed=seed % 7).with_row_index("row")
    sample = sample_for_browser(frame, size, np.random.default_rng(seed))
    assert sample.height <= size
    assert sample["row"].is_sorted()
    assert sample["row"].n_unique() == sample.height
    assert sample.join(frame, on=frame.columns, nulls_equal=True).height == sample.height
    assert sample.equals(sample_for_browser(frame, size, np.random.default_rng(seed)))
    if size and samples <= MOST_ALIKE:
        assert sample.height >= min(size, frame.height) - samples * sides


def test_nulls_are_values() -> None:
    frame = table(30, 3).with_columns(problem_id=pl.lit(None, pl.String), score=pl.lit(None, pl.Float64))
    assert 0 < sample_for_browser(frame, 10, np.random.default_rng(0)).height <= 10


@pytest.mark.parametrize("size", [1, 2, 3])
def test_tiny_samples(size: int) -> None:
    assert sample_for_browser(table(30, 3), size, np.random.default_rng(0)).height == size
