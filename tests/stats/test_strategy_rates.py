"""Shares and accuracies of strategies with intervals: against estimates made otherwise, and against a known truth."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from stratagem.decomposition.decompose import decompose
from tests.decomposition.tables import draw, two

IDS = [f"p{i}" for i in range(120)]


def level_of(table: pl.DataFrame, strategy: str) -> dict[str, float]:
    """The row of a strategy before, from a comparison of the table with itself."""
    found = decompose(table, table, by=(), rng=np.random.default_rng(0), draws=0, stratified=False)
    return found.strategies.row(by_predicate=pl.col("strategy") == strategy, named=True)


def ratios(table: pl.DataFrame, strategy: str) -> tuple[np.ndarray, np.ndarray]:
    """A problem's share of responses by the strategy, and of right responses by it."""
    uses = pl.col("strategy") == strategy
    own = table.group_by("problem_id", maintain_order=True).agg(
        share=uses.mean(), right=(uses * pl.col("score")).mean()
    )
    return own["share"].to_numpy(), own["right"].to_numpy()


def jackknife(values: np.ndarray) -> float:
    n = len(values)
    return float(np.sqrt((n - 1) / n * ((values - values.mean()) ** 2).sum()))


@pytest.mark.parametrize("strategy", ["F", "B", "C"])
def test_values_errors_and_intervals_are_those_of_the_jackknife_and_wilson(strategy: str) -> None:
    rng = np.random.default_rng(1)
    table = draw(rng, "0", IDS, {"F": 0.6, "B": 0.3, "C": 0.1}, {"F": 0.8, "B": 0.4, "C": 0.2}, samples=5)
    row = level_of(table, strategy)
    share_p, right_p = ratios(table, strategy)
    n, total = len(IDS), table.height
    rare = min((share_p > 0).sum(), (share_p < 1).sum())
    for name, value, left, df, most in (
        (
            "share",
            share_p.mean(),
            np.array([np.delete(share_p, i).mean() for i in range(n)]),
            rare - 1,
            total,
        ),
        (
            "accuracy",
            right_p.mean() / share_p.mean(),
            np.array([np.delete(right_p, i).mean() / np.delete(share_p, i).mean() for i in range(n)]),
            max((share_p > 0).sum() - 1, 8),
            share_p.sum() * 5,
        ),
    ):
        se = jackknife(left)
        assert row[f"{name}_before"] == pytest.approx(value)
        assert row[f"{name}_before_se"] == pytest.approx(se, rel=0.04)
        effective = min(most, value * (1 - value) / row[f"{name}_before_se"] ** 2)
        alpha = float(2 * stats.norm.sf(stats.t.ppf(0.975, df)))
        ends = proportion_confint(value * effective, effective, alpha=alpha, method="wilson")
        assert (row[f"{name}_before_low"], row[f"{name}_before_high"]) == pytest.approx(ends)


def test_strata_of_other_sizes_weigh_as_in_the_gain() -> None:
    before, after = two(2, problems=90)
    found = decompose(before, after, by=("kind",), rng=np.random.default_rng(0), draws=0)
    for side in ("before", "after"):
        right = found.strategies[f"share_{side}"] * found.strategies[f"accuracy_{side}"].fill_null(0.0)
        assert right.sum() == pytest.approx(getattr(found, f"accuracy_{side}"))
    for name in ("selection", "improvement", "new_strategy"):
        assert found.strategies[name].sum() == pytest.approx(getattr(found, name).value)
    assert found.strategies["share_after"].is_sorted(descending=True)


def test_nothing_seen_says_how_much_it_may_be() -> None:
    before, after = two(3, problems=100)
    row = decompose(before, after, by=(), rng=np.random.default_rng(0), draws=0).strategies.row(
        by_predicate=pl.col("strategy") == "N", named=True
    )
    z2 = stats.t.ppf(0.975, 99) ** 2
    assert (row["share_before"], row["share_before_low"]) == (0.0, 0.0)
    assert row["share_before_high"] == pytest.approx(z2 / (100 + z2))
    assert row["accuracy_before"] is None
    assert row["accuracy_before_low"] is None
    one = level_of(before.filter(pl.col("problem_id") == "p001"), "F")
    assert one["share_before_low"] is None


@pytest.mark.parametrize(("share", "rate"), [(0.5, 0.7), (0.05, 0.9), (0.1, 0.03)])
def test_intervals_hold_the_truth(share: float, rate: float) -> None:
    """400 studies of 100 problems x 4 that differ in ease and choice: 95% intervals hold in 92.5% or more."""
    rng = np.random.default_rng(7)
    held = np.zeros(2)
    studies, tried = 400, np.zeros(2)
    for _ in range(studies):
        own = rng.beta(2 * share, 2 * (1 - share), 100)
        uses = rng.random((100, 4)) < own[:, None]
        right = rng.random((100, 4)) < rng.beta(3 * rate, 3 * (1 - rate), 100)[:, None]
        p, sample = np.indices((100, 4)).reshape(2, -1)
        table = pl.DataFrame(
            {
                "problem_id": p.astype(str),
                "checkpoint": "0",
                "sample": sample,
                "strategy": np.where(uses.ravel(), "S", "T"),
                "score": right.ravel().astype(float),
                "length": 1,
            }
        )
        row = level_of(table, "S") if uses.any() else None
        for i, (name, truth) in enumerate((("share", share), ("accuracy", rate))):
            if row is not None:
                tried[i] += 1
                held[i] += row[f"{name}_before_low"] <= truth <= row[f"{name}_before_high"]
    assert (held / tried).min() >= 0.925
