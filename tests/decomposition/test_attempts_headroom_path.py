"""pass@k, headroom, and paths over checkpoints."""

from __future__ import annotations

import json
import math
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.headroom import headroom
from stratagem.decomposition.path import path
from stratagem.records import StratagemError
from stratagem.stats.passk import passk, passk_difference, passk_mean, problem_counts
from tests.decomposition.tables import draw, shares, two


def test_passk_agrees_with_enumeration():
    for n in range(1, 8):
        for c in range(n + 1):
            for k in range(1, 9):
                found = passk([c], [n], [k])[0, 0]
                if k > n:
                    assert math.isnan(found)
                    continue
                tries = list(combinations([1] * c + [0] * (n - c), k))
                assert found == pytest.approx(sum(any(t) for t in tries) / len(tries), abs=1e-12)


def test_passk_is_stable_for_many_samples():
    assert passk([3], [100_000], [5_000])[0, 0] == pytest.approx(1 - 0.95**3, abs=1e-5)
    assert passk([0, 5], [5, 5], [5, 1]).tolist() == [[0.0, 0.0], [1.0, 1.0]]


def test_passk_refuses_what_is_not_a_count():
    with pytest.raises(ValueError, match="whole numbers"):
        passk([2.5], [4], [1])
    with pytest.raises(ValueError, match="at least 1"):
        passk([2], [4], [0])
    before, _ = two(0, problems=4)
    assert problem_counts(before)["n"].to_list() == [6, 6, 6, 6]
    with pytest.raises(StratagemError, match="fractions"):
        problem_counts(before.with_columns(score=pl.lit(0.3)))


def test_passk_difference_leaves_short_problems_out():
    found = passk_difference([1, 2, 4], [4, 4, 4], [2, 2, 2], [4, 4, 2], 4)
    assert found.n == 2


@given(rate=st.sampled_from([0.02, 0.5, 0.98]), seed=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_no_interval_of_passk_leaves_what_is_possible(rate: float, seed: int):
    rng = np.random.default_rng(seed)
    before, after = rng.binomial(4, rate, 12), rng.binomial(4, 1 - rate, 12)
    n = np.full(12, 4)
    for k in (1, 4):
        one = passk_mean(before, n, k)
        assert 0 <= one.low <= one.value <= one.high <= 1
        assert one.value == pytest.approx(passk(before, n, [k]).mean())
        both = passk_difference(before, n, after, n, k)
        assert -1 <= both.low <= both.value <= both.high <= 1


def test_passk_of_more_attempts_than_there_are_is_undefined_at_once():
    assert math.isnan(passk([1], [4], [10**12])[0, 0])
    assert passk_mean([1], [4], 10**12).n == 0


def test_headroom_brackets_the_truth():
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(400)]
    table = draw(rng, "0", ids, {"F": 0.5, "B": 0.5}, {"F": 0.8, "B": 0.4}, samples=8)
    found = headroom(table, rng=rng, draws=300)
    assert found.left_out == 0
    assert found.problems == 400
    best = found.strata["best"].unique().to_list()
    assert best == ["F"]
    middle = [sum(t.bounds) / 2 if t.bounds else t.value for t in (found.selection, found.improvement)]
    assert middle[0] == pytest.approx(0.8 - found.accuracy, abs=0.04)
    assert middle[1] == pytest.approx(0.2, abs=0.04)
    assert found.selection.low < middle[0] < found.selection.high
    json.dumps(found.as_dict(), allow_nan=False)


@given(rate=st.sampled_from([0.02, 0.5, 0.98]), seed=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_no_interval_of_headroom_leaves_what_is_possible(rate: float, seed: int):
    rng = np.random.default_rng(seed)
    table = draw(
        rng, "0", [f"p{i}" for i in range(6)], {"F": 0.5, "B": 0.5}, {"F": rate, "B": 0.3}, samples=4
    )
    found = headroom(table, rng=rng, draws=50)
    for term in (found.selection, found.improvement):
        assert 0 <= term.low <= term.high <= 1


def test_headroom_over_all_problems_varies_by_how_many_are_of_each_kind():
    """One strategy, right in one stratum and wrong in the other: within them nothing varies."""
    ids = [f"p{i:03d}" for i in range(200)]
    table = draw(np.random.default_rng(0), "0", ids, {"F": 1.0}, {"F": 1.0}, samples=4)
    hard = pl.col("problem_id") >= "p100"
    table = table.with_columns(
        kind=pl.when(hard).then(pl.lit("b")).otherwise(pl.lit("a")), difficulty=pl.lit(0)
    )
    table = table.with_columns(score=pl.when(hard).then(0.0).otherwise(1.0))
    within, over = (
        headroom(table, by=("kind",), rng=np.random.default_rng(0), draws=2000, stratified=stratified)
        for stratified in (True, False)
    )
    assert within.improvement.se == 0
    assert over.improvement.se == pytest.approx(0.5 / math.sqrt(200), rel=0.06)


def test_headroom_by_problem_says_what_it_leaves_out():
    rng = np.random.default_rng(1)
    ids = [f"p{i}" for i in range(150)]
    # Both strategies are equally good: the plug-in sees headroom that is not there, the cross-fit does not.
    table = draw(rng, "0", ids, {"F": 0.5, "B": 0.5}, {"F": 0.5, "B": 0.5}, samples=16)
    few = table.filter(pl.col("sample") < 15)
    with pytest.raises(StratagemError, match="needs 16 responses to each, not 15"):
        headroom(few, by=("problem_id",), rng=rng, draws=200)
    found = headroom(table, by=("problem_id",), rng=rng, draws=200)
    assert found.selection.bounds
    assert found.selection.bounds[1] > 0.05
    assert found.selection.bounds[0] < 0.01
    assert found.halved > 0
    assert found.problems + found.left_out == 150
    with pytest.raises(StratagemError, match="halves"):
        headroom(shares("0", {"A": 1.0}, {"A": 0.5}), by=("kind",), rng=rng)


def checkpoints(same: bool) -> list[pl.DataFrame]:
    rng = np.random.default_rng(2)
    found = []
    for t in range(4):
        ids = [f"p{i}" if same else f"p{t}-{i}" for i in range(80)]
        rate = {"F": 0.4 + 0.1 * t, "B": 0.5}
        found.append(draw(rng, str(t), ids, {"F": 0.3 + 0.15 * t, "B": 0.7 - 0.15 * t}, rate, samples=4))
    return found


@pytest.mark.parametrize("same", [True, False])
def test_path_telescopes(same: bool):
    tables = checkpoints(same)
    found = path(tables, rng=np.random.default_rng(0), draws=400)
    assert found.paired is same
    assert [step.before for step in found.steps] == ["0", "1", "2"]
    for name in ("gain", "selection", "improvement", "new_strategy"):
        total = sum(getattr(step, name).value for step in found.steps)
        assert getattr(found.along, name).value == pytest.approx(total, abs=1e-12)
    along, ends = found.along, found.endpoints
    assert along.gain.value == pytest.approx(ends.gain.value, abs=1e-12)
    assert along.selection.value + along.improvement.value == pytest.approx(along.gain.value, abs=1e-12)
    assert along.selection.value != pytest.approx(ends.selection.value, abs=1e-6)
    assert found.along.gain.low < found.along.gain.value < found.along.gain.high
    json.dumps(found.as_dict(), allow_nan=False)
    if same:
        direct = decompose(tables[0], tables[-1], rng=np.random.default_rng(0), draws=4000)
        assert ends.selection.value == pytest.approx(direct.symmetric.selection.value, abs=1e-12)
        assert ends.selection.se == pytest.approx(direct.symmetric.selection.se, rel=0.15)
        assert ends.gain.se == pytest.approx(direct.gain.se, rel=0.15)


@pytest.mark.parametrize("stratified", [True, False])
def test_a_path_is_as_sure_as_the_decomposition_of_its_ends(stratified: bool):
    tables = checkpoints(same=True)
    # Strata whose gains differ, so that it matters how problems are drawn.
    easy = pl.when(pl.col("difficulty") == 0).then(1.0).otherwise("score").alias("score")
    tables[-1] = tables[-1].with_columns(easy)
    options: dict[str, Any] = {"by": ("kind", "difficulty"), "draws": 4000, "stratified": stratified}
    found = path(tables, rng=np.random.default_rng(0), **options)
    direct = decompose(tables[0], tables[-1], rng=np.random.default_rng(1), **options)
    assert found.endpoints.gain.se == found.along.gain.se == pytest.approx(direct.gain.se, rel=1e-12)
    assert found.endpoints.gain.low == pytest.approx(direct.gain.low, abs=1e-12)
    for name in ("selection", "improvement"):
        one, other = getattr(found.endpoints, name), getattr(direct.symmetric, name)
        assert one.se == pytest.approx(other.se, rel=0.06)
    options["stratified"] = True
    within = path(tables, rng=np.random.default_rng(0), **options).along.improvement.se
    assert (found.along.improvement.se > 1.05 * within) is not stratified


def test_path_keeps_what_all_checkpoints_share():
    tables = checkpoints(same=True)
    tables[1] = tables[1].filter(pl.col("problem_id") != "p0")
    found = path(tables, rng=np.random.default_rng(0), draws=100)
    assert found.problems == (79, 79, 79, 79)
    assert found.left_out == (1, 0, 1, 1)
    other = path(checkpoints(same=False), by=(), rng=np.random.default_rng(0), draws=100)
    assert other.problems == (80, 80, 80, 80)
    with pytest.raises(StratagemError, match="two checkpoints"):
        path(tables[:1], rng=np.random.default_rng(0))
    with pytest.raises(StratagemError, match="in common"):
        path(
            [
                tables[0],
                tables[1].with_columns(kind=pl.lit("z"), problem_id=pl.lit("z") + pl.col("problem_id")),
            ],
            rng=np.random.default_rng(0),
        )
