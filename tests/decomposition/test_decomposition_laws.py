"""A decomposition is an identity; independent oracles for its intervals."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.support import unsupported, zero_bound
from stratagem.records import StratagemError
from stratagem.stats.counts import count, merge
from stratagem.stats.pairs import pair
from tests.decomposition.tables import shares, two

NAMES = ("A", "B", "C", "D")


@st.composite
def tables(draw_value, checkpoint: str, full: bool = False):
    """Counts of six problems in two strata; with `full`, every problem uses every strategy."""
    rows = []
    for problem in range(6):
        used = NAMES if full else draw_value(st.lists(st.sampled_from(NAMES), min_size=1, unique=True))
        for name in used:
            n = draw_value(st.integers(1, 9))
            rows.append(
                (f"p{problem}", problem % 2, checkpoint, name, n, float(draw_value(st.integers(0, n))))
            )
    return pl.DataFrame(
        rows, schema=["problem_id", "kind", "checkpoint", "strategy", "n", "right"], orient="row"
    ).with_columns(pl.col("n").cast(pl.Float64))


def split(before: pl.DataFrame, after: pl.DataFrame, **options):
    options = {"by": ("kind",), "rng": np.random.default_rng(0), "draws": 0} | options
    return decompose(before, after, **options)


def close(x: float, y: float) -> bool:
    return abs(x - y) <= 1e-12


@settings(max_examples=60, deadline=None)
@given(tables("0"), tables("1"), st.sampled_from([(), ("kind",), ("problem_id",)]))
def test_parts_sum_to_the_gain(before: pl.DataFrame, after: pl.DataFrame, by: tuple[str, ...]):
    found = split(before, after, by=by)
    gain = found.gain.value
    assert close(gain, found.accuracy_after - found.accuracy_before)
    assert close(found.selection.value + found.improvement.value + found.new_strategy.value, gain)
    assert close(found.mix.value + found.routing.value, found.selection.value)
    for part in (found.reverse, found.symmetric):
        selection, improvement = part.selection.ends, part.improvement.ends
        assert close(selection[0] + improvement[1] + part.new_strategy.value, gain)
        assert close(selection[1] + improvement[0] + part.new_strategy.value, gain)
    three = found.threefold
    for one, other in ((0, 1), (1, 0)):
        parts = three.selection.value + three.improvement.ends[one] + three.interaction.ends[other]
        assert close(parts + three.new_strategy.value, gain)
    sums = found.cells.select("selection", "improvement", "new_strategy", "contribution").sum().row(0)
    terms = (found.selection, found.improvement, found.new_strategy, found.gain)
    assert all(close(total, term.value) for total, term in zip(sums, terms, strict=True))
    weight = found.strata["problems"] / found.problems
    assert close(float((weight * found.strata["gain"]).sum()), gain)
    assert close(float((weight * found.strata["selection"]).sum()), found.selection.value)
    alone = unsupported(pair(before, after, by))
    assert close(sum(row.weight * row.share for row in alone) / 2, found.unsupported_share)
    for row in alone:
        assert (1 - row.bound) ** row.problems == pytest.approx(0.05)


@settings(max_examples=40, deadline=None)
@given(tables("0", full=True), tables("1", full=True))
def test_swapping_flips_the_symmetric_terms(before: pl.DataFrame, after: pl.DataFrame):
    one, other = split(before, after), split(after, before)
    assert close(one.symmetric.selection.value, -other.symmetric.selection.value)
    assert close(one.symmetric.improvement.value, -other.symmetric.improvement.value)
    assert close(one.selection.value, -other.reverse.selection.value)
    assert one.new_strategy.value == other.new_strategy.value == 0


@settings(max_examples=40, deadline=None)
@given(tables("0"), tables("1"), st.permutations(NAMES))
def test_names_of_strategies_do_not_matter(before: pl.DataFrame, after: pl.DataFrame, names: list[str]):
    new = dict(zip(NAMES, names, strict=True))
    one = split(before, after)
    other = split(*(t.with_columns(pl.col("strategy").replace_strict(new)) for t in (before, after)))
    for name in ("selection", "improvement", "new_strategy", "mix", "routing"):
        assert close(getattr(one, name).value, getattr(other, name).value)
    assert one.symmetric.selection.ends == pytest.approx(other.symmetric.selection.ends, abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(tables("0", full=True), tables("1", full=True))
def test_interaction_is_the_product_of_both_changes(before: pl.DataFrame, after: pl.DataFrame):
    found = split(before, after)
    cells = found.cells.join(found.strata.select("kind", "problems"), on="kind")
    product = (pl.col("share_after") - pl.col("share_before")) * (
        pl.col("accuracy_after") - pl.col("accuracy_before")
    )
    by_hand = cells.select((product * pl.col("problems") / found.problems).sum()).item()
    assert close(found.threefold.interaction.value, by_hand)


def test_threefold_agrees_with_statsmodels_oaxaca():
    from statsmodels.stats.oaxaca import OaxacaBlinder

    rng = np.random.default_rng(3)
    n = 400
    group, user = np.repeat([1, 0], n), np.empty(2 * n)
    user[:n], user[n:] = rng.random(n) < 0.7, rng.random(n) < 0.3
    right = (
        rng.random(2 * n) < np.where(group == 1, np.where(user, 0.9, 0.45), np.where(user, 0.8, 0.5))
    ).astype(float)
    # With one response a problem, a regression on a dummy has the three terms as its decomposition.
    oaxaca = OaxacaBlinder(right, np.column_stack([user, group]), 1, hasconst=False)
    endowments, coefficients, interaction, _ = oaxaca.three_fold().params

    def table(which: int) -> pl.DataFrame:
        keep = group == which
        return pl.DataFrame(
            {
                "problem_id": [f"p{i}" for i in range(n)],
                "checkpoint": str(which),
                "strategy": np.where(user[keep] == 1, "B", "F"),
                "n": 1,
                "right": right[keep],
            }
        )

    found = split(table(0), table(1), by=())
    assert found.threefold.selection.value == pytest.approx(endowments, abs=1e-10)
    assert found.threefold.improvement.value == pytest.approx(coefficients, abs=1e-10)
    assert found.threefold.interaction.value == pytest.approx(interaction, abs=1e-10)


def test_leaving_all_old_strategies_is_all_new():
    found = split(shares("0", {"A": 1.0}, {"A": 0.3}), shares("1", {"B": 1.0}, {"B": 0.8}))
    assert found.new_strategy.value == pytest.approx(0.5)
    assert found.selection.value == found.improvement.value == 0
    assert found.unsupported_share == 1


def test_bootstrap_agrees_with_scipy_over_problem_indices():
    before, after = two(1, problems=150)
    before, after = (
        t.with_columns(pl.col("strategy").replace({"C": "B", "N": "B"})) for t in (before, after)
    )
    ours = decompose(before, after, by=(), rng=np.random.default_rng(5), draws=4000)

    def cells(table: pl.DataFrame) -> np.ndarray:
        wide = [
            table.group_by("problem_id")
            .agg(
                share=(pl.col("strategy") == name).mean(),
                right=(pl.col("score") * (pl.col("strategy") == name)).mean(),
            )
            .sort("problem_id")
            .select("share", "right")
            .to_numpy()
            for name in ("F", "B")
        ]
        return np.concatenate(wide, axis=1)

    data0, data1 = cells(before), cells(after)

    def selection(index: np.ndarray, axis: int = -1) -> np.ndarray:
        old, new = data0[index].mean(axis=axis - 1), data1[index].mean(axis=axis - 1)
        parts = [(new[..., i] - old[..., i]) * old[..., i + 1] / old[..., i] for i in (0, 2)]
        return parts[0] + parts[1]

    oracle = stats.bootstrap(
        (np.arange(150),),
        selection,
        n_resamples=4000,
        method="percentile",
        vectorized=True,
        axis=-1,
        random_state=np.random.default_rng(6),  # pyright: ignore[reportCallIssue]
    )
    assert ours.selection.value == pytest.approx(float(selection(np.arange(150))), abs=1e-12)
    assert ours.selection.se == pytest.approx(oracle.standard_error, rel=0.06)
    width = oracle.confidence_interval.high - oracle.confidence_interval.low
    assert ours.selection.low == pytest.approx(oracle.confidence_interval.low, abs=0.06 * width)
    assert ours.selection.high == pytest.approx(oracle.confidence_interval.high, abs=0.06 * width)


@pytest.mark.parametrize("stratified", [True, False])
def test_bootstrap_of_the_gain_agrees_with_its_closed_form(stratified: bool):
    before, after = two(2, problems=24)
    found = decompose(before, after, rng=np.random.default_rng(0), draws=20_000, stratified=stratified)
    strata = found.strata
    boot = math.sqrt(float(((strata["problems"] / found.problems * strata["gain_se"]) ** 2).sum()))
    if stratified:
        assert found.gain.se == pytest.approx(boot, rel=0.03)
    alone = decompose(before, after, by=("problem_id",), rng=np.random.default_rng(0), draws=20_000)
    psi = alone.strata["gain"].to_numpy()
    assert alone.gain.se == pytest.approx(psi.std(ddof=1) / math.sqrt(24), rel=1e-12)


def test_every_draw_respects_the_identity_and_simultaneous_intervals_are_wider():
    found = decompose(*two(3, problems=120), rng=np.random.default_rng(0))
    for name in ("selection", "improvement", "new_strategy"):
        alone, together = getattr(found, name), getattr(found.simultaneous, name)
        assert together.value == alone.value
        assert together.high - together.low > alone.high - alone.low
    assert found.left_out_before == found.left_out_after == 0
    assert found.length_before == pytest.approx(found.length_after)


def test_result_is_json_ready_and_readable():
    found = decompose(*two(4), rng=np.random.default_rng(0), draws=200)
    text = json.dumps(found.as_dict(), allow_nan=False)
    keys = set(json.loads(text))
    assert {
        "gain",
        "selection",
        "reverse",
        "symmetric",
        "threefold",
        "order_dependent",
        "left_out_after",
    } <= keys
    assert set(found.as_dict()["threefold"]) == {"selection", "improvement", "interaction", "new_strategy"}
    assert "select, then improve" in str(found)
    assert "weak: 60 problems, fewer than 100" in str(found)


def test_a_seed_gives_the_same_numbers_whether_rollouts_or_merged_counts():
    before, after = two(5)
    parts = [count(before[:100]), count(before[100:])]
    one = decompose(before, after, rng=np.random.default_rng(7), draws=300)
    other = decompose(merge(parts), count(after), rng=np.random.default_rng(7), draws=300)
    assert one.as_dict() == other.as_dict()
    assert one.cells.equals(other.cells)


def test_a_verdict_that_changes_with_the_order_is_marked():
    before = pl.concat(
        shares("0", {"F": 0.9, "B": 0.1}, {"F": 0.1, "B": 0.1}).with_columns(problem_id=pl.lit(f"p{i}"))
        for i in range(20)
    )
    after = pl.concat(
        shares("1", {"F": 0.1, "B": 0.9}, {"F": 0.1, "B": 0.9}).with_columns(problem_id=pl.lit(f"p{i}"))
        for i in range(20)
    )
    found = split(before, after, draws=200)
    assert found.lead == "improvement"
    assert found.order_dependent
    assert found.reverse.selection.value > found.reverse.improvement.value


def test_errors_name_what_to_mend():
    before, after = two(6, problems=4)
    with pytest.raises(StratagemError, match="no problem_id in common"):
        split(before, after.with_columns(problem_id=pl.lit("z") + pl.col("problem_id")))
    with pytest.raises(StratagemError, match="kind = 'a' before and 'b' after"):
        split(before, after.with_columns(kind=pl.lit("b")))
    with pytest.raises(StratagemError, match="holds several"):
        split(pl.concat([before, after]), after)
    with pytest.raises(StratagemError, match="lies in several strata"):
        split(before, after, by=("strategy",))
    with pytest.raises(StratagemError, match="no column 'level'"):
        split(before, after, by=("level",))
    with pytest.raises(StratagemError, match="forced: no column 'n'"):
        split(before, after, forced=pl.DataFrame({"kind": ["a"], "strategy": ["F"], "problem_id": ["p000"]}))


def test_zero_bound_is_the_rule_of_three():
    assert zero_bound(300) == pytest.approx(3 / 300, rel=0.01)
    assert (1 - zero_bound(17)) ** 17 == pytest.approx(0.05)
    assert zero_bound(0) == 1
