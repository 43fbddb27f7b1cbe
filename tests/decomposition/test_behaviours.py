"""Behaviours: counts that add up, and a comparison of each one by itself."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest
from scipy import stats

from stratagem.decomposition.behaviours import compare_behaviours, count_behaviours
from stratagem.records import StratagemError
from stratagem.stats.counts import merge

NAMES = ("verification", "backtracking", "subgoals")


def labelled(seed: int, checkpoint: str, rates: tuple[float, ...], problems: int = 80) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = []
    for p in range(problems):
        for _ in range(int(rng.integers(2, 6))):
            shown = [name for name, rate in zip(NAMES, rates, strict=True) if rng.random() < rate]
            right = float(rng.random() < 0.3 + 0.4 * ("verification" in shown))
            rows.append((f"p{p}", p % 2, checkpoint, right, shown))
    schema = {
        "problem_id": pl.String,
        "kind": pl.Int64,
        "checkpoint": pl.String,
        "score": pl.Float64,
        "behaviours": pl.List(pl.String),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def test_counts_of_batches_add_up() -> None:
    table = labelled(0, "0", (0.4, 0.1, 0.7))
    whole = count_behaviours(table)
    parts = merge([count_behaviours(table[:90]), count_behaviours(table[90:].lazy())])
    assert whole.sort(whole.columns).equals(parts.select(whole.columns).sort(whole.columns))
    row = whole.filter(problem_id="p3", behaviour="subgoals").row(0, named=True)
    here = table.filter(pl.col("problem_id") == "p3", pl.col("behaviours").list.contains("subgoals"))
    assert (row["n"], row["right"]) == (here.height, here["score"].sum())
    everything = whole.filter(pl.col("behaviour").is_null())
    assert everything["n"].sum() == table.height


def test_a_name_given_twice_counts_once_and_null_is_none() -> None:
    table = pl.DataFrame(
        {
            "checkpoint": "0",
            "problem_id": "p",
            "score": [1.0, 0.0, 0.0],
            "behaviours": [["a", "a", None], [], None],
        },
        schema_overrides={"behaviours": pl.List(pl.String)},
    )
    assert count_behaviours(table).select("behaviour", "n", "right").rows() == [(None, 3, 1.0), ("a", 1, 1.0)]


def test_shares_differences_and_accuracies_by_hand() -> None:
    before, after = labelled(1, "0", (0.2, 0.5, 0.3)), labelled(2, "1", (0.6, 0.5, 0.0))
    found = compare_behaviours(count_behaviours(before), count_behaviours(after))
    assert [one.behaviour for one in found] == sorted(NAMES)

    def shares(table: pl.DataFrame, name: str) -> np.ndarray:
        has = pl.col("behaviours").list.contains(name)
        parts = (has.mean(), (has & (pl.col("score") == 1)).mean().alias("right"), pl.col("score").mean())
        return table.group_by("problem_id").agg(*parts).sort("problem_id").drop("problem_id").to_numpy()

    for one in found:
        old, new = shares(before, one.behaviour), shares(after, one.behaviour)
        assert one.share_before == pytest.approx(old[:, 0].mean())
        assert one.share_after == pytest.approx(new[:, 0].mean())
        oracle = stats.ttest_rel(new[:, 0], old[:, 0]).confidence_interval(0.95)
        assert (one.difference.low, one.difference.high) == pytest.approx((oracle.low, oracle.high))
        assert one.accuracy_before == pytest.approx(old[:, 1].sum() / old[:, 0].sum())
        without = (old[:, 2] - old[:, 1]).sum() / (1 - old[:, 0]).sum()
        assert one.without_before == pytest.approx(without)
        part = (one.share_after - one.share_before) * (one.accuracy_before - one.without_before)
        assert one.part.value == pytest.approx(part)
        assert one.part.value + one.rest.value == pytest.approx(new[:, 2].mean() - old[:, 2].mean())
    gone = next(one for one in found if one.behaviour == "subgoals")
    assert gone.share_after == 0
    assert gone.as_dict()["accuracy_after"] is None
    json.dumps([one.as_dict() for one in found], allow_nan=False)


def test_a_verification_that_helps_carries_a_part_and_strata_are_kept() -> None:
    before, after = (labelled(i, str(i), (0.2 + 0.6 * i, 0.3, 0.3), problems=400) for i in (0, 1))
    for by in ((), ("kind",)):
        found = compare_behaviours(
            count_behaviours(before, by), count_behaviours(after, by), by=by, names=(*NAMES, "never")
        )
        verification, backtracking, _, never = found
        assert verification.part.low > 0
        assert verification.part.value == pytest.approx(0.24, abs=0.05)
        assert backtracking.part.low < 0 < backtracking.part.high
        assert (never.share_before, never.share_after, never.part.value) == (0, 0, 0)


def test_only_problems_of_both_sides_count() -> None:
    before, after = labelled(3, "0", (0.5, 0.5, 0.5)), labelled(4, "1", (0.5, 0.5, 0.5), problems=40)
    found = compare_behaviours(count_behaviours(before), count_behaviours(after))
    first = before.filter(pl.col("problem_id").is_in(after["problem_id"].unique().to_list()))
    assert found == compare_behaviours(count_behaviours(first), count_behaviours(after))
    assert found[0].difference.n == 40


def test_errors_name_what_to_mend() -> None:
    table = labelled(5, "0", (0.5, 0.5, 0.5))
    with pytest.raises(StratagemError, match="no column 'behaviours'"):
        count_behaviours(table.drop("behaviours"))
    with pytest.raises(StratagemError, match="'behaviours' is String"):
        count_behaviours(table.with_columns(behaviours=pl.lit("a")))
    counts = count_behaviours(table)
    with pytest.raises(StratagemError, match="no problem_id in common"):
        compare_behaviours(counts, counts.with_columns(problem_id=pl.lit("z")))
    with pytest.raises(StratagemError, match="before: column 'checkpoint' holds several"):
        compare_behaviours(pl.concat([counts, counts.with_columns(checkpoint=pl.lit("1"))]), counts)
