"""Responses as numbers for a classifier: words and pairs of words without the problem, and length.

What is a term and what it weighs comes from the labelled responses alone, so that a sheet of labels decides the model,
whatever else the logs hold, and a log can be labelled in a stream. Suffixes: r responses, t terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from stratagem.stats.pairs import Floats
from stratagem.visible.features import term_counts, words

MIN_SHOWING = 2  # labelled responses that show a term
LENGTH_WEIGHT = 0.3  # of the standardised logarithm of length, beside words whose weights have length 1
Sparse = Any  # sparse.csr_array, of which SciPy's stubs say little


@dataclass(frozen=True)
class Texts:
    """Responses with their terms counted once.

    Attributes:
        count_rt: how often each response shows each term; every term of the responses.
        terms: names of the columns, sorted.
        log_length_r: the logarithm of one more than the number of characters.
    """

    count_rt: Sparse
    terms: list[str]
    log_length_r: Floats

    def __len__(self) -> int:
        return len(self.log_length_r)

    def of(self, rows: NDArray[np.integer]) -> Texts:
        """Those of some responses."""
        return Texts(sparse.csr_array(self.count_rt[rows]), self.terms, self.log_length_r[rows])


def read_texts(completions: Sequence[str], prompts: Sequence[str]) -> Texts:
    """Count the terms of responses.

    Args:
        prompts: of each response; their words are taken out.
    """
    counts = term_counts(words(completions, prompts))
    names = counts.select("term").unique().sort("term")
    counts = counts.join(names.with_row_index("place"), on="term")
    places = (counts["response"].to_numpy(), counts["place"].to_numpy())
    table = sparse.coo_array(
        (counts["len"].to_numpy().astype(np.float64), places), shape=(len(completions), names.height)
    )
    length = pl.Series(completions, dtype=pl.String).str.len_chars().to_numpy()
    return Texts(table.tocsr(), names["term"].to_list(), np.log1p(length.astype(np.float64)))


@dataclass(frozen=True)
class Scale:
    """What turns counts into features: the terms, their weights, and the usual length.

    Source: TF-IDF with 1 + log(count) and smoothed document frequencies, rows of length 1 (Salton and Buckley 1988,
    Information Processing and Management 24, 513).
    """

    terms: list[str]
    idf_t: Floats
    mean: float
    spread: float

    @classmethod
    def fit(cls, texts: Texts) -> Scale:
        """From labelled responses."""
        showing_t = np.asarray((texts.count_rt > 0).sum(axis=0)).ravel()
        (kept,) = np.nonzero(showing_t >= MIN_SHOWING)
        idf_t = np.log((1 + len(texts)) / (1 + showing_t[kept])) + 1
        spread = float(texts.log_length_r.std())
        return cls([texts.terms[i] for i in kept], idf_t, float(texts.log_length_r.mean()), max(spread, 1e-9))

    def features(self, texts: Texts) -> Sparse:
        """Responses x (terms and length)."""
        place = {term: i for i, term in enumerate(texts.terms)}
        mine = [(i, place[term]) for i, term in enumerate(self.terms) if term in place]
        ours, theirs = np.array(mine, dtype=np.int64).reshape(-1, 2).T
        table = sparse.coo_array(texts.count_rt[:, theirs])
        weight = (1 + np.log(table.data)) * self.idf_t[ours[table.col]]
        shape = (len(texts), len(self.terms))
        tfidf_rt = sparse.coo_array((weight, (table.row, ours[table.col])), shape=shape).tocsr()
        size_r = np.sqrt(np.asarray(tfidf_rt.multiply(tfidf_rt).sum(axis=1)).ravel())
        scaled_rt = sparse.diags_array(1 / np.where(size_r > 0, size_r, 1.0)) @ tfidf_rt
        length_r = LENGTH_WEIGHT * np.clip((texts.log_length_r - self.mean) / self.spread, -5, 5)
        return sparse.csr_array(sparse.hstack([scaled_rt, sparse.csr_array(length_r[:, None])]))
