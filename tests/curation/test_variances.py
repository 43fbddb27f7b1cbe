"""Variances of rewards: unbiased, shrunk by what halves say, with chances that hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.curation.variances import Sums, variances


def sums(rewards: np.ndarray) -> Sums:
    """Of prompts (rows) with so many samples (columns)."""
    n = np.full(len(rewards), float(rewards.shape[1]))
    return Sums(n, rewards.sum(1), (rewards**2).sum(1))


def both(rewards: np.ndarray) -> tuple[Sums, Sums]:
    return sums(rewards), sums(rewards[:, ::2])


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=20))
def test_a_variance_is_numpys(rewards: list[float]) -> None:
    values = np.array([rewards])
    assert sums(values).variance()[0] == pytest.approx(np.var(values, ddof=1), abs=1e-5, rel=1e-6)


@given(st.floats(-1e6, 1e6), st.integers(2, 64))
def test_rewards_that_are_all_the_same_have_none(reward: float, n: int) -> None:
    assert sums(np.full((1, n), reward)).variance()[0] == 0


@pytest.mark.parametrize("kind", ["normal", "levels"])
@pytest.mark.parametrize("samples", [4, 8, 16])
def test_shrunk_variances_are_nearer_to_the_truth(kind: str, samples: int) -> None:
    rng = np.random.default_rng(5)
    if kind == "normal":
        scale = rng.gamma(2, 0.5, 4_000)
        rewards = rng.normal(0, scale[:, None], (4_000, samples))
        truth = scale**2
    else:  # -1, 0 or 2 with shares of each prompt's own
        share = rng.dirichlet([0.5, 0.5, 0.5], 4_000)
        cut = rng.random((4_000, samples))
        levels = np.array([-1.0, 0.0, 2.0])
        rewards = levels[(cut > share[:, :1]).astype(int) + (cut > share[:, :2].sum(1, keepdims=True))]
        truth = share @ levels**2 - (share @ levels) ** 2
    whole, half = both(rewards)
    known = variances(whole, half, np.zeros(4_000, int), 1)
    assert known.noise == "halves"
    raw = ((whole.variance() - truth) ** 2).mean()
    assert ((known.value - truth) ** 2).mean() < raw
    assert known.value.mean() == pytest.approx(truth.mean(), rel=0.05)
    # What is left open is what the estimates are off by, over all prompts.
    assert known.open.mean() == pytest.approx(((known.value - truth) ** 2).mean(), rel=0.35)


def test_a_stratum_is_shrunk_towards_its_own_mean() -> None:
    rng = np.random.default_rng(1)
    home = np.repeat([0, 1], 500)
    rewards = rng.normal(0, np.where(home == 0, 1.0, 5.0)[:, None], (1_000, 4))
    known = variances(*both(rewards), home, 2)
    assert known.value[home == 0].mean() == pytest.approx(1, rel=0.2)
    assert known.value[home == 1].mean() == pytest.approx(25, rel=0.2)
    # Variances of a stratum are all the same here, so that nearly nothing is left of what samples say.
    assert known.value[home == 1].std() < 0.5 * sums(rewards).variance()[home == 1].std()


def test_a_prompt_without_two_samples_has_its_stratums() -> None:
    rng = np.random.default_rng(2)
    whole, half = both(rng.normal(0, 1, (100, 8)))
    whole.n[0], whole.total[0], whole.squares[0] = 0, 0, 0
    half.n[0], half.total[0], half.squares[0] = 0, 0, 0
    known = variances(whole, half, np.zeros(100, int), 1)
    assert known.value[0] == pytest.approx(np.mean(whole.variance()[1:]), rel=1e-9)


@pytest.mark.parametrize(
    ("prompts", "samples", "noise"), [(100, 3, "normal"), (100, 2, "normal"), (5, 8, "assumed")]
)
def test_where_samples_are_few_nothing_is_certain(prompts: int, samples: int, noise: str) -> None:
    rng = np.random.default_rng(4)
    rewards = rng.normal(0, rng.gamma(1, 1, (prompts, 1)), (prompts, samples))
    rewards[0] = 0.5  # all the same
    known = variances(*both(rewards), np.zeros(prompts, int), 1)
    assert known.noise == noise
    assert known.value[0] > 0
    assert known.open[0] > 0
    assert 0 < known.below(0.1 * known.value.mean())[0] < 1


@given(st.integers(0, 1_000))
def test_chances_lie_within_0_and_1_and_grow_with_the_threshold(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rewards = rng.choice([-1.0, 1.0], (40, 8), p=[0.3, 0.7])
    known = variances(*both(rewards), np.zeros(40, int), 1)
    chances = [known.below(threshold) for threshold in (0.01, 0.1, 1.0, 10.0)]
    assert all(((chance >= 0) & (chance <= 1)).all() for chance in chances)
    assert all((later >= earlier).all() for earlier, later in pairwise(chances))
