"""Label quality: against statsmodels for plain samples, against all possible samples for designed ones."""

from __future__ import annotations

import itertools
import json

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from stratagem.label_error.confusion import Confusion
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import sheet
from stratagem.records import StratagemError

NAMES = ("A", "B", "C")
COUNTS = np.array([[40, 5, 1], [4, 30, 2], [0, 6, 12]])  # true x label


def rows(counts: np.ndarray, **columns: object) -> pl.DataFrame:
    pairs = [(NAMES[t], NAMES[p]) for t, p in np.ndindex(*counts.shape) for _ in range(int(counts[t, p]))]
    table = pl.DataFrame(pairs, schema=["true_strategy", "strategy"], orient="row")
    return table.with_columns(**{name: pl.lit(value) for name, value in columns.items()})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 15), min_size=9, max_size=9).filter(lambda x: sum(x) > 1))
def test_a_plain_sample_has_wilson_intervals_and_the_usual_kappa(cells: list[int]):
    counts = np.array(cells).reshape(3, 3)
    found = validate(rows(counts), names=NAMES).overall
    assert found.labelled == counts.sum()
    assert (found.confusion == counts).all()
    for i in range(3):
        for one, of in ((found.precision[i], counts[:, i].sum()), (found.recall[i], counts[i].sum())):
            if of == 0:
                assert np.isnan(one.value)
                continue
            assert one.value == pytest.approx(counts[i, i] / of)
            wilson = proportion_confint(counts[i, i], of, method="wilson")
            assert (one.low, one.high) == pytest.approx(wilson, abs=1e-9)
    wilson = proportion_confint(np.trace(counts), counts.sum(), method="wilson")
    assert (found.agreement.low, found.agreement.high) == pytest.approx(wilson, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 15), min_size=9, max_size=9))
def test_kappa_and_its_error_are_those_of_statsmodels(cells: list[int]):
    counts = np.array(cells).reshape(3, 3)
    found = validate(rows(counts)).overall.kappa
    other = cohens_kappa(counts)
    assert found.value == pytest.approx(other.kappa)
    assert found.se == pytest.approx(other.std_kappa)


def test_perfect_labels_have_an_interval_all_the_same():
    found = validate(rows(np.diag([20, 10, 5]))).overall
    assert found.kappa.value == found.agreement.value == 1.0
    assert 0.8 < found.kappa.low < found.agreement.low < 1.0
    assert np.isnan(validate(rows(np.diag([20, 0, 0]))).overall.kappa.value)


def test_the_variance_is_that_of_all_possible_samples():
    """Two cells of 5 and 4 responses, 3 and 2 of which are labelled: the estimate is right on average, and so is
    its variance, exactly."""
    truth = {"A": [1, 1, 0, 1, 0], "B": [1, 0, 0, 1]}
    values, variances = [], []
    for first in itertools.combinations(truth["A"], 3):
        for second in itertools.combinations(truth["B"], 2):
            table = pl.DataFrame(
                {
                    "strategy": ["A"] * 3 + ["B"] * 2,
                    "true_strategy": ["A" if x else "B" for x in first] + ["B" if x else "A" for x in second],
                    "weight": [5 / 3] * 3 + [2.0] * 2,
                }
            )
            found = validate(table).overall.agreement
            values.append(found.value)
            variances.append(found.se**2)
    assert np.mean(values) == pytest.approx(5 / 9)
    assert np.mean(variances) == pytest.approx(np.var(values))


def population(rng: np.random.Generator, size: int = 6000) -> pl.DataFrame:
    true = rng.choice(3, size, p=[0.6, 0.3, 0.1])
    rate = np.array([[0.9, 0.07, 0.03], [0.1, 0.8, 0.1], [0.2, 0.1, 0.7]])
    seen = (rate[true].cumsum(1) < rng.random(size)[:, None]).sum(1)
    return pl.DataFrame(
        {
            "problem_id": np.arange(size) // 4,
            "sample": np.arange(size) % 4,
            "side": rng.integers(0, 2, size),
            "strategy": np.array(NAMES)[seen],
            "truth": np.array(NAMES)[true],
            "score": (rng.random(size) < 0.3 + 0.2 * true).astype(float),
        }
    )


def fill(drawn: pl.DataFrame, whole: pl.DataFrame) -> pl.DataFrame:
    key = ["side", "problem_id", "sample"]
    known = whole.select(pl.col("side").cast(pl.String), "problem_id", "sample", "truth")
    return drawn.drop("true_strategy").join(known, on=key).rename({"truth": "true_strategy"})


def test_intervals_of_a_drawn_sheet_hold_the_figures_of_the_whole_log():
    rng = np.random.default_rng(5)
    whole = population(rng)
    full = validate(whole.rename({"truth": "true_strategy"})).overall
    held: list[list[bool]] = []
    for _ in range(150):
        found = validate(fill(sheet(whole, 240, rng), whole)).overall
        pairs = [(found.agreement, full.agreement), (found.kappa, full.kappa)]
        pairs += [*zip(found.precision, full.precision, strict=True)]
        pairs += [*zip(found.recall, full.recall, strict=True)]
        held.append([one.low <= other.value <= one.high for one, other in pairs])
    part = np.mean(held, axis=0)
    assert part.min() > 0.88, part
    assert part.mean() < 0.985, part


def test_scopes_are_those_of_their_rows():
    table = pl.concat(
        [
            rows(COUNTS, side="9", score=1.0),
            rows(COUNTS.T, side="10", score=0.0),
            rows(np.diag([3, 3, 3]), side="10", score=1.0),
        ]
    )
    found = validate(table)
    assert found.sides == ("9", "10")
    assert len(found.scopes) == 1 + 2 + 2 + 4
    assert found.scope("9", "right").agreement.value == pytest.approx(82 / 100)
    assert found.scope("9", "wrong").labelled == 0
    assert found.scope("10", "right").agreement.value == 1.0
    assert (found.scope("10").confusion == COUNTS.T + np.diag([3, 3, 3])).all()
    assert (found.scope(outcome="wrong").confusion == COUNTS.T).all()


def test_a_score_between_is_partly_right():
    found = validate(rows(COUNTS, score=0.25))
    assert found.scope(outcome="right").confusion == pytest.approx(0.25 * COUNTS)
    assert found.scope(outcome="wrong").confusion == pytest.approx(0.75 * COUNTS)


def test_confusion_rows_are_worth_their_responses():
    found = validate(rows(COUNTS)).confusion()
    assert found.rate.shape == (1, 1, 3, 3)
    assert found.rate[0, 0] == pytest.approx(COUNTS / COUNTS.sum(1, keepdims=True))
    assert found.count[0, 0] == pytest.approx(COUNTS.sum(1))
    both = validate(pl.concat([rows(COUNTS, side="0", score=1.0), rows(COUNTS.T, side="1", score=0.0)]))
    assert both.confusion().rate.shape == (2, 2, 3, 3)
    assert np.isnan(both.confusion().rate[0, 0]).all()
    assert (both.confusion("1", "0").rate[0, 0] == both.confusion().rate[1, 0]).all()
    assert both.confusion(split=()).count[0, 0] == pytest.approx((COUNTS + COUNTS.T).sum(1))
    with pytest.raises(StratagemError, match="sides 0, 1: say which"):
        both.confusion("0", "2")


def test_draws_have_the_mean_of_their_posterior_and_the_variance_of_a_sample():
    one = validate(rows(COUNTS)).confusion()
    drawn = one.draws(np.random.default_rng(0), 20_000)[:, 0, 0]
    alpha = COUNTS + 1 / 3
    mean = alpha / alpha.sum(1, keepdims=True)
    assert drawn.sum(-1) == pytest.approx(1.0)
    assert drawn.mean(0) == pytest.approx(mean, abs=0.005)
    assert drawn.std(0) == pytest.approx(np.sqrt(mean * (1 - mean) / COUNTS.sum(1, keepdims=True)), abs=0.003)
    known = Confusion.known(NAMES, np.eye(3))
    assert (known.draws(np.random.default_rng(0), 4) == np.eye(3)).all()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pl.DataFrame({"strategy": ["A"]}), "no column 'true_strategy'"),
        (
            pl.DataFrame({"strategy": ["A", "A"], "true_strategy": ["A", None]}),
            "row 3, true_strategy: is empty",
        ),
        (pl.DataFrame({"strategy": ["A", ""], "true_strategy": ["A", "A"]}), "row 3, strategy: is empty"),
        (pl.DataFrame({"strategy": ["A"], "true_strategy": ["D"]}), "no strategy 'D'; there are A, B, C"),
        (
            pl.DataFrame({"strategy": ["A"], "true_strategy": ["A"], "score": [2.0]}),
            "row 2, score: 2.0 is not",
        ),
        (
            pl.DataFrame({"strategy": ["A"], "true_strategy": ["A"], "weight": [0.0]}),
            "row 2, weight: 0.0 is not",
        ),
        (
            pl.DataFrame({"strategy": [], "true_strategy": []}, schema_overrides={"strategy": pl.String}),
            "no row",
        ),
    ],
)
def test_bad_hand_labels_are_one_clear_line(table: pl.DataFrame, message: str):
    with pytest.raises(StratagemError, match=message):
        validate(table, names=NAMES)


def test_it_prints_and_is_json():
    found = validate(pl.concat([rows(COUNTS, side="0", score=1.0), rows(COUNTS.T, side="1", score=0.0)]))
    text = str(found)
    assert "200 responses labelled by hand, taken as a plain random sample" in text
    assert "agreement 82.0 (76.1 to 86.7) %, Cohen's kappa 0.71 (0.63 to 0.80)" in text
    data = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert data["scopes"][0]["labelled"] == 200
    assert data["scopes"][0]["strategies"][0]["recall"]["value"] == pytest.approx(80 / 90)
    cell = data["scopes"][0]["confusion"][1]
    assert (cell["true"], cell["label"], cell["responses"]) == ("A", "B", 9.0)
    recall = found.overall.recall[0]
    alike = found.overall.shares[0][0]  # of those truly A, those labelled A
    assert (alike.value, alike.low, alike.high) == (recall.value, recall.low, recall.high)
    wrong = found.overall.shares[0][1]
    assert cell["share"] == wrong.as_dict()
    assert wrong.value == pytest.approx(9 / 90)
    assert 0 < wrong.low < wrong.value < wrong.high
    assert f"A labelled B: 10.0 ({100 * wrong.low:.1f} to {100 * wrong.high:.1f}) %" in text


def test_draws_of_a_designed_sheet_hold_the_labels_fixed():
    """What is solved with a drawn matrix from the log's own labels is the drawn count of true strategies."""
    rng = np.random.default_rng(1)
    whole = population(rng)
    one = validate(fill(sheet(whole, 300, rng), whole), names=NAMES).confusion(split=())
    drawn = one.draws(np.random.default_rng(0), 4000)
    assert drawn.shape == (4000, 1, 1, 3, 3)
    assert drawn.sum(-1) == pytest.approx(1.0)
    assert drawn.mean(0) == pytest.approx(one.rate, abs=0.02)
    seen = np.array([(whole["strategy"] == name).sum() for name in NAMES])
    true = np.array([(whole["truth"] == name).sum() for name in NAMES])
    solved = seen @ np.linalg.inv(drawn[:, 0, 0])
    low, high = np.quantile(solved, [0.001, 0.999], axis=0)
    assert (low < true).all()
    assert (true < high).all()
    # The binomial error of 300 rows is 60 times what is left if every response was labelled.
    assert solved.std(0).max() < 0.05 * whole.height
    every = validate(fill(sheet(whole, whole.height, rng), whole), names=NAMES).confusion(split=())
    solved = seen @ np.linalg.inv(every.draws(np.random.default_rng(0), 50)[:, 0, 0])
    assert np.abs(solved - true).max() < 10
