"""What is typical of a proposal: phrases, structure, examples. Suffixes: r responses, t terms, p problems."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from scipy import sparse

from stratagem.discovery.clusters import sums
from stratagem.discovery.result import Form, Phrase
from stratagem.discovery.space import Ints
from stratagem.learned.features import Texts
from stratagem.stats.pairs import Floats

PHRASES = 8
EXAMPLES = 2  # of a log
MIN_TERM = 20  # responses that show a phrase


def phrases(texts: Texts, problem_r: Ints, inside_r: Floats) -> tuple[Phrase, ...]:
    """The terms that responses of a proposal show more often than others to the same problems.

    By the slope of showing a term on belonging to the proposal, within problems. A part of a phrase that is named
    already is left out.

    Args:
        inside_r: 1 for responses of the proposal, else 0.
    """
    problems = int(problem_r.max()) + 1
    number_p = np.bincount(problem_r, minlength=problems)
    mean_p = np.bincount(problem_r, inside_r, problems) / number_p
    off_r = inside_r - mean_p[problem_r]
    has_rt = sparse.csr_array(texts.count_rt > 0).astype(np.float64)
    showing_t = np.asarray(has_rt.sum(axis=0)).ravel()
    spread = max(float(off_r @ off_r), 1e-12)
    slope_t = np.where(showing_t >= MIN_TERM, np.asarray(has_rt.T @ off_r).ravel() / spread, -1.0)
    share_t, elsewhere_t = (
        np.asarray(has_rt.T @ weight_r).ravel() / max(float(weight_r.sum()), 1.0)
        for weight_r in (inside_r, 1 - inside_r)
    )
    taken: list[Phrase] = []
    for t in np.argsort(-slope_t, kind="stable")[: 20 * PHRASES]:
        term = texts.terms[t]
        if slope_t[t] <= 0 or len(taken) == PHRASES:
            break
        if not any(_part_of(term, phrase.text) or _part_of(phrase.text, term) for phrase in taken):
            taken.append(Phrase(term, float(share_t[t]), float(elsewhere_t[t])))
    return tuple(taken)


def _part_of(term: str, phrase: str) -> bool:
    return f" {term} " in f" {phrase} "


def form(completions: pl.Series) -> Form:
    """The structure of responses."""
    text = pl.col("text")
    table = completions.alias("text").to_frame()
    medians = table.select(
        characters=text.str.len_chars().median(),
        lines=(text.str.count_matches("\n", literal=True) + 1).median(),
        numbers=text.str.count_matches(r"\d+(?:[.,]\d+)*").median(),
        equals=text.str.count_matches("=", literal=True).median(),
    ).row(0, named=True)
    return Form(**{name: float("nan") if value is None else float(value) for name, value in medians.items()})


def examples(completions: Sequence[str], problem_r: Ints, typical_r: Floats, rows: Ints) -> tuple[str, ...]:
    """The most typical of some responses, of different problems and different texts.

    Args:
        typical_r: the more, the more typical.
        rows: to choose from.
    """
    taken: list[str] = []
    problems: set[int] = set()
    for row in map(int, rows[np.argsort(-typical_r[rows], kind="stable")]):
        if problem_r[row] not in problems and completions[row].strip() and completions[row] not in taken:
            taken.append(completions[row])
            problems.add(int(problem_r[row]))
        if len(taken) == EXAMPLES:
            break
    return tuple(taken)


def typical(bare_rd: Floats, cluster_r: Ints, centre_kd: Floats, group_k: Ints) -> Floats:
    """How far each response is from any cluster of another proposal, less how far from its own."""
    number = len(centre_kd)
    size_k = np.maximum(np.bincount(cluster_r, minlength=number), 1)
    mean_kd = sums(bare_rd, cluster_r, number) / size_k[:, None]
    distance_rk = np.sqrt(((bare_rd[:, None, :] - mean_kd[None]) ** 2).sum(axis=-1))
    own_rk = group_k[cluster_r][:, None] == group_k[None, :]
    other_r = np.where(own_rk, np.inf, distance_rk).min(axis=1)
    return other_r - np.where(own_rk, distance_rk, np.inf).min(axis=1)
