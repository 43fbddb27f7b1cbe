"""Figures from the literature and by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.stats.counts import count
from stratagem.stats.passk import passk, passk_difference
from stratagem.stats.uncertainty import detectable, needed_n, paired_difference
from tests.decomposition.tables import shares

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared" / "data"
needs_data = pytest.mark.skipif(
    not SHARED.is_dir(), reason=f"needs the data sets in {SHARED}, which are not shipped"
)


def split(before: pl.DataFrame, after: pl.DataFrame, **options):
    return decompose(before, after, by=("kind",), rng=np.random.default_rng(0), **options)


def test_das_gupta_household_headship():
    golden = json.loads((ROOT / "tests" / "golden" / "mechanisms_das_gupta.json").read_text())
    ages = [f"{i:02d}" for i in range(13)]

    def table(year: str) -> pl.DataFrame:
        share = {age: value / 100 for age, value in zip(ages, golden[f"share_{year}"], strict=True)}
        rate = {age: value / 100 for age, value in zip(ages, golden[f"rate_{year}"], strict=True)}
        return shares(year, share, rate)

    found = split(table("1970"), table("1985"))
    percent = {
        "crude_1970": found.accuracy_before,
        "crude_1985": found.accuracy_after,
        "symmetric_selection": found.symmetric.selection.value,
        "symmetric_improvement": found.symmetric.improvement.value,
        "selection": found.selection.value,
        "improvement": found.improvement.value,
        "new_choice_old_execution": found.accuracy_before + found.selection.value,
    }
    for name, value in percent.items():
        assert 100 * value == pytest.approx(golden[name], abs=6e-5), name


def test_two_strategies_by_hand():
    found = split(
        shares("0", {"F": 0.6, "B": 0.4}, {"F": 0.5, "B": 0.9}),
        shares("1", {"F": 0.3, "B": 0.7}, {"F": 0.45, "B": 0.9}),
    )
    by_hand = {
        "gain": (found.gain, 0.105),
        "selection": (found.selection, 0.12),
        "improvement": (found.improvement, -0.015),
        "new": (found.new_strategy, 0.0),
        "reverse selection": (found.reverse.selection, 0.135),
        "reverse improvement": (found.reverse.improvement, -0.03),
        "symmetric selection": (found.symmetric.selection, 0.1275),
        "symmetric improvement": (found.symmetric.improvement, -0.0225),
        "threefold selection": (found.threefold.selection, 0.12),
        "threefold improvement": (found.threefold.improvement, -0.03),
        "interaction": (found.threefold.interaction, 0.015),
        "mix": (found.mix, 0.12),
        "routing": (found.routing, 0.0),
    }
    for name, (term, value) in by_hand.items():
        assert term.value == pytest.approx(value, abs=1e-12), name
    assert (found.accuracy_before, found.accuracy_after) == pytest.approx((0.66, 0.765), abs=1e-12)
    assert found.unsupported_share == 0


def test_routing_with_a_dropped_strategy_has_bounds():
    before = shares("0", {"F": 0.5, "B": 0.5}, {"F": 0.97, "B": 0.10})
    after = shares("1", {"F": 1.0}, {"F": 0.97})
    found = split(before, after)
    assert found.selection.value == pytest.approx(0.435, abs=1e-12)
    assert found.improvement.value == pytest.approx(0.0, abs=1e-12)
    assert found.new_strategy.value == 0.0
    assert found.symmetric.selection.bounds
    assert found.symmetric.selection.bounds == pytest.approx((0.21, 0.46), abs=1e-12)
    assert found.reverse.selection.bounds
    assert found.reverse.selection.bounds == pytest.approx((-0.015, 0.485), abs=1e-12)
    assert math.isnan(found.reverse.selection.value)
    assert found.as_dict()["symmetric"]["selection"]["bounds"] == pytest.approx([0.21, 0.46])
    assert found.unsupported_share == pytest.approx(0.25)
    assert not found.interventional


def test_a_forced_strategy_turns_bounds_into_points():
    before = shares("0", {"F": 0.5, "B": 0.5}, {"F": 0.97, "B": 0.10})
    after = shares("1", {"F": 1.0}, {"F": 0.97})
    forced = pl.DataFrame({"kind": ["x"], "strategy": ["B"], "problem_id": ["p"], "n": [10], "right": [3.0]})
    found = split(before, after, forced=forced)
    assert found.interventional
    assert found.reverse.improvement.value == pytest.approx(0.5 * (0.3 - 0.1), abs=1e-12)
    assert found.reverse.selection.value == pytest.approx(0.5 * 0.97 - 0.5 * 0.3, abs=1e-12)
    assert found.cells.filter(strategy="B")["accuracy_forced"].to_list() == pytest.approx([0.3])


def test_miller_power():
    assert needed_n(0.03, 0.5) == 4361
    assert detectable(math.sqrt(2 * 0.25 / 500)) == pytest.approx(0.0886, abs=5e-5)
    assert needed_n(0.03, 0.5, correlation=0.5) == math.ceil(4360.5 / 2)


@needs_data
def test_deepscaler_counts():
    tables = [pl.read_ndjson(SHARED / "deepscaler-counts" / f"{name}.jsonl") for name in ("base", "rl")]
    before, after = (
        tables[0],
        tables[0].select("id").join(tables[1], on="id", how="left", maintain_order="left"),
    )
    counts = (before["c"], before["n"], after["c"], after["n"])
    one, many = passk_difference(*counts, 1), passk_difference(*counts, 128)
    assert (one.value, one.se) == pytest.approx((0.0759581, 0.00410378), rel=1e-5)
    assert (many.value, many.se) == pytest.approx((-0.019811, 0.006302), abs=5e-7)
    means = [passk(t["c"], t["n"], [1, 128]).mean(axis=0) for t in (before, after)]
    assert means[0] == pytest.approx([0.604105, 0.890566], abs=5e-7)
    assert means[1] == pytest.approx([0.680063, 0.870755], abs=5e-7)


@needs_data
@pytest.mark.parametrize(
    ("after", "problems", "first", "last", "gain", "se"),
    [
        ("after_algorithmic", 500, 0.272333, 0.608333, 0.336000, 0.018227),
        ("after_games", 526, 0.262041, 0.513308, 0.251267, 0.017329),
    ],
)
def test_algebra_rl(after: str, problems: int, first: float, last: float, gain: float, se: float):
    tables = [
        pl.read_parquet(SHARED / "algebra-rl" / f"{name}.parquet").select(
            "sample",
            "score",
            problem_id="prompt_id",
            kind="dataset",
            checkpoint=pl.lit(name),
            strategy=pl.when(pl.col("completion").str.contains("</think>"))
            .then(pl.lit("think"))
            .otherwise(pl.lit("bare")),
            length=pl.col("completion").str.len_chars(),
        )
        for name in ("before", after)
    ]
    found = decompose(*tables, by=(), rng=np.random.default_rng(0), draws=500)
    assert found.problems == problems
    assert found.left_out_before == found.left_out_after == 599 - problems
    assert (found.accuracy_before, found.accuracy_after) == pytest.approx((first, last), abs=5e-7)
    assert (found.gain.value, found.gain.se) == pytest.approx((gain, se), abs=5e-7)
    by_kind = decompose(*tables, by=("kind",), rng=np.random.default_rng(0), draws=500, stratified=False)
    assert (by_kind.gain.value, by_kind.gain.se) == pytest.approx((gain, se), abs=5e-7)
    counted = decompose(
        *(count(t, ("kind",)) for t in tables), by=("kind",), rng=np.random.default_rng(0), draws=500
    )
    assert counted.selection.value == by_kind.selection.value
    rows = [t.group_by("problem_id").agg(pl.col("score").mean()) for t in tables]
    joined = rows[0].join(rows[1], on="problem_id")
    plain = paired_difference(joined["score"], joined["score_right"])
    assert (plain.value, plain.se) == pytest.approx((gain, se), abs=5e-7)
