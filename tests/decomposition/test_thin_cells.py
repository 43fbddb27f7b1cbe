"""Accuracies that rest on few responses: how many they count for, what draws take them from, what is said of them."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.delta_method import terms
from stratagem.decomposition.path import path
from stratagem.decomposition.support import zero_bound
from stratagem.decomposition.thin_cells import cells
from stratagem.records import UNSET
from stratagem.stats.pairs import pair

MODULE = "stratagem.decomposition.thin_cells"


def known(n: np.ndarray, right: np.ndarray, sizes: list[int]):
    """The cells of counts, problems x strategies."""
    total = n.sum(axis=1)
    share_ps = n / total[:, None]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    after_gs = np.add.reduceat(share_ps, starts) / np.array(sizes)[:, None]
    return cells(share_ps, right / total[:, None], total.astype(float), np.array(sizes), after_gs)


def side(n: list[list[int]], right: list[list[int]]) -> pl.DataFrame:
    rows = [
        (f"p{p:04}", "A" if s == 0 else "C", count, float(right[p][s]))
        for p, counts in enumerate(n)
        for s, count in enumerate(counts)
        if count
    ]
    return pl.DataFrame(rows, schema=["problem_id", "strategy", "n", "right"], orient="row")


def rare(rng: np.random.Generator, problems: int = 300, share: float = 0.004, rate: float = 0.3) -> list:
    """C is rare before and has a tenth of the responses after, at the same accuracy; A is right half of the time."""
    tables = []
    for part in (share, 0.1):
        n = rng.multinomial(4, [1 - part, part], size=problems)
        tables.append(side(n.tolist(), rng.binomial(n, [0.5, rate]).tolist()))
    return tables


def test_responses_to_one_problem_count_as_one_where_they_are_all_alike() -> None:
    n = np.full((40, 1), 8)
    right = np.where(np.arange(40)[:, None] % 2, 8, 0)
    assert known(n, right, [40]).seen_gs[0, 0] == pytest.approx(40, rel=1e-6)


def test_independent_responses_count_one_by_one() -> None:
    n = np.full((4000, 1), 8)
    right = np.random.default_rng(0).binomial(8, 0.3, (4000, 1))
    assert known(n, right, [4000]).seen_gs[0, 0] == pytest.approx(32_000, rel=0.05)


def test_the_correlation_is_that_of_beta_binomial_counts() -> None:
    """Beta(1, 2) accuracies: two responses to one problem correlate with 1 / (1 + 2 + 1), so 8 count as 8 / 2.75."""
    rng = np.random.default_rng(1)
    n = np.full((20_000, 1), 8)
    right = rng.binomial(8, rng.beta(1, 2, (20_000, 1)))
    assert known(n, right, [20_000]).seen_gs[0, 0] == pytest.approx(160_000 / 2.75, rel=0.03)


def test_fractions_count_as_one_a_problem() -> None:
    seen = cells(np.ones((12, 1)), np.full((12, 1), 0.3), np.full(12, 4.0), np.array([12]), np.ones((1, 1)))
    assert seen.seen_gs[0, 0] == pytest.approx(12, rel=1e-6)


@pytest.mark.parametrize(
    ("n", "right", "thin"),
    [(9, 4, True), (10, 5, False), (400, 4, True), (400, 396, True), (400, 5, False), (400, 395, False)],
)
def test_few_responses_or_few_of_an_outcome_make_a_cell_thin(n: int, right: int, thin: bool) -> None:
    ones = np.ones((n, 1), dtype=int)
    assert bool(known(ones, (np.arange(n) < right)[:, None], [n]).thin_gs[0, 0]) == thin


def test_draws_are_of_the_jeffreys_posterior_and_spread_as_the_closed_form_says() -> None:
    n = np.array([[1, 1]] * 3 + [[1, 0]] * 200)
    right = np.array([[1, 1]] + [[1, 0]] * 100 + [[0, 0]] * 102)
    seen = known(n, right, [203])
    assert seen.thin_gs.tolist() == [[False, True]]
    rate_ds = seen.draws(np.random.default_rng(0), 0, 200_000)
    assert np.isnan(rate_ds[:, 0]).all()
    posterior = stats.beta(1.5, 2.5)
    quantiles = [0.025, 0.25, 0.5, 0.75, 0.975]
    assert np.quantile(rate_ds[:, 1], quantiles) == pytest.approx(posterior.ppf(quantiles), abs=0.005)
    square = posterior.var() + (posterior.mean() - 1 / 3) ** 2
    assert seen.variance_gs() == pytest.approx(np.array([[0, square]]), abs=1e-6)


def test_points_stay_and_intervals_widen() -> None:
    tables = rare(np.random.default_rng(3))
    found = decompose(*tables, by=(), rng=np.random.default_rng(0))
    with patch.multiple(MODULE, MIN_SEEN=0, MIN_OUTCOME=0):
        plain = decompose(*tables, by=(), rng=np.random.default_rng(0))
    for name in ("selection", "improvement", "new_strategy", "gain"):
        assert getattr(found, name).value == getattr(plain, name).value
    widths = [x.improvement.high - x.improvement.low for x in (found, plain)]
    assert widths[0] > 1.05 * widths[1]
    assert (found.gain.low, found.gain.high) == (plain.gain.low, plain.gain.high)


def test_a_strategy_that_a_draw_misses_is_not_new_there() -> None:
    tables = rare(np.random.default_rng(3))
    found = decompose(*tables, by=(), rng=np.random.default_rng(0))
    assert 0 < found.cells.filter(pl.col("strategy") == "C")["responses_before"].item() < 10
    assert (found.new_strategy.low, found.new_strategy.high) == (0, 0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("stratified", [True, False])
def test_closed_form_and_bootstrap_agree_where_cells_are_thin(seed: int, stratified: bool) -> None:
    """The closed form measures from the estimate, draws from their mean: so it is the wider of the two, if any."""
    tables = [
        table.with_columns(half=pl.col("problem_id").str.slice(1).cast(pl.Int64) % 2)
        for table in rare(np.random.default_rng(seed), share=0.006)
    ]
    pairs = pair(*tables, ("half",))
    found = decompose(*tables, by=("half",), rng=np.random.default_rng(0), draws=4000, stratified=stratified)
    closed = terms(matrix(pairs, None), pairs.before.n_p, pairs.sizes_g, stratified=stratified)
    for name in ("selection", "improvement", "choice"):
        one, other = getattr(closed, name), getattr(found, name)
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert 0.93 * other.se < one.se < 1.5 * other.se
    assert closed.gain.se == pytest.approx(found.gain.se, rel=1e-9)
    walked = path(tables, by=("half",), rng=np.random.default_rng(0), draws=4000, stratified=stratified)
    assert walked.account.improvement.se == pytest.approx(found.improvement.se, rel=0.06)


@pytest.mark.parametrize("paired", [True, False])
def test_intervals_hold_the_truth_where_a_strategy_is_rare(paired: bool) -> None:
    """Choice pays (.1 - .004) (.3 - .5), execution nothing."""
    held = np.zeros(2)
    for seed in range(100):
        tables = rare(np.random.default_rng([seed, paired]), share=0.006)
        if not paired:
            tables[1] = tables[1].with_columns(problem_id="q" + pl.col("problem_id"))
        found = decompose(*tables, by=(), rng=np.random.default_rng(seed), draws=300, paired=paired)
        if found.unsupported_share:
            found = found.new_or_rare
        truth = (0.1 - 0.006) * (0.3 - 0.5)
        held += [x.low <= t <= x.high for x, t in ((found.selection, truth), (found.improvement, 0.0))]
    assert held.min() >= 90


def test_twelve_responses_to_one_problem_tell_less_than_those_of_twelve() -> None:
    """One problem's responses are all right, others' all wrong: they tell no more than one."""
    after = side([[36, 4]] * 120, [[18, 2]] * 120)
    clustered = side([[28, 12]] + [[40, 0]] * 119, [[28, 12]] + [[40, 0]] * 60 + [[0, 0]] * 59)
    spread = side(
        [[39, 1]] * 12 + [[40, 0]] * 108, [[39, 1]] * 6 + [[0, 0]] * 6 + [[40, 0]] * 54 + [[0, 0]] * 54
    )
    wide, narrow = (
        decompose(before, after, by=(), rng=np.random.default_rng(0)).selection
        for before in (clustered, spread)
    )
    # Beta(1.5, .5) for one right answer, 12 at a rate of a half otherwise.
    posterior = stats.beta(1.5, 0.5).std() / np.sqrt(0.25 / 12)
    assert wide.se / narrow.se == pytest.approx(posterior, rel=0.25)


@given(st.lists(st.tuples(st.integers(0, 30), st.floats(0.01, 1)), min_size=1, max_size=12))
def test_what_is_added_to_counts_adds_up_as_squares_do(cells_: list[tuple[int, float]]) -> None:
    """Thirty responses a stratum with so many right, and so much of the stratum's responses after."""
    right = np.concatenate([np.arange(30) < r for r, _ in cells_])[:, None].astype(float)
    sizes, after_gs = np.full(len(cells_), 30), np.array([[share] for _, share in cells_])
    seen = cells(np.ones_like(right), right, np.ones(len(right)), sizes, after_gs)
    right_gs, wrong_gs = seen.posterior()
    pull_gs = after_gs * seen.thin_gs * (right_gs / (right_gs + wrong_gs) - seen.rate_gs)
    drawn = np.stack([seen.draws(np.random.default_rng(g), g, 20_000)[:, 0] for g in range(len(cells_))])
    off = np.where(seen.thin_gs[:, 0], drawn.mean(axis=1) - seen.rate_gs[:, 0], 0.0) @ after_gs[:, 0]
    assert off == pytest.approx(seen.pull * pull_gs.sum(), abs=0.003 * len(cells_))
    assert abs(seen.pull * pull_gs.sum()) <= np.sqrt((pull_gs**2).sum()) + 1e-12
    assert 0 < seen.pull <= 1


def test_intervals_lie_around_the_estimate_where_many_cells_have_few_right() -> None:
    """Four cells, of 2 right answers of 200 before and 8 after. Half a right answer in each would move it by .3 se."""
    tables = []
    for right in (2, 8):
        rows = [
            (f"{kind}{p:03}", kind, name, 1, float(p < right))
            for kind in "xy"
            for name, first in (("A", 0), ("B", 200))
            for p in range(200)
        ]
        table = pl.DataFrame(rows, schema=["problem_id", "kind", "strategy", "n", "right"], orient="row")
        tables.append(table.with_columns(problem_id=pl.col("problem_id") + pl.col("strategy")))
    x = decompose(*tables, by=("kind",), rng=np.random.default_rng(0), draws=4000).improvement
    assert abs((x.low + x.high) / 2 - x.value) < 0.2 * x.se


def kinds(seen: float, shares: tuple[float, float], problems: int = 100) -> list[pl.DataFrame]:
    """Two strata, each half of the problems: A, right half of the time, and C, always right, with these shares after;
    before with the share `seen` in the first stratum alone."""
    tables = []
    for parts in ((seen, 0.0), shares):
        rows = [
            (f"p{p:04}", "xy"[p % 2], name, 100 * share, 100 * share * rate)
            for p in range(problems)
            for name, share, rate in (("A", 1 - parts[p % 2], 0.5), ("C", parts[p % 2], 1.0))
            if share
        ]
        schema = ["problem_id", "kind", "strategy", "n", "right"]
        tables.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return tables


def test_a_strategy_of_another_stratum_is_new_or_rare_in_this() -> None:
    """Rare in y, choosing it brought what its old accuracy there makes of it: 0 to 1 for two fifths of half of them."""
    split = decompose(*kinds(0.2, (0.2, 0.4)), by=("kind",), rng=np.random.default_rng(0))
    assert split.new_strategy.value == pytest.approx(0.4 * (1 - 0.5) / 2)
    assert split.new_strategy.low <= 0 < split.new_strategy.high
    for rate in (0.05, 0.5, 0.95):
        selection = 0.4 * (rate - 0.5) / 2
        assert split.selection.low <= selection <= split.selection.high
        assert split.improvement.low <= 0.4 * (1 - rate) / 2 <= split.improvement.high
    assert split.weak == ()


@pytest.mark.parametrize(("times", "new"), [(9, False), (11, True)])
def test_a_strategy_seen_nowhere_is_new_alone_from_ten_times_what_it_may_have_been(
    times: float, new: bool
) -> None:
    """Then the result says that it may still have been rare; else the intervals hold that reading too."""
    share = times * zero_bound(200)
    split = decompose(*kinds(0.0, (share, share), 200), by=("kind",), rng=np.random.default_rng(0))
    assert split.new_strategy.value == pytest.approx(share / 2)
    assert (split.new_strategy.low > 0) == new
    reason = (
        "of responses after use a strategy seen fewer than 10 times before in its stratum: new or merely rare"
    )
    assert split.weak == ((f"{share:.1%} {reason}",) if new else ())
    assert split.new_or_rare.selection.low <= -share / 2 <= share / 2 <= split.new_or_rare.selection.high


def test_in_a_path_a_strategy_is_new_or_rare_as_in_a_decomposition() -> None:
    tables = kinds(0.2, (0.2, 0.4))
    split = decompose(*tables, by=("kind",), rng=np.random.default_rng(0), draws=4000)
    walked = path(tables, by=("kind",), rng=np.random.default_rng(0), draws=4000).account
    for name in ("selection", "improvement", "new_strategy"):
        along, alone = getattr(walked, name), getattr(split, name)
        assert (along.low, along.high) == pytest.approx((alone.low, alone.high), abs=0.01)


def test_new_strategies_are_bounded_over_both_readings() -> None:
    """A .5 -> .5 and N at .9 with two fifths: were N rare, choosing it would bring anything from 0 to .4."""
    before = side([[10, 0]] * 20, [[5, 0]] * 20)
    after = side([[6, 4]] * 20, [[3, 4]] * 10 + [[3, 3]] * 10)
    found = decompose(before, after, by=(), rng=np.random.default_rng(0), draws=200)
    assert (found.selection.value, found.improvement.value) == pytest.approx((0, 0), abs=1e-12)
    now = 0.3 + 0.35
    assert found.new_strategy.value == pytest.approx(now - 0.5)
    rare = found.new_or_rare
    assert rare.selection.bounds == pytest.approx((0.3 - 0.5, 0.7 - 0.5))
    assert rare.improvement.bounds == pytest.approx((now - 0.7, now - 0.3))
    assert rare.new_strategy.bounds == pytest.approx((0, now - 0.5))
    for name in ("selection", "improvement", "new_strategy"):
        one, both = getattr(found, name), getattr(rare, name)
        assert both.low <= one.low
        assert both.high >= one.high
    assert "over both readings" in str(found)


def test_without_new_strategies_there_is_one_reading() -> None:
    tables = rare(np.random.default_rng(3))
    found = decompose(*tables, by=(), rng=np.random.default_rng(0), draws=200)
    for name in ("selection", "improvement", "new_strategy"):
        assert getattr(found.new_or_rare, name).bounds is UNSET
        assert getattr(found.new_or_rare, name).value == pytest.approx(getattr(found, name).value, abs=1e-12)
    assert "over both readings" not in str(found)


@pytest.mark.parametrize("right", [0, 1])
def test_an_interval_holds_its_estimate_where_all_are_alike(right: int) -> None:
    """All wrong, or all right, before and after: draws of the old accuracies lie on one side."""
    before = side([[1, 1]] * 24, [[right, right]] * 24)
    after = side([[2, 0]] * 12 + [[0, 2]] * 12, [[2 * right, 0]] * 12 + [[0, 2 * right]] * 12)
    split = decompose(before, after, by=(), rng=np.random.default_rng(0), draws=500)
    for name in ("gain", "selection", "improvement", "new_strategy"):
        term = getattr(split, name)
        assert term.low <= term.value <= term.high, name
