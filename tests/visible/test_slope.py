"""Slopes within problems: against least squares with an intercept a problem, as identities, and in known worlds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.stats.uncertainty import percentile
from stratagem.visible.shift import weights
from stratagem.visible.slope import means, moments, shifts, sums
from tests.visible.worlds import features


@given(st.integers(0, 2**32), st.integers(1, 6), st.integers(1, 4))
def test_the_shift_is_that_of_least_squares_with_an_intercept_a_problem(
    seed: int, most: int, width: int
) -> None:
    rng = np.random.default_rng(seed)
    problems = 12
    sizes = rng.integers(2, most + 3, (problems, 2))
    home = np.repeat(np.repeat(np.arange(problems), 2), sizes.ravel())
    after = np.repeat(np.tile([False, True], problems), sizes.ravel())
    z, score = rng.normal(size=(len(home), width)), rng.random(len(home))
    columns = [np.arange(width)[:1], np.arange(width)[1:]]
    data = moments(z, score, home, after, np.zeros(problems, int))
    values, parts = shifts(data, np.ones((1, problems)), columns)

    dummies = (home[~after][:, None] == np.arange(problems)).astype(float)
    slope = np.linalg.lstsq(np.column_stack([z[~after], dummies]), score[~after], rcond=None)[0][:width]
    change = np.mean(
        [z[(home == p) & after].mean(axis=0) - z[(home == p) & ~after].mean(axis=0) for p in range(problems)],
        axis=0,
    )
    assert values[0] == pytest.approx(slope @ change, abs=1e-6)
    assert parts[0] == pytest.approx([(slope * change)[group].sum() for group in columns], abs=1e-6)


def test_drawing_a_problem_twice_is_having_it_twice() -> None:
    data, _ = features(np.random.default_rng(0), 60, 3, "alike", width=4)
    number = np.random.default_rng(1).integers(0, 3, 60)
    columns = [np.arange(4)]
    weighted, _ = shifts(data, number[None].astype(float), columns)
    again = data._replace(**{name: np.repeat(getattr(data, name), number, axis=0) for name in data._fields})
    assert weighted[0] == pytest.approx(shifts(again, np.ones((1, number.sum())), columns)[0][0], abs=1e-9)


def test_sums_of_problems_without_rows_are_0() -> None:
    home = np.array([1, 1, 3])
    assert sums(np.array([1.0, 2.0, 4.0]), home, 5).tolist() == [0, 3, 0, 4, 0]
    assert means(np.array([[1.0], [2.0], [4.0]]), home, 4).tolist() == [[0], [1.5], [0], [4]]


@pytest.mark.parametrize("kind", ["alike", "varied", "none", "routed"])
def test_intervals_hold_the_truth(kind: str) -> None:
    rng = np.random.default_rng(3)
    studies, held, values = 60, 0, []
    for _ in range(studies):
        data, truth = features(rng, 500, 4, kind)
        drawn, _ = shifts(data, weights(rng, 500, 100), [np.arange(17)])
        estimate = percentile(drawn[0], drawn[1:], n=500)
        held += estimate.low <= truth <= estimate.high
        values.append(drawn[0])
    assert held >= 52  # 60 at 95%: fewer than once in 10,000
    assert np.mean(values) == pytest.approx(truth, abs=0.01)
