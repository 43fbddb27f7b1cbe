"""How many clusters there are: as many as problems that were drawn anew agree on, and as stand apart.

The problems are dealt into two halves, again and again; clusters are fitted to either half, and both label all
responses. Labels that agree (adjusted Rand index) are stable; a cut through a continuum may be stable as well, so that
between two proposals there has to be a valley, on the half that they were not fitted to. Suffixes as in `clusters`.

Source: prediction strength, Tibshirani and Walther 2005, Journal of Computational and Graphical Statistics 14, 511; the
index, Hubert and Arabie 1985, Journal of Classification 2, 193.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from stratagem.discovery.clusters import Clusters, evening, fit_clusters, grouped, sums
from stratagem.discovery.space import Ints
from stratagem.stats.pairs import Floats

MOST = 8  # clusters
SPLITS = 6  # of the problems into halves
STABLE = 0.8  # least mean agreement between halves
NEAR = 0.03  # below the largest `together`: as good
VALLEY = 0.7  # most density between two proposals, in that of the lower of their peaks
LEAST_SHARE = 0.05  # of a proposal, among all responses
LEAST_SPREAD = 0.005  # of what texts are (rows have length 1), that goes with the proposals
_MIDDLE, _REACH, _WINDOW = 0.15, 1.0, 0.3  # in distances between two centres


@dataclass(frozen=True)
class Trial:
    """One number of clusters.

    Attributes:
        evening_dd: what turns points before they are sorted.
        clusters: fitted to all responses. group_r: the proposal of each response.
        agreement: of halves, the mean adjusted Rand index.
        valley: the highest density between two proposals, as a part of their lower peak; the median over halves.
        least: the smallest proposal's share.
        spread: the variance of the proposals' centres within problems.
        together: pairs of different proposals in a problem, as a part of those if every problem had the same shares.
    """

    evening_dd: Floats
    clusters: Clusters
    group_r: Ints
    agreement: float
    valley: float
    least: float
    spread: float
    together: float

    @property
    def reason(self) -> str:
        """Why these are no proposals; empty where they are."""
        if self.clusters.groups < 2 or self.spread < LEAST_SPREAD:
            return "responses to the same problem hardly differ"
        if self.agreement < STABLE:
            return f"halves of the problems agree on them by {self.agreement:.2f}, less than {STABLE}"
        if self.least < LEAST_SHARE:
            return f"the smallest holds {self.least:.1%} of the responses, less than {LEAST_SHARE:.0%}"
        if self.valley > VALLEY:
            return "nothing lies between them but a continuum"
        return ""


def trial(point_rd: Floats, problem_r: Ints, number: int, seed: int = 0) -> Trial:
    """Fit a number of clusters, once more where their noise is even, and see whether they hold."""
    first = fit_clusters(point_rd, problem_r, number, seed)
    evening_dd = evening(first, point_rd, problem_r)
    point_rd = point_rd @ evening_dd
    clusters = grouped(fit_clusters(point_rd, problem_r, number, seed), point_rd, problem_r)
    group_r = clusters.group_k[clusters.place(point_rd, problem_r).cluster_r]
    rng = np.random.default_rng([seed, number])
    problems = int(problem_r.max()) + 1
    agreements: list[float] = []
    valleys: list[float] = []
    for _ in range(SPLITS):
        first_r = (rng.permutation(problems) < problems // 2)[problem_r]
        said: list[Ints] = []
        for half_r in (first_r, ~first_r):
            points, homes = point_rd[half_r], _renumbered(problem_r[half_r])
            fitted = grouped(fit_clusters(points, homes, number, seed), points, homes)
            said.append(fitted.group_k[fitted.place(point_rd, problem_r).cluster_r])
            valleys.append(_valley(fitted, point_rd[~half_r], _renumbered(problem_r[~half_r])))
        agreements.append(rand_index(*said))
    share_g = np.bincount(group_r, minlength=clusters.groups) / len(group_r)
    return Trial(
        evening_dd,
        clusters,
        group_r,
        float(np.mean(agreements)),
        float(np.median(valleys)),
        float(share_g.min()),
        _spread(clusters, evening_dd, point_rd, problem_r),
        _together(group_r, problem_r),
    )


def best_trial(trials: list[Trial]) -> Trial | None:
    """The most proposals that hold, among those that share problems about as often as any do; None where none holds.

    Where proposals split by the kind of problem, what splits them is not what a response chose.
    """
    good = [each for each in trials if not each.reason]
    if not good:
        return None
    enough = max(each.together for each in good) - NEAR
    return max(
        (each for each in good if each.together >= enough),
        key=lambda each: (each.clusters.groups, each.agreement, -len(each.clusters.centre_kd)),
    )


def rand_index(first_r: Ints, second_r: Ints) -> float:
    """The adjusted Rand index of two labellings: 1 where they are the same but for names, 0 by chance."""
    metrics: Any = importlib.import_module("sklearn.metrics")
    return float(metrics.adjusted_rand_score(first_r, second_r))


def _valley(clusters: Clusters, point_rd: Floats, problem_r: Ints) -> float:
    """The highest density half-way between two proposals, as a part of their lower peak."""
    placed = clusters.place(point_rd, problem_r)
    bare_rd = clusters.beside(point_rd, problem_r, placed)
    highest = 0.0
    for i in range(len(clusters.centre_kd)):
        for j in range(i):
            if clusters.group_k[i] == clusters.group_k[j]:
                continue
            axis_d = clusters.centre_kd[i] - clusters.centre_kd[j]
            middle_d = (clusters.centre_kd[i] + clusters.centre_kd[j]) / 2
            both_r = np.isin(placed.cluster_r, (i, j))
            along_r = np.sort((bare_rd[both_r] - middle_d) @ axis_d / max(float(axis_d @ axis_d), 1e-12))
            peaks = [_peak(along_r, side) for side in (-1, 1)]
            between = _inside(along_r, -_MIDDLE, _MIDDLE)
            highest = max(highest, between / max(min(peaks), 1))
    return highest


def _peak(along_r: Floats, side: int) -> int:
    """The most points in a window on one side of the middle."""
    starts = np.linspace(_MIDDLE, _REACH, 12)
    ends = [(side * start, side * (start + _WINDOW)) for start in starts]
    return max(_inside(along_r, min(pair), max(pair)) for pair in ends)


def _inside(along_r: Floats, low: float, high: float) -> int:
    return int(np.searchsorted(along_r, high) - np.searchsorted(along_r, low))


def _spread(clusters: Clusters, evening_dd: Floats, point_rd: Floats, problem_r: Ints) -> float:
    """The variance of the texts, within problems, that the centre of a response's proposal has."""
    cluster_r = clusters.place(point_rd, problem_r).cluster_r
    group_r = clusters.group_k[cluster_r]
    size_g = np.bincount(group_r, minlength=clusters.groups)
    text_kd = np.asarray(np.linalg.solve(evening_dd, clusters.centre_kd.T).T, dtype=np.float64)
    centre_rd = (sums(text_kd[cluster_r], group_r, clusters.groups) / np.maximum(size_g, 1)[:, None])[group_r]
    number_p = np.bincount(problem_r)
    mean_pd = sums(centre_rd, problem_r, len(number_p)) / number_p[:, None]
    off = float(((centre_rd - mean_pd[problem_r]) ** 2).sum())
    return off / max(float((number_p - 1).sum()), 1.0)


def _together(group_r: Ints, problem_r: Ints) -> float:
    count_pg = np.zeros((int(problem_r.max()) + 1, int(group_r.max()) + 1))
    np.add.at(count_pg, (problem_r, group_r), 1.0)
    number_p = count_pg.sum(axis=1)
    share_g = count_pg.sum(axis=0) / number_p.sum()
    pairs = float((number_p**2 - (count_pg**2).sum(axis=1)).sum())
    return pairs / max(float((1 - (share_g**2).sum()) * (number_p * (number_p - 1)).sum()), 1e-12)


def _renumbered(problem_r: Ints) -> Ints:
    return np.unique(problem_r, return_inverse=True)[1].astype(np.int64)
