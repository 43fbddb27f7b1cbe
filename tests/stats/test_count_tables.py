"""Counts: what is kept, what is refused, and that files add up."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.stats.counts import count, merge, tally
from tests.decomposition.tables import two

ROWS = st.lists(
    st.tuples(
        st.sampled_from(["p", "q", "r"]),
        st.sampled_from(["F", "B"]),
        st.sampled_from([0.0, 1.0, 0.5]),
        st.integers(1, 40),
    ),
    min_size=2,
    max_size=40,
)


def table(rows: list[tuple[str, str, float, int]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["problem_id", "strategy", "score", "length"], orient="row")
    return frame.with_columns(
        kind=pl.lit("x"),
        difficulty=pl.lit(1),
        checkpoint=pl.lit("0"),
        sample=pl.int_range(pl.len()).over("problem_id"),
    )


@settings(max_examples=50, deadline=None)
@given(ROWS, st.integers(1, 39))
def test_counts_of_files_add_up_to_those_of_the_whole(rows: list[tuple[str, str, float, int]], cut: int):
    whole = table(rows)
    cut = min(cut, whole.height - 1)
    merged = merge([count(whole[:cut]), count(whole[cut:])])
    assert merged.equals(count(whole))
    assert merged["n"].sum() == whole.height
    assert merged["right"].sum() == whole["score"].sum()
    assert merged["squares"].sum() == (whole["score"] ** 2).sum()
    assert merged["length"].sum() == whole["length"].sum()


def test_halves_are_balanced_random_and_fixed():
    before, _ = two(0, problems=200, samples=7)
    counts = count(before)
    sizes = counts.group_by("problem_id", "half").agg(pl.col("n").sum())
    assert set(sizes["n"]) == {3, 4}
    larger = sizes.filter(n=4)["half"].mean()
    assert isinstance(larger, float)
    assert 0.35 < larger < 0.65
    assert counts.equals(count(before.sample(fraction=1.0, shuffle=True, seed=1).lazy()))
    assert not counts.equals(count(before, seed=1))
    assert tally(counts, ("kind",)).equals(tally(count(before, seed=1), ("kind",)))


@pytest.mark.parametrize("score", [-1.0, 1.5, math.nan, math.inf, None])
def test_a_score_outside_the_unit_interval_is_named(score: float | None):
    bad = table([("p", "F", 1.0, 3), ("p", "F", 0.0, 3)]).with_columns(
        score=pl.Series([1.0, score], dtype=pl.Float64)
    )
    said = {None: "None", math.inf: "inf"}.get(score, str(score).lower())
    with pytest.raises(StratagemError, match=f"(?i)'score' holds {said}"):
        count(bad)


@pytest.mark.parametrize("name", ["strategy", "problem_id", "checkpoint", "sample"])
def test_null_keys_are_refused(name: str):
    rows = table([("p", "F", 1.0, 3), ("p", "F", 0.0, 3)])
    with pytest.raises(StratagemError, match=f"'{name}' holds null"):
        count(rows.with_columns(pl.when(pl.col("sample") > 0).then(name).alias(name)))


def test_an_unknown_length_stays_unknown():
    rows = table([("p", "F", 1.0, 3), ("p", "F", 0.0, 3)])
    found = count(rows.with_columns(length=pl.when(pl.col("sample") > 0).then("length")))
    assert math.isnan(found["length"].sum())
    assert found["n"].sum() == 2


def test_a_missing_column_and_impossible_counts_are_named():
    rows = table([("p", "F", 1.0, 3)])
    with pytest.raises(StratagemError, match="no column 'strategy'"):
        count(rows.drop("strategy"))
    with pytest.raises(StratagemError, match="n = 1, right = 2"):
        tally(count(rows).with_columns(right=pl.lit(2.0)), ("kind",))
    with pytest.raises(StratagemError, match="before: no rows"):
        tally(rows.clear(), ("kind",), "before")
