"""Drawing problems with replacement: the same draws however they are counted."""

from __future__ import annotations

import numpy as np
import pytest

from stratagem.stats import resampling
from stratagem.stats.resampling import LONG, pool_of, pools, steps, sums


@pytest.mark.parametrize("size", [1, 3, 200, LONG + 5])
def test_counts_are_those_of_the_drawn_indices(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    number_d = np.array([0, 7, 3, 50, 1, 0, 12] * 3)
    data_pk = np.random.default_rng(6).random((size, 4))
    for draws in (1, 4, 100):
        monkeypatch.setattr(resampling, "STEP", draws * size)
        monkeypatch.setattr(resampling, "DRAWS", 1)
        again = np.random.default_rng(5)
        found = np.zeros((number_d.size, size))
        for part, count_dp in steps(np.random.default_rng(5), number_d, size):
            index = again.integers(0, size, number_d[part].sum(), dtype=np.uint16)
            own = np.split(index, np.cumsum(number_d[part])[:-1])
            assert (count_dp == [np.bincount(one, minlength=size) for one in own]).all()
            found[part] = count_dp
        assert (found.sum(axis=1) == number_d).all()
        total = sums(np.random.default_rng(5), number_d, data_pk)
        assert total == pytest.approx(found @ data_pk, abs=1e-12)


@pytest.mark.parametrize("size", [2**16, 2**16 + 1])
def test_every_problem_of_a_large_block_can_be_drawn(size: int) -> None:
    count_dp = np.concatenate(
        [c.copy() for _, c in steps(np.random.default_rng(0), np.full(3, 9 * size), size)]
    )
    assert count_dp.min() >= 0
    assert (count_dp.sum(axis=0) == 0).mean() < 1e-3  # exp(-27) is expected
    assert count_dp[:, -1].sum() > 0


def test_pool_numbers_are_those_of_the_pools() -> None:
    for sizes in ([5, 3, 1, 1], [4, 2, 1], [1, 1, 1], [6]):
        for stratified in (True, False):
            number = pool_of(np.array(sizes), stratified)
            assert [sorted(pool) for pool in pools(sizes, stratified)] == [
                np.flatnonzero(number == i).tolist() for i in range(number.max() + 1)
            ]
