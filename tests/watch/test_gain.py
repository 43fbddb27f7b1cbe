"""The gain since the start: an identity, the truth of a made-up run, and intervals that cover it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.leading import lead_sentence
from stratagem.watch.gain import (
    OF_RIGHT,
    as_numbers,
    lead_terms,
    read_gain,
    split,
    split_same_problems,
    split_updates,
)
from stratagem.watch.metrics import COUNTS
from stratagem.watch.page import Watched
from stratagem.watch.responses import Asked
from tests.watch import runs
from tests.watch.runs import cells

PARTS = ("selection", "improvement", "new_strategy")


def table(updates: range, drift: float, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    rows = [(update, *cell) for update in updates for cell in cells(rng, update, drift)]
    return pl.DataFrame(rows, schema=COUNTS, orient="row")


def test_selection_is_found_where_only_shares_move() -> None:
    """Shares of the suited strategy go from 0.5-0.59 to 0.8-0.89; each strategy is as right as before (0.9 or 0.1)."""
    gain = split_updates(table(range(10), 0.01), table(range(30, 40), 0.01, seed=1))
    assert gain is not None
    assert gain["selection"][0] == pytest.approx(0.8 * 0.3, abs=0.05)
    assert gain["improvement"][0] == pytest.approx(0, abs=0.04)
    low, high = gain["selection"][1:]
    assert low is not None
    assert high is not None
    assert 0.1 < low < gain["selection"][0] < high < 0.4


def test_which_part_leads_is_said_and_not_where_the_order_decides() -> None:
    """The terms are those of select, then improve; a log keeps what the sentence needs."""
    routed = split_updates(table(range(10), 0.01), table(range(30, 40), 0.01, seed=1))
    assert routed is not None
    assert lead_sentence(lead_terms(routed)) == "Select, then improve: more by selection than by improvement."

    def side(share: float, second: float, seed: int) -> pl.DataFrame:
        rng = np.random.default_rng(seed)
        rows = []
        for update in range(8):
            n = rng.binomial(200, share)
            rows.append((update, "a", 1, "s", 200.0 - n, float(rng.binomial(200 - n, 0.5))))
            rows.append((update, "a", 1, "t", float(n), float(rng.binomial(n, second))))
        return pl.DataFrame(rows, schema=COUNTS, orient="row")

    # By hand: 0 and 14 points select first, 8 and 6 points improve first.
    both = split_updates(side(0.3, 0.5, 1), side(0.7, 0.7, 2))
    assert both is not None
    assert both["improvement"][0] == pytest.approx(0.14, abs=0.03)
    assert both["reverse_selection"][0] == pytest.approx(0.08, abs=0.03)
    said = lead_sentence(lead_terms(read_gain(as_numbers(both)) or {}))
    assert said.startswith(
        "It depends on the order of counting whether selection or improvement moved it more"
    )


@pytest.mark.parametrize("seed", range(8))
def test_the_terms_sum_to_the_gain(seed: int) -> None:
    start, now = table(range(4), 0.0, seed), table(range(20, 24), 0.02, seed + 100)
    now = now.with_columns(
        strategy=pl.when(pl.col("update") == 22).then(pl.lit("mixed")).otherwise("strategy")
    )
    gain = split_updates(start, now)
    assert gain is not None
    assert sum(gain[part][0] for part in PARTS) == pytest.approx(gain["gain"][0], abs=1e-12)
    assert gain["new_strategy"][0] != 0


def test_a_stratum_weighs_as_its_part_of_the_responses() -> None:
    """One type with 90% of the responses gains 0.5, the other loses 0.5: together 0.9 x 0.5 - 0.1 x 0.5."""

    def side(first: float, second: float) -> pl.DataFrame:
        rows = []
        for update in range(4):
            rows.append((update, "a", 1, "s", 90.0, 90 * first))
            rows.append((update, "b", 1, "s", 10.0, 10 * second))
        return pl.DataFrame(rows, schema=COUNTS, orient="row")

    gain = split_updates(side(0.2, 0.8), side(0.7, 0.3))
    assert gain is not None
    assert gain["gain"][0] == pytest.approx(0.9 * 0.5 - 0.1 * 0.5)
    assert gain["gain"][1:] == pytest.approx((0.4, 0.4))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """Nothing changes: of 100 runs' gains about 95 intervals hold 0."""
    hits = 0
    for seed in range(100):
        gain = split_updates(table(range(6), 0.0, seed), table(range(6, 12), 0.0, seed + 1000), draws=100)
        assert gain is not None
        low, high = gain["gain"][1:]
        assert low is not None
        assert high is not None
        hits += low <= 0 <= high
    assert 88 <= hits <= 100


def test_one_update_a_side_has_no_interval() -> None:
    gain = split_updates(table(range(1), 0.0), table(range(1, 2), 0.0))
    assert gain is not None
    assert gain["gain"][1:] == (None, None)


def test_nothing_in_common_is_no_gain() -> None:
    start = table(range(3), 0.0)
    assert split_updates(start, start.with_columns(kind=pl.lit("other"))) is None


@pytest.mark.parametrize("prefix", ["", "stratagem/"])
def test_a_gain_survives_a_log(prefix: str) -> None:
    gain = split_updates(table(range(4), 0.0), table(range(20, 24), 0.02))
    assert gain is not None
    numbers = {f"{prefix}{name}": number for name, number in as_numbers(gain).items()}
    assert read_gain({"loss": 1.0, **numbers}, prefix) == gain
    del numbers[f"{prefix}selection"]
    assert read_gain(numbers, prefix) is None


def test_an_interval_that_is_not_known_stays_unknown_in_a_log() -> None:
    gain = split_updates(table(range(1), 0.0), table(range(1, 2), 0.0))
    assert gain is not None
    assert as_numbers(gain).keys() == gain.keys()
    assert read_gain(as_numbers(gain)) == gain


def test_a_run_whose_labels_miss_most_right_answers_has_a_gain_and_no_parts(tmp_path: Path) -> None:
    def counts(right: float) -> pl.DataFrame:
        rows = [
            (f"p{i}", strategy, n, n * share)
            for i in range(8)
            for strategy, n, share in (("unparsed", 7, right), ("direct", 1, 0.5))
        ]
        return pl.DataFrame(rows, schema=["problem_id", "strategy", "n", "right"], orient="row")

    def updates(right: float) -> pl.DataFrame:
        table = counts(right).rename({"problem_id": "update"})
        return table.with_columns(
            pl.col("update").str.slice(1).cast(pl.Int64),
            kind=pl.lit("a"),
            difficulty=pl.lit(1),
            n=pl.col("n") * 1.0,
        )

    # By hand: 0.5 * 7 of the 4 right of 8 responses before, 6 of 6.5 after.
    rng = np.random.default_rng(0)
    for gain in (
        split(counts(0.5), counts(6 / 7), (), rng),
        split_same_problems(counts(0.5), counts(6 / 7), (), rng),
        split_updates(updates(0.5), updates(6 / 7)),
    ):
        assert gain is not None
        assert set(gain) == {"gain", *OF_RIGHT}
        assert gain["gain"][0] == pytest.approx(2.5 / 8)
        assert [gain[name][0] for name in OF_RIGHT] == pytest.approx([3.5 / 4, 6 / 6.5])
        assert read_gain(as_numbers(gain)) == gain
    assert read_gain({"gain": 0.1}) is None

    log = runs.stage(tmp_path / "run")
    lines = [
        json.dumps(
            {"update": u, "reward": 0.5, "cells": [["a", 2, "unparsed", 28, 14 + u], ["a", 2, "b", 4, 2]]}
        )
        for u in range(12)
    ]
    log.write_text("".join(line + "\n" for line in lines))
    text = " ".join(Watched(tmp_path / "run", Asked()).show().html.split())
    assert (
        "Selection and improvement cannot be told apart: of the right responses the labels find no answer in"
        in text
    )
    assert "moved it more" not in text
