"""Does the answer survive another choice of strategies: merged by twos, all merged, or split further?

Selection among strategies that are merged becomes improvement, so the figures have to move; what should not turn
round is which of the two leads. All in closed form (`delta_method`), so that dozens of variants take no longer than
one bootstrap.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np
import polars as pl

from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.delta_method import terms
from stratagem.decomposition.parts import Lead
from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Estimate, Result, StratagemError
from stratagem.stats.counts import halves
from stratagem.stats.pairs import Floats, Pairs, pair, side

# Values that are no named strategy.
UNNAMED = (MIXED, OTHER, UNPARSED, TRUNCATED)


class Regrouping(Result, frozen=True):
    """The decomposition with other strategies; `lead` from the closed form."""

    change: str
    lead: Lead
    selection: Estimate
    improvement: Estimate
    new_strategy: Estimate


def robustness(
    before: pl.DataFrame,
    after: pl.DataFrame,
    by: Sequence[str] = ("kind", "difficulty"),
    *,
    refine: Sequence[str] = (),
    least: float = 0.01,
    most: int = 40,
    level: float = 0.95,
    stratified: bool = True,
) -> tuple[Regrouping, ...]:
    """The terms under every merge of two strategies and of all named ones that leaves two, and under every refinement.

    Args:
        before, after: rollouts, or counts, of one checkpoint each.
        by: the columns that make a stratum.
        refine: further columns of the tables. One that describes the problem (the same in all its responses,
            before and after) makes finer strata; any other splits every strategy by its values.
        least: strategies with less than this share of all responses are merged with no other one.
        most: pairs that are tried, those with the largest product of shares; `other` with any comes first.

    Raises:
        StratagemError: a column of `refine` is missing, or as `pairs.pair`.
    """
    return regroupings(
        pair(before, after, by),
        (before, after),
        refine=refine,
        least=least,
        most=most,
        level=level,
        stratified=stratified,
    )


def regroupings(
    pairs: Pairs,
    fine: tuple[pl.DataFrame, pl.DataFrame],
    *,
    refine: Sequence[str] = (),
    least: float = 0.01,
    most: int = 40,
    level: float = 0.95,
    stratified: bool = True,
) -> tuple[Regrouping, ...]:
    """`robustness` for problems that are paired already; `fine` are tables with the columns of `refine`."""
    data_pk = matrix(pairs, None)
    width = len(pairs.strategies)
    changes = [
        _change(name, data_pk @ _merge(width, groups), pairs, level, stratified)
        for name, groups in _groups(pairs, least, most)
    ]
    for column in refine:
        name, finer = _refined(pairs, *fine, column)
        changes.append(_change(name, matrix(finer, None), finer, level, stratified))
    return tuple(changes)


def _change(name: str, data_pk: Floats, pairs: Pairs, level: float, stratified: bool) -> Regrouping:
    split = terms(data_pk, pairs.before.n_p, pairs.sizes_g, level=level, stratified=stratified)
    return Regrouping(name, split.lead, split.selection, split.improvement, split.new_strategy)


def _groups(pairs: Pairs, least: float, most: int) -> Iterator[tuple[str, list[int]]]:
    """What is merged, and the numbers of the strategies that become one. Two strategies at least are left: between
    fewer nothing can be selected, whatever the log."""
    share_s = (pairs.before.share_ps.mean(axis=0) + pairs.after.share_ps.mean(axis=0)) / 2
    names = pairs.strategies
    usual = [s for s in range(len(names)) if share_s[s] >= least]
    twos = sorted(
        combinations(usual, 2),
        key=lambda two: (OTHER not in (names[two[0]], names[two[1]]), -share_s[two[0]] * share_s[two[1]]),
    )
    for a, b in twos[: most if len(usual) > 2 else 0]:
        yield f"merge {names[a]} and {names[b]}", [a, b]
    named = [s for s in range(len(names)) if names[s] not in UNNAMED]
    if len(named) > 2 and not set(usual) <= set(named):
        yield "merge all named strategies", named


def _merge(width: int, group: list[int]) -> Floats:
    """Adds the columns of a group, in each of the four blocks of the data matrix (k x k')."""
    target = np.arange(width)
    target[group] = group[0]
    _, target = np.unique(target, return_inverse=True)
    merged = np.zeros((width, target.max() + 1))
    merged[np.arange(width), target] = 1.0
    return np.asarray(np.kron(np.eye(4), merged), dtype=np.float64)


def _refined(pairs: Pairs, before: pl.DataFrame, after: pl.DataFrame, column: str) -> tuple[str, Pairs]:
    for name, table in (("before", before), ("after", after)):
        if column not in table.columns:
            raise StratagemError(f"{name}: no column {column!r}; there are {', '.join(table.columns)}")
    values = pl.concat([table.select("problem_id", column).unique() for table in (before, after)]).unique()
    if values.height == values["problem_id"].n_unique():
        return f"strata also by {column}", pair(before, after, list(dict.fromkeys([*pairs.by, column])))
    value = pl.col(column).cast(pl.String).fill_null("null")
    split = pl.concat_str([pl.col("strategy"), value], separator=" / ").cast(before.schema["strategy"])
    # Problems and strata stay those of `pairs`, so that large tables need not be paired again.
    parts = [
        halves(table.with_columns(strategy=split), pairs.by, name)
        for table, name in ((before, "before"), (after, "after"))
    ]
    strategies = sorted({*parts[0]["strategy"].unique(), *parts[1]["strategy"].unique()})
    sides = [side(part, pairs.ids, strategies) for part in parts]
    split_pairs = replace(pairs, strategies=tuple(strategies), before=sides[0], after=sides[1])
    return f"split strategies by {column}", split_pairs
