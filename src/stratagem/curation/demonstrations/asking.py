"""Strategies that a type of problem lacks: for which prompts to ask for them, and demonstrations that a task writes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.curation.choose import allocate
from stratagem.curation.demonstrations.choice import Cells
from stratagem.curation.demonstrations.diversity import Ints
from stratagem.curation.profile import Bools
from stratagem.records import StratagemError
from stratagem.tasks.table import parsed


@dataclass(frozen=True, slots=True)
class Lacking:
    """Problems that could be shown in a strategy and are not.

    Attributes:
        rows: of each such pair the first row of the problem; strategy: its number. In random order.
        counts: how many pairs there are of each block and strategy.
    """

    rows: Ints
    strategy: Ints
    counts: Ints


def lacking(cells: Cells, eligible: Bools, strategies: Bools, rng: np.random.Generator) -> Lacking:
    """Every problem with each of some strategies that no eligible row shows of it."""
    usable = np.flatnonzero(eligible & (cells.strategy >= 0))
    table = pl.DataFrame(
        {"row": usable, "problem": cells.problem[usable], "strategy": cells.strategy[usable]}
    )
    first = table.group_by("problem").agg(pl.col("row").min())
    asked_for = pl.DataFrame({"strategy": np.flatnonzero(strategies)})
    pairs = first.join(asked_for, how="cross").join(table, on=["problem", "strategy"], how="anti")
    pairs = pairs.sort("row", "strategy")
    order = rng.permutation(pairs.height)
    rows, strategy = (pairs[name].to_numpy()[order] for name in ("row", "strategy"))
    counts = np.zeros((len(cells.kind), len(cells.covered)), np.int64)
    np.add.at(counts, (cells.block[rows], strategy), 1)
    return Lacking(rows, strategy, counts)


def asked(cells: Cells, pairs: Lacking, wanted: Ints) -> Lacking:
    """So many pairs of each type and strategy, dealt to the type's blocks by their pairs.

    Args:
        wanted: a row a type, a column a strategy; where there are fewer pairs, all are taken.
    """
    counts = np.zeros_like(pairs.counts)
    for kind, s in zip(*np.nonzero(wanted), strict=True):
        own = np.flatnonzero(cells.kind == kind)
        there = pairs.counts[own, s]
        counts[own, s] = allocate(int(wanted[kind, s]), there.astype(float), there)
    return first_of(cells, pairs, counts)


def first_of(cells: Cells, pairs: Lacking, counts: Ints) -> Lacking:
    """The first so many pairs of each block and strategy, in the order of rows and strategies."""
    block = cells.block[pairs.rows]
    place = pl.DataFrame({"block": block, "strategy": pairs.strategy}).select(
        pl.int_range(pl.len()).over("block", "strategy").alias("place")
    )["place"]
    taken = place.to_numpy() < counts[block, pairs.strategy]
    rows, strategy = pairs.rows[taken], pairs.strategy[taken]
    order = np.lexsort((strategy, rows))
    return Lacking(rows[order], strategy[order], counts)


def demonstrated(prompts: Sequence[str], strategies: Sequence[str]) -> list[str]:
    """A demonstration for each prompt of a task, in its strategy; its recogniser has read each and found it right.

    Raises:
        StratagemError: a prompt is of no task, or a demonstration is not what it should be.
    """
    made: list[str] = []
    for prompt, name in zip(prompts, strategies, strict=True):
        task, problem = parsed(prompt)
        text = task.strategies[name].demonstrate(task, problem.data)
        label = task.label(problem, text)
        if label.strategy != name or label.error is not None or task.verify(problem, text) != 1.0:
            raise StratagemError(
                f"--write: the task's own {name} for {prompt[:60]!r} is read as {label.strategy}, "
                f"{label.error or 'without an error'}"
            )
        made.append(text)
    return made
