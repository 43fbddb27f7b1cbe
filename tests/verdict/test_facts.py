"""The facts of a verdict from tables, and the closed form behind them."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.delta_method import terms
from stratagem.decomposition.headroom import headroom
from stratagem.stats.counts import count
from stratagem.stats.pairs import pair
from stratagem.verdict.facts import facts_from, needed_problems
from stratagem.verdict.rules import ACTIONS, verdict
from tests.decomposition.tables import draw, two
from tests.verdict.scenarios import est


def test_as_many_problems_as_it_says_would_settle_it() -> None:
    gain = est(0.01, 0.03)
    n = needed_problems(gain, 400)
    assert n == 7400
    settled = est(0.01, 0.03 * math.sqrt(400 / n))
    assert settled.low > 0
    assert (settled.value / settled.se) == pytest.approx(1.96 + 0.8416, rel=0.01)
    assert needed_problems(est(0.0, 0.03), 400) is None


def test_closed_form_terms_agree_with_the_bootstrap() -> None:
    before, after = two(1, problems=400)
    for by in ((), ("kind", "difficulty"), ("problem_id",)):
        for stratified in (True, False):
            boot = decompose(
                before, after, by=by, rng=np.random.default_rng(1), draws=4000, stratified=stratified
            )
            pairs = pair(before, after, by)
            blocks = [b for s in (pairs.before, pairs.after) for b in (s.share_ps, s.right_ps)]
            found = terms(
                np.concatenate(blocks, axis=1), pairs.before.n_p, pairs.sizes_g, stratified=stratified
            )
            assert found.gain.value == pytest.approx(boot.gain.value, abs=1e-12)
            assert found.gain.se == pytest.approx(boot.gain.se, rel=1e-9)
            for name in ("selection", "improvement", "new_strategy"):
                one, other = getattr(found, name), getattr(boot, name)
                assert one.value == pytest.approx(other.value, abs=1e-12)
                assert one.se == pytest.approx(other.se, rel=0.06)
            assert found.lead == boot.lead


def test_facts_from_counts_and_from_rollouts() -> None:
    before, after = two(2, problems=300, samples=6)
    unread = (
        pl.when(pl.col("strategy") == "C").then(pl.lit("unparsed")).otherwise("strategy").alias("strategy")
    )
    before = before.with_columns(
        unread, score=pl.when(pl.col("strategy") == "C").then(0.0).otherwise("score")
    )
    longer = pl.when(pl.col("difficulty") == 0).then(1.05).otherwise(2.0)
    after = after.with_columns(length=pl.col("length") * longer)
    found = decompose(before, after, rng=np.random.default_rng(0), draws=400)
    rooms = tuple(headroom(t, rng=np.random.default_rng(0), draws=100) for t in (before, after))
    facts = facts_from(found, pair(count(before), count(after)), headrooms=(rooms[0], rooms[1]))
    assert facts == facts_from(found, pair(before, after), headrooms=(rooms[0], rooms[1]))
    assert facts.problems == 300
    assert facts.samples == 6
    assert facts.strategies == 3
    means = [
        t.group_by("problem_id").agg(pl.col("score", "length").mean()).sort("problem_id")
        for t in (before, after)
    ]
    assert facts.lengths is not None
    assert facts.lengths.difference.value == pytest.approx(
        float((means[1]["length"] - means[0]["length"]).mean())
    )
    assert facts.lengths.steady.n == int((means[1]["length"] < 1.1 * means[0]["length"]).sum())
    one = facts.unread
    assert one is not None
    assert one.part.value + one.rest.value == pytest.approx(found.gain.value)
    assert one.share_before == pytest.approx((before["strategy"] == "unparsed").mean())
    assert (one.accuracy_before, one.share_after) == (0.0, 0.0)
    assert facts.signal is not None
    assert facts.signal.group == 6
    assert facts.signal.wrong_before == pytest.approx((means[0]["score"] == 0).mean())
    assert facts.signal.right_after == pytest.approx((means[1]["score"] == 1).mean())
    assert [x.difficulty for x in facts.levels] == [0, 1]
    hard = before.filter(pl.col("difficulty") == 1)["score"].mean()
    assert facts.levels[1].accuracy_before == pytest.approx(hard)
    assert verdict(facts).action in ACTIONS


def test_chance_is_the_part_that_more_responses_would_take_away() -> None:
    rng = np.random.default_rng(0)
    rate = rng.beta(2, 2, (2, 4000))

    def rollouts(side: int, samples: int) -> pl.DataFrame:
        score = (rng.random((samples, 4000)) < rate[side]).T.astype(float).ravel()
        problem = np.repeat(np.arange(4000), samples).astype(str)
        return pl.DataFrame({"problem_id": problem, "strategy": "A", "n": 1, "right": score})

    tables = [rollouts(side, 4) for side in (0, 1)]
    found = decompose(*tables, by=(), rng=rng, draws=0)
    facts = facts_from(found, pair(*tables, found.by))
    inside = (rate * (1 - rate) / 4).mean(axis=1).sum()
    assert facts.chance == pytest.approx(inside / (inside + (rate[1] - rate[0]).var()), abs=0.03)
    assert facts.samples_instead(facts.problems * 2) == math.ceil(
        4 * facts.chance / (0.5 - (1 - facts.chance))
    ) or (facts.chance < 0.5 and facts.samples_instead(facts.problems * 2) is None)


def test_strata_that_pull_in_opposite_directions_are_named():
    rng = np.random.default_rng(4)
    sides = []
    for checkpoint, shares in (("0", (0.5, 0.5)), ("1", (0.95, 0.05))):
        parts = []
        for kind, share in zip(("up", "down"), shares, strict=True):
            ids = [f"{kind}{i}" for i in range(60)]
            part = draw(rng, checkpoint, ids, {"F": share, "B": 1 - share}, {"F": 0.9, "B": 0.2}, 4)
            parts.append(part.with_columns(kind=pl.lit(kind)))
        sides.append(pl.concat(parts))
    found = decompose(*sides, by=("kind",), rng=rng, draws=300)
    facts = facts_from(found, pair(*sides, found.by))
    assert [one.part for one in facts.opposed] == ["selection"]
    one = facts.opposed[0]
    assert (one.up[0], one.down[0]) == ("up", "down")
    rows = {row["kind"]: row for row in found.strata.iter_rows(named=True)}
    assert one.up[1].value == rows["up"]["selection"]
    # Two strata looked at together: wider than each by itself.
    assert one.down[1].high > rows["down"]["selection"] + 1.96 * rows["down"]["selection_se"]
    assert any(
        line.startswith("Selection differs between strata: in up it added")
        for line in verdict(facts).evidence
    )
    few = [table.filter(pl.col("problem_id").str.contains(r"^[a-z]+1?\d$")) for table in sides]
    assert few[0]["problem_id"].n_unique() == 40
    assert facts_from(decompose(*few, by=("kind",), rng=rng, draws=300), pair(*few, ("kind",))).opposed
    fewer = [table.filter(pl.col("problem_id").str.contains(r"^[a-z]+1?[0-8]$")) for table in sides]
    assert not facts_from(
        decompose(*fewer, by=("kind",), rng=rng, draws=300), pair(*fewer, ("kind",))
    ).opposed
