"""The corrected decomposition: exact where the error is known, refused where it would be guessing."""

from __future__ import annotations

import json
from unittest.mock import patch

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.parts import Split
from stratagem.label_error.confusion import Confusion
from stratagem.label_error.correction import decompose_corrected
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import sheet
from stratagem.label_error.unmixing import by_outcome, clip_shares
from stratagem.records import StratagemError
from stratagem.stats.counts import tally
from tests.decomposition.tables import two
from tests.decomposition.test_decomposition_laws import tables

TERMS = ("gain", "selection", "improvement", "new_strategy")
KINDS = ("kind", "difficulty")
# Right answers are read better than wrong ones, and the later checkpoint worse than the earlier one.
RATE = np.array(
    [
        [
            [[0.9, 0.1, 0.0], [0.2, 0.7, 0.1], [0.1, 0.1, 0.8]],
            [[1.0, 0.0, 0.0], [0.1, 0.9, 0.0], [0.0, 0.1, 0.9]],
        ],
        [
            [[0.7, 0.2, 0.1], [0.2, 0.8, 0.0], [0.3, 0.1, 0.6]],
            [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.2, 0.7]],
        ],
    ]
)
NAMES = ("A", "B", "C")


def spread(true: pl.DataFrame, rate: np.ndarray, names: tuple[str, ...]) -> pl.DataFrame:
    """The expected counts of labels: every response of a problem is split as the recogniser would label it."""
    rows = []
    for row in true.iter_rows(named=True):
        t = names.index(row["strategy"])
        wrong = row["n"] - row["right"]
        for p, name in enumerate(names):
            right = row["right"] * rate[1, t, p]
            rows.append(row | {"strategy": name, "n": wrong * rate[0, t, p] + right, "right": right})
    table = pl.DataFrame(rows)
    keys = [name for name in table.columns if name not in ("n", "right")]
    return table.group_by(keys).agg(pl.col("n", "right").sum()).filter(pl.col("n") > 0)


@st.composite
def three(draw_value, checkpoint: str):
    table = draw_value(tables(checkpoint, full=True))
    return table.filter(pl.col("strategy") != "D")


def same(one: Split, other: Split) -> None:
    for name in ("selection", "improvement", "new_strategy"):
        x, y = getattr(one, name), getattr(other, name)
        assert type(x) is type(y)
        if x.bounds:
            assert x.bounds == pytest.approx(y.bounds, abs=1e-12)
        else:
            assert x.value == pytest.approx(y.value, abs=1e-12)


@settings(max_examples=30, deadline=None)
@given(tables("0"), tables("1"), st.sampled_from([(), ("kind",)]))
def test_without_error_it_is_the_decomposition(
    before: pl.DataFrame, after: pl.DataFrame, by: tuple[str, ...]
):
    none = Confusion.known(("A", "B", "C", "D"), np.eye(4))
    # What the correction does not know of: thin cells, whose accuracies come from a posterior, and strategies that may
    # be new or rare.
    new = {"_new": lambda share_gs, *_: np.ones(share_gs.shape[1], bool)}
    with patch.multiple("stratagem.decomposition.thin_cells", MIN_SEEN=0, MIN_OUTCOME=0, **new):
        plain = decompose(before, after, by=by, rng=np.random.default_rng(3), draws=40)
    found = decompose_corrected(before, after, none, by=by, rng=np.random.default_rng(3), draws=40)
    for name in TERMS:
        one, other = getattr(found, name), getattr(plain, name)
        assert one.value == pytest.approx(other.value, abs=1e-12)
        assert (one.low, one.high, one.se) == pytest.approx((other.low, other.high, other.se), abs=1e-9)
    same(found.reverse, plain.reverse)
    same(found.symmetric, plain.symmetric)
    same(found.simultaneous, plain.simultaneous)
    ends = [(s.simultaneous.selection.low, s.simultaneous.improvement.high) for s in (found, plain)]
    assert ends[0] == pytest.approx(ends[1], abs=1e-9)
    assert found.lead == plain.lead
    assert (found.condition, found.moved) == (1.0, 0.0)
    cells = plain.cells.filter(pl.col("share_before") + pl.col("share_after") > 0).select(found.cells.columns)
    assert found.cells.sort(found.cells.columns[:2]).equals(cells.sort(cells.columns[:2])) or (
        np.nan_to_num(found.cells.select(pl.selectors.float()).to_numpy())
        == pytest.approx(np.nan_to_num(cells.select(pl.selectors.float()).to_numpy()), abs=1e-12)
    )


@settings(max_examples=40, deadline=None)
@given(three("0"), three("1"), st.sampled_from([(), ("kind",)]))
def test_a_known_error_is_undone_exactly(before: pl.DataFrame, after: pl.DataFrame, by: tuple[str, ...]):
    truth = decompose(before, after, by=by, rng=np.random.default_rng(0), draws=0)
    seen = [spread(table, RATE[c], NAMES) for c, table in enumerate((before, after))]
    known = Confusion.known(NAMES, RATE)
    found = decompose_corrected(*seen, known, by=by, rng=np.random.default_rng(0), draws=0)
    for name in TERMS:
        assert getattr(found, name).value == pytest.approx(getattr(truth, name).value, abs=1e-9)
    same(found.reverse, truth.reverse)


@settings(max_examples=40, deadline=None)
@given(tables("0", full=True), tables("1", full=True), st.floats(0.0, 0.3))
def test_terms_sum_to_the_observed_gain(before: pl.DataFrame, after: pl.DataFrame, e: float):
    rate = Confusion.known(("A", "B", "C", "D"), np.full((4, 4), e / 3) + (1 - 4 * e / 3) * np.eye(4))
    try:
        found = decompose_corrected(before, after, rate, by=("kind",), rng=np.random.default_rng(0), draws=60)
    except StratagemError:
        return
    plain = decompose(before, after, by=("kind",), rng=np.random.default_rng(0), draws=0)
    total = found.selection.value + found.improvement.value + found.new_strategy.value
    assert total == pytest.approx(plain.gain.value, abs=1e-12)
    assert found.gain.value == plain.gain.value
    accuracy = found.cells["accuracy_before"].drop_nulls()
    assert accuracy.is_between(-1e-12, 1 + 1e-12).all()
    assert found.cells["share_before"].min() >= 0  # pyright: ignore


@given(st.lists(st.floats(-0.2, 1.0), min_size=8, max_size=8))
def test_settling_keeps_sums_and_leaves_nothing_below_zero(values: list[float]):
    x = np.array(values).reshape(2, 4)
    x[:, 3] = np.abs(x[:, 3]) + 1.0  # outcomes have a positive total, as accuracies do
    found = clip_shares(x)
    assert found.min() >= 0
    assert found.sum(-1) == pytest.approx(x.sum(-1), abs=1e-9)
    fine = np.abs(x) + 1e-6
    assert (clip_shares(fine) == fine).all()


def test_sums_are_split_by_outcome():
    # Checkpoint 0: shares .6 and .4 of which .5 and .1 right; checkpoint 1: .3 and .7, .3 and .0 right.
    found = by_outcome(np.array([0.6, 0.4, 0.5, 0.1, 0.3, 0.7, 0.3, 0.0]), 2)
    assert found == pytest.approx(np.array([[[0.1, 0.3], [0.5, 0.1]], [[0.0, 0.7], [0.3, 0.0]]]))


def test_few_hand_labels_make_intervals_wider():
    names = ("B", "C", "F", "N")
    rate = np.full((4, 4), 0.02) + 0.92 * np.eye(4)
    counts = [tally(table, KINDS).drop("length") for table in two(0, problems=200)]
    before, after = (spread(table, np.stack([rate, rate]), names) for table in counts)
    widths = []
    for count in (np.inf, 400.0, 8.0):
        confusion = Confusion(names, rate[None, None], np.full((1, 1, 4), count))
        found = decompose_corrected(
            before, after, confusion, by=KINDS, rng=np.random.default_rng(0), draws=400
        )
        widths.append(found.selection.high - found.selection.low)
    assert widths[0] < 1.05 * widths[1]
    assert 1.15 * widths[0] < widths[2]


def test_a_share_below_zero_by_chance_is_set_to_zero_and_told():
    """C does not occur; 10 % of A and B are labelled C, in one of two strata a little less than that."""
    rate = np.array([[0.9, 0.0, 0.1], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0]])
    rng = np.random.default_rng(2)
    sides = []
    for share in (0.5, 0.7):
        true = rng.random(800) < share
        noise = rng.random(800) < 0.1
        sides.append(
            pl.DataFrame(
                {
                    "problem_id": np.arange(800) // 4,
                    "kind": np.arange(800) // 4 % 2,
                    "strategy": np.where(noise, "C", np.where(true, "A", "B")),
                    "n": 1,
                    "right": (rng.random(800) < 0.5).astype(float),
                }
            )
        )
    found = decompose_corrected(
        *sides, Confusion.known(NAMES, rate), by=("kind",), rng=np.random.default_rng(0), draws=300
    )
    assert 0 < found.moved < 0.02
    assert "estimated share below 0" in str(found)
    # Ten times the error that there is: no chance explains that.
    much = Confusion.known(NAMES, 0.5 * np.eye(3) + 0.5 * np.array([0.0, 0.0, 1.0]))
    with pytest.raises(StratagemError, match=r"corrected share of 'C' is -0\.\d+ .* outside \[0, 1\]"):
        decompose_corrected(*sides, much, by=("kind",), rng=np.random.default_rng(0), draws=300)


def test_it_is_refused_where_it_would_be_guessing():
    before, after = two(0)
    names = ("B", "C", "F", "N")
    options = {"by": KINDS, "rng": np.random.default_rng(0), "draws": 50}
    flat = Confusion.known(names, np.full((4, 4), 0.23) + 0.08 * np.eye(4))
    with pytest.raises(StratagemError, match=r"hardly tells 'B' and 'C' apart .* merge them"):
        decompose_corrected(before, after, flat, **options)
    with pytest.raises(StratagemError, match="know no strategy 'N'"):
        decompose_corrected(before, after, Confusion.known(names[:3], np.eye(3)), **options)
    count = np.full((2, 2, 4), np.inf)
    count[1, 0, 3] = 0
    some = Confusion(names, np.broadcast_to(np.eye(4), (2, 2, 4, 4)), count)
    with pytest.raises(StratagemError, match=r"truly 'N' \(after, wrong\), but .*\(split=\(\)\)"):
        decompose_corrected(before, after, some, **options)
    wrong = Confusion.known(names, np.roll(0.3 * np.eye(4), 1, axis=1) + 0.7 * np.eye(4))
    with pytest.raises(StratagemError, match=r"outside \[0, 1\].*fewer strata"):
        decompose_corrected(before, after, wrong, **options)
    with pytest.raises(StratagemError, match=r"100% of the problems .*problem_id = "):
        decompose_corrected(
            before, after, Confusion.known(names, np.eye(4)), **options | {"by": ("problem_id",)}
        )


def test_a_stratum_of_one_problem_keeps_its_labels():
    before, after = two(3)
    names = ("B", "C", "F", "N")
    alone = pl.col("problem_id") == "p007"
    sides = [
        table.with_columns(kind=pl.when(alone).then(pl.lit("z")).otherwise("kind"))
        for table in (before, after)
    ]
    e = 0.1
    known = Confusion.known(names, np.full((4, 4), e / 3) + (1 - 4 * e / 3) * np.eye(4))
    options = {"by": ("kind",), "rng": np.random.default_rng(0), "draws": 200, "stratified": False}
    found = decompose_corrected(*sides, known, **options)
    assert found.alone == pytest.approx(1 / 60)
    plain = decompose(*sides, **options | {"draws": 0})
    columns = found.cells.columns
    here = pl.col("kind") == "z"
    assert found.cells.filter(here).equals(plain.cells.filter(here).select(columns))
    assert not found.cells.filter(~here).equals(plain.cells.filter(~here).select(columns))
    assert found.selection.value + found.improvement.value + found.new_strategy.value == pytest.approx(
        plain.gain.value, abs=1e-12
    )
    # All but that problem is corrected as if it were not there, and weighs less by it.
    rest = decompose_corrected(*(table.filter(~alone) for table in sides), known, **options | {"draws": 0})
    one = decompose(*(table.filter(alone) for table in sides), **options | {"draws": 0})
    expected = (59 * rest.selection.value + one.selection.value) / 60
    assert found.selection.value == pytest.approx(expected, abs=1e-12)
    assert found.selection.low < found.selection.value < found.selection.high


def test_draws_may_lose_a_label_of_one_problem():
    """Its problem is in few draws: without it nothing of the label is left to solve for."""
    sides = [table.with_columns(behaviours=pl.lit(None)) for table in two(4, problems=80)]
    rare = (pl.col("problem_id") == "p011") & (pl.col("sample") < 2)
    log = pl.concat(
        [
            table.with_columns(
                strategy=pl.when(rare).then(pl.lit("R")).otherwise("strategy"), side=pl.lit(name)
            )
            for name, table in zip("01", sides, strict=True)
        ]
    )
    rng = np.random.default_rng(0)
    hand = sheet(log, 120, rng).with_columns(true_strategy="strategy")
    confusion = validate(hand).confusion()
    tables = [log.filter(pl.col("side") == name).drop("side", "behaviours") for name in "01"]
    found = decompose_corrected(*tables, confusion, by=("kind",), rng=rng, draws=400)
    plain = decompose(*tables, by=("kind",), rng=rng, draws=400)
    for name in TERMS[1:]:
        one, other = getattr(found, name), getattr(plain, name)
        assert one.value == pytest.approx(other.value, abs=1e-9)  # the hand agrees with the recogniser
        assert one.low < other.value < one.high or name == "new_strategy"
        assert np.isfinite([one.low, one.high, one.se]).all()


def test_no_hand_label_is_needed_where_there_is_no_response():
    before, after = two(0)
    names = ("B", "C", "F", "N")
    count = np.full((2, 2, 4), np.inf)
    count[0, :, 3] = count[1, :, 1] = 0  # N is unused before, C after
    rate = np.broadcast_to(np.eye(4), (2, 2, 4, 4)).copy()
    rate[0, :, 3] = rate[1, :, 1] = np.nan
    found = decompose_corrected(
        before, after, Confusion(names, rate, count), by=KINDS, rng=np.random.default_rng(0), draws=0
    )
    plain = decompose(before, after, by=KINDS, rng=np.random.default_rng(0), draws=0)
    assert found.new_strategy.value == pytest.approx(plain.new_strategy.value, abs=1e-12)


def test_a_strategy_that_no_hand_label_finds_is_not_there():
    """5 % of A are labelled C before, where C is not used; after, half of what was B is truly C."""
    rng = np.random.default_rng(0)
    rate = np.array([[0.95, 0.0, 0.05], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    sides = []
    for share in ((0.6, 0.4, 0.0), (0.4, 0.4, 0.2)):
        true = rng.choice(3, 1600, p=share)
        seen = (rate[true].cumsum(1) < rng.random((1600, 1))).sum(1)
        right = (rng.random(1600) < np.array([0.3, 0.5, 0.9])[true]).astype(float)
        sides.append(
            pl.DataFrame(
                {
                    "problem_id": np.arange(1600) // 4,
                    "strategy": np.array(NAMES)[seen],
                    "n": 1,
                    "right": right,
                }
            )
        )
    count = np.full((2, 2, 3), np.inf)
    count[0, :, 2] = 0
    confusion = Confusion(NAMES, np.broadcast_to(rate, (2, 2, 3, 3)), count)
    found = decompose_corrected(*sides, confusion, by=(), rng=np.random.default_rng(0), draws=300)
    plain = decompose(*sides, by=(), rng=np.random.default_rng(0), draws=0)
    assert plain.new_strategy.value == 0.0
    truth = 0.2 * (0.9 - (0.4 * 0.3 + 0.4 * 0.5) / 0.8)
    assert found.new_strategy.low < truth < found.new_strategy.high
    assert found.new_strategy.value == pytest.approx(truth, abs=0.02)
    assert "C" not in found.cells.filter(pl.col("share_before") > 0)["strategy"]


def test_it_prints_and_is_json():
    before, after = two(0)
    known = Confusion.known(("B", "C", "F", "N"), np.eye(4))
    found = decompose_corrected(before, after, known, by=KINDS, rng=np.random.default_rng(0), draws=50)
    assert "corrected for label error; 95% intervals, in points" in str(found)
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["gain"]["value"] == pytest.approx(
        sum(data[name]["value"] for name in ("selection", "improvement", "new_strategy")), abs=1e-12
    )
    assert len(data["reverse"]["selection"]["bounds"]) == 2
    assert data["condition"] == 1.0
