"""The same problems before and after, as arrays. Suffixes: p problems, s strategies, g strata."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.records import StratagemError
from stratagem.stats.counts import tally

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Side:
    """One checkpoint: of a problem's responses, the part that uses a strategy and the part that does so and
    is right.

    `share_ps` sums to 1 over strategies, `right_ps` to the problem's accuracy. `length_p` is the mean length,
    `n_p` the number of responses.
    """

    share_ps: Floats
    right_ps: Floats
    length_p: Floats
    n_p: Floats

    @property
    def counts(self) -> tuple[Floats, Floats] | None:
        """Right and all responses of every problem, None where scores are fractions."""
        right_p = self.right_ps.sum(axis=1) * self.n_p
        whole_p = np.rint(right_p)
        return None if np.abs(right_p - whole_p).max() > 1e-6 else (whole_p, np.rint(self.n_p))


@dataclass(frozen=True, slots=True)
class Pairs:
    """Problems that both checkpoints answered, stratum by stratum: row i of every array is problem `ids[i]`.

    Strata with two problems or more come first, those with one problem last. `sizes_g` counts their problems;
    `strata` has the columns of `by`, a row a stratum.
    """

    ids: tuple[str, ...]
    strategies: tuple[str, ...]
    strata: pl.DataFrame
    sizes_g: NDArray[np.int64]
    before: Side
    after: Side
    left_out_before: int
    left_out_after: int

    @property
    def by(self) -> tuple[str, ...]:
        """The columns that make strata."""
        return tuple(self.strata.columns)

    @property
    def stratum_p(self) -> NDArray[np.int64]:
        """The stratum of every problem."""
        return np.repeat(np.arange(self.sizes_g.size), self.sizes_g)


def pair(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    by: Sequence[str] = ("kind", "difficulty"),
) -> Pairs:
    """Join two checkpoints' rollouts or counts on problem_id.

    Raises:
        StratagemError: no problem in common, or a problem lies in different strata.
    """
    tables = [tally(before, by, "before"), tally(after, by, "after")]
    homes = [strata_of(table, by, name) for table, name in zip(tables, ("before", "after"), strict=True)]
    joined = homes[0].join(homes[1], on="problem_id", how="inner", suffix="_after")
    if joined.is_empty():
        raise StratagemError("before and after have no problem_id in common")
    for name in by:
        if name == "problem_id":
            continue
        moved = joined.filter(~pl.col(name).eq_missing(pl.col(f"{name}_after")))
        if moved.height:
            row = moved.row(0, named=True)
            raise StratagemError(
                f"problem {row['problem_id']!r} has {name} = {row[name]!r} before "
                f"and {row[name + '_after']!r} after"
            )
    ids, strata, sizes = arrange(joined.select(homes[0].columns), by)
    strategies = sorted(set().union(*(table["strategy"].unique().to_list() for table in tables)))
    sides = [side(table, ids, strategies) for table in tables]
    return Pairs(
        ids=tuple(ids),
        strategies=tuple(strategies),
        strata=strata,
        sizes_g=sizes,
        before=sides[0],
        after=sides[1],
        left_out_before=homes[0].height - joined.height,
        left_out_after=homes[1].height - joined.height,
    )


def strata_of(table: pl.DataFrame, by: Sequence[str], name: str) -> pl.DataFrame:
    """Every problem with its stratum: (problem_id, *by), one row a problem."""
    homes = table.select(list(dict.fromkeys(["problem_id", *by]))).unique()
    twice = homes.filter(pl.col("problem_id").is_duplicated())
    if twice.height:
        raise StratagemError(
            f"{name}: problem {twice['problem_id'].min()!r} lies in several strata of {', '.join(by)}; "
            "these columns have to describe the problem, not the response"
        )
    return homes


def arrange(homes: pl.DataFrame, by: Sequence[str]) -> tuple[list[str], pl.DataFrame, NDArray[np.int64]]:
    """Problems in the order of `Pairs`, the strata, and the number of problems in each."""
    if not by:
        ids = homes["problem_id"].sort().to_list()
        return ids, pl.DataFrame(), np.array([len(ids)])
    ordered = homes.with_columns(pl.len().over(list(by)).alias("_size")).sort(
        [pl.col("_size") == 1, *by, "problem_id"], maintain_order=True
    )
    sizes = ordered.group_by(list(by), maintain_order=True).agg(pl.len().alias("_problems"))
    return (
        ordered["problem_id"].to_list(),
        sizes.drop("_problems"),
        sizes["_problems"].cast(pl.Int64).to_numpy(),
    )


def side(table: pl.DataFrame, ids: Sequence[str], strategies: Sequence[str]) -> Side:
    """Arrays of one checkpoint for these problems; a problem without responses gets NaN. Rows of `table` that have a
    problem and a strategy in common add up."""
    rows = pl.DataFrame(
        {"problem_id": ids}, schema={"problem_id": table.schema["problem_id"]}
    ).with_row_index("p")
    columns = pl.DataFrame(
        {"strategy": strategies}, schema={"strategy": table.schema["strategy"]}
    ).with_row_index("s")
    cells = table.select("problem_id", "strategy", "n", "right", "length")
    cells = cells.join(rows, on="problem_id").join(columns, on="strategy")
    p, s = cells["p"].to_numpy(), cells["s"].to_numpy()
    shape = (len(ids), len(strategies))
    n, right, length = np.zeros(shape), np.zeros(shape), np.zeros(len(ids))
    np.add.at(n, (p, s), cells["n"].to_numpy())
    np.add.at(right, (p, s), cells["right"].to_numpy())
    np.add.at(length, p, cells["length"].to_numpy())
    total = n.sum(axis=1)
    total[total == 0] = np.nan
    return Side(n / total[:, None], right / total[:, None], length / total, total)
