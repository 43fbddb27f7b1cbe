"""Texts as numbers: length, the form of the answer, and wording from which the problem is taken out.

Numbers become N, single letters V and the prompt's own words P, so that what is left is how a response is written and
not what it is about. Wording is the TF-IDF of words and pairs of words, less the mean of its problem, in its largest
components. Suffixes: r responses, t terms, d components, p problems.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from stratagem.stats.pairs import Floats

MAX_CHARACTERS = 4_000  # of a response: two thirds from its start, one from its end
MAX_TERMS = 4_000
MIN_RESPONSES = 5  # that show a term
NUMBER, LETTER, OWN = "N", "V", "P"
_TOKEN = re.compile(r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]")
# How answers are given, the part of a response that a grader reads.
FORMS = {
    "boxed": re.compile(r"\\boxed"),
    "tag": re.compile(r"<answer>", re.IGNORECASE),
    "hashes": re.compile(r"####"),
    "sentence": re.compile(r"\b(?:final answer|the answer) (?:is|:)|\banswer:", re.IGNORECASE),
    "think": re.compile(r"</think>"),
    "fence": re.compile(r"```"),
}


@dataclass(frozen=True)
class Wording:
    """Components of wording.

    Attributes:
        scores_rd: of each response, less its problem's mean; components in falling order of size.
        terms: the words and pairs of words.
        loadings_dt: how a component weighs the terms.
        tfidf_rt: before the problem's mean was taken out.
    """

    scores_rd: Floats
    terms: list[str]
    loadings_dt: Floats
    tfidf_rt: sparse.csr_array

    def of(self, rows: NDArray[np.integer]) -> Wording:
        """That of some responses."""
        return Wording(
            self.scores_rd[rows], self.terms, self.loadings_dt, sparse.csr_array(self.tfidf_rt[rows])
        )


def shortened(text: str) -> str:
    if len(text) <= MAX_CHARACTERS:
        return text
    head = MAX_CHARACTERS * 2 // 3
    return f"{text[:head]} {text[head - MAX_CHARACTERS :]}"


def words(text: str, prompt: frozenset[str]) -> list[str]:
    """The text's words and signs, without what the problem brings."""
    plain: list[str] = []
    for token in _TOKEN.findall(shortened(text).lower()):
        if token[0].isdigit():
            token = NUMBER
        elif token.isalpha():
            token = LETTER if len(token) == 1 else OWN if token in prompt else token
        if not (token in (NUMBER, LETTER, OWN) and plain and plain[-1] == token):
            plain.append(token)
    return plain


def prompt_words(prompt: str) -> frozenset[str]:
    return frozenset(token for token in _TOKEN.findall(prompt.lower()) if token.isalpha() and len(token) > 1)


def forms(texts: Sequence[str]) -> Floats:
    """Whether each response has each of `FORMS`."""
    return np.array([[float(form.search(text) is not None) for form in FORMS.values()] for text in texts])


def wording(
    texts: Sequence[str], prompts: Sequence[str], problem_r: NDArray[np.int64], components: int, seed: int = 0
) -> Wording:
    """The components of responses' wording.

    Args:
        prompts: of each response.
        problem_r: the number of each response's problem, from 0.
    """
    known = {prompt: prompt_words(prompt) for prompt in set(prompts)}
    number_of: dict[str, int] = {}
    rows: list[NDArray[np.int64]] = []
    for text, prompt in zip(texts, prompts, strict=True):
        tokens = words(text, known[prompt])
        rows.append(np.array([number_of.setdefault(token, len(number_of)) for token in tokens], np.int64))
    tfidf_rt, codes_t = _tfidf(rows, len(number_of))
    tokens = list(number_of)
    size = len(number_of) + 1
    terms = [
        tokens[code // size - 1] + (f" {tokens[code % size - 1]}" if code % size else "") for code in codes_t
    ]
    rank = min(components, min(tfidf_rt.shape) - 1)
    if rank < 1:
        return Wording(np.zeros((len(texts), 0)), terms, np.zeros((0, len(terms))), tfidf_rt)
    centred = _centred(tfidf_rt, problem_r)
    start = np.random.default_rng(seed).standard_normal(min(tfidf_rt.shape))
    left, size_d, right = svds(centred, k=rank, v0=start, return_singular_vectors=True)
    order = np.argsort(size_d)[::-1]
    return Wording(left[:, order] * size_d[order], terms, right[order], tfidf_rt)


def _tfidf(rows: Sequence[NDArray[np.int64]], size: int) -> tuple[sparse.csr_array, list[int]]:
    """TF-IDF of the commonest words and pairs, rows of length 1, and the terms as codes: (first + 1) * (size + 1), and
    the second word's number + 1 where it is a pair."""
    codes: list[NDArray[np.int64]] = []
    for row in rows:
        first = (row + 1) * (size + 1)
        codes.append(np.concatenate([first, first[:-1] + row[1:] + 1]))
    shown = pl.DataFrame(
        {
            "response": np.repeat(np.arange(len(rows)), [len(code) for code in codes]),
            "code": np.concatenate(codes) if codes else np.zeros(0, np.int64),
        }
    )
    counts = shown.group_by("response", "code").len()
    useful = counts.group_by("code").agg(showing=pl.len())
    useful = useful.filter(pl.col("showing").is_between(MIN_RESPONSES, len(rows) - 1))
    terms = (
        useful.sort(-pl.col("showing").cast(pl.Int64), "code")
        .head(MAX_TERMS)
        .sort("code")
        .with_row_index("term")
    )
    counts = counts.join(terms, on="code").sort("response", "term")
    weight = (1 + np.log(counts["len"].to_numpy())) * np.log(len(rows) / counts["showing"].to_numpy())
    places = (counts["response"].to_numpy(), counts["term"].to_numpy())
    tfidf_rt = sparse.coo_array((weight, places), shape=(len(rows), terms.height)).tocsr()
    length_r = np.sqrt(np.asarray(tfidf_rt.multiply(tfidf_rt).sum(axis=1)).ravel())
    scale_r = np.divide(1.0, length_r, out=np.zeros_like(length_r), where=length_r > 0)
    return sparse.csr_array(sparse.diags_array(scale_r) @ tfidf_rt), terms["code"].to_list()


def _centred(tfidf_rt: sparse.csr_array, problem_r: NDArray[np.int64]) -> LinearOperator:
    """The table less the mean of each problem's responses, never written out."""
    size_p = np.bincount(problem_r)
    home_rp = sparse.csr_array((np.ones(len(problem_r)), (np.arange(len(problem_r)), problem_r)))
    mean_pt = sparse.csr_array(sparse.diags_array(1 / np.maximum(size_p, 1)) @ home_rp.T @ tfidf_rt)

    def forth(x: Floats) -> Floats:
        return tfidf_rt @ x - home_rp @ (mean_pt @ x)

    def back(y: Floats) -> Floats:
        return tfidf_rt.T @ y - mean_pt.T @ (home_rp.T @ y)

    return LinearOperator(tfidf_rt.shape, matvec=forth, rmatvec=back, dtype=np.float64)
