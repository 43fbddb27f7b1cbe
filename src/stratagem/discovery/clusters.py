"""Clusters of responses beside what their problem brings: a point is a problem's effect, a centre and noise.

Centres are fitted by k-means on the points less their problem's effect, and effects anew from what the centres leave,
shrunk towards 0, until both agree. So a problem that is answered in one way alone still has a place beside the others,
which taking out its mean would not leave it. Distances count a direction by how little responses of one cluster differ
along it (`evening`). Two clusters that never share a problem, and differ alike from the other
responses of their problems, are one way of answering two kinds of problem: they count as one group.

Source: groups beside effects, Bonhomme and Manresa 2015, Econometrica 83, 1147; effects shrunk, Robinson 1991,
Statistical Science 6, 15; distances in units of the noise, Mahalanobis 1936. Suffixes: r responses, d directions, p
problems, k clusters.
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from stratagem.discovery.space import Ints
from stratagem.records import StratagemError
from stratagem.stats.pairs import Floats

STARTS = 5  # of k-means
ROUNDS = 8  # of centres and effects in turn
STEPS = 6  # of labels and effects in turn, between two moves of the centres
SHRINK = (0.05, 20.0)  # least and most: the variance within problems, in variances of effects
NOISE = 2.0  # of the mean noise, added to that of each direction
APART = 0.1  # of the pairs in one problem that two clusters of their size would have


@dataclass(frozen=True)
class Clusters:
    """Fitted clusters.

    Attributes:
        centre_kd: of each cluster.
        group_k: the proposal that it belongs to, from 0.
        shrink: how many responses of no effect a problem's effect begins with.
    """

    centre_kd: Floats
    group_k: Ints
    shrink: float

    @property
    def groups(self) -> int:
        return int(self.group_k.max()) + 1

    def place(self, point_rd: Floats, problem_r: Ints) -> Placed:
        """The cluster of each response, given all responses of its problem.

        Labels and effects are found in turn from three starts; each problem keeps its best.
        """
        problems = int(problem_r.max()) + 1
        number_p = np.bincount(problem_r, minlength=problems)
        into = summing(problem_r, problems)
        mean_pd = into @ point_rd / np.maximum(number_p, 1)[:, None]
        nearest_p = _distances(mean_pd, self.centre_kd).argmin(axis=1)
        starts = (
            np.zeros_like(mean_pd),
            mean_pd - self.centre_kd.mean(axis=0),
            mean_pd - self.centre_kd[nearest_p],
        )
        best = [self._settle(point_rd, problem_r, into, start) for start in starts]
        choice_p = np.argmin([cost_p for _, _, cost_p in best], axis=0)
        cluster_r = np.stack([cluster_r for cluster_r, _, _ in best])[
            choice_p[problem_r], np.arange(len(problem_r))
        ]
        effect_pd = np.stack([effect_pd for _, effect_pd, _ in best])[choice_p, np.arange(problems)]
        return Placed(cluster_r, effect_pd)

    def _settle(
        self, point_rd: Floats, problem_r: Ints, into: sparse.csr_array, effect_pd: Floats
    ) -> tuple[Ints, Floats, Floats]:
        """Labels, effects and the cost of each problem, from a start. `into` sums responses into problems."""
        problems = len(effect_pd)
        number_p = np.bincount(problem_r, minlength=problems)
        cluster_r = np.zeros(len(problem_r), dtype=np.int64)
        for _ in range(STEPS):
            cluster_r = _distances(point_rd - effect_pd[problem_r], self.centre_kd).argmin(axis=1)
            rest_pd = into @ (point_rd - self.centre_kd[cluster_r])
            effect_pd = rest_pd / (number_p + self.shrink)[:, None]
        off_r = ((point_rd - effect_pd[problem_r] - self.centre_kd[cluster_r]) ** 2).sum(axis=1)
        cost_p = np.bincount(problem_r, off_r, problems) + self.shrink * (effect_pd**2).sum(axis=1)
        return cluster_r, effect_pd, cost_p

    def beside(self, point_rd: Floats, problem_r: Ints, placed: Placed) -> Floats:
        """Points less the effect of their problem as its other responses tell it (r x d)."""
        number_p = np.bincount(problem_r)
        rest_rd = point_rd - self.centre_kd[placed.cluster_r]
        others_rd = sums(rest_rd, problem_r, len(number_p))[problem_r] - rest_rd
        return point_rd - others_rd / (number_p[problem_r] - 1 + self.shrink)[:, None]


@dataclass(frozen=True)
class Placed:
    """Where responses belong: `cluster_r`, and the effects of their problems (p x d)."""

    cluster_r: Ints
    effect_pd: Floats


def fit_clusters(point_rd: Floats, problem_r: Ints, number: int, seed: int = 0) -> Clusters:
    """Fit so many clusters; each is its own group until `grouped`.

    Args:
        problem_r: numbers from 0 without gaps.

    Raises:
        StratagemError: scikit-learn is not there.
    """
    problems = int(problem_r.max()) + 1
    number_p = np.bincount(problem_r)
    mean_pd = sums(point_rd, problem_r, problems) / number_p[:, None]
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # fewer different points than clusters: some are empty, which is seen later
        first = _kmeans()(n_clusters=number, n_init=STARTS, random_state=seed).fit(
            point_rd - mean_pd[problem_r]
        )
    centre_kd = np.asarray(first.cluster_centers_, dtype=np.float64)
    clusters = Clusters(
        centre_kd - centre_kd.mean(axis=0) + point_rd.mean(axis=0), np.arange(number, dtype=np.int64), 1.0
    )
    for _ in range(ROUNDS):
        placed = clusters.place(point_rd, problem_r)
        bare_rd = point_rd - placed.effect_pd[problem_r]
        size_k = np.bincount(placed.cluster_r, minlength=number)
        mean_kd = sums(bare_rd, placed.cluster_r, number) / np.maximum(size_k, 1)[:, None]
        centre_kd = np.where(size_k[:, None] > 0, mean_kd, clusters.centre_kd)
        noise = float(((bare_rd - centre_kd[placed.cluster_r]) ** 2).mean())
        effects = float((placed.effect_pd**2).mean()) + noise / (number_p.mean() + clusters.shrink)
        shrink = float(np.clip(noise / max(effects, 1e-12), *SHRINK))
        clusters = Clusters(centre_kd, clusters.group_k, shrink)
    return clusters


def evening(clusters: Clusters, point_rd: Floats, problem_r: Ints) -> Floats:
    """What turns points so that the noise about the clusters is alike in all directions (d x d, symmetric).

    k-means takes noise for round. Where a strategy's wording varies more along one direction than two strategies differ
    along another, it cuts the first.
    """
    placed = clusters.place(point_rd, problem_r)
    noise_rd = point_rd - placed.effect_pd[problem_r] - clusters.centre_kd[placed.cluster_r]
    size_d, axis_dd = np.linalg.eigh(noise_rd.T @ noise_rd / len(noise_rd))
    mean = float(size_d.mean())
    if mean < 1e-12:
        return np.eye(len(size_d))
    return axis_dd @ np.diag((np.maximum(size_d, 0.0) / mean + NOISE) ** -0.5) @ axis_dd.T


def grouped(clusters: Clusters, point_rd: Floats, problem_r: Ints) -> Clusters:
    """The same clusters, with those that are one way of answering different problems in one group."""
    cluster_r = clusters.place(point_rd, problem_r).cluster_r
    number, problems = len(clusters.centre_kd), int(problem_r.max()) + 1
    count_pk = np.zeros((problems, number))
    np.add.at(count_pk, (problem_r, cluster_r), 1.0)
    mean_pd = sums(point_rd, problem_r, problems) / np.maximum(count_pk.sum(axis=1), 1)[:, None]
    off_kd = sums(point_rd - mean_pd[problem_r], cluster_r, number)
    members = [[k] for k in range(number)]
    while len(members) > 2 and (pair := _same_way(members, count_pk, off_kd)) is not None:
        first, second = pair
        members[first] += members.pop(second)
    group_k = np.zeros(number, dtype=np.int64)
    for group, inside in enumerate(members):
        group_k[inside] = group
    return Clusters(clusters.centre_kd, group_k, clusters.shrink)


def _same_way(members: list[list[int]], count_pk: Floats, off_kd: Floats) -> tuple[int, int] | None:
    """The two groups that share no problem and differ most alike from the other responses of their problems.

    Args:
        count_pk: responses. off_kd: the sums of their points, less the mean of their problem.
    """
    count_pg = np.stack([count_pk[:, inside].sum(axis=1) for inside in members], axis=1)
    off_gd = np.stack([off_kd[inside].sum(axis=0) for inside in members])
    length_g = np.sqrt((off_gd**2).sum(axis=1))
    alike_gg = (off_gd @ off_gd.T) / np.maximum(np.outer(length_g, length_g), 1e-12)
    share_g = count_pg.sum(axis=0) / count_pg.sum()
    number_p = count_pg.sum(axis=1)
    expected_gg = np.outer(share_g, share_g) * (number_p * (number_p - 1)).sum()
    apart_gg = count_pg.T @ count_pg < APART * expected_gg
    alike_gg = np.where(np.triu(apart_gg, 1), alike_gg, -1.0)
    first, second = np.unravel_index(int(alike_gg.argmax()), alike_gg.shape)
    return (int(first), int(second)) if alike_gg[first, second] > 0 else None


def sums(value_rd: Floats, home_r: NDArray[Any], homes: int) -> Floats:
    """The rows of each home, added up (homes x d)."""
    return np.asarray(summing(home_r, homes) @ value_rd)


def summing(home_r: NDArray[Any], homes: int) -> sparse.csr_array:
    """The matrix that adds up the rows of each home."""
    rows = np.arange(len(home_r))
    return sparse.csr_array((np.ones(len(home_r)), (home_r, rows)), shape=(homes, len(home_r)))


def _distances(point_rd: Floats, centre_kd: Floats) -> Floats:
    """Squared distances (r x k)."""
    square_k = (centre_kd**2).sum(axis=1) - 2 * point_rd @ centre_kd.T
    return np.maximum((point_rd**2).sum(axis=1)[:, None] + square_k, 0.0)


def _kmeans() -> Any:
    try:
        return importlib.import_module("sklearn.cluster").KMeans
    except ModuleNotFoundError:
        raise StratagemError(
            "discovering strategies needs scikit-learn: pip install 'stratagem[learn]'"
        ) from None
