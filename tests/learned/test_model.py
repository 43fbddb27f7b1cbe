"""What is learned from labelled responses, and in which order they are asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="needs the extra learn")

from sklearn.feature_extraction.text import TfidfVectorizer

from stratagem.labelling.rules import label_frame, read_rules
from stratagem.learned.asking import FIRST, RANDOM, RANDOM_SHARE, Asking, Pool
from stratagem.learned.features import LENGTH_WEIGHT, Scale, read_texts
from stratagem.learned.model import fit, out_of_fold
from stratagem.records import StratagemError
from tests.learned.sessions import fitted, label_in_order, pool_of
from tests.learned.worlds import NAMES, log

DATA = Path(__file__).parents[3] / "shared" / "data" / "algebra-rl"


def made(seed: int, problems: int = 40, samples: int = 4) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    return pl.concat([log(rng, side, problems, samples) for side in (0, 1)])


def test_the_features_are_scikit_learn_s() -> None:
    texts = ["we add two cases then we add", "solve for it then add", "we solve by cases", "then we add"]
    read = read_texts(texts, [""] * 4)
    features = Scale.fit(read).features(read).toarray()
    oracle = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True, token_pattern=r"\S+")
    expected = oracle.fit_transform(texts).toarray()
    assert Scale.fit(read).terms == list(oracle.get_feature_names_out())
    assert features[:, :-1] == pytest.approx(expected)
    length = np.log1p([len(text) for text in texts])
    assert features[:, -1] == pytest.approx(LENGTH_WEIGHT * (length - length.mean()) / length.std())


@settings(max_examples=25, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6), st.integers(0, 5))
def test_a_label_does_not_hang_on_the_other_responses_of_its_batch(texts: list[str], which: int) -> None:
    table = made(0, 10)
    model = fit(
        read_texts(table["completion"].to_list(), table["prompt"].to_list()), table["true_strategy"].to_list()
    )
    together = model.probabilities(read_texts(texts, [""] * len(texts)))
    alone = model.probabilities(read_texts([texts[which % len(texts)]], [""]))
    assert together[which % len(texts)] == pytest.approx(alone[0], abs=1e-9)
    assert together.sum(axis=1) == pytest.approx(1)


def test_out_of_fold_labels_have_not_seen_their_own() -> None:
    rng = np.random.default_rng(1)
    # No word has to do with the label: a model that has seen a label could repeat it, another can only guess.
    texts = [" ".join(f"w{chr(97 + rng.integers(20))}{chr(97 + i)}" for i in range(12)) for _ in range(120)]
    labels = [NAMES[i] for i in rng.integers(0, 2, 120)]
    read = read_texts(texts, [""] * 120)
    right = [a == b for a, b in zip(out_of_fold(read, labels), labels, strict=True)]
    seen = [a == b for a, b in zip(fit(read, labels).label(read), labels, strict=True)]
    assert np.mean(seen) > 0.9
    assert 0.3 < np.mean(right) < 0.7


def test_two_strategies_with_two_labels_each_are_needed() -> None:
    read = read_texts(["one", "two", "three"], [""] * 3)
    with pytest.raises(StratagemError, match="2 of 'a', 1 of 'b'"):
        fit(read, ["a", "a", "b"])


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 12), st.integers(1, 3))
def test_every_response_is_asked_once_and_enough_at_random(seed: int, problems: int, samples: int) -> None:
    table = made(seed, problems, samples)
    pool = pool_of(table, np.random.default_rng(seed))
    asking = label_in_order(pool, table["true_strategy"].to_list(), 10**6)
    assert sorted(asking.why) == list(range(table.height))
    randoms = np.cumsum([why == RANDOM for why in asking.why.values()])
    # As long as there are both kinds.
    upto = min(FIRST + 10, table.height // 2)
    assert all(n >= min(i + 1, FIRST) * RANDOM_SHARE for i, n in enumerate(randoms[:upto]))
    assert {row for row, why in asking.why.items() if why == RANDOM} == set(pool.random_half.tolist())


def test_random_questions_do_not_hang_on_the_answers() -> None:
    table = made(3)
    pool = pool_of(table, np.random.default_rng(3))
    true = table["true_strategy"].to_list()
    other = [NAMES[(NAMES.index(name) + i) % 3] for i, name in enumerate(true)]
    orders = []
    for labels in (true, other):
        why = label_in_order(pool, labels, 60).why
        orders.append([row for row, kind in why.items() if kind == RANDOM])
    assert orders[0] == orders[1]
    cells = [(table["side"][row], table["score"][row]) for row in orders[0]]
    counts = [cells.count(cell) for cell in set(cells)]
    assert max(counts) - min(counts) <= 1


def test_a_question_given_back_is_asked_again() -> None:
    asking = Asking(pool_of(made(4), np.random.default_rng(4)))
    question = asking.next(None)
    assert question is not None
    asking.took(*question)
    assert asking.next(None) != question
    asking.give_back(question[0])
    assert asking.next(None) == question


def test_near_copies_are_not_asked_together() -> None:
    rng = np.random.default_rng(5)
    table = made(5, 60)
    copy = table.filter(true_strategy=NAMES[0]).head(1)
    table = pl.concat([table, *[copy] * 60])
    pool = pool_of(table, rng)
    asking = label_in_order(pool, table["true_strategy"].to_list(), 100)
    copies = set(range(480, 540)) & set(pool.other_half.tolist())
    assert copies  # there to be asked
    chosen = {row for row, why in asking.why.items() if why != RANDOM}
    assert len(chosen & copies) <= 3


@pytest.mark.skipif(not DATA.is_dir(), reason=f"needs {DATA}: real responses, not part of the project")
def test_150_labels_in_the_page_s_order_agree_with_the_rules_on_85_percent() -> None:
    names = ("before", "after_algorithmic")
    table = pl.concat(
        [pl.read_parquet(DATA / f"{name}.parquet").with_columns(side=pl.lit(name)) for name in names]
    )
    table = label_frame(table, read_rules("math"), evidence=False)
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
    known, labels = table["strategy"].to_numpy(), table["strategy"].to_list()
    agreement = []
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(table.height)
        side_r = (table["side"] != "before").cast(pl.Int64).to_numpy()
        pool = Pool(texts, side_r, (table["score"].to_numpy() >= 0.5).astype(float), order)
        asking = label_in_order(pool, labels, 150)
        model = fitted(texts, asking, labels)
        assert model is not None
        rest = np.setdiff1d(order, list(asking.why))
        agreement.append((np.array(model.label(texts.of(rest))) == known[rest]).mean())
    assert np.mean(agreement) >= 0.85
