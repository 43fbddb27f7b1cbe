"""Flips: identities with the gain and the shares, an independent count over all pairs, and small worlds by hand."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stratagem
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.flips import Flips, flips
from stratagem.records import StratagemError
from tests.decomposition.tables import draw, two


def table(checkpoint: str, problems: dict[str, list[tuple[str, float]]]) -> pl.DataFrame:
    """Responses as (strategy, score) by problem."""
    rows = [
        (problem, checkpoint, i, strategy, score, 10)
        for problem, responses in problems.items()
        for i, (strategy, score) in enumerate(responses)
    ]
    names = ["problem_id", "checkpoint", "sample", "strategy", "score", "length"]
    return pl.DataFrame(rows, schema=names, orient="row")


def cells(result: Flips) -> dict[tuple[str, str], tuple[float, float, float]]:
    return {
        (row.before, row.after): (row.share, row.right_to_wrong, row.wrong_to_right)
        for row in result.transitions
    }


def test_a_world_by_hand() -> None:
    before = table("0", {"p": [("F", 1), ("B", 0)], "q": [("F", 0)]})
    after = table("1", {"p": [("B", 1)], "q": [("B", 0), ("B", 1), ("F", 0), ("F", 0)], "r": [("F", 1)]})
    result = flips(before, after)
    # p: (F right, B right), (B wrong, B right); q: F wrong with B wrong, B right, F wrong, F wrong.
    assert cells(result) == {
        ("F", "B"): (0.25 + 0.25, 0.0, 0.125),
        ("B", "B"): (0.25, 0.0, 0.25),
        ("F", "F"): (0.25, 0.0, 0.0),
    }
    assert (result.right_to_wrong.value, result.wrong_to_right.value) == (0.0, 0.375)
    assert (result.right_both, result.wrong_both) == (0.25, 0.375)
    assert (result.better, result.worse, result.same) == (2, 0, 0)


def counted(before: pl.DataFrame, after: pl.DataFrame) -> dict[tuple[str, str], list[float]]:
    """Every pair of responses to a problem, one by one."""
    problems = sorted(set(before["problem_id"]) & set(after["problem_id"]))
    sums: dict[tuple[str, str], list[float]] = {}
    for problem in problems:
        sides = [
            t.filter(pl.col("problem_id") == problem).select("strategy", "score").rows()
            for t in (before, after)
        ]
        pairs = list(itertools.product(*sides))
        for (s, a), (t, b) in pairs:
            cell = sums.setdefault((s, t), [0.0, 0.0, 0.0])
            for i, value in enumerate((1.0, a * (1 - b), (1 - a) * b)):
                cell[i] += value / len(pairs) / len(problems)
    return sums


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 5), st.integers(1, 5), st.booleans())
def test_pairs_counted_one_by_one_say_the_same(seed: int, first: int, second: int, fractions: bool) -> None:
    rng = np.random.default_rng(seed)
    ids = [f"p{i}" for i in range(7)]
    before = draw(rng, "0", ids, {"F": 0.4, "B": 0.4, "C": 0.2}, {"F": 0.5, "B": 0.4, "C": 0.3}, first)
    after = draw(rng, "1", ids[1:], {"F": 0.6, "N": 0.4}, {"F": 0.7, "N": 0.6}, second)
    if fractions:
        before = before.with_columns(score=pl.Series(rng.random(before.height)))
    result = flips(before, after)
    expected = counted(before, after)
    assert set(cells(result)) == set(expected)
    for pair, values in cells(result).items():
        assert values == pytest.approx(expected[pair], abs=1e-12)
    everything = np.sum(list(expected.values()), axis=0)
    assert [1.0, result.right_to_wrong.value, result.wrong_to_right.value] == pytest.approx(everything)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 4))
def test_they_agree_with_the_split(seed: int, samples: int) -> None:
    before, after = two(seed, problems=30, samples=samples)
    result = flips(before, after)
    split = decompose(before, after, by=("kind",), rng=np.random.default_rng(0), draws=0)
    assert result.wrong_to_right.value - result.right_to_wrong.value == pytest.approx(split.gain.value)
    assert result.right_both + result.right_to_wrong.value == pytest.approx(split.accuracy_before)
    assert result.right_both + result.wrong_to_right.value == pytest.approx(split.accuracy_after)
    whole = result.right_both + result.wrong_both + result.right_to_wrong.value + result.wrong_to_right.value
    assert whole == pytest.approx(1)
    assert result.better + result.worse + result.same == split.problems
    rows, columns = Counter[str](), Counter[str]()
    for row in result.transitions:
        rows[row.before] += row.share
        columns[row.after] += row.share
    for line in split.strategies.iter_rows(named=True):
        assert rows[line["strategy"]] == pytest.approx(line["share_before"], abs=1e-12)
        assert columns[line["strategy"]] == pytest.approx(line["share_after"], abs=1e-12)
    assert sum(row.wrong_to_right for row in result.transitions) == pytest.approx(result.wrong_to_right.value)


def test_intervals_are_of_problems_and_none_is_made_of_a_handful() -> None:
    before, after = two(3, problems=60)
    result = stratagem.flips(before, after)
    assert result.wrong_to_right.low < result.wrong_to_right.value < result.wrong_to_right.high
    assert result.wrong_to_right.n == 60
    few = [side.filter(pl.col("problem_id") < "p004") for side in (before, after)]
    assert np.isnan(stratagem.flips(*few).wrong_to_right.low)


def test_without_a_problem_in_common_there_are_none() -> None:
    with pytest.raises(StratagemError, match="no problem_id in common"):
        flips(table("0", {"p": [("F", 1)]}), table("1", {"q": [("F", 1)]}))
