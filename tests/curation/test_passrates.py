"""Pass rates: posteriors against integration, fits against the likelihood itself, intervals in simulated worlds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from scipy.stats import betabinom

from stratagem.curation.passrates import UNINFORMED, Posterior, edge, fit, priors
from stratagem.records import StratagemError

SHAPES = st.floats(0.2, 50)  # below it a quantile lies nearer to 1 than floats do


def one(alpha: float, beta: float) -> Posterior:
    return Posterior.single(np.array([alpha]), np.array([beta]))


@given(st.floats(0.5, 50), st.floats(0.5, 50), st.integers(2, 16))
def test_signal_is_the_integral_over_the_posterior(alpha: float, beta: float, group: int) -> None:
    def chance(p: float) -> float:
        return 1 - p**group - (1 - p) ** group

    density = beta_distribution(alpha, beta).pdf
    ends = (1e-12, 1 - 1e-12)
    mean = quad(lambda p: chance(p) * density(p), *ends, limit=200)[0]
    square = quad(lambda p: chance(p) ** 2 * density(p), *ends, limit=200)[0]
    posterior = one(alpha, beta)
    assert posterior.signal(group)[0] == pytest.approx(mean, abs=1e-6)
    assert posterior.signal_variance(group)[0] == pytest.approx(square - mean**2, abs=1e-6)


@given(SHAPES, SHAPES, st.floats(0.5, 0.99))
def test_an_interval_holds_its_level(alpha: float, beta: float, level: float) -> None:
    low, high = (end[0] for end in one(alpha, beta).interval(level))
    known = beta_distribution(alpha, beta)
    assert 0 <= low < high <= 1
    assert known.cdf(high) - known.cdf(low) == pytest.approx(level, abs=1e-6)


def test_an_interval_begins_at_the_end_where_all_samples_were_alike() -> None:
    assert one(0.3, 8.2).interval()[0][0] == 0
    assert one(8.3, 0.2).interval()[1][0] == 1
    # Right and wrong samples both: neither end.
    low, high = one(1.3, 7.2).interval()
    assert low[0] > 0
    assert high[0] < 1


@given(st.floats(0.01, 0.9), st.integers(4, 64))
def test_the_edge_is_where_signal_is_that(min_signal: float, group: int) -> None:
    if min_signal >= 1 - 2.0 ** (1 - group):
        return
    at = edge(min_signal, group)
    assert 0 < at < 0.5
    assert 1 - at**group - (1 - at) ** group == pytest.approx(min_signal, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1 - 2.0**-7])
def test_no_edge_beyond_what_a_group_can_have(value: float) -> None:
    with pytest.raises(StratagemError, match="--min-signal"):
        edge(value, 8)


def test_the_fit_is_where_the_counts_are_most_likely() -> None:
    rng = np.random.default_rng(3)
    n = rng.integers(2, 20, 400)
    right = rng.binomial(n, rng.beta(0.6, 1.4, 400))

    def likely(alpha: float, beta: float) -> float:
        mean = alpha / (alpha + beta)
        return betabinom.logpmf(right, n, alpha, beta).sum() + 0.5 * np.log(mean * (1 - mean))

    prior = fit(n.astype(float), right.astype(float))
    best = likely(prior.alpha, prior.beta)
    for more in (0.99, 1.01):
        assert likely(prior.alpha * more, prior.beta) < best
        assert likely(prior.alpha, prior.beta * more) < best
    # The truth is no better by more than chance has it: twice the difference is a chi square of 2.
    assert 2 * (best - likely(0.6, 1.4)) < 15


def test_kinds_with_their_number_of_prompts_are_the_prompts() -> None:
    n, right, times = np.array([8.0, 8, 4, 2]), np.array([0.0, 5, 4, 1]), np.array([30.0, 7, 12, 9])
    kinds = fit(n, right, times)
    every = fit(np.repeat(n, times.astype(int)), np.repeat(right, times.astype(int)))
    assert kinds.alpha == pytest.approx(every.alpha, rel=1e-4)
    assert kinds.beta == pytest.approx(every.beta, rel=1e-4)


def test_a_stratum_that_is_all_right_keeps_a_mean_below_1() -> None:
    prior = fit(np.full(30, 8.0), np.full(30, 8.0))
    assert 0.9 < prior.mean < 1
    assert Posterior.single(np.array([prior.alpha + 8]), np.array([prior.beta])).signal(8)[0] < 0.1


def test_few_prompts_borrow_the_spread_of_all() -> None:
    rng = np.random.default_rng(0)
    n = np.full(205, 8.0)
    right = rng.binomial(8, rng.beta(0.5, 0.5, 205)).astype(float)
    right[200:] = 0
    home = np.repeat([0, 1], [200, 5])
    large, small = priors(home, n, right, np.ones(205), 2)
    assert (large.source, small.source) == ("stratum", "pool")
    assert small.precision == pytest.approx(fit(n, right).precision, rel=1e-3)
    assert small.mean < 0.2 < large.mean
    # A stratum without any rollouts has what all have.
    assert priors(home, n, right, np.ones(205), 3)[2].mean == pytest.approx(fit(n, right).mean, rel=1e-3)


def test_one_sample_a_prompt_invents_no_spread() -> None:
    n, right = np.ones(500), np.repeat([1.0, 0.0], [400, 100])
    (prior,) = priors(np.zeros(500, int), n, right, np.ones(500), 1)
    assert prior.source == "mean"
    assert prior.precision == pytest.approx(UNINFORMED)
    assert prior.mean == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.2), (1.0, 3.0), (4.0, 4.0), (0.1, 2.0)])
@pytest.mark.parametrize("samples", [2, 8, 32])
def test_intervals_hold_the_truth_in_simulated_pools(alpha: float, beta: float, samples: int) -> None:
    rng = np.random.default_rng(11)
    rate = rng.beta(alpha, beta, 8_000)
    right = rng.binomial(samples, rate).astype(float)
    n = np.full(8_000, float(samples))
    prior = fit(n, right)
    posterior = Posterior.after([prior], np.zeros(8_000, int), n, right)
    low, high = posterior.interval(0.95)
    held = ((low <= rate) & (rate <= high)).mean()
    assert 0.94 < held < 0.96  # four standard errors are .01
    signal = 1 - rate**8 - (1 - rate) ** 8
    # Of those with most expected signal too: shrunk expectations are not too high for being chosen.
    best = np.argsort(-posterior.signal(8))[:1_000]
    se = np.sqrt(posterior.signal_variance(8)[best].sum()) / 1_000
    assert abs(posterior.signal(8)[best].mean() - signal[best].mean()) < 4 * se + 1e-4


@pytest.mark.parametrize(("alpha", "beta"), [(0.3, 0.2), (4.0, 6.0)])
@pytest.mark.parametrize(("prompts", "samples"), [(30, 8), (200, 2)])
def test_few_counts_leave_the_spread_open_and_intervals_say_so(
    alpha: float, beta: float, prompts: int, samples: int
) -> None:
    rng = np.random.default_rng(5)
    held: list[float] = []
    for _ in range(60):
        rate = rng.beta(alpha, beta, prompts)
        right = rng.binomial(samples, rate).astype(float)
        n = np.full(prompts, float(samples))
        low, high = Posterior.after([fit(n, right)], np.zeros(prompts, int), n, right).interval()
        held.append(((low <= rate) & (rate <= high)).mean())
    # The likeliest distribution alone held 90 and 91% of one hump.
    assert (0.93 if prompts >= 100 else 0.9) < np.mean(held) < 0.985


def test_a_mixture_of_equal_parts_is_that_part() -> None:
    part = Posterior.single(np.array([0.4, 3.0]), np.array([8.0, 2.0]))
    mixed = Posterior(*(np.repeat(x, 3, axis=1) for x in (part.alpha, part.beta)), np.full((2, 3), 1 / 3))
    for ours, theirs in zip(mixed.interval(), part.interval(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-9)
    assert mixed.signal(8) == pytest.approx(part.signal(8))
    assert mixed.below(0.1) == pytest.approx(part.below(0.1))
    assert mixed.mean() == pytest.approx(part.mean())
