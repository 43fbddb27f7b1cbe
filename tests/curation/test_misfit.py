"""Counts that no Beta distribution of pass rates makes are noticed, and those that one makes are not."""

from __future__ import annotations

import numpy as np
import pytest

from stratagem.curation.misfit import misfits
from stratagem.curation.passrates import fit

WORLDS = {
    "two humps": lambda rng, size: np.where(
        rng.random(size) < 0.5, rng.beta(2, 18, size), rng.beta(18, 2, size)
    ),
    "flat ends": lambda rng, size: np.select(
        [rng.random(size) < 1 / 3, rng.random(size) < 0.5], [0.0, 1.0], rng.beta(2, 2, size)
    ),
}


def noticed(rate: np.ndarray, samples: np.ndarray, rng: np.random.Generator) -> bool:
    n = samples.astype(float)
    right = rng.binomial(samples, rate).astype(float)
    return misfits(fit(n, right), n, right, np.ones(len(n)))


@pytest.mark.parametrize("world", WORLDS)
def test_other_spreads_are_noticed(world: str) -> None:
    rng = np.random.default_rng(0)
    seen = [noticed(WORLDS[world](rng, 1_000), np.full(1_000, 8), rng) for _ in range(10)]
    assert all(seen)


@pytest.mark.parametrize("shape", [(0.3, 0.2), (4, 6), (1, 1)])
@pytest.mark.parametrize("size", [100, 2_000])
def test_beta_distributions_are_not(shape: tuple[float, float], size: int) -> None:
    rng = np.random.default_rng(1)
    seen = [noticed(rng.beta(*shape, size), rng.integers(1, 17, size), rng) for _ in range(20)]
    assert not any(seen)


def test_two_cells_say_nothing() -> None:
    right = np.repeat([0.0, 1.0], 50)
    assert not misfits(fit(np.ones(100), right), np.ones(100), right, np.ones(100))
