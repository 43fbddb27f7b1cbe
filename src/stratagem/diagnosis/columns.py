"""Columns of logs that part their problems or their responses: the types of strata, and what is finer than labels."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from stratagem.labelling.rules import RuleSet
from stratagem.records import NO_VALUE, StratagemError
from stratagem.stats.counts import MEASURES
from stratagem.stats.min_sample import MIN_SHARE

MOST_VALUES = 60
SHOWN = pl.Enum(("with", "without"))  # of a behaviour; a byte a row
# What counts are made of: no refinement may be called so.
TAKEN = ("checkpoint", "problem_id", "sample", "strategy", "score", "half", "behaviours", *MEASURES)


def strata_types(firsts: Sequence[pl.DataFrame], by: Sequence[str]) -> dict[str, pl.DataType]:
    """The columns of the strata, as numbers where all logs hold numbers, else as text."""
    column_types: dict[str, pl.DataType] = {}
    for name in by:
        types = [first.schema.get(name, pl.String()) for first in firsts]
        numbers = all(dtype.is_numeric() for dtype in types)
        whole = all(dtype.is_integer() for dtype in types)
        column_types[name] = pl.Int64() if whole else pl.Float64() if numbers else pl.String()
    return column_types


def typed(name: str, dtype: pl.DataType) -> pl.Expr:
    """The column in that type; text without nulls, numbers without NaN."""
    column = pl.col(name).cast(dtype)
    if dtype == pl.Float64():
        return column.fill_nan(None)
    return column.fill_null(NO_VALUE) if dtype == pl.String() else column


def coded(table: pl.DataFrame) -> pl.DataFrame:
    """The table with numbers in place of texts (Polars' categories): four bytes a row for a name of any length, which
    sorts, joins and reads as the text does."""
    return table.with_columns(pl.col(pl.String).cast(pl.Categorical()))


def refinements(
    firsts: Sequence[pl.DataFrame], rules: RuleSet | None, asked: Sequence[str] | None, by: Sequence[str]
) -> tuple[str, ...]:
    """What strategies, or strata, are split by to see whether the answer stays.

    Args:
        firsts: the first rows of every log.
        asked: columns of the logs or behaviours of the rules; None for those behaviours that are not about the
            form of the answer.

    Raises:
        StratagemError: neither a column nor a behaviour, or a column of the strata or with too many values.
    """
    behaviours = [rule.name for rule in rules.behaviours] if rules is not None else []
    if asked is None:
        usual = (name for name in behaviours if not name.startswith("answer"))
        return tuple(name for name in usual if name not in (*TAKEN, *by))
    for name in asked:
        columns = [name for name in firsts[0].columns if all(name in first.columns for first in firsts)]
        if name in (*TAKEN, *by):
            raise StratagemError(f"--refine {name}: parts strategies or strata already; name another column")
        if name not in columns and name not in behaviours:
            raise StratagemError(
                f"--refine {name}: no such column in all logs; there are {', '.join(columns)}"
                + (f", and the behaviours {', '.join(behaviours)}" if behaviours else "")
            )
        if name in columns and max(first[name].n_unique() for first in firsts) > MOST_VALUES:
            raise StratagemError(
                f"--refine {name}: has more than {MOST_VALUES} values; name a coarser column"
            )
    return tuple(asked)


def refining(name: str, batch: pl.DataFrame) -> pl.Expr:
    """The values, as text, that split strategies by a column or by a behaviour of a labelled batch."""
    if name in batch.columns:
        return pl.col(name).cast(pl.String).fill_null(NO_VALUE)
    shown = pl.when(pl.col("behaviours").list.contains(name)).then(pl.lit("with"))
    return shown.otherwise(pl.lit("without")).cast(SHOWN).alias(name)


def parts(tables: Sequence[pl.DataFrame], name: str) -> bool:
    """Whether the values of a column of counts tell 1% of the responses or more from the others."""
    n = pl.concat([table.select(name, "n") for table in tables]).group_by(name).agg(pl.col("n").sum())["n"]
    return float(n.max() or 0) <= (1 - MIN_SHARE) * float(n.sum())  # type: ignore[arg-type]
