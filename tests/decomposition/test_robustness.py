"""Whether the lead survives other groupings of strategies."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.robustness import robustness
from stratagem.records import StratagemError
from stratagem.stats.counts import count
from tests.decomposition.tables import draw, two


def test_every_merge_is_the_decomposition_of_merged_labels() -> None:
    before, after = two(3, problems=300)
    is_other = pl.col("sample") == 0
    before, after = (
        t.with_columns(strategy=pl.when(is_other).then(pl.lit("other")).otherwise("strategy"))
        for t in (before, after)
    )
    changes = {change.change: change for change in robustness(before, after)}
    assert len(changes) == 11
    named = {"B": "F", "C": "F", "N": "F"}
    for name, merged_names in (
        ("merge B and F", {"B": "F"}),
        ("merge C and N", {"C": "N"}),
        ("merge all named strategies", named),
    ):
        change = changes[name]
        merged = [t.with_columns(pl.col("strategy").replace(merged_names)) for t in (before, after)]
        slow = decompose(*merged, rng=np.random.default_rng(0), draws=2000)
        assert change.selection.value == pytest.approx(slow.selection.value, abs=1e-12)
        assert change.improvement.value == pytest.approx(slow.improvement.value, abs=1e-12)
        assert change.selection.se == pytest.approx(slow.selection.se, rel=0.1)
        assert len({change.lead, slow.lead} - {"undecided"}) < 2  # one is in closed form, one of draws
        parts = (change.selection, change.improvement, change.new_strategy)
        assert sum(part.value for part in parts) == pytest.approx(slow.gain.value)
    json.dumps([change.as_dict() for change in changes.values()], allow_nan=False)


def test_a_grouping_that_leaves_nothing_to_select_is_not_tried() -> None:
    """Of one strategy that is left nothing can be selected, whatever the logs hold: it is no doubt about a lead."""
    before, after = two(3, problems=300)
    names = [change.change for change in robustness(before, after)]
    assert len(names) == 6
    assert "merge all named strategies" not in names
    merged = [t.with_columns(pl.col("strategy").replace({"C": "B", "N": "F"})) for t in (before, after)]
    assert robustness(*merged) == ()


def test_a_lead_that_hangs_on_one_distinction_turns_round() -> None:
    rng = np.random.default_rng(0)
    ids = [f"p{i}" for i in range(300)]
    accuracy = {"good": 0.9, "bad": 0.1, "third": 0.5}
    before = draw(rng, "0", ids, {"good": 0.2, "bad": 0.6, "third": 0.2}, accuracy)
    after = draw(rng, "1", ids, {"good": 0.6, "bad": 0.2, "third": 0.2}, accuracy)
    found = {change.change: change.lead for change in robustness(before, after)}
    assert found["merge bad and good"] == "improvement"
    assert found["merge good and third"] == "selection"


def test_other_comes_first_and_the_number_of_pairs_is_capped() -> None:
    rng = np.random.default_rng(1)
    names = [*"abcdefgh", "other"]
    share = dict.fromkeys(names, 1 / 9)
    before, after = (draw(rng, str(i), [f"p{j}" for j in range(60)], share, share) for i in (0, 1))
    found = [change.change for change in robustness(before, after, most=10)]
    assert len(found) == 11
    assert all("other" in name for name in found[:8])
    assert found[-1] == "merge all named strategies"
    rare = [t.with_columns(pl.col("strategy").replace("h", "a")) for t in (before, after)]
    rare[0][0, "strategy"] = "z"
    assert not any("z" in change.change.split() for change in robustness(*rare))


def test_refining_by_a_column_of_the_problem_or_of_the_response() -> None:
    before, after = two(4, problems=200)
    rng = np.random.default_rng(2)
    sides = [t.with_columns(form=pl.Series(rng.choice(["x", "y"], t.height))) for t in (before, after)]
    found = robustness(*sides, by=("kind",), refine=("difficulty", "form"))[-2:]
    assert [change.change for change in found] == ["strata also by difficulty", "split strategies by form"]
    finer = decompose(before, after, rng=rng, draws=0)
    assert found[0].selection.value == pytest.approx(finer.selection.value, abs=1e-12)
    split = [t.with_columns(strategy=pl.col("strategy") + pl.col("form")) for t in sides]
    slow = decompose(*split, by=("kind",), rng=rng, draws=0)
    assert found[1].selection.value == pytest.approx(slow.selection.value, abs=1e-12)
    with pytest.raises(StratagemError, match="before: no column 'nothing'"):
        robustness(before, after, refine=("nothing",))


def test_counts_and_rollouts_agree_and_nothing_is_merged_where_one_strategy_is() -> None:
    before, after = two(5)
    assert robustness(before, after) == robustness(count(before), count(after))
    one = [t.with_columns(strategy=pl.lit("F")) for t in (before, after)]
    assert robustness(*one) == ()
