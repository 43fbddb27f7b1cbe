"""A judge's error, known, as a sheet of hand labels measures it, and the split without it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose_pairs
from stratagem.label_error.correction import correct_pairs
from stratagem.stats.counts import tally
from stratagem.stats.pairs import pair
from tests.judging import known_error
from tests.learned import worlds

pytestmark = pytest.mark.timeout(300)


def test_the_sheet_measures_the_error_and_the_split_loses_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    logs = [worlds.log(rng, side, 500, 4) for side in (0, 1)]
    both = known_error.judged(0, pl.concat(logs), tmp_path)
    quality = known_error.measured(both, 800, rng)
    whole = float((both["strategy"] == both["true_strategy"]).mean())  # type: ignore[arg-type]
    assert quality.overall.agreement.low <= whole <= quality.overall.agreement.high
    assert quality.overall.kappa.value < quality.overall.agreement.value - 0.04
    order = [worlds.NAMES.index(name) for name in sorted(worlds.NAMES)]
    right = quality.confusion(split=("outcome",)).rate[0, 1]
    assert np.abs(right - known_error.WRONG[np.ix_(order, order)]).max() < 0.06
    pairs = pair(*(tally(both.filter(side=str(side)), (), "") for side in (0, 1)), ())
    plain = decompose_pairs(pairs, rng=rng, draws=200).selection
    corrected = correct_pairs(pairs, quality.confusion(), rng=rng, draws=200, stratified=False).selection
    true = worlds.truth()[0]
    assert not plain.low <= true <= plain.high
    assert corrected.low <= true <= corrected.high
    assert abs(corrected.value - true) < abs(plain.value - true) / 2
