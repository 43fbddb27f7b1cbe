"""The visible shift: how much of a gain goes with a change in how answers are written.

It needs no names of strategies. Within the problems before, some ways of writing an answer went with being right;
after, answers are written otherwise. What that change is worth at the old rate is the visible shift; the rest of the
gain is not visible in form. It is an account of form, not of cause. A way of writing that pays on one kind of problem
and costs on another is seen where large strata tell the kinds apart, and not where they do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from stratagem.records import UNDEFINED, Estimate, points
from stratagem.stats.pairs import Floats
from stratagem.stats.uncertainty import percentile
from stratagem.visible.features import Wording, forms, wording
from stratagem.visible.result import Phrase, Placebo, Resolution, VisibleShift
from stratagem.visible.slope import means, moments, shifts

COMPONENTS = 10  # of wording, for the value that is reported
RESOLUTIONS = (2, 5, 10, 20)
ROUNDS = 40  # of each placebo
MIN_PAIRS = 50  # problems with two responses or more before
PHRASES = 8
MIN_SPREAD = 20.0  # responses with a term beside ones without it, of the same problems, that a slope takes
NEIGHBOURS = 1_500  # responses a side that are compared with each other


class Responses(NamedTuple):
    """Features by response (r) with what they belong to."""

    length_r: Floats
    form_rf: Floats
    wording: Wording
    score_r: Floats
    home_r: NDArray[np.int64]
    after_r: NDArray[np.bool_]
    stratum_p: NDArray[np.int64]

    def features(self, components: int) -> tuple[Floats, list[NDArray[np.int64]]]:
        """All features, and the columns of length, form of the answer and wording."""
        blocks = (self.length_r[:, None], self.form_rf, self.wording.scores_rd[:, :components])
        ends = np.cumsum([block.shape[1] for block in blocks])
        columns = [np.arange(end - block.shape[1], end) for end, block in zip(ends, blocks, strict=True)]
        return np.column_stack(blocks), columns


def visible_shift(
    table: pl.DataFrame,
    *,
    by: Sequence[str] = (),
    rng: np.random.Generator,
    draws: int = 500,
    level: float = 0.95,
) -> VisibleShift:
    """The visible shift between two sides.

    Args:
        table: one row a response: `after` (a truth value), `problem_id`, `prompt`, `completion`, `score`, and the
            columns `by` of the strata. Problems of one side alone are left out.
        draws: of problems, for the intervals; the fit is repeated in each, the components of wording are not.
    """
    table = table.filter(pl.col("after").n_unique().over("problem_id") == 2)
    table = table.sort("problem_id", "after", maintain_order=True)
    sizes = (
        table.filter(~pl.col("after"))
        .group_by("problem_id")
        .agg(pl.len().alias("n"), pl.col("score").n_unique().alias("values"))
    )
    problems = sizes.height
    if (several := sizes.filter(pl.col("n") > 1)).height < MIN_PAIRS:
        return VisibleShift(
            reason=f"{several.height} problems have two responses or more before; {MIN_PAIRS} are needed",
            problems=problems,
            responses=table.height,
        )
    if (mixed := sizes.filter(pl.col("values") > 1).height) < MIN_PAIRS:
        return VisibleShift(
            reason=f"{mixed} problems have responses of different scores before; {MIN_PAIRS} are needed",
            problems=problems,
            responses=table.height,
        )
    given = responses(table, by)
    weight_dp = weights(rng, len(given.stratum_p), draws)
    resolutions: list[Resolution] = []
    whole: list[Estimate] = []
    for components in RESOLUTIONS:
        z_rf, columns = given.features(components)
        data = moments(z_rf, given.score_r, given.home_r, given.after_r, given.stratum_p)
        values, parts = shifts(data, weight_dp, columns)
        n = len(given.stratum_p)
        shift = percentile(float(values[0]), values[1:], level=level, n=n)
        resolutions.append(Resolution(components, shift))
        if components == COMPONENTS:
            whole = [shift, *(percentile(float(part[0]), part[1:], level=level, n=n) for part in parts.T)]
            phrases = _phrases(given)
            rates = len(np.unique(data.stratum_p))
            unlike = _unlike(z_rf, given, rng)
    shuffled = _placebo([_shuffled(given, rng) for _ in range(ROUNDS)])
    if (
        shuffled is not None
        and max(*map(abs, (whole[0].low, whole[0].high, shuffled.low, shuffled.high))) > 1
    ):
        return VisibleShift(
            reason="responses to the same problem before hardly differ in what changed after, so that no rate can be "
            f"told: with right and wrong shuffled it would be anything from {points(shuffled.low)} to "
            f"{points(shuffled.high)} points",
            problems=problems,
            responses=table.height,
        )
    # Where groups of features change together, the parts of one and of the other may be anything.
    apart = max(abs(part.value) for part in whole[1:]) <= 1
    parts = whole[1:] if apart else [UNDEFINED] * 3
    return VisibleShift(
        shift=whole[0],
        length=parts[0],
        answer_form=parts[1],
        wording=parts[2],
        resolutions=tuple(resolutions),
        shuffled=shuffled,
        halves=_placebo([value for _ in range(ROUNDS) if (value := _halves(given, rng)) is not None]),
        unlike=unlike,
        phrases=phrases,
        rates=rates,
        problems=problems,
        responses=table.height,
    )


def responses(table: pl.DataFrame, by: Sequence[str]) -> Responses:
    """The features of a table that is sorted by problem."""
    home_r = table["problem_id"].rle_id().to_numpy().astype(np.int64)
    texts, prompts = (table[name].fill_null("").to_list() for name in ("completion", "prompt"))
    first = table.group_by("problem_id", maintain_order=True).first()
    stratum_p = first.select(pl.struct(by).rank("dense") if by else pl.lit(1)).to_series().to_numpy()
    stratum_p = np.broadcast_to(stratum_p.astype(np.int64), first.height) - 1
    return Responses(
        length_r=np.log1p(table["completion"].fill_null("").str.len_chars().to_numpy()),
        form_rf=forms(texts),
        wording=wording(texts, prompts, home_r, max(RESOLUTIONS)),
        score_r=table["score"].to_numpy().astype(np.float64),
        home_r=home_r,
        after_r=table["after"].to_numpy(),
        stratum_p=stratum_p,
    )


def weights(rng: np.random.Generator, problems: int, draws: int) -> Floats:
    """The problems as they are, and then drawn with replacement (Rao and Wu 1988, as `stats.resampling`)."""
    drawn = rng.multinomial(problems - 1, np.full(problems, 1 / problems), size=draws)
    return np.vstack([np.ones(problems), drawn * (problems / (problems - 1))]).astype(np.float64)


def _value(given: Responses, score_r: Floats) -> float:
    z_rf, columns = given.features(COMPONENTS)
    data = moments(z_rf, score_r, given.home_r, given.after_r, given.stratum_p)
    return float(shifts(data, np.ones((1, len(given.stratum_p))), columns)[0][0])


def _shuffled(given: Responses, rng: np.random.Generator) -> float:
    """The shift with scores dealt anew within each problem before: nothing that is seen goes with being right."""
    order = np.lexsort((rng.random(len(given.home_r)), given.after_r, given.home_r))
    return _value(given, given.score_r[order])


def _halves(given: Responses, rng: np.random.Generator) -> float | None:
    """The shift between two random parts of the responses before; None where few problems have three there."""
    size_p = np.bincount(given.home_r[~given.after_r])
    rows = np.flatnonzero(~given.after_r & (size_p >= 3)[given.home_r])
    chosen_p, home = np.unique(given.home_r[rows], return_inverse=True)
    if len(chosen_p) < MIN_PAIRS:
        return None
    place = np.empty(len(rows), np.int64)  # of a response among those of its problem, in random order
    place[np.lexsort((rng.random(len(rows)), home))] = np.arange(len(rows)) - np.searchsorted(home, home)
    inside = Responses(
        length_r=given.length_r[rows],
        form_rf=given.form_rf[rows],
        wording=given.wording.of(rows),
        score_r=given.score_r[rows],
        home_r=home,
        after_r=place >= (np.bincount(home)[home] + 1) // 2,
        stratum_p=given.stratum_p[chosen_p],
    )
    return _value(inside, inside.score_r)


def _placebo(values: Sequence[float]) -> Placebo | None:
    if not values:
        return None
    low, high = np.quantile(values, (0.025, 0.975))
    return Placebo(mean=float(np.mean(values)), low=float(low), high=float(high), rounds=len(values))


def _unlike(z_rf: Floats, given: Responses, rng: np.random.Generator) -> float:
    """The share of the responses after whose nearest neighbour before, of another problem, is further away than that of
    99% of those before."""
    before, after = (
        rng.permutation(np.flatnonzero(side))[:NEIGHBOURS] for side in (~given.after_r, given.after_r)
    )
    spread_f = np.maximum(z_rf[before].std(axis=0), z_rf.std(axis=0) / 10)
    z_rf = np.divide(z_rf, spread_f, out=np.zeros_like(z_rf), where=spread_f > 0)

    def nearest(rows: NDArray[np.int64]) -> Floats:
        square = (z_rf[rows] ** 2).sum(axis=1)[:, None] + (z_rf[before] ** 2).sum(axis=1)
        distance = square - 2 * z_rf[rows] @ z_rf[before].T
        distance[given.home_r[rows][:, None] == given.home_r[before]] = np.inf
        return distance.min(axis=1)

    return float((nearest(after) > np.quantile(nearest(before), 0.99)).mean())


def _phrases(given: Responses) -> tuple[Phrase, ...]:
    """The terms whose change of share would do most at the rate at which they went with being right before.

    Each is looked at alone: components share terms with each other and with length, so that their slopes say little of
    a single one.
    """
    has_rt = (given.wording.tfidf_rt > 0).astype(np.float64)
    has_bt, has_at = has_rt[~given.after_r], has_rt[given.after_r]
    home_b, score_b = given.home_r[~given.after_r], given.score_r[~given.after_r]
    problems = len(given.stratum_p)
    off_b = score_b - means(score_b, home_b, problems)[home_b]
    home_bp = sparse.csr_array((np.ones(len(home_b)), (np.arange(len(home_b)), home_b)))
    number_pt = home_bp.T @ has_bt
    square_t = (number_pt.multiply(number_pt).T @ (1 / np.bincount(home_b))).ravel()
    spread_t = np.asarray(has_bt.sum(axis=0)).ravel() - square_t
    slope_t = np.divide(has_bt.T @ off_b, spread_t, out=np.zeros_like(spread_t), where=spread_t > MIN_SPREAD)
    share_t, later_t = (np.asarray(side.mean(axis=0)).ravel() for side in (has_bt, has_at))
    order = np.argsort(-np.abs(slope_t * (later_t - share_t)), kind="stable")[:PHRASES]
    return tuple(
        Phrase(
            text=given.wording.terms[t],
            share_before=float(share_t[t]),
            share_after=float(later_t[t]),
            toward=int(np.sign(slope_t[t])),
        )
        for t in order
    )
