"""Somebody who labels a pool in the page's order and is never wrong."""

from __future__ import annotations

import contextlib

import numpy as np
import polars as pl

from stratagem.learned.asking import BATCH, FIRST, Asking, Pool
from stratagem.learned.features import Texts, read_texts
from stratagem.learned.labels import LearnedLabels
from stratagem.learned.model import Model, fit
from stratagem.learned.sheet import text_id
from stratagem.records import StratagemError


def pool_of(log: pl.DataFrame, rng: np.random.Generator) -> Pool:
    """All of a log as the pool."""
    texts = read_texts(log["completion"].to_list(), log["prompt"].to_list())
    side_r = log["side"].cast(pl.Int64).to_numpy()
    return Pool(texts, side_r, (log["score"].to_numpy() >= 0.5).astype(float), rng.permutation(log.height))


def label_in_order(pool: Pool, labels: list[str], number: int) -> Asking:
    asking, model = Asking(pool), None
    for done in range(number):
        if done >= FIRST and done % BATCH == 0:
            model = fitted(pool.texts, asking, labels) or model
        question = asking.next(model)
        if question is None:
            break
        asking.took(*question)
    return asking


def fitted(texts: Texts, asking: Asking, labels: list[str]) -> Model | None:
    rows = list(asking.why)
    with contextlib.suppress(StratagemError):
        return fit(texts.of(np.array(rows)), [labels[i] for i in rows])
    return None


def learn(log: pl.DataFrame, rng: np.random.Generator, number: int) -> LearnedLabels:
    """What `number` labels of a log teach."""
    pool = pool_of(log, rng)
    labels = log["true_strategy"].to_list()
    asking = label_in_order(pool, labels, number)
    rows = np.array(list(asking.why))
    hand = log[rows].with_columns(asked=pl.Series(list(asking.why.values())), strategy=pl.lit(""))
    texts = [text_id(*pair) for pair in hand.select("prompt", "completion").iter_rows()]
    outcome = pl.when(pl.col("score") >= 0.5).then(pl.lit("right")).otherwise(pl.lit("wrong"))
    hand = hand.with_columns(text_id=pl.Series(texts), outcome=outcome)
    return LearnedLabels.of(hand, "sheet", pool.texts.of(rows))
