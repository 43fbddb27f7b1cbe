"""Logs in, candidate strategies out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.discovery.clusters import Clusters
from stratagem.discovery.describe import examples, form, phrases, typical
from stratagem.discovery.follow import MARK, followed
from stratagem.discovery.result import Discovery, OnSide, Proposal, Tried
from stratagem.discovery.space import Ints, Space, fit_space, numbered
from stratagem.discovery.stability import MOST, Trial, best_trial, trial
from stratagem.learned.features import Texts, read_texts
from stratagem.records import StratagemError

FEWEST = 20  # problems with two responses or more
NAME = "proposal"


@dataclass(frozen=True)
class Grouping:
    """What sorts responses into proposals."""

    space: Space
    clusters: Clusters

    def label(self, table: pl.DataFrame) -> Ints:
        """The proposal of each response, from 0, given all responses of its problem.

        Args:
            table: key (of the problem), prompt, completion.
        """
        point_rd = self.space.points(_texts(table))
        placed = self.clusters.place(point_rd, numbered(table["key"].to_list()))
        return self.clusters.group_k[placed.cluster_r]


def group(
    table: pl.DataFrame,
    seed: int = 0,
    most: int = MOST,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Grouping | None, list[Trial]]:
    """Try 2 to `most` clusters; the best grouping, None where none holds, and all trials.

    Args:
        table: key (of the problem), prompt, completion.

    Raises:
        StratagemError: too few problems have two responses, or scikit-learn is not there.
    """
    several = table.group_by("key").len().filter(pl.col("len") > 1).height
    if several < FEWEST:
        raise StratagemError(
            f"{several} problems have two responses or more, at least {FEWEST} are needed: strategies are looked for "
            "in how responses to the same problem differ"
        )
    texts, problem_r = _texts(table), numbered(table["key"].to_list())
    space = fit_space(texts, problem_r)
    if not len(space.direction_dt):
        return None, []
    point_rd = space.points(texts)
    trials: list[Trial] = []
    different = len(np.unique(point_rd.round(9), axis=0))
    for number in range(2, min(most, different) + 1):
        trials.append(trial(point_rd, problem_r, number, seed))
        progress(len(trials), most - 1)
    best = best_trial(trials)
    return (None if best is None else Grouping(space.turned(best.evening_dd), best.clusters)), trials


def discover(
    table: pl.DataFrame,
    names: Sequence[str],
    by: Sequence[str] = (),
    *,
    seed: int = 0,
    most: int = MOST,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Discovery:
    """Candidate strategies of logs.

    Args:
        table: one row a response: side (the number of its log, as text), key (of the problem), prompt, completion,
            score, and the columns `by` of the strata.
        names: of the logs.

    Raises:
        StratagemError: as `group`.
    """
    table = table.sort("key", "side", maintain_order=True)
    grouping, trials = group(table, seed, most, progress)
    best = best_trial(trials)
    return Discovery(
        logs=tuple(names),
        responses=table.height,
        problems=table["key"].n_unique(),
        agreement=float("nan") if best is None else best.agreement,
        proposals=() if grouping is None else _proposals(table, names, by, grouping),
        tried=tuple(
            Tried(
                clusters=len(each.clusters.centre_kd),
                proposals=each.clusters.groups,
                agreement=each.agreement,
                reason=each.reason,
            )
            for each in trials
        ),
    )


def _proposals(
    table: pl.DataFrame, names: Sequence[str], by: Sequence[str], grouping: Grouping
) -> tuple[Proposal, ...]:
    """The proposals, the one with most responses first."""
    texts, problem_r = _texts(table), numbered(table["key"].to_list())
    clusters = grouping.clusters
    point_rd = grouping.space.points(texts)
    placed = clusters.place(point_rd, problem_r)
    group_r = clusters.group_k[placed.cluster_r]
    bare_rd = point_rd - placed.effect_pd[problem_r]
    typical_r = typical(bare_rd, placed.cluster_r, clusters.centre_kd, clusters.group_k)
    completions = table["completion"].to_list()
    side_r = table["side"].cast(pl.Int64).to_numpy()
    score_r = table["score"].to_numpy()
    follows = followed(table, by, group_r)
    order = np.argsort(-np.bincount(group_r), kind="stable").tolist()
    proposals: list[Proposal] = []
    for place, which in enumerate(order, 1):
        inside_r = group_r == which
        sides: list[OnSide] = []
        for side, name in enumerate(names):
            rows = np.flatnonzero(inside_r & (side_r == side))
            sides.append(
                OnSide(
                    log=name,
                    responses=len(rows),
                    share=len(rows) / max(int((side_r == side).sum()), 1),
                    accuracy=float(score_r[rows].mean()) if len(rows) else float("nan"),
                    examples=examples(completions, problem_r, typical_r, rows),
                )
            )
        proposals.append(
            Proposal(
                name=f"{NAME}_{place}",
                phrases=phrases(texts, problem_r, inside_r.astype(np.float64)),
                form=form(table["completion"].filter(pl.Series(inside_r))),
                elsewhere=form(table["completion"].filter(pl.Series(~inside_r))),
                follows=follows[which],
                marks=tuple(what for what, share in follows[which].items() if share >= MARK),
                sides=tuple(sides),
            )
        )
    return tuple(proposals)


def _texts(table: pl.DataFrame) -> Texts:
    return read_texts(table["completion"].to_list(), table["prompt"].to_list())
