"""From rollouts to counts: the only thing that the rest of this package looks at.

A log of any size reduces, file by file, to a small table; tables of different files add up (`merge`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import polars as pl

from stratagem.records import StratagemError

MEASURES = ("n", "right", "squares", "length")


def count(
    rollouts: pl.DataFrame | pl.LazyFrame, by: Sequence[str] = ("kind", "difficulty"), seed: int = 0
) -> pl.DataFrame:
    """Counts per (checkpoint, problem_id, *by, strategy, half).

    Args:
        rollouts: one row a response, with the columns checkpoint, problem_id, sample, strategy, score, length
            and those of `by`. Scores lie in [0, 1]; 1 is right. A LazyFrame is read in a stream.
        by: the columns that make a stratum. They describe the problem, not the response.
        seed: another seed gives another split into halves.

    Returns:
        The keys and `n` (responses), `right` (sum of scores), `squares` (sum of squared scores), `length`
        (sum of response lengths, NaN where one is unknown). `half` (0 or 1) is a fixed random split of a
        problem's samples that depends on checkpoint, problem_id and sample only, so that counts of different
        files can be added.

    Raises:
        StratagemError: a column is missing, a score is not in [0, 1], or a strategy, sample or problem is
            null.
    """
    lazy = rollouts.lazy()
    _require(
        lazy.collect_schema().names(),
        ["checkpoint", "problem_id", "sample", "strategy", "score", "length", *by],
    )
    score = pl.col("score").cast(pl.Float64)
    half = _half(lazy, seed)
    keys = list(dict.fromkeys(["checkpoint", "problem_id", *by, "strategy", "half"]))
    counts = (
        lazy.join(half, on=["checkpoint", "problem_id"], how="left", nulls_equal=True)
        .with_columns(half=_coin(pl.col("sample").cast(pl.Int64), pl.col("coins")))
        .group_by(keys)
        .agg(
            n=pl.len().cast(pl.Int64),
            right=score.sum(),
            squares=score.pow(2).sum(),
            length=pl.col("length").cast(pl.Float64).fill_null(float("nan")).sum(),
            bad=(~score.is_between(0.0, 1.0)).fill_null(True).any(),
        )
        .sort(keys)
        .collect(engine="streaming")
    )
    if counts["bad"].any():
        value = (
            lazy.filter((~score.is_between(0.0, 1.0)).fill_null(True))
            .select("score")
            .first()
            .collect()
            .item()
        )
        raise StratagemError(f"column 'score' holds {value}: a score has to be a finite number in [0, 1]")
    for name in ("checkpoint", "problem_id", "strategy"):
        if counts[name].null_count():
            raise StratagemError(f"column {name!r} holds null: every response needs a {name}")
    if counts["half"].null_count():
        raise StratagemError("column 'sample' holds null: every response of a problem needs its number")
    return counts.drop("bad")


def merge(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The counts of all rollouts together, from the counts of their files."""
    whole = pl.concat(list(tables))
    keys = [name for name in whole.columns if name not in MEASURES]
    measures = [name for name in MEASURES if name in whole.columns]
    return whole.group_by(keys).agg(pl.col(measures).sum()).sort(keys)


def tally(table: pl.DataFrame | pl.LazyFrame, by: Sequence[str], name: str = "table") -> pl.DataFrame:
    """Rollouts or counts of one checkpoint as counts per (problem_id, *by, strategy), halves added up.

    Args:
        table: a rollout table or a count table (one that has the columns `n` and `right`).
        by: the columns that make a stratum.
        name: what the table is called in error messages.

    Raises:
        StratagemError: as `count`; several checkpoints in the table, no rows, or right > n somewhere.
    """
    counts = halves(table, by, name)
    keys = list(dict.fromkeys(["problem_id", *by, "strategy"]))
    return counts.group_by(keys).agg(pl.col("n", "right", "length").sum()).sort(keys)


def halves(table: pl.DataFrame | pl.LazyFrame, by: Sequence[str], name: str = "table") -> pl.DataFrame:
    """Rollouts or counts of one checkpoint as checked counts, by half."""
    columns = table.collect_schema().names()
    if "n" in columns and "right" in columns:
        _require(columns, ["problem_id", *by, "strategy"], name)
        counts = table.lazy().collect()
        if "length" not in columns:
            counts = counts.with_columns(length=pl.lit(float("nan")))
        if "half" not in columns:
            counts = counts.with_columns(half=pl.lit(0, dtype=pl.Int8))
    else:
        counts = count(table, by)
    if counts.is_empty():
        raise StratagemError(f"{name}: no rows")
    if "checkpoint" in counts.columns and counts["checkpoint"].n_unique() > 1:
        some = ", ".join(map(str, counts["checkpoint"].unique().sort().head(3)))
        raise StratagemError(f"{name}: column 'checkpoint' holds several ({some}, …): keep one of them")
    for key in ("problem_id", "strategy"):
        if counts[key].null_count():
            raise StratagemError(f"{name}: column {key!r} holds null")
    bad = counts.filter(
        ~((pl.col("n") > 0) & (pl.col("right") >= 0) & (pl.col("right") <= pl.col("n") + 1e-9)).fill_null(
            False
        )
    )
    if bad.height:
        row = bad.row(0, named=True)
        raise StratagemError(
            f"{name}: problem {row['problem_id']!r} has n = {row['n']}, right = {row['right']}: "
            "it has to be n > 0, 0 <= right <= n"
        )
    return counts


def _require(columns: Sequence[str], needed: Sequence[str], name: str = "rollouts") -> None:
    for column in needed:
        if column not in columns:
            raise StratagemError(f"{name}: no column {column!r}; there are {', '.join(columns)}")


def _half(lazy: pl.LazyFrame, seed: int) -> pl.LazyFrame:
    """Thirty-two random bits for every problem of every checkpoint.

    SHA-256 and not Polars' own hash, which differs between its versions: a split has to stay what it was.
    """
    problems = lazy.select("checkpoint", "problem_id").unique().collect(engine="streaming")
    names = zip(problems["checkpoint"].to_list(), problems["problem_id"].to_list(), strict=True)
    sha256 = hashlib.sha256
    digests = b"".join(
        [
            sha256(f"{seed}\x1f{checkpoint}\x1f{problem}".encode()).digest()[:4]
            for checkpoint, problem in names
        ]
    )
    return problems.with_columns(coins=np.frombuffer(digests, dtype=">u4").astype(np.int64)).lazy()


def _coin(sample: pl.Expr, coins: pl.Expr) -> pl.Expr:
    """Samples 2j and 2j + 1 fall into different halves; a coin of the problem says which into which."""
    bit = (coins // pl.lit(2, dtype=pl.Int64).pow(sample // 2 % 32)) % 2
    return ((sample + bit) % 2).cast(pl.Int8)
