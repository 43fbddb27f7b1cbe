"""Other problems before than after: strata are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from scipy import stats

from stratagem.decomposition.behaviours import compare_behaviours, count_behaviours
from stratagem.decomposition.decompose import decompose
from stratagem.diagnosis.frames import label, read_rollouts
from stratagem.records import UNPARSED, StratagemError
from stratagem.stats.counts import count
from stratagem.verdict.rules import verdict
from stratagem.verdict.unpaired import behaviours_unpaired, facts_unpaired
from tests.decomposition.tables import draw, two
from tests.decomposition.test_decomposition_laws import tables

TERMS = ("selection", "improvement", "new_strategy")
KINDS = ("kind", "difficulty")
DATA = Path(__file__).parents[3] / "shared" / "data" / "algebra-rl"
real = pytest.mark.skipif(not DATA.exists(), reason="real rollouts are not in this checkout")


def other(table: pl.DataFrame) -> pl.DataFrame:
    """The same responses, to problems of other names."""
    return table.with_columns(problem_id=pl.lit("other ") + pl.col("problem_id"))


@settings(max_examples=40, deadline=None)
@given(tables("0"), tables("1"))
def test_parts_sum_to_the_gain_of_any_problems(before: pl.DataFrame, after: pl.DataFrame) -> None:
    try:
        found = decompose(
            before, other(after), by=("kind",), rng=np.random.default_rng(0), draws=20, paired=False
        )
    except StratagemError:
        assume(False)
        raise
    total = sum(getattr(found, name).value for name in TERMS)
    assert total == pytest.approx(found.gain.value, abs=1e-12)
    assert found.gain.value == pytest.approx(found.accuracy_after - found.accuracy_before, abs=1e-12)
    assert found.cells["contribution"].sum() == pytest.approx(found.gain.value, abs=1e-12)
    assert found.strategies["share_after"].sum() == pytest.approx(1.0)


def test_values_are_those_of_pairs_where_strata_are_as_large() -> None:
    before, after = two(1, problems=80)
    options = {"by": KINDS, "rng": np.random.default_rng(0), "draws": 200}
    pairs = decompose(before, after, **options)
    apart = decompose(before, other(after), paired=False, **options)
    for name in (*TERMS, "gain", "mix", "routing"):
        assert getattr(apart, name).value == pytest.approx(getattr(pairs, name).value, abs=1e-12)
    assert apart.symmetric.selection.bounds == pytest.approx(pairs.symmetric.selection.bounds, abs=1e-12)  # type: ignore[union-attr]
    assert (apart.problems, apart.paired, pairs.paired) == (80, False, True)


def test_the_gain_is_welchs() -> None:
    rng = np.random.default_rng(2)
    before = draw(rng, "0", [f"a{i}" for i in range(30)], {"F": 0.5, "B": 0.5}, {"F": 0.4, "B": 0.3}, 3)
    after = draw(rng, "1", [f"b{i}" for i in range(75)], {"F": 0.9, "B": 0.1}, {"F": 0.7, "B": 0.3}, 3)
    found = decompose(before, after, by=(), rng=rng, draws=0, paired=False)
    each = [
        table.group_by("problem_id").agg(pl.col("score").mean())["score"].to_numpy()
        for table in (after, before)
    ]
    test = stats.ttest_ind(*each, equal_var=False)
    ends = test.confidence_interval(0.95)
    assert found.gain.value == pytest.approx(each[0].mean() - each[1].mean())
    assert (found.gain.low, found.gain.high) == pytest.approx((ends.low, ends.high))
    assert found.problems == 30


def test_standard_errors_are_those_of_resampling_each_side_by_itself() -> None:
    rng = np.random.default_rng(3)
    before = draw(rng, "0", [f"a{i}" for i in range(60)], {"F": 0.6, "B": 0.4}, {"F": 0.7, "B": 0.3}, 4)
    after = draw(rng, "1", [f"b{i}" for i in range(60)], {"F": 0.8, "B": 0.2}, {"F": 0.8, "B": 0.3}, 4)
    found = decompose(before, after, by=(), rng=rng, draws=4000, paired=False)

    def means(table: pl.DataFrame) -> np.ndarray:
        own = table.group_by("problem_id", maintain_order=True).agg(
            *(
                ((pl.col("strategy") == s) * w).mean().alias(f"{s}{i}")
                for s in "FB"
                for i, w in enumerate((1.0, pl.col("score")))
            )
        )
        return own.drop("problem_id").to_numpy()

    blocks = means(before), means(after)

    def selection(x: np.ndarray, y: np.ndarray) -> float:
        x, y = x.mean(0), y.mean(0)
        return (y[0] - x[0]) * x[1] / x[0] + (y[2] - x[2]) * x[3] / x[2]

    # Jackknife of each sample: an estimate of its own for a smooth term.
    variance = 0.0
    for side in (0, 1):
        left = []
        for i in range(60):
            taken = list(blocks)
            taken[side] = np.delete(blocks[side], i, axis=0)
            left.append(selection(*taken))
        variance += 59 / 60 * ((np.array(left) - np.mean(left)) ** 2).sum()
    assert found.selection.value == pytest.approx(selection(*blocks))
    assert found.selection.se == pytest.approx(np.sqrt(variance), rel=0.06)
    assert found.selection.low < found.selection.value < found.selection.high


def test_small_strata_are_left_out_and_counted() -> None:
    before, after = two(4, problems=40)
    alone = pl.col("problem_id") == "p003"
    moved = other(after).with_columns(
        kind=pl.when(pl.col("problem_id") == "other p003").then(pl.lit("z")).otherwise("kind")
    )
    both = before.with_columns(
        kind=pl.when(alone | (pl.col("problem_id") == "p005")).then(pl.lit("z")).otherwise("kind")
    )
    found = decompose(both, moved, by=("kind",), rng=np.random.default_rng(0), draws=50, paired=False)
    assert (found.left_out_before, found.left_out_after) == (2, 1)
    assert "z" not in found.strata["kind"]
    nothing = other(after).with_columns(kind=pl.lit("q"))
    with pytest.raises(StratagemError, match="no stratum in common"):
        decompose(before, nothing, by=("kind",), rng=np.random.default_rng(0), paired=False)
    forced = pl.DataFrame({"strategy": ["C"], "problem_id": ["p1"], "n": [1], "right": [1]})
    with pytest.raises(StratagemError, match="forced"):
        decompose(before, other(after), by=(), rng=np.random.default_rng(0), forced=forced, paired=False)


def test_behaviours_of_other_problems_are_those_of_pairs_in_value() -> None:
    rng = np.random.default_rng(5)
    sides = []
    for share, table in zip((0.3, 0.6), two(5, problems=50), strict=True):
        checks = [["checks"] if x < share else [] for x in rng.random(table.height)]
        sides.append(table.with_columns(behaviours=pl.Series(checks, dtype=pl.List(pl.String))))
    pairs = compare_behaviours(*(count_behaviours(table) for table in sides))
    moved = [sides[0], other(sides[1])]
    counts = [count_behaviours(table) for table in moved]
    homes = (count(moved[0], ()), count(moved[1], ()))
    found = behaviours_unpaired(counts[0], counts[1], homes, by=(), rng=rng, draws=300)
    assert [one.behaviour for one in found] == ["checks"]
    for name in (
        "share_before",
        "share_after",
        "accuracy_before",
        "accuracy_after",
        "without_before",
        "without_after",
    ):
        assert getattr(found[0], name) == pytest.approx(getattr(pairs[0], name), abs=1e-12)
    for name in ("part", "rest", "difference"):
        one, two_ = getattr(found[0], name), getattr(pairs[0], name)
        assert one.value == pytest.approx(two_.value, abs=1e-12)
        assert one.low < one.value < one.high
    assert found[0].difference.low > 0.1


def test_a_gain_by_format_is_found_without_pairs() -> None:
    rng = np.random.default_rng(6)
    ids = [f"p{i}" for i in range(200)]
    before = draw(rng, "0", ids, {"F": 0.5, UNPARSED: 0.5}, {"F": 0.6, UNPARSED: 0.0}, 4)
    after = other(draw(rng, "1", ids, {"F": 0.98, UNPARSED: 0.02}, {"F": 0.6, UNPARSED: 0.0}, 4))
    tables = count(before), count(after)
    found = decompose(*tables, rng=rng, draws=300, paired=False)
    facts = facts_unpaired(found, *tables, rng=rng)
    assert facts.unread is not None
    assert facts.unread.part.value == pytest.approx(found.gain.value, abs=0.08)
    said = verdict(facts)
    assert said.action == "fix the format first"
    assert "The problems before are not those after" in said.sentence


@real
def test_other_problems_of_a_real_run_agree_with_the_same_ones() -> None:
    """Halves of the problems, one before and the other after: the answer lies around that of the pairs."""
    sides = [
        label(read_rollouts(DATA / f"{name}.parquet", columns={"id": "prompt_id"}), "math").with_columns(
            checkpoint=pl.lit(name)
        )
        for name in ("before", "after_algorithmic")
    ]
    common = (
        sides[0]
        .select("problem_id", "dataset")
        .unique()
        .join(sides[1].select("problem_id").unique(), on="problem_id")
    )
    large = common.filter(pl.len().over("dataset") > 1).sort("dataset", "problem_id")
    sides = [table.filter(pl.col("problem_id").is_in(large["problem_id"].to_list())) for table in sides]
    options = {"by": ("dataset",), "draws": 500}
    pairs = decompose(*sides, rng=np.random.default_rng(0), **options)
    outside = []
    for seed in range(20):
        chosen = large.sample(fraction=0.5, seed=seed)
        mine = pl.col("problem_id").is_in(chosen["problem_id"].to_list())
        found = decompose(
            sides[0].filter(mine),
            sides[1].filter(~mine),
            rng=np.random.default_rng(seed),
            paired=False,
            **options,
        )
        assert found.lead == pairs.lead == "improvement"
        for name in ("gain", "selection", "improvement"):
            one = getattr(found, name)
            outside.append(not one.low <= getattr(pairs, name).value <= one.high)
    # The pairs' answer is itself an estimate from these responses, so fewer than 1 of 20 should miss it.
    assert sum(outside) <= 3
