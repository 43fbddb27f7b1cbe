"""Responses as points: the directions in which responses of the same problem differ most.

Words come without the problem's numbers, letters and own words (`visible.features.words`), as TF-IDF whose rows have
length 1, and length is left out. Suffixes: r responses, t terms, d directions, p problems.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import svds

from stratagem.learned.features import Scale, Texts
from stratagem.stats.pairs import Floats
from stratagem.visible.features import DENSE, Sparse, less_problem_means

DIRECTIONS = 10
MIN_SHOWING = 5  # responses that show a term
MAX_TERMS = 4_000

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Space:
    """What turns texts into points.

    Attributes:
        scale: the terms and their weights.
        direction_dt: in falling order of how much responses of a problem differ along them; unit vectors, until they
            are turned.
    """

    scale: Scale
    direction_dt: Floats

    def points(self, texts: Texts) -> Floats:
        """Responses x directions; the problem is still in them."""
        return np.asarray(wording(self.scale, texts) @ self.direction_dt.T)

    def turned(self, by_dd: Floats) -> Space:
        """The space whose points are these, times a matrix."""
        return Space(self.scale, by_dd.T @ self.direction_dt)


def wording(scale: Scale, texts: Texts) -> Sparse:
    """TF-IDF (r x t), without the column of length."""
    return sparse.csr_array(scale.features(texts)[:, :-1])


def fit_space(texts: Texts, problem_r: Ints, directions: int = DIRECTIONS) -> Space:
    """The terms that responses show, and the directions in which they differ within problems.

    Args:
        problem_r: the number of each response's problem, from 0.
    """
    showing_t = np.asarray((texts.count_rt > 0).sum(axis=0)).ravel()
    common = np.argsort(-showing_t, kind="stable")[:MAX_TERMS]
    kept = np.sort(common[showing_t[common] >= MIN_SHOWING])
    texts = Texts(
        sparse.csr_array(texts.count_rt[:, kept]), [texts.terms[i] for i in kept], texts.log_length_r
    )
    scale = Scale.fit(texts)
    tfidf_rt = wording(scale, texts)
    rank = min(directions, *(size - 1 for size in tfidf_rt.shape))
    if rank < 1:
        return Space(scale, np.zeros((0, len(scale.terms))))
    within = less_problem_means(tfidf_rt, problem_r)
    if min(tfidf_rt.shape) <= DENSE:
        dense = np.linalg.svd(within @ np.eye(tfidf_rt.shape[1]), full_matrices=False)
        return Space(scale, dense[2][:rank])
    start = np.random.default_rng(0).standard_normal(min(tfidf_rt.shape))
    _, size_d, direction_dt = cast(tuple[Any, Floats, Floats], svds(within, k=rank, v0=start))
    return Space(scale, direction_dt[np.argsort(-size_d)])


def numbered(names: Sequence[str]) -> Ints:
    """Names as numbers from 0."""
    return np.unique(np.asarray(names, dtype=object), return_inverse=True)[1].astype(np.int64)
