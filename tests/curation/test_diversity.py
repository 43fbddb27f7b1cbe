"""The effective number of strategies: its laws, and an interval that holds the truth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stratagem.curation.demonstrations.diversity import effective_number, estimate, shown

COUNTS = arrays(float, st.integers(1, 8), elements=st.integers(0, 1000).map(float)).filter(
    lambda x: x.sum() > 0
)


@given(COUNTS)
def test_it_lies_between_one_and_the_strategies_that_are_there(counts: np.ndarray) -> None:
    assert 1 - 1e-9 <= effective_number(counts) <= (counts > 0).sum() + 1e-9


@given(COUNTS, st.integers(1, 5))
def test_only_shares_count_and_doubling_all_strategies_doubles_it(counts: np.ndarray, times: int) -> None:
    value = effective_number(counts)
    assert effective_number(counts * times) == pytest.approx(value)
    assert effective_number(counts[::-1]) == pytest.approx(value)
    assert effective_number(np.tile(counts, times)) == pytest.approx(times * value)


def test_equal_shares_are_as_many_as_they_are_and_nothing_is_not_a_number() -> None:
    assert effective_number(np.full(4, 7.0)) == pytest.approx(4)
    assert effective_number(np.array([0.0, 3.0])) == 1
    assert np.isnan(effective_number(np.zeros(3)))
    # By hand: exp(-(.9 ln .9 + .08 ln .08 + .02 ln .02)).
    assert effective_number(np.array([90.0, 8.0, 2.0])) == pytest.approx(1.4551707)


@pytest.mark.parametrize("traces", [1, 4])
def test_the_interval_holds_the_truth_as_often_as_it_says(traces: int) -> None:
    """200 problems with their own leanings: traces of one problem are alike, which only problems as units show."""
    rng = np.random.default_rng(0)
    share = np.array([0.9, 0.08, 0.02])
    truth = float(effective_number(share))
    held = 0
    for _ in range(200):
        leaning = rng.dirichlet(2 * share, 200)
        counts = np.stack([rng.multinomial(traces, p) for p in leaning]).astype(float)
        made = estimate(counts, 0.95, 200, rng)
        held += made.low <= truth <= made.high
        assert made.n == 200
    assert 0.89 <= held / 200 <= 0.99  # 95% less or more than three of its standard errors


def test_a_single_strategy_is_one_without_doubt() -> None:
    made = estimate(np.array([[3.0, 0.0], [1.0, 0.0]]), 0.95, 100, np.random.default_rng(0))
    assert (made.value, made.low, made.high) == (1, 1, 1)
    assert np.isnan(estimate(np.zeros((4, 2)), 0.95, 100, np.random.default_rng(0)).value)


def test_strategies_are_counted_by_problem() -> None:
    made = shown(np.array([5, 5, 2, 5, 9]), np.array([1, 1, 0, 1, 0]), np.array([0, 2, 1, 0, -1]), 3)
    assert made.counts.tolist() == [[2, 0, 1], [0, 1, 0]]
    assert made.kind.tolist() == [1, 0]
    assert made.ways.tolist() == [2, 1]
