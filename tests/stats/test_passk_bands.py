"""Intervals of pass@k that hold together over k: against another implementation, integration, and simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from scipy import special, stats

from stratagem.diagnosis.compare import attempts
from stratagem.stats.passk import passk, passk_difference, passk_mean, passk_together
from stratagem.stats.uncertainty import quantile, sup_t

DATA = Path(__file__).parents[3] / "shared" / "data" / "deepscaler-counts"
KS = [1, 2, 4, 8, 16]


def counts(rng: np.random.Generator, problems: int, a: float, b: float) -> tuple[np.ndarray, np.ndarray]:
    return rng.binomial(16, rng.beta(a, b, problems)), np.full(problems, 16)


def truth(k: int, a: float, b: float) -> float:
    """1 - E (1 - p)^k for p ~ Beta(a, b)."""
    return 1 - float(np.exp(special.betaln(a, b + k) - special.betaln(a, b)))


@pytest.mark.skipif(not DATA.exists(), reason="counts of real rollouts are not in this checkout")
def test_the_critical_value_is_that_of_another_implementation() -> None:
    """passk-inference 0.3.1, `simultaneous_band` with 40,000 multiplier draws on k = 1, 2, ..., 128: 2.536. With its
    default of 4,000 draws the value is good to .03."""
    base, rl = (pl.read_ndjson(DATA / f"{name}.jsonl").sort("id") for name in ("base", "rl"))
    ks = [2**i for i in range(8)]
    band = passk_together([(base["c"], base["n"]), (rl["c"], rl["n"])], ks)
    reach = [(x.high - x.value) / x.se for x in band]
    assert reach == pytest.approx([reach[0]] * 8)
    assert reach[0] == pytest.approx(2.536, abs=0.02)
    assert (band[0].low, band[-1].high) == pytest.approx((0.06555, -0.00383), abs=1e-4)
    # pass@1 rose and pass@128 fell, both at once.
    assert band[0].low > 0 > band[-1].high


def test_so_much_of_the_t_distribution_lies_within() -> None:
    rng = np.random.default_rng(0)
    c, n = counts(rng, 40, 0.5, 1.0)
    values_pk = passk(c, n, KS)
    band = sup_t(values_pk)
    reach = np.full(len(KS), (band[0].high - band[0].value) / band[0].se)
    shape = np.corrcoef(values_pk.T)
    inside = stats.multivariate_t(shape=shape, df=39, allow_singular=True, seed=1).cdf(
        reach, lower_limit=-reach, maxpts=200_000
    )
    assert inside == pytest.approx(0.95, abs=0.004)


def test_values_stay_and_the_band_is_wider_than_each_interval() -> None:
    rng = np.random.default_rng(1)
    before, after = counts(rng, 50, 0.5, 1.0), counts(rng, 50, 0.8, 1.0)
    for k, one, two in zip(
        KS, passk_together([before], KS), passk_together([before, after], KS), strict=True
    ):
        for alone, together in ((passk_mean(*before, k), one), (passk_difference(*before, *after, k), two)):
            assert (together.value, together.se, together.n) == (alone.value, alone.se, alone.n)
            assert together.low < alone.low
            assert together.high > alone.high


def test_a_single_k_has_the_plain_interval_and_a_column_without_spread_no_width() -> None:
    rng = np.random.default_rng(2)
    c, n = counts(rng, 30, 0.5, 1.0)
    assert passk_together([(c, n)], [4])[0] == passk_mean(c, n, 4)
    some = np.stack([np.ones(30), rng.random(30), rng.random(30)], axis=1)
    band = sup_t(some)
    assert (band[0].low, band[0].high) == (1, 1)
    assert (band[1].high - band[1].value) / band[1].se > quantile(0.95, 29)


def test_problems_too_short_for_a_k_are_left_out_there_alone() -> None:
    c, n = np.array([1, 2, 0, 3, 4, 2, 1]), np.array([4, 4, 4, 4, 8, 8, 8])
    assert [x.n for x in passk_together([(c, n)], [1, 8])] == [7, 3]


def test_bands_hold_all_k_at_once_in_simulation_where_intervals_of_each_do_not() -> None:
    """400 studies of 60 problems x 16; Monte Carlo error 1.1 points."""
    together = alone = 0
    known = [truth(k, 0.6, 1.2) for k in KS]
    for child in np.random.SeedSequence(3).spawn(400):
        side = counts(np.random.default_rng(child), 60, 0.6, 1.2)
        band = passk_together([side], KS)
        together += all(x.low <= t <= x.high for x, t in zip(band, known, strict=True))
        each = [passk_mean(*side, k) for k in KS]
        alone += all(x.low <= t <= x.high for x, t in zip(each, known, strict=True))
    assert 0.92 <= together / 400 <= 0.98
    assert alone < together - 12


def test_rows_carry_both_kinds_of_interval() -> None:
    rng = np.random.default_rng(4)
    sides = [counts(rng, 40, 0.5, 1.0), counts(rng, 40, 0.8, 1.0)]
    rows = attempts(sides, 0.95)
    assert [row.k for row in rows] == KS
    for row, difference in zip(rows, passk_together(sides, KS), strict=True):
        assert row.together is not None
        assert row.together.difference == difference
        assert row.together.before.value == row.before.value
    (one,) = attempts(sides[:1], 0.95, [2])
    assert one.together is not None
    assert one.together.difference is None
