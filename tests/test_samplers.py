"""Samplers of prompts: laws that every draw keeps, and simulated worlds in which they have to find the signal."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.samplers import Frontier, Pools, Random, Sampler, in_epochs, signal

GROUP = 8
MAKERS: dict[str, Callable[[int, int], Sampler]] = {
    "random": lambda prompts, seed: Random(prompts, min(prompts, 4), seed),
    "pools": lambda prompts, seed: Pools(prompts, seed),
    "frontier": lambda prompts, seed: Frontier(prompts, GROUP, seed=seed),
    "kept kinds": lambda prompts, seed: Frontier(
        prompts, GROUP, seed=seed, kinds=[min(i % 4, 2) for i in range(prompts)]
    ),
}
made = st.sampled_from(sorted(MAKERS))


def played(sampler: Sampler, updates: int, size: int, seed: int = 0, first: int = 0) -> list[list[int]]:
    """The draws of so many updates, whose responses are right at random."""
    draws: list[list[int]] = []
    for update in range(first, first + updates):
        draws.append(sampler.draw(update, size))
        rng = np.random.default_rng([seed, update])
        right = rng.integers(0, GROUP + 1, len(draws[-1])).tolist()
        sampler.observe(update, draws[-1], right, GROUP)
    return draws


# -- laws --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [1, 2, 3, 5])
@pytest.mark.parametrize("p", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_signal_is_the_chance_of_a_group_with_both(p: float, group: int) -> None:
    mixed = sum(
        p ** sum(outcome) * (1 - p) ** (group - sum(outcome))
        for outcome in itertools.product((0, 1), repeat=group)
        if 0 < sum(outcome) < group
    )
    assert float(signal(p, group)) == pytest.approx(mixed, abs=1e-12)


@given(st.integers(0, 99), st.integers(1, 40), st.data(), st.integers(0, 200), st.integers(0, 90))
def test_epochs_hold_each_prompt_at_most_once(seed: int, prompts: int, data, first: int, size: int) -> None:
    batch = data.draw(st.integers(1, prompts))
    order = in_epochs(seed, prompts, batch, first, size)
    assert len(order) == size
    whole = in_epochs(seed, prompts, batch, 0, first + size)
    assert whole[first:] == order
    length = prompts // batch * batch
    for start in range(0, len(whole), length):
        epoch = whole[start : start + length]
        assert len(set(epoch)) == len(epoch)


@settings(deadline=None)
@given(made, st.integers(1, 60), st.integers(0, 9), st.integers(0, 6), st.data())
def test_a_draw_is_of_different_prompts_that_are_there(
    name: str, prompts: int, seed: int, updates: int, data
) -> None:
    sampler = MAKERS[name](prompts, seed)
    size = data.draw(st.integers(0, prompts))
    played(sampler, updates, min(prompts, 5))
    without = data.draw(st.lists(st.integers(0, prompts - 1), unique=True))
    drawn = sampler.draw(updates, size, 1, without)
    assert set(drawn) <= set(range(prompts))
    if name == "random":
        assert len(drawn) == size
    else:
        assert len(set(drawn)) == len(drawn) == min(size, prompts - len(without))
        assert not set(drawn) & set(without)


@settings(deadline=None, max_examples=50)
@given(made, st.integers(4, 40), st.integers(0, 9), st.integers(0, 8), st.integers(1, 4))
def test_a_state_goes_through_json_and_draws_go_on(
    name: str, prompts: int, seed: int, before: int, size: int
) -> None:
    whole = MAKERS[name](prompts, seed)
    played(whole, before, size)
    resumed = MAKERS[name](prompts, seed)
    resumed.restore(json.loads(json.dumps(whole.state())))
    assert played(resumed, 4, size, first=before) == played(whole, 4, size, first=before)
    assert resumed.state() == whole.state()


@given(made)
def test_another_seed_and_another_attempt_draw_otherwise(name: str) -> None:
    draws = {tuple(MAKERS[name](500, seed).draw(0, 40)) for seed in range(3)}
    assert len(draws) == 3
    sampler = MAKERS[name](500, 0)
    assert sampler.draw(0, 40, 0) != sampler.draw(0, 40, 1)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 9), st.floats(0, 1), st.floats(0, 1), st.integers(1, 30))
def test_the_floor_holds(seed: int, explore: float, floor: float, size: int) -> None:
    """Thirty hard prompts at the frontier and thirty that are nearly always solved."""
    sampler = Frontier(60, GROUP, seed=seed, strata=[0] * 30 + [1] * 30, explore=explore, floor=floor)
    sampler.observe(0, range(60), [2.0] * 30 + [8.0] * 30, GROUP)
    drawn = sampler.draw(1, size)
    explored = int(explore * size) + 1  # at most: shares are rounded at random
    least = int(floor * (size - explored))
    assert sum(prompt >= 30 for prompt in drawn) >= min(30, least)
    assert len(drawn) == size


@pytest.mark.parametrize(
    ("explore", "floor", "easy"), [(0.0, 0.25, 0.25), (0.2, 0.0, 0.1), (0.1, 0.25, 0.275)]
)
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_shares_hold_in_the_mean_of_small_draws(explore: float, floor: float, easy: float, size: int) -> None:
    """Half of the prompts are at the frontier, half are solved, which only exploring and the floor ask for."""
    sampler = Frontier(60, GROUP, seed=0, strata=[0] * 30 + [1] * 30, explore=explore, floor=floor)
    sampler.observe(0, range(60), [200.0] * 30 + [800.0] * 30, 800)
    drawn = [prompt for attempt in range(1500) for prompt in sampler.draw(1, size, attempt)]
    assert sum(prompt >= 30 for prompt in drawn) / len(drawn) == pytest.approx(easy, abs=0.04)


@pytest.mark.parametrize("size", [1, 2, 3, 4, 8])
def test_a_small_draw_asks_for_signal_as_a_large_one_does(size: int) -> None:
    """A tenth of the prompts has signal, and that is known well; a tenth of a draw explores."""
    rates = np.tile([0.0] * 5 + [0.5] + [1.0] * 4, 40)
    sampler = Frontier(400, GROUP, seed=0)
    sampler.observe(0, range(400), (48 * rates).tolist(), 48)
    drawn = np.array([prompt for attempt in range(300) for prompt in sampler.draw(1, size, attempt)])
    assert (rates[drawn] == 0.5).mean() == pytest.approx(0.91, abs=0.05)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=4), st.integers(0, 9), st.data())
def test_kinds_keep_their_shares(counts: list[int], seed: int, data) -> None:
    kinds = np.repeat(np.arange(len(counts)), counts)
    size = data.draw(st.integers(1, len(kinds)))
    sampler = Frontier(len(kinds), GROUP, seed=seed, kinds=kinds.tolist())
    sampler.observe(0, range(len(kinds)), np.where(kinds == 0, 4.0, 0.0).tolist(), GROUP)
    asked = np.bincount(kinds[sampler.draw(1, size)], minlength=len(counts))
    assert (abs(asked - size * np.array(counts) / len(kinds)) < 1).all()


def test_shares_of_kinds_hold_in_the_mean_and_signal_decides_within_a_kind() -> None:
    """A quarter of the prompts is of kind 1, where only every second one has signal, and less of it than kind 0 has."""
    kinds = np.repeat([0, 1], [60, 20])
    right = np.where(kinds == 0, 40, np.tile([0, 10], 40))
    sampler = Frontier(80, GROUP, seed=0, kinds=kinds.tolist(), explore=0, floor=0, half_life=1e9)
    for _ in range(20):
        sampler.observe(0, range(80), right.tolist(), 80)
    drawn = np.array([prompt for attempt in range(400) for prompt in sampler.draw(1, 6, attempt)])
    assert (kinds[drawn] == 1).mean() == pytest.approx(0.25, abs=0.01)
    assert (right[drawn] > 0).all()


def test_where_a_kind_is_used_up_the_others_fill_the_draw() -> None:
    sampler = Frontier(10, GROUP, seed=0, kinds=[0] * 5 + [1] * 5)
    drawn = sampler.draw(0, 6, without=[0, 1, 2, 3])
    assert sorted(drawn) == [4, 5, 6, 7, 8, 9]


def test_counts_fade_by_half() -> None:
    sampler = Frontier(3, GROUP, seed=0, half_life=5)
    sampler.observe(0, [0, 1], [8, 2], GROUP)
    sampler.observe(5, [1], [4], GROUP)
    assert sampler.right.tolist() == [4, 5, 0]
    assert sampler.wrong.tolist() == [0, 7, 0]
    assert sampler.squares.tolist() == [2, 10, 0]


def test_what_is_not_known_of_a_prompt_comes_from_its_stratum() -> None:
    sampler = Frontier(6, GROUP, seed=0, strata=[0, 0, 0, 1, 1, 1])
    sampler.observe(0, [0, 1, 3, 4], [0, 0, 8, 8], GROUP)
    a, b = sampler.posterior()
    mean = a / (a + b)
    assert mean[2] < 0.1
    assert mean[5] > 0.9
    assert mean[0] <= mean[2]
    assert mean[3] >= mean[5]


def test_the_spread_of_pass_rates_is_learnt() -> None:
    """A group of a pool of hopeless and solved prompts says much of its prompt; of a pool of like prompts, little."""
    split, alike = (Frontier(40, GROUP, seed=0) for _ in range(2))
    split.observe(0, range(30), [0.0, 8.0] * 15, GROUP)
    alike.observe(0, range(30), [3.0, 5.0] * 15, GROUP)
    split_a, split_b = split.posterior()
    alike_a, alike_b = alike.posterior()
    assert split_a[39] + split_b[39] < 1
    assert alike_a[39] + alike_b[39] > 10


@pytest.mark.parametrize("age", [0, 15, 30])
def test_the_spread_is_still_known_when_counts_have_faded(age: int) -> None:
    """Pass rates from Beta(2, 2): two responses to a prompt have the correlation 1 / (2 + 2 + 1)."""
    rng = np.random.default_rng(0)
    sampler = Frontier(2000, GROUP, seed=0, half_life=30)
    sampler.observe(0, range(2000), rng.binomial(GROUP, rng.beta(2, 2, 2000)).tolist(), GROUP)
    sampler.observe(age, [], [], GROUP)
    a, b = sampler.posterior()
    strength = (a + b - sampler.right - sampler.wrong)[0]
    assert 1 / (strength + 1) == pytest.approx(0.2, abs=0.05)


def test_a_state_without_squares_is_refused() -> None:
    state = dict(Frontier(8, GROUP, seed=0).state())
    del state["squares"]
    with pytest.raises(StratagemError, match="squares: it is another sampler's or an earlier version's"):
        Frontier(8, GROUP, seed=0).restore(state)


def test_no_prompt_is_given_up() -> None:
    sampler = Frontier(50, GROUP, seed=1, strata=list(range(50)), explore=0.2)
    sampler.observe(0, range(50), [0.0] * 49 + [4.0], GROUP)
    drawn = {prompt for update in range(1, 200) for prompt in sampler.draw(update, 5)}
    assert drawn == set(range(50))


@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_state_of_another_sampler_is_refused(name: str) -> None:
    if name == "random":
        state = {"latest": [1.0]}
    else:
        state = {key: [70.0] for key in ("updated", "prompts", "right", "wrong", "squares", "latest")}
    with pytest.raises(StratagemError, match="a sampler's state"):
        MAKERS[name](8, 0).restore(state)


def test_pools_are_those_of_prime_rl() -> None:
    sampler = Pools(4000, 0)
    sampler.observe(0, range(3000), [2.0] * 1000 + [6.0] * 1000 + [7.0] * 1000, GROUP)
    drawn = np.array([prompt for update in range(400) for prompt in sampler.draw(update, 10)])
    shares = np.bincount(drawn // 1000, minlength=4) / len(drawn)
    assert shares == pytest.approx([1 / 12, 5 / 12, 1 / 12, 5 / 12], abs=0.03)


# -- worlds ------------------------------------------------------------------------------------------------


def lived(sampler: Sampler, rates: Callable[[int], np.ndarray], updates: int, size: int = 16) -> np.ndarray:
    """The share of groups with signal by update, where prompts have these pass rates."""
    rng = np.random.default_rng(7)
    shares = []
    for update in range(updates):
        drawn = sampler.draw(update, size)
        right = rng.binomial(GROUP, rates(update)[drawn])
        sampler.observe(update, drawn, right.tolist(), GROUP)
        shares.append(((right > 0) & (right < GROUP)).mean())
    return np.array(shares)


@pytest.mark.parametrize("known", [True, False])
def test_in_a_world_that_stands_still_the_signal_is_where_it_is_asked(known: bool) -> None:
    """A tenth of the prompts has signal; the rest are hopeless or solved."""
    rates = np.tile([0.0] * 5 + [0.5] + [1.0] * 4, 40)
    strata = (rates * 2).astype(int).tolist() if known else None
    random = lived(Random(400, 16, 0), lambda update: rates, 120)
    frontier = lived(Frontier(400, GROUP, seed=0, strata=strata), lambda update: rates, 120)
    assert random.mean() < 0.15
    assert frontier[60:].mean() > (0.8 if known else 0.6)


def test_in_a_world_that_learns_the_sampler_follows() -> None:
    """Difficulties 0 to 9 are learnt one after another; only two or so have signal at any time."""
    difficulty = np.repeat(np.arange(10), 40)

    def rates(update: int) -> np.ndarray:
        return 1 / (1 + np.exp(3 * (difficulty - update / 15)))

    random = lived(Random(400, 16, 0), rates, 150)
    frontier = lived(Frontier(400, GROUP, seed=0, strata=difficulty.tolist()), rates, 150)
    forever = lived(Frontier(400, GROUP, seed=0, strata=difficulty.tolist(), half_life=1e6), rates, 150)
    assert frontier[10:].mean() > 2 * random[10:].mean()
    assert frontier[10:].mean() > forever[10:].mean()


def test_a_million_prompts_take_little_time() -> None:
    sampler = Frontier(1_000_000, GROUP, seed=0)
    began = time.process_time()
    drawn = sampler.draw(0, 256)
    sampler.observe(0, drawn, [4.0] * 256, GROUP)
    assert time.process_time() - began < 2
