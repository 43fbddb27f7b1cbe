"""Texts as numbers: length, the form of the answer, and wording from which the problem is taken out.

Numbers become N, single letters V and the prompt's own words P, so that what is left is how a response is written and
not what it is about. Wording is the TF-IDF of words and pairs of words, less the mean of its problem, in its largest
components. Suffixes: r responses, t terms, d components, p problems.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import LinearOperator, svds

from stratagem.stats.pairs import Floats

MAX_CHARACTERS = 4_000  # of a response: two thirds from its start, one from its end
MAX_TERMS = 4_000
DENSE = 600  # terms or responses, up to which the whole table is decomposed
MIN_RESPONSES = 5  # that show a term
Sparse = Any  # sparse.csr_array, of which SciPy's stubs say little
NUMBER, LETTER, OWN = "N", "V", "P"
_TOKEN = r"[^\W\d_]+|\d+(?:[.,]\d+)*|[^\w\s]"
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
    tfidf_rt: Sparse

    def of(self, rows: NDArray[np.integer]) -> Wording:
        """That of some responses."""
        return Wording(
            self.scores_rd[rows], self.terms, self.loadings_dt, sparse.csr_array(self.tfidf_rt[rows])
        )


def shortened(text: pl.Expr) -> pl.Expr:
    """Two thirds of the most characters from a text's start, one from its end."""
    head = MAX_CHARACTERS * 2 // 3
    parts = (text.str.slice(0, head), text.str.tail(MAX_CHARACTERS - head))
    return (
        pl.when(text.str.len_chars() <= MAX_CHARACTERS)
        .then(text)
        .otherwise(pl.concat_str(parts, separator=" "))
    )


def words(texts: Sequence[str], prompts: Sequence[str]) -> pl.DataFrame:
    """The texts' words and signs in order, without what the problem brings: `response` (its place) and `word`.

    Args:
        prompts: of each text.
    """
    table = pl.DataFrame({"text": texts, "prompt": prompts}, schema={"text": pl.String, "prompt": pl.String})
    asked = table.select("prompt").unique().with_row_index("asked")
    own = _tokens(asked, pl.col("prompt"), "asked").unique().filter(_is_word)
    table = table.with_row_index("response").join(asked, on="prompt").sort("response")
    tokens = _tokens(table, shortened(pl.col("text")), "response", "asked")
    tokens = tokens.join(own.with_columns(own=True), on=["asked", "word"], how="left", maintain_order="left")
    word = (
        pl.when(pl.col("word").str.contains(r"^\d"))
        .then(pl.lit(NUMBER))
        .when(pl.col("word").str.contains(r"^[^\W\d_]$"))
        .then(pl.lit(LETTER))
        .when(pl.col("own"))
        .then(pl.lit(OWN))
        .otherwise("word")
    )
    tokens = tokens.select("response", word=word)
    again = (pl.col("word") == pl.col("word").shift()) & (pl.col("response") == pl.col("response").shift())
    return tokens.filter(~(pl.col("word").is_in([NUMBER, LETTER, OWN]) & again.fill_null(False)))


_is_word = pl.col("word").str.contains(r"^[^\W\d_]{2,}$")


def _tokens(table: pl.DataFrame, text: pl.Expr, *kept: str) -> pl.DataFrame:
    return (
        table.select(*kept, word=text.str.to_lowercase().str.extract_all(_TOKEN)).explode("word").drop_nulls()
    )


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
    tfidf_rt, terms = _tfidf(words(texts, prompts), len(texts))
    rank = min(components, min(tfidf_rt.shape) - 1)
    if rank < 1:
        return Wording(np.zeros((len(texts), 0)), terms, np.zeros((0, len(terms))), tfidf_rt)
    centred = less_problem_means(tfidf_rt, problem_r)
    if min(tfidf_rt.shape) <= DENSE:
        # Of few different words the table may be of low rank, for which ARPACK takes random vectors of its own.
        whole = np.linalg.svd(centred @ np.eye(tfidf_rt.shape[1]), full_matrices=False)
        left, size_d, right = whole[0][:, :rank], whole[1][:rank], whole[2][:rank]
    else:
        start = np.random.default_rng(seed).standard_normal(min(tfidf_rt.shape))
        left, size_d, right = cast(tuple[Floats, Floats, Floats], svds(centred, k=rank, v0=start))
    order = np.argsort(size_d)[::-1]
    return Wording(left[:, order] * size_d[order], terms, right[order], tfidf_rt)


def term_counts(tokens: pl.DataFrame) -> pl.DataFrame:
    """How often each response shows each word and pair of words: `response`, `term`, `len`.

    Args:
        tokens: as `words` gives them.
    """
    following = pl.when(pl.col("response") == pl.col("response").shift(-1)).then(pl.col("word").shift(-1))
    pairs = tokens.select("response", term=pl.concat_str("word", following, separator=" ")).drop_nulls()
    shown = pl.concat([tokens.rename({"word": "term"}), pairs])
    return shown.group_by("response", "term").len()


def _tfidf(tokens: pl.DataFrame, responses: int) -> tuple[Sparse, list[str]]:
    """TF-IDF of the commonest words and pairs of words, rows of length 1; and these terms."""
    counts = term_counts(tokens)
    useful = counts.group_by("term").agg(showing=pl.len())
    useful = useful.filter(pl.col("showing").is_between(MIN_RESPONSES, responses - 1))
    useful = (
        useful.sort(-pl.col("showing").cast(pl.Int64), "term")
        .head(MAX_TERMS)
        .sort("term")
        .with_row_index("place")
    )
    counts = counts.join(useful, on="term").sort("response", "place")
    weight = (1 + np.log(counts["len"].to_numpy())) * np.log(responses / counts["showing"].to_numpy())
    places = (counts["response"].to_numpy(), counts["place"].to_numpy())
    tfidf_rt = sparse.coo_array((weight, places), shape=(responses, useful.height)).tocsr()
    length_r = np.sqrt(np.asarray(tfidf_rt.multiply(tfidf_rt).sum(axis=1)).ravel())
    scale_r = np.divide(1.0, length_r, out=np.zeros_like(length_r), where=length_r > 0)
    return sparse.csr_array(sparse.diags_array(scale_r) @ tfidf_rt), useful["term"].to_list()


def less_problem_means(tfidf_rt: Sparse, problem_r: NDArray[np.int64]) -> Any:
    """The table less the mean of each problem's responses, never written out."""
    size_p = np.bincount(problem_r)
    home_rp = sparse.csr_array((np.ones(len(problem_r)), (np.arange(len(problem_r)), problem_r)))
    mean_pt = sparse.csr_array(sparse.diags_array(1 / np.maximum(size_p, 1)) @ home_rp.T @ tfidf_rt)

    def forth(x: Floats) -> Floats:
        return tfidf_rt @ x - home_rp @ (mean_pt @ x)

    def back(y: Floats) -> Floats:
        return tfidf_rt.T @ y - mean_pt.T @ (home_rp.T @ y)

    linear: Any = LinearOperator  # its stub has the arguments of its base alone
    return linear(tfidf_rt.shape, matvec=forth, rmatvec=back, dtype=np.float64)
