"""Drawing problems with replacement: the same draws however they are counted."""

from __future__ import annotations

import numpy as np
import pytest

from stratagem.mechanisms import resampling
from stratagem.mechanisms.resampling import LONG, pool_of, pools, steps, sums


@pytest.mark.parametrize("size", [1, 3, 200, LONG + 5])
def test_counts_are_those_of_the_drawn_indices(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    number_d = np.array([0, 7, 3, 50, 1, 0, 12] * 3)
    index = np.random.default_rng(5).integers(0, size, number_d.sum())
    expected = np.stack(
        [np.bincount(one, minlength=size) for one in np.split(index, np.cumsum(number_d)[:-1])]
    )
    for draws in (1, 4, 100):
        monkeypatch.setattr(resampling, "STEP", draws * size)
        monkeypatch.setattr(resampling, "DRAWS", 1)
        found = np.zeros_like(expected)
        for part, count_dp in steps(np.random.default_rng(5), number_d, size):
            found[part] = count_dp
        assert (found == expected).all()
        data_pk = np.random.default_rng(6).random((size, 4))
        total = sums(np.random.default_rng(5), number_d, data_pk)
        assert total == pytest.approx(expected @ data_pk, abs=1e-12)


def test_pool_numbers_are_those_of_the_pools() -> None:
    for sizes in ([5, 3, 1, 1], [4, 2, 1], [1, 1, 1], [6]):
        for stratified in (True, False):
            number = pool_of(np.array(sizes), stratified)
            assert [sorted(pool) for pool in pools(sizes, stratified)] == [
                np.flatnonzero(number == i).tolist() for i in range(number.max() + 1)
            ]
