"""Behaviours of responses (verification, backtracking, …): how often, and how right, before and after.

A response may show any number of behaviours, so they are no strategies and never enter the decomposition: each
one is compared by itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import polars as pl

from stratagem.decomposition.delta_method import clustered, terms
from stratagem.records import Estimate, Real, Result, StratagemError
from stratagem.stats.pairs import Floats, arrange, strata_of
from stratagem.stats.resampling import pool_of


class BehaviourChange(Result, frozen=True):
    """One behaviour before and after; shares and accuracies are means over problems, as fractions.

    Attributes:
        difference: of the shares, paired by problem, clustered standard error, t interval.
        accuracy_before, accuracy_after: of responses that show it; NaN where none does.
        without_before, without_after: of responses that do not.
        part: what of the gain the change of the share carries, at the old accuracies with and without it.
        rest: the gain among responses with it and among those without it. part + rest is the gain.
    """

    behaviour: str
    share_before: Real
    share_after: Real
    difference: Estimate
    accuracy_before: Real
    accuracy_after: Real
    without_before: Real
    without_after: Real
    part: Estimate
    rest: Estimate


def count_behaviours(labelled: pl.DataFrame | pl.LazyFrame, by: Sequence[str] = ()) -> pl.DataFrame:
    """Counts per (checkpoint, problem_id, *by, behaviour); a null behaviour stands for all responses.

    Args:
        labelled: one row a response, with the columns checkpoint, problem_id, score in [0, 1], behaviours (a list
            of names; null and an empty list are the same, a name given twice counts once) and those of `by`.

    Returns:
        The keys, `n` (responses) and `right` (sum of their scores). Tables of several batches or files add up
        with `counts.merge`.

    Raises:
        StratagemError: a column is missing or `behaviours` is not a list of text.
    """
    lazy = labelled.lazy()
    schema = lazy.collect_schema()
    keys = list(dict.fromkeys(["checkpoint", "problem_id", *by]))
    for name in (*keys, "score", "behaviours"):
        if name not in schema:
            raise StratagemError(f"rollouts: no column {name!r}; there are {', '.join(schema.names())}")
    if schema["behaviours"] not in (pl.List(pl.String), pl.List(pl.Null)):
        raise StratagemError(
            f"rollouts: column 'behaviours' is {schema['behaviours']}, it has to be List(String)"
        )
    score, names = pl.col("score").cast(pl.Float64), pl.col("behaviours").cast(pl.List(pl.String))
    measures = (pl.len().cast(pl.Int64).alias("n"), score.sum().alias("right"))
    whole = lazy.group_by(keys).agg(*measures).with_columns(behaviour=pl.lit(None, dtype=pl.String))
    each = (
        lazy.with_columns(behaviour=names.list.drop_nulls().list.unique())
        .filter(pl.col("behaviour").list.len() > 0)
        .explode("behaviour")
        .group_by([*keys, "behaviour"])
        .agg(*measures)
    )
    order = [*keys, "behaviour", "n", "right"]
    return (
        pl.concat([whole.select(order), each.select(order)])
        .sort([*keys, "behaviour"])
        .collect(engine="streaming")
    )


def compare_behaviours(
    before: pl.DataFrame,
    after: pl.DataFrame,
    *,
    by: Sequence[str] = (),
    names: Sequence[str] = (),
    level: float = 0.95,
    stratified: bool = True,
) -> tuple[BehaviourChange, ...]:
    """Compare every behaviour between two checkpoints, over the problems that both answered.

    Args:
        before, after: counts of one checkpoint each, as `count_behaviours` gives them.
        by: strata of problems; they matter to `part` and `rest` and to the intervals.
        names: the behaviours, in order; by default all that turn up, by name. One that never turns up has share 0.
        level: of each interval by itself: of twenty behaviours that did not change, one looks changed at 95%.
        stratified: as in `decompose`.

    Raises:
        StratagemError: no problem in common, several checkpoints in a table, or a problem in several strata.
    """
    tables = {"before": before, "after": after}
    for name, table in tables.items():
        if "checkpoint" in table.columns and table["checkpoint"].n_unique() > 1:
            raise StratagemError(f"{name}: column 'checkpoint' holds several: keep one of them")
    homes = [strata_of(table, by, name) for name, table in tables.items()]
    both = homes[0].join(homes[1].select("problem_id"), on="problem_id", how="semi")
    if both.is_empty():
        raise StratagemError("before and after have no problem_id in common")
    ids, _, size_g = arrange(both, by)
    present = set(before["behaviour"]) | set(after["behaviour"])
    wanted = list(names) or sorted(name for name in present if name is not None)
    sides = [_side(table, ids, wanted) for table in tables.values()]
    pool_p = pool_of(size_g, stratified)[np.repeat(np.arange(size_g.size), size_g)]
    changes: list[BehaviourChange] = []
    for i, name in enumerate(wanted):
        blocks: list[Floats] = []
        for share_pb, right_pb, accuracy_p, _ in sides:
            with_p, right_p = share_pb[:, i], right_pb[:, i]
            blocks += [with_p, 1 - with_p, right_p, accuracy_p - right_p]
        split = terms(np.stack(blocks, axis=1), sides[0][3], size_g, level=level, stratified=stratified)
        mean = [float(block.mean()) for block in blocks]
        changes.append(
            BehaviourChange(
                behaviour=name,
                share_before=mean[0],
                share_after=mean[4],
                difference=clustered(mean[4] - mean[0], blocks[4] - blocks[0], pool_p, level),
                accuracy_before=_ratio(mean[2], mean[0]),
                accuracy_after=_ratio(mean[6], mean[4]),
                without_before=_ratio(mean[3], mean[1]),
                without_after=_ratio(mean[7], mean[5]),
                part=split.choice,
                rest=split.improvement,
            )
        )
    return tuple(changes)


def _side(table: pl.DataFrame, ids: list[str], names: list[str]) -> tuple[Floats, Floats, Floats, Floats]:
    """Of a problem's responses the part with a behaviour (p x b), the part with it and right, the accuracy, and their
    number."""
    rows = pl.DataFrame({"problem_id": ids}, schema={"problem_id": table.schema["problem_id"]})
    columns = pl.DataFrame(
        {"behaviour": names}, schema={"behaviour": table.schema["behaviour"]}
    ).with_row_index("b")
    here = table.join(rows.with_row_index("p"), on="problem_id")
    whole = here.filter(pl.col("behaviour").is_null())
    n_p = np.bincount(whole["p"], whole["n"], minlength=len(ids))
    accuracy_p = np.bincount(whole["p"], whole["right"], minlength=len(ids)) / n_p
    cells = here.join(columns, on="behaviour")
    flat = cells["p"].to_numpy() * len(names) + cells["b"].to_numpy()
    share_pb, right_pb = (
        np.bincount(flat, cells[measure], minlength=len(ids) * len(names)).reshape(len(ids), len(names))
        / n_p[:, None]
        for measure in ("n", "right")
    )
    return share_pb, right_pb, accuracy_p, n_p.astype(np.float64)


def _ratio(right: float, share: float) -> float:
    return right / share if share > 0 else math.nan
