"""Demonstrations are chosen by strategy, type and difficulty: laws of the plan, the choice and the weights."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.curation.demonstrations.asking import asked, first_of, lacking
from stratagem.curation.demonstrations.choice import Cells, binned, choose, plan, shares, weights

KINDS, BLOCKS, WAYS = 2, 6, 3  # three difficulties of two types


def world(rows: int, seed: int, covered: tuple[bool, ...] = (True, True, True)) -> Cells:
    rng = np.random.default_rng(seed)
    block = rng.integers(0, BLOCKS, rows)
    strategy = rng.choice(WAYS, rows, p=[0.9, 0.08, 0.02])
    problem = block * 1000 + rng.integers(0, max(rows // 12, 1), rows)
    return Cells(block, strategy, problem, np.array([0, 0, 0, 1, 1, 1]), np.array(covered))


WORLDS = st.builds(
    world,
    st.integers(1, 300),
    st.integers(0, 10_000),
    st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


@settings(max_examples=60, deadline=None)
@given(WORLDS, st.integers(1, 400), st.sampled_from(["many", "few"]))
def test_as_many_as_asked_and_never_more_than_there_are(cells: Cells, size: int, problems: str) -> None:
    rng = np.random.default_rng(0)
    eligible = rng.random(len(cells.block)) < 0.8
    if not eligible.any():
        return
    planned = plan(cells, eligible, size)
    there = cells.counts(eligible)
    assert (planned.taken <= there).all()
    assert planned.taken.sum() == min(size, there.sum())
    assert not planned.written.any()
    chosen = choose(cells, eligible, planned, problems, rng)
    assert len(set(chosen.rows.tolist())) == len(chosen.rows) == planned.taken.sum() == len(chosen.control)
    assert eligible[chosen.rows].all()
    assert eligible[chosen.control].all()
    taken = np.zeros(len(cells.block), bool)
    taken[chosen.rows] = True
    assert (cells.counts(taken) == planned.taken).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(6, 200))
def test_types_keep_their_shares(seed: int, size: int) -> None:
    cells = world(400, seed)
    every = np.ones(400, bool)
    of_type = plan(cells, every, size).taken.sum(axis=1).reshape(KINDS, -1).sum(axis=1)
    assert np.abs(of_type - size * np.bincount(cells.kind[cells.block]) / 400).max() <= 1


def test_strategies_are_equal_where_there_are_enough_and_difficulty_is_kept() -> None:
    cells = world(60_000, 3)
    every = np.ones(60_000, bool)
    taken = plan(cells, every, 600).taken
    for kind in range(KINDS):
        assert np.ptp(taken[cells.kind == kind].sum(axis=0)) <= 1
    there_b = np.bincount(cells.block, minlength=BLOCKS)
    assert np.abs(taken.sum(axis=1) - 600 * there_b / 60_000).max() <= 1
    # Blocks far smaller than their strategies are many: none is favoured by its place.
    few = plan(cells, every, 6).taken
    assert few.sum(axis=0).tolist() == [2, 2, 2]


def test_a_rare_strategy_is_taken_whole_and_its_places_are_filled() -> None:
    cells = world(600, 4)
    every = np.ones(600, bool)
    there = cells.counts(every).sum(axis=0)
    taken = plan(cells, every, 300).taken.sum(axis=0)
    assert taken[2] == there[2]
    assert taken[1] == there[1]
    assert taken.sum() == 300


def test_others_keep_their_share() -> None:
    share = shares(np.array([60, 30, 10]), np.array([True, True, False]))
    assert share.tolist() == pytest.approx([0.45, 0.45, 0.1])
    assert shares(np.array([60, 30, 10]), np.zeros(3, bool)).tolist() == pytest.approx([0.6, 0.3, 0.1])


def test_the_control_differs_by_strategies_alone() -> None:
    cells = world(3000, 5)
    every = np.ones(3000, bool)
    planned = plan(cells, every, 300)
    chosen = choose(cells, every, planned, "many", np.random.default_rng(0))
    assert (
        np.bincount(cells.block[chosen.control], minlength=BLOCKS).tolist() == planned.taken.sum(1).tolist()
    )
    share = np.bincount(cells.strategy[chosen.control]) / 300
    assert share[0] > 0.8


def test_many_or_few_problems() -> None:
    cells = world(3000, 6)
    every = np.ones(3000, bool)
    planned = plan(cells, every, 300)
    problems = {
        how: cells.problem[choose(cells, every, planned, how, np.random.default_rng(0)).rows]
        for how in ("many", "few")
    }
    assert len(set(problems["few"])) < 0.85 * len(set(problems["many"]))


@settings(max_examples=40, deadline=None)
@given(WORLDS)
def test_weights_are_one_on_average_and_make_strategies_equal_within_a_block(cells: Cells) -> None:
    every = np.ones(len(cells.block), bool)
    weight = weights(cells, every)
    assert weight.mean() == pytest.approx(1)
    for b in np.unique(cells.block):
        own = cells.block == b
        assert weight[own].sum() == pytest.approx(own.sum())
        totals = np.bincount(cells.strategy[own], weight[own], minlength=WAYS)
        there = np.bincount(cells.strategy[own], minlength=WAYS)
        covered = cells.covered & (there > 0)
        if covered.any():
            assert np.ptp(totals[covered]) < 1e-6
            others = ~cells.covered & (there > 0)
            assert totals[others] == pytest.approx(there[others])


def test_what_is_written_fills_what_is_missing() -> None:
    cells = world(600, 7)
    every = np.ones(600, bool)
    rng = np.random.default_rng(0)
    pairs = lacking(cells, every, cells.covered, rng)
    for row, s in zip(pairs.rows[:50], pairs.strategy[:50], strict=True):
        assert not ((cells.problem == cells.problem[row]) & (cells.strategy == s)).any()
    planned = plan(cells, every, 300, pairs.counts)
    both = planned.taken + planned.written
    assert both.sum() == 300
    for kind in range(KINDS):
        assert np.ptp(both[cells.kind == kind].sum(axis=0)) <= 1
    written = first_of(cells, pairs, planned.written)
    assert len(written.rows) == planned.written.sum()
    assert (planned.written <= pairs.counts).all()


def test_prompts_are_asked_for_as_wanted() -> None:
    cells = world(600, 8)
    pairs = lacking(cells, np.ones(600, bool), cells.covered, np.random.default_rng(0))
    wanted = np.array([[0, 5, 20], [0, 0, 10_000]])
    made = asked(cells, pairs, wanted)
    by_type = np.stack([made.counts[cells.kind == kind].sum(axis=0) for kind in range(KINDS)])
    assert by_type[0].tolist() == [0, 5, 20]
    assert by_type[1, 2] == pairs.counts[cells.kind == 1, 2].sum()
    assert made.rows.tolist() == sorted(made.rows.tolist())


def test_numbers_are_cut_into_parts_and_texts_are_not() -> None:
    parts = binned(pl.Series([str(i / 7) for i in range(100)] + [None]), 5)
    assert np.bincount(parts).tolist() == [1, 20, 20, 20, 20, 20]
    assert len(set(binned(pl.Series(["Level 1", "Level 2", None, "Level 1"]), 5).tolist())) == 3
    assert len(set(binned(pl.Series(["1", "2", "10"]), 5).tolist())) == 3
    assert set(binned(pl.Series([None, None], dtype=pl.Float64), 3).tolist()) == {1}
