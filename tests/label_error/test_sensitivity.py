"""The smallest label error that changes the answer, against tables with that error in them."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.delta_method import terms
from stratagem.label_error.confusion import Confusion
from stratagem.label_error.correction import decompose_corrected
from stratagem.label_error.sensitivity import LabelChange, sensitivity
from stratagem.records import TRUNCATED
from stratagem.stats.pairs import pair
from tests.decomposition.tables import draw

NAMES = ("A", "B", "C")
KINDS = ("kind", "difficulty")


def logs(
    seed: int, share: list[float], accuracy: list[float], problems: int = 120
) -> tuple[pl.DataFrame, ...]:
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(problems)]
    tables = []
    for name, shares, rates in (
        ("0", (0.5, 0.3, 0.2), (0.3, 0.7, 0.5)),
        ("1", share, accuracy),
    ):
        drawn = draw(
            rng, name, ids, dict(zip(NAMES, shares, strict=True)), dict(zip(NAMES, rates, strict=True)), 8
        )
        keys = ["problem_id", "kind", "difficulty", "strategy"]
        tables.append(drawn.group_by(keys).agg(n=pl.len().cast(pl.Float64), right=pl.col("score").sum()))
    return tuple(tables)


def relabelled(tables: tuple[pl.DataFrame, ...], one: LabelChange, size: float) -> list[pl.DataFrame]:
    """A part of the responses with a label moved to another, as counts, by hand."""
    found = []
    for side, table in zip(("before", "after"), tables, strict=True):
        if one.side not in (None, side):
            found.append(table)
            continue
        used = table.select(*KINDS, "strategy").unique()
        both = used.filter(pl.col("strategy") == one.label).join(
            used.filter(pl.col("strategy") == one.truth), on=KINDS
        )
        moved = table.filter(pl.col("strategy") == one.label).join(both.select(KINDS), on=KINDS, how="semi")
        right = pl.col("right") * (0 if one.outcome == "wrong" else size)
        wrong = (pl.col("n") - pl.col("right")) * (0 if one.outcome == "right" else size)
        moved = moved.with_columns(n=right + wrong, right=right).filter(pl.col("n") > 0)
        less = moved.with_columns(-pl.col("n"), -pl.col("right"))
        more = moved.with_columns(strategy=pl.lit(one.truth))
        keys = ["problem_id", *KINDS, "strategy"]
        whole = pl.concat([t.select(*keys, "n", "right") for t in (table, less, more)])
        found.append(whole.group_by(keys).agg(pl.col("n", "right").sum()).filter(pl.col("n") > 1e-9))
    return found


def lead(before: pl.DataFrame, after: pl.DataFrame) -> str:
    found = decompose(before, after, by=KINDS, rng=np.random.default_rng(0), draws=0)
    return "selection" if abs(found.selection.value) > abs(found.improvement.value) else "improvement"


def opened(before: pl.DataFrame, after: pl.DataFrame) -> bool:
    pairs = pair(before, after, KINDS)
    found = terms(matrix(pairs, None), pairs.before.n_p, pairs.sizes_g).selection
    return not found.low * found.high > 0


SELECTED = ([0.2, 0.6, 0.2], [0.34, 0.72, 0.5])
IMPROVED = ([0.38, 0.42, 0.2], [0.5, 0.75, 0.6])


@pytest.mark.parametrize("case", [SELECTED, IMPROVED])
def test_pairs_change_the_answer_at_the_size_that_is_told_and_not_below(
    case: tuple[list[float], list[float]],
):
    tables = logs(0 if case is SELECTED else 3, *case)
    found = sensitivity(*tables, by=KINDS)
    assert found.lead == lead(*tables) == ("selection" if case is SELECTED else "improvement")
    leads, zeros = 0, 0
    for one in found.changes[2:]:
        assert one.kind == "pair"
        if one.lead_at is not None:
            leads += 1
            assert lead(*relabelled(tables, one, one.lead_at)) != found.lead
            assert lead(*relabelled(tables, one, one.lead_at - 0.001)) == found.lead
        if one.zero_at is not None:
            zeros += 1
            assert opened(*relabelled(tables, one, one.zero_at))
            assert not opened(*relabelled(tables, one, one.zero_at - 0.001))
    assert leads >= 3 if case is SELECTED else zeros >= 3
    at = [one.at for one in found.changes[2:]]
    assert at == sorted(at)
    assert found.worst is not None
    assert found.worst.at == min(one.at for one in found.changes if one.at is not None)


def test_no_pair_is_worse_than_the_worst():
    """A hand-made walk over every pair, checkpoint and outcome: below the worst size nothing changes."""
    tables = logs(0, *SELECTED)
    found = sensitivity(*tables, by=KINDS)
    worst = min(one.at for one in found.changes[2:] if one.at is not None)
    changed = []
    for label in NAMES:
        for truth in NAMES:
            for side in ("before", "after", None):
                for outcome in ("right", "wrong", None):
                    if label == truth:
                        continue
                    one = LabelChange("pair", side, outcome, label, truth, 1.0, None, None, "")
                    for size, late in ((worst - 0.001, False), (worst, True)):
                        moved = relabelled(tables, one, size)
                        if lead(*moved) != found.lead or opened(*moved):
                            changed.append(late)
    assert changed == [True]


def test_an_even_error_is_undone_as_the_correction_would():
    tables = logs(3, *IMPROVED)
    found = sensitivity(*tables, by=KINDS, limit=0.45)
    even = found.changes[0]
    assert even.kind == "undone"
    assert even.lead_at is not None

    def corrected(e: float) -> str:
        rate = np.full((3, 3), e / 2) + (1 - 1.5 * e) * np.eye(3)
        one = decompose_corrected(
            *tables, Confusion.known(NAMES, rate), by=KINDS, rng=np.random.default_rng(0), draws=0
        )
        return "selection" if abs(one.selection.value) > abs(one.improvement.value) else "improvement"

    assert corrected(even.lead_at) == "selection"
    assert corrected(even.lead_at - 0.001) == "improvement"


def test_labels_wrong_at_random_are_a_mixture():
    tables = logs(0, *SELECTED)
    found = sensitivity(*tables, by=KINDS, limit=0.45)
    random = found.changes[1]
    assert random.kind == "random"
    assert random.lead_at is not None

    def mixed(e: float) -> str:
        sides = []
        for table in tables:
            keys = ["problem_id", *KINDS]
            per = table.group_by(keys).agg(pl.col("n", "right").sum())
            every = per.select(keys).join(pl.DataFrame({"strategy": NAMES}), how="cross")
            whole = (
                every.join(table, on=[*keys, "strategy"], how="left")
                .with_columns(pl.col("n", "right").fill_null(0.0))
                .join(per, on=keys, suffix="_all")
            )
            sides.append(
                whole.select(
                    *keys,
                    "strategy",
                    *(
                        ((1 - e) * pl.col(name) + e / 2 * (pl.col(f"{name}_all") - pl.col(name))).alias(name)
                        for name in ("n", "right")
                    ),
                )
            )
        return lead(*sides)

    assert mixed(random.lead_at) == "improvement"
    assert mixed(random.lead_at - 0.001) == "selection"


def test_an_undecided_lead_is_not_one_that_errors_change():
    found = sensitivity(*logs(0, *IMPROVED), by=KINDS)
    assert found.lead == "undecided"
    assert all(one.lead_at is None for one in found.changes)
    assert found.worst is not None
    assert found.worst.at == found.worst.zero_at
    assert found.sentence.startswith(
        "Which of selection and improvement is larger is undecided; with a label"
    )
    assert "lead" not in found.sentence
    sure = sensitivity(*logs(0, *IMPROVED), by=KINDS, limit=0.02)
    assert sure.sentence.endswith("no label error up to 2% would make the interval of selection include 0.")


def test_a_clear_answer_survives_every_error():
    # From A to B, which always was far better; nothing improves.
    tables = [
        pl.DataFrame(
            {
                "problem_id": [f"p{i}" for i in range(200) for _ in NAMES[:2]],
                "strategy": list(NAMES[:2]) * 200,
                "n": counts * 200,
                "right": right * 200,
            }
        )
        for counts, right in (([18.0, 2.0], [0.0, 2.0]), ([2.0, 18.0], [0.0, 18.0]))
    ]
    found = sensitivity(*tables, by=(), limit=0.05)
    assert found.lead == "selection"
    assert found.worst is None
    assert len(found.changes) == 2
    assert found.sentence == "No label error up to 5% would change the verdict: selection leads."
    assert found.tried == 2 + 2 * 9


def test_responses_move_only_where_both_strategies_are_seen_and_never_from_truncated_ones():
    before, after = logs(0, *SELECTED)
    after = after.with_columns(pl.col("strategy").replace("C", TRUNCATED))
    found = sensitivity(before, after, by=KINDS, keep=1000)
    assert {(one.side, one.label, one.truth) for one in found.changes if "C" in (one.label, one.truth)} <= {
        (side, *names)
        for side in ("before", None)
        for names in (("A", "C"), ("C", "A"), ("B", "C"), ("C", "B"))
    }
    assert not [one for one in found.changes if TRUNCATED in (one.label, one.truth)]
    assert found.tried < sensitivity(before, after, by=KINDS, fixed=()).tried
    share = {one.label: one.share for one in found.changes if one.side == "before" and one.outcome is None}
    assert share
    total = before["n"].sum()
    for label, part in share.items():
        assert part == pytest.approx(before.filter(pl.col("strategy") == label)["n"].sum() / total)


def test_nothing_to_choose_from_is_no_error():
    one = pl.DataFrame({"problem_id": ["a", "b", "c"], "strategy": "A", "n": 4, "right": [1.0, 2.0, 3.0]})
    found = sensitivity(one, one.with_columns(right=pl.lit(4.0)), by=())
    assert found.tried == 2
    assert found.worst is None
    assert "the interval of selection includes 0" in found.sentence
    same = sensitivity(one, one, by=())
    assert same.worst is None
    assert same.sentence == (
        "Which of selection and improvement is larger is undecided, and the interval of selection includes 0: label "
        "error has nothing to change."
    )
    with pytest.raises(ValueError, match="limit"):
        sensitivity(one, one, by=(), limit=0.6)


def test_it_says_so_in_a_sentence_and_in_json():
    tables = logs(0, *SELECTED)
    found = sensitivity(*tables, by=KINDS)
    worst = found.worst
    assert worst is not None
    assert worst.at is not None
    assert found.sentence.startswith(
        f"A label error of {100 * worst.at:.0f}% in one direction would change the"
    )
    assert found.sentence in str(found)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["lead"] == "selection"
    assert data["changes"][0]["kind"] == "undone"
    assert {"label", "truth", "side", "outcome", "lead_at", "zero_at", "share", "text"} <= set(
        data["changes"][2]
    )
