"""Laws of a choice: shares are kept, the best of each stratum are taken, the control has as many of each."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from stratagem.curation.choose import Chosen, Wanted, allocate, choose, most_for, stages
from stratagem.records import StratagemError

SEEDS = st.integers(0, 10_000)
NAMES = {0: "math", 1: "code", 2: "logic"}


@given(st.integers(1, 200), st.lists(st.integers(0, 60), min_size=1, max_size=8), SEEDS)
def test_places_add_up_and_never_exceed_what_is_there(size: int, there: list[int], seed: int) -> None:
    there_g = np.array(there)
    share_g = np.random.default_rng(seed).dirichlet(np.ones(len(there)))
    taken_g = allocate(size, share_g, there_g)
    assert (taken_g <= there_g).all()
    assert taken_g.sum() == min(size, there_g.sum())
    # Without a limit every stratum is within one place of its share.
    free_g = allocate(size, share_g, np.full(len(there), size))
    assert (np.abs(free_g - size * share_g) < 1).all()


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), SEEDS)
def test_the_most_that_meets_a_target_is_the_most(there: list[int], seed: int) -> None:
    there_g = np.array(there)
    share_g = np.random.default_rng(seed).dirichlet(np.ones(len(there)))
    try:
        size = most_for(share_g, there_g)
    except StratagemError:
        return
    assert (allocate(size, share_g, np.full(len(there), size)) <= there_g).all()
    # Two more would be too many: some stratum's share is then above what it has, whichever way it is rounded.
    beyond = size + 2
    assert (np.floor(beyond * share_g) + 1 > there_g).any()


def world(seed: int, rows: int = 120) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    eligible = rng.random(rows) < 0.9
    return {
        "signal": rng.choice([0.0, 0.1, 0.4, 0.8], rows),
        "stratum": rng.integers(0, 3, rows),
        "eligible": eligible,
        "candidate": eligible & (rng.random(rows) < 0.8),
        "first": np.zeros(rows, bool),
    }


def chosen(x: dict[str, np.ndarray], wanted: Wanted, seed: int = 0) -> Chosen:
    return choose(**x, strata=3, wanted=wanted, rng=np.random.default_rng(seed), names=NAMES)


@given(SEEDS, st.integers(1, 100))
def test_a_choice_takes_the_best_of_each_stratum(seed: int, size: int) -> None:
    x = world(seed)
    choice = chosen(x, Wanted(size=size), seed)
    assert len(set(choice.rows)) == len(choice.rows) == min(size, x["candidate"].sum())
    assert x["candidate"][choice.rows].all()
    left = np.setdiff1d(np.flatnonzero(x["candidate"]), choice.rows)
    for g in range(3):
        inside, outside = choice.rows[x["stratum"][choice.rows] == g], left[x["stratum"][left] == g]
        if len(inside) and len(outside):
            assert x["signal"][inside].min() >= x["signal"][outside].max()


@given(SEEDS, st.integers(1, 100))
def test_the_control_has_as_many_of_each_stratum(seed: int, size: int) -> None:
    x = world(seed)
    choice = chosen(x, Wanted(size=size), seed)
    assert x["eligible"][choice.control].all()
    assert len(set(choice.control)) == len(choice.control)
    counts = [np.bincount(x["stratum"][rows], minlength=3) for rows in (choice.rows, choice.control)]
    assert (counts[0] == counts[1]).all()


def test_a_control_is_drawn_at_random_from_all_that_may_be_taken() -> None:
    x = world(1)
    times = np.zeros(120)
    for seed in range(400):
        times[chosen(x, Wanted(size=30), seed).control] += 1
    sampled = times[x["eligible"]] / 400
    counts = np.bincount(x["stratum"][x["eligible"]])
    taken = np.bincount(x["stratum"][chosen(x, Wanted(size=30)).rows])
    expected = (taken / counts)[x["stratum"][x["eligible"]]]
    assert (np.abs(sampled - expected) < 5 * np.sqrt(expected * (1 - expected) / 400)).all()


@given(SEEDS, st.floats(0.05, 1.0))
def test_keeping_a_share_of_signal_takes_as_few_as_do(seed: int, keep: float) -> None:
    x = world(seed)
    goal = keep * x["signal"][x["eligible"]].sum()
    if x["signal"][x["candidate"]].sum() < goal - 1e-9:
        with pytest.raises(StratagemError, match="--keep-signal"):
            chosen(x, Wanted(keep_signal=keep))
        return
    choice = chosen(x, Wanted(keep_signal=keep))
    assert x["signal"][choice.rows].sum() >= goal - 1e-9
    if len(choice.rows) > 1:
        fewer = chosen(x, Wanted(size=len(choice.rows) - 1))
        assert x["signal"][fewer.rows].sum() < goal + 1e-9


@given(SEEDS)
def test_a_target_is_met_or_refused_with_the_size_that_meets_it(seed: int) -> None:
    x = world(seed)
    target = np.array([0.6, 0.3, 0.1])
    free = chosen(x, Wanted(target=target))
    shares = np.bincount(x["stratum"][free.rows], minlength=3) / len(free.rows)
    assert np.abs(shares - target).max() <= 1 / len(free.rows)
    with pytest.raises(StratagemError, match=f"--size {len(free.rows)} would meet the target"):
        chosen(x, Wanted(size=len(free.rows) + 20, target=target))
    assert len(chosen(x, Wanted(size=len(free.rows), target=target)).rows) == len(free.rows)


def test_places_that_cannot_be_filled_go_to_others_and_are_said() -> None:
    x = world(3)
    x["candidate"] &= (x["stratum"] != 1) | (np.cumsum(x["stratum"] == 1) <= 2)
    there = int((x["candidate"] & (x["stratum"] == 1)).sum())
    choice = chosen(x, Wanted(size=40))
    assert len(choice.rows) == 40
    share = x["eligible"][x["stratum"] == 1].sum() / x["eligible"].sum()
    assert choice.moved[1] == pytest.approx(40 * share - there, abs=1)


def test_rows_that_come_first_are_taken_first() -> None:
    x = world(4)
    x["first"] = x["candidate"] & (x["signal"] == 0.0)
    choice = chosen(x, Wanted(size=20))
    for g in range(3):  # a stratum may have fewer such rows than places
        inside = choice.rows[x["stratum"][choice.rows] == g]
        there = (x["first"] & (x["stratum"] == g)).sum()
        assert x["first"][inside].sum() == min(there, len(inside))


def test_equals_are_taken_at_random_and_not_by_their_place() -> None:
    x = world(5)
    x["signal"] = np.full(120, 0.5)
    assert (chosen(x, Wanted(size=30), 1).rows != chosen(x, Wanted(size=30), 2).rows).any()
    assert (chosen(x, Wanted(size=30), 1).rows == chosen(x, Wanted(size=30), 1).rows).all()


def test_nothing_to_choose_from_is_said() -> None:
    x = world(6)
    x["candidate"] = np.zeros(120, bool)
    with pytest.raises(StratagemError, match="no prompt is left"):
        chosen(x, Wanted(size=3))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=50), st.integers(2, 6))
def test_stages_fall_in_pass_rate_and_are_of_one_size(rates: list[float], parts: int) -> None:
    assume(len(rates) >= parts)
    rate = np.array(rates)
    made = stages(rate, parts, np.random.default_rng(0))
    sizes = np.bincount(made, minlength=parts)
    assert sizes.max() - sizes.min() <= 1
    for number in range(parts - 1):
        assert rate[made == number].min() >= rate[made == number + 1].max()
