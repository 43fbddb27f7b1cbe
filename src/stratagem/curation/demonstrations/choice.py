"""Which demonstrations are chosen: every strategy as often as the others, at the set's own difficulty and quality.

A block is a type of problem at one difficulty and quality. Of every type as many demonstrations are taken as its share
of the set. Within a type the strategies that are to be covered get equal parts, as far as there are demonstrations;
others keep their share. Strategy by strategy, the rarest first, its places are dealt to the type's blocks by the places
that these have left, so that difficulty and quality stay as they are wherever the strategy allows it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.choose import allocate
from stratagem.curation.demonstrations.diversity import Ints
from stratagem.curation.passrates import Floats
from stratagem.curation.profile import Bools

BINS, QUALITIES = 5, 3  # parts of equal size that numbers are cut into


@dataclass(frozen=True, slots=True)
class Cells:
    """Where the demonstrations of a set lie.

    Attributes:
        block, strategy, problem: of each row; the strategy is -1 where it shows none that can be read.
        kind: of each block, the number of its type.
        covered: of each strategy, whether it is to be shown as often as the others.
    """

    block: Ints
    strategy: Ints
    problem: Ints
    kind: Ints
    covered: Bools

    def counts(self, rows: Bools) -> Ints:
        """How many of the rows lie in each block and strategy."""
        made = np.zeros((len(self.kind), len(self.covered)), np.int64)
        rows = rows & (self.strategy >= 0)
        np.add.at(made, (self.block[rows], self.strategy[rows]), 1)
        return made


@dataclass(frozen=True, slots=True)
class Plan:
    """How many demonstrations of each block and strategy are taken from the set, and how many are to be written."""

    taken: Ints
    written: Ints


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    Attributes:
        rows: taken, in the set's order; control: as many of each block, drawn at random from all that are eligible.
    """

    rows: Ints
    control: Ints


def binned(values: pl.Series, bins: int) -> Ints:
    """A number for each value: different texts or few different numbers each their own, other numbers in parts of
    equal size; those that are missing are one more part."""
    numbers = values.cast(pl.Float64, strict=False)
    if numbers.null_count() == values.null_count() and numbers.n_unique() > 2 * bins:
        known = numbers.drop_nulls().to_numpy()
        edges = np.unique(np.quantile(known, np.arange(1, bins) / bins))
        part = np.searchsorted(edges, numbers.fill_null(0).to_numpy(), side="right")
        return np.where(numbers.is_null().to_numpy(), -1, part).astype(np.int64) + 1
    return values.cast(pl.String).fill_null("").rank("dense").to_numpy().astype(np.int64)


def shares(strategies: Ints, covered: Bools) -> Floats:
    """The share that each strategy of a type is to have: those that are covered equal ones, others the one they have.

    Args:
        strategies: how many demonstrations of the type show each.
    """
    total = strategies.sum()
    if not total:
        return np.zeros(len(strategies))
    kept = np.where(covered, 0.0, strategies / total)
    if not covered.any():
        return kept
    return kept + covered * (1 - kept.sum()) / covered.sum()


def plan(cells: Cells, eligible: Bools, size: int, writable: Ints | None = None) -> Plan:
    """How many demonstrations of each block and strategy there are to be.

    Args:
        writable: of each block and strategy, how many can be written.
    """
    there = cells.counts(eligible)
    room = np.zeros_like(there) if writable is None else writable
    taken, written = np.zeros_like(there), np.zeros_like(there)
    kinds = int(cells.kind.max()) + 1
    there_k = np.bincount(cells.kind, there.sum(axis=1), kinds).astype(np.int64)
    room_k = np.bincount(cells.kind, room.sum(axis=1), kinds).astype(np.int64)
    size_k = allocate(size, there_k / max(there_k.sum(), 1), np.where(there_k > 0, there_k + room_k, 0))
    for kind in np.flatnonzero(size_k).tolist():
        own = np.flatnonzero(cells.kind == kind)
        taken[own], written[own] = _within(there[own], room[own], int(size_k[kind]), cells.covered)
    return Plan(taken, written)


def _within(there: Ints, room: Ints, size: int, covered: Bools) -> tuple[Ints, Ints]:
    """How many of each block and strategy of one type are taken and written.

    Args:
        there, room: a row a block, a column a strategy: demonstrations that are there, and that can be written.
    """
    there_s, room_s = there.sum(axis=0), room.sum(axis=0)
    size_s = allocate(size, shares(there_s, covered), there_s + room_s)
    size_s += allocate(size - int(size_s.sum()), there_s.astype(float), there_s + room_s - size_s)
    left_b = allocate(size, there.sum(axis=1) / there_s.sum(), there.sum(axis=1) + room.sum(axis=1))
    taken, written = np.zeros_like(there), np.zeros_like(there)
    for s in np.argsort(there_s, kind="stable").tolist():
        from_set = min(int(size_s[s]), int(there_s[s]))
        for number, source, made in (
            (from_set, there[:, s], taken),
            (int(size_s[s]) - from_set, room[:, s], written),
        ):
            dealt = allocate(number, left_b.astype(float), np.minimum(source, left_b))
            # What the blocks' own places cannot hold goes where there are demonstrations.
            rest = source - dealt
            dealt = dealt + allocate(number - int(dealt.sum()), rest.astype(float), rest)
            left_b = np.maximum(left_b - dealt, 0)
            made[:, s] = dealt
    return taken, written


def choose(cells: Cells, eligible: Bools, planned: Plan, problems: str, rng: np.random.Generator) -> Chosen:
    """Choose so many rows of each block and strategy as planned.

    Args:
        problems: ``many`` or ``few``, as in `Settings`.
    """
    tie = rng.permutation(len(cells.block))
    usable = eligible & (cells.strategy >= 0)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(tie[rows])]
    strategies = len(cells.covered)
    cell = cells.block[rows] * strategies + cells.strategy[rows]
    # How many rows of the cell and the problem stand before this one.
    again = (
        pl.DataFrame({"cell": cell, "problem": cells.problem[rows]})
        .select(pl.int_range(pl.len()).over("cell", "problem").alias("again"))["again"]
        .to_numpy()
    )
    ways, order = _ways(cells, usable, rng)
    by_cell = np.argsort(cell, kind="stable")
    ends = np.searchsorted(cell[by_cell], np.arange(planned.taken.size + 1))
    taken_x = np.zeros(len(ways), np.int64)
    chosen: list[Ints] = []
    totals = cells.counts(usable).sum(axis=0)
    for s in np.argsort(totals, kind="stable").tolist():
        for b in np.flatnonzero(planned.taken[:, s]).tolist():
            own = by_cell[ends[b * strategies + s] : ends[b * strategies + s + 1]]
            problem = cells.problem[rows[own]]
            if problems == "many":
                ranked = np.lexsort((np.arange(len(own)), again[own], taken_x[problem]))
            else:
                ranked = np.lexsort((again[own], order[problem], -ways[problem]))
            picked = rows[own[ranked[: planned.taken[b, s]]]]
            np.add.at(taken_x, cells.problem[picked], 1)
            chosen.append(picked)
    return Chosen(
        np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.int64),
        _control(cells, usable, (planned.taken + planned.written).sum(axis=1), rng),
    )


def _ways(cells: Cells, usable: Bools, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """How many strategies each problem is shown in, and a place for it among those with as many."""
    problems = int(cells.problem.max()) + 1
    pairs = pl.DataFrame({"problem": cells.problem[usable], "strategy": cells.strategy[usable]}).unique()
    return np.bincount(pairs["problem"].to_numpy(), minlength=problems), rng.permutation(problems)


def _control(cells: Cells, usable: Bools, size_b: Ints, rng: np.random.Generator) -> Ints:
    """As many rows of each block; where it has not as many, others take their places."""
    there_b = np.bincount(cells.block[usable], minlength=len(cells.kind))
    size = int(size_b.sum())
    size_b = allocate(size, size_b / max(size, 1), there_b)
    size_b = size_b + allocate(size - int(size_b.sum()), there_b.astype(float), there_b - size_b)
    rows = np.flatnonzero(usable)
    rows = rows[np.argsort(rng.random(len(rows)))]
    place = pl.DataFrame({"block": cells.block[rows]}).select(
        pl.int_range(pl.len()).over("block").alias("place")
    )
    return np.sort(rows[place["place"].to_numpy() < size_b[cells.block[rows]]])


def weights(cells: Cells, eligible: Bools) -> Floats:
    """A weight for every row, 1 on average: within a block each covered strategy that is there weighs the same, others
    what they are; 0 for rows that are not eligible."""
    there = cells.counts(eligible)
    weight = np.zeros_like(there, dtype=float)
    for b, counts in enumerate(there):
        if counts.sum():
            want = shares(counts, cells.covered & (counts > 0)) * counts.sum()
            weight[b] = np.divide(want, counts, out=np.zeros(len(counts)), where=counts > 0)
    usable = eligible & (cells.strategy >= 0)
    return np.where(usable, weight[cells.block, np.maximum(cells.strategy, 0)], 0.0)
