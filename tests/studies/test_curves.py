"""Numbers of training by update: ends of a run for claims, points of a line for charts."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from stratagem.stats.uncertainty import mean_estimate, t_interval
from stratagem.studies.curves import POINTS, drawn
from stratagem.studies.form import Curve
from stratagem.studies.quantities import Name
from stratagem.studies.study import read_study
from stratagem.studies.summary import Results

ARM = "FB/RL(6-9)"
KINDS, WAYS = ("evaluation", "inversion"), ("forward", "backward")


def results(updates: int = 40, seeds: int = 1) -> Results:
    rng = np.random.default_rng(5)
    rows = [
        {
            "cell": ARM,
            "seed": seed,
            "update": u,
            "kind": k,
            "difficulty": d,
            "strategy": s,
            "n": n,
            "right": r,
        }
        for seed in range(seeds)
        for u in range(updates)
        for k in KINDS
        for d in (6, 7)
        for s in WAYS
        for n in [int(rng.integers(1, 9))]
        for r in [int(rng.integers(0, n + 1))]
    ]
    sampled = pl.DataFrame({"seed": list(range(seeds)), "mode": ["sampled"] * seeds})
    return Results(
        read_study("table1"), sampled, pl.DataFrame(), pl.DataFrame(rows), pl.DataFrame(), pl.DataFrame()
    )


def by_hand(made: Results, update: int, kind: str | None, strategy: str | None, seed: int = 0) -> float:
    """A share of an update's responses, summed row by row."""
    part = whole = 0
    for row in made.curves.to_dicts():
        if row["update"] == update and row["seed"] == seed and kind in (None, row["kind"]):
            whole += row["n"]
            part += row["right"] if strategy is None else row["n"] * (row["strategy"] == strategy)
    return part / whole


@pytest.mark.parametrize("at", ["start", "end"])
@pytest.mark.parametrize("strategy", [None, "forward"])
@pytest.mark.parametrize("kind", ["all", "inversion"])
def test_an_end_is_a_tenth_of_the_updates(at: str, strategy: str | None, kind: str) -> None:
    made = results()
    name = Name("accuracy" if strategy is None else "share", ARM, strategy, kind, at=at)
    numbers = range(4) if at == "start" else range(36, 40)
    expected = [by_hand(made, number, None if kind == "all" else kind, strategy) for number in numbers]
    assert made.updates(name, 0).tolist() == pytest.approx(expected)


def test_a_short_run_has_ends_of_one_update() -> None:
    made = results(updates=3)
    assert [len(made.updates(Name("accuracy", ARM, at=at), 0)) for at in ("start", "end")] == [1, 1]


def test_a_line_over_updates_has_points_with_intervals() -> None:
    curve = Curve("Forward", [ARM], strategy="forward", kind="inversion")
    (line,) = drawn(curve, ["held-out"], results()).lines
    assert (line.name, len(line.x), line.x[:2]) == (ARM, POINTS, (0, 2))
    pair = [by_hand(results(), number, "inversion", "forward") for number in (2, 3)]
    assert line.y[1].value == pytest.approx(mean_estimate(pair).value)
    assert line.y[1].low == pytest.approx(mean_estimate(pair).low)
    several = results(seeds=3)
    (line,) = drawn(curve, ["held-out"], several).lines
    means = [
        np.mean([by_hand(several, number, "inversion", "forward", seed) for number in (2, 3)])
        for seed in range(3)
    ]
    assert line.y[1].high == pytest.approx(t_interval(means).high)


def test_a_run_of_few_updates_has_a_point_each() -> None:
    (line,) = drawn(Curve("Reward", [ARM]), ["held-out"], results(updates=3)).lines
    assert line.x == (0, 1, 2)


def test_replicates_need_not_have_the_same_updates() -> None:
    """One ended earlier, by its budget; the other had no response of the kind in half of a point and in a whole."""
    made = results(seeds=2)
    kept = made.curves.filter(
        ~((pl.col("seed") == 1) & (pl.col("update") >= 30)),
        ~((pl.col("seed") == 0) & pl.col("update").is_in([3, 6, 7]) & (pl.col("kind") == "inversion")),
    )
    made.curves = kept
    (line,) = drawn(Curve("Reward", [ARM], kind="inversion"), ["held-out"], made).lines
    assert line.x == tuple(update for update in range(0, 30, 2) if update != 6)
    second = np.mean([by_hand(made, update, "inversion", None, 1) for update in (2, 3)])
    assert line.y[1].value == pytest.approx((by_hand(made, 2, "inversion", None) + float(second)) / 2)
