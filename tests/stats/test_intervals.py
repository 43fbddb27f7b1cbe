"""Intervals and power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stratagem.records import Estimate
from stratagem.stats.resampling import drawn, pools, steps
from stratagem.stats.uncertainty import (
    bounded,
    corrected_quantile,
    detectable,
    imbens_manski,
    max_t,
    mean_estimate,
    needed_n,
    paired_difference,
    percentile,
    t_interval,
    widened,
)

NUMBERS = st.lists(st.floats(-1, 1), min_size=2, max_size=12)


@given(NUMBERS)
def test_jackknife_is_the_closed_form_for_a_mean(values: list[float]):
    x = np.array(values)
    left_out = (x.sum() - x) / (x.size - 1)
    jackknife = math.sqrt((x.size - 1) / x.size * ((left_out - left_out.mean()) ** 2).sum())
    assert mean_estimate(x).se == pytest.approx(jackknife, abs=1e-12)


def test_t_interval_agrees_with_scipy_and_one_seed_has_none():
    x = np.array([0.3, 0.5, 0.4, 0.9])
    found, oracle = t_interval(x), stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), rel=1e-12)
    alone = t_interval([0.4])
    assert alone.value == 0.4
    assert math.isnan(alone.low)
    assert math.isnan(alone.se)
    assert math.isnan(mean_estimate([]).value)


@given(st.floats(0.5, 0.99), st.integers(6, 400))
def test_quantiles_at_a_widened_level_reach_as_far_as_a_t_interval(level: float, df: int):
    assert stats.norm.interval(widened(level, df)) == pytest.approx(stats.t.interval(level, df), rel=1e-6)
    assert widened(level, math.inf) == pytest.approx(level, abs=1e-12)
    assert widened(level, 1) < 1  # further out than draws ever are


def test_few_problems_widen_bootstrap_intervals_to_those_of_a_mean():
    x = np.random.default_rng(1).normal(0, 1, 8)
    draws = np.random.default_rng(2).normal(x.mean(), x.std(ddof=1) / math.sqrt(8), 200_000)
    found, exact = percentile(x.mean(), draws, level=widened(0.95, 7)), mean_estimate(x)
    assert (found.low, found.high) == pytest.approx((exact.low, exact.high), abs=0.01)


def test_paired_difference_refuses_other_problems():
    assert paired_difference([0, 1, 0], [1, 1, 0]).value == pytest.approx(1 / 3)
    with pytest.raises(ValueError, match="same problems"):
        paired_difference([0, 1], [1, 1, 0])
    with pytest.raises(ValueError, match="finite"):
        mean_estimate([1.0, math.nan])


def test_imbens_manski_between_two_and_one_sided():
    assert imbens_manski(0.2, 0.2, 0.1, 0.1) == pytest.approx((0.2 - 0.195996, 0.2 + 0.195996), abs=1e-6)
    assert imbens_manski(0.0, 9.0, 0.1, 0.2) == pytest.approx((-0.164485, 9.328971), abs=1e-6)
    low, high = imbens_manski(0.0, 0.1, 0.1, 0.1)
    c = -low / 0.1
    assert stats.norm.cdf(c + 1) - stats.norm.cdf(-c) == pytest.approx(0.95, abs=1e-9)
    assert high == pytest.approx(0.1 + c * 0.1)
    assert imbens_manski(0.1, 0.2, 0.0, 0.0) == (0.1, 0.2)


def test_an_end_is_where_a_change_of_scale_puts_it():
    """Draws that are normal on some other scale: the interval is that of the other scale (Efron 1982)."""
    normal = np.random.default_rng(0).normal(0.2, 0.3, 400_000)
    for z in (-1.645, 1.645):
        assert corrected_quantile(0.2, normal, z) == pytest.approx(0.2 + 0.3 * z, abs=0.005)
        assert corrected_quantile(math.exp(0.2), np.exp(normal), z) == pytest.approx(
            math.exp(0.2 + 0.3 * z), rel=0.005
        )
    # The median of the draws lies below the value: so the value errs downwards, and the end moves up.
    assert corrected_quantile(0.2, normal - 0.1, 1.645) > np.quantile(normal - 0.1, 0.95) + 0.1
    assert corrected_quantile(1.0, np.full(9, 1.0), 1.645) == 1.0


def test_equal_bounds_are_a_point():
    x = np.random.default_rng(0).normal(0.3, 0.1, 4000)
    assert isinstance(bounded((0.3, 0.3), x, x), Estimate)
    term = bounded((0.3, 0.5), x, x + 0.2, n=7)
    assert term.bounds
    assert term.as_dict()["value"] is None
    assert term.as_dict()["bounds"] == [0.3, 0.5]
    assert term.low < 0.3 < 0.5 < term.high
    plain = percentile(0.3, np.append(x, np.nan))
    assert (plain.low, plain.high) == pytest.approx((0.104, 0.496), abs=0.02)


def test_max_t_of_independent_terms_is_the_sidak_interval():
    rng = np.random.default_rng(0)
    draws = rng.normal(size=(200_000, 3))
    found = max_t([0.0, 0.0, 0.0], draws)
    sidak = stats.norm.ppf((1 + 0.95 ** (1 / 3)) / 2)
    assert found[0].high == pytest.approx(sidak, rel=0.01)
    still = max_t([0.0, 0.4], np.column_stack([draws[:, 0], np.full(200_000, 0.4)]))
    assert (still[1].low, still[1].high) == (0.4, 0.4)
    assert still[0].high == pytest.approx(1.96, rel=0.01)


@given(st.floats(0.01, 0.3), st.floats(0.05, 0.95), st.floats(0, 0.9))
def test_needed_and_detectable_are_inverse(delta: float, p: float, correlation: float):
    n = needed_n(delta, p, correlation=correlation)
    variance = 2 * p * (1 - p) * (1 - correlation)
    assert detectable(math.sqrt(variance / n)) <= delta + 1e-9
    assert n == 1 or detectable(math.sqrt(variance / (n - 1))) > delta - 1e-9


def test_pools_collapse_strata_of_one_problem():
    assert pools([5, 1, 4, 1], stratified=True) == [[0], [2], [1, 3]]
    assert pools([5, 1, 4], stratified=True) == [[0], [2, 1]]
    assert pools([5, 1, 4], stratified=False) == [[0, 1, 2]]
    assert pools([1, 1], stratified=True) == [[0, 1]]


def test_weights_sum_to_one_and_have_the_right_variance():
    rng = np.random.default_rng(0)
    sizes = [3, 2, 5]
    number, weight = drawn(rng, sizes, 20_000, stratified=True)
    assert (number @ weight) == pytest.approx(1.0)
    x = rng.normal(size=10)
    means, start = np.zeros(20_000), 0
    for b, size in enumerate(sizes):
        for part, count in steps(rng, number[:, b], size):
            means[part] += weight[b] * (count @ x[start : start + size])
        start += size
    exact = math.sqrt(
        sum((s / 10) ** 2 * part.var(ddof=1) / s for s, part in zip(sizes, np.split(x, [3, 5]), strict=True))
    )
    assert means.std() == pytest.approx(exact, rel=0.02)
    assert means.mean() == pytest.approx(x.mean(), abs=4 * exact / math.sqrt(20_000))
