"""A log of rollouts reduced to what curation needs: each problem's samples, the sum of their rewards and of squares."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from stratagem.conditions import near
from stratagem.curation.numbers import numbers, taken_of
from stratagem.diagnosis.notes import pooled, reading_notes, reasons
from stratagem.diagnosis.side import scored
from stratagem.records import StratagemError
from stratagem.rollouts.correctness import choose
from stratagem.rollouts.log import Log, read_rollouts
from stratagem.rollouts.problems import check_ids, local_keys, problem_rows
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.rollouts.rows import rows_of

SUMS = ("n", "total", "squares", "half_n", "half_total", "half_squares")
MERGE_AT = 64
Progress = Callable[[int], None]
Same = Literal["auto", "id", "prompt", "normalised"]


@dataclass(frozen=True, slots=True)
class Reward:
    """What is read of a log.

    Attributes:
        score, correct: what is right, as in `rollouts.correctness`; a column or a condition.
        reward: a column of numbers of any size in place of that: signal is how much it varies.
        where: which rows are taken; join: what a problem is, as in `rollouts.problems.join`.
    """

    score: str | None = None
    correct: str | None = None
    reward: str | None = None
    where: str | None = None
    join: Same = "auto"
    read: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True, slots=True)
class Tally:
    """Of one log.

    Attributes:
        sums: problem_id and `SUMS`; `half_` is of a random half of a problem's samples.
        problems: as `problem_rows` gives them.
        score: what is right, or what the reward is, in words.
        binary: whether every reward is 0 or 1.
    """

    name: str
    files: tuple[str, ...]
    format: str
    sums: pl.DataFrame
    problems: pl.DataFrame
    score: str
    binary: bool
    notes: tuple[str, ...]

    @property
    def responses(self) -> int:
        return int(self.sums["n"].sum())


def tally(paths: Sequence[str | Path], asked: Reward, name: str, seed: int, progress: Progress) -> Tally:
    """Read a log to its end.

    Args:
        paths: of one log, as `read_rollouts` takes them.
        name: what it is called in messages.
        seed: of the halves.
        progress: gets the number of rows read so far.

    Raises:
        StratagemError: it cannot be read, or leaves open what is right; the message says what to name.
    """
    if asked.reward is not None and (asked.score is not None or asked.correct is not None):
        raise StratagemError("--reward: give it without --score and --correct, which make right and wrong")
    log = read_rollouts(paths, replace(asked.read, bounded=asked.where is not None))
    rng = np.random.default_rng([seed, 7])
    merged: list[pl.DataFrame] = []
    problems: list[pl.DataFrame] = []
    rows = 0
    if log.counts_only and asked.where is None:
        said, batches, notes = _of_numbers(log, asked, name)
    else:
        said, batches, notes = _of_responses(log, asked, name)
    for batch in batches:
        rows += batch.height
        batch = local_keys(batch, asked.join)
        problems.append(problem_rows(batch, ()))
        merged.append(_summed(_with_half(batch, rng)))
        if len(merged) >= MERGE_AT:
            merged = [_merged(merged)]
            problems = [pl.concat(problems).unique(maintain_order=True)]
        progress(rows)
    if not merged or not (sums := _merged(merged)).height:
        raise StratagemError(f"{name}: no response that can be used{reasons(log)}")
    known = pl.concat(problems).unique(maintain_order=True)
    check_ids(name, known, asked.join)
    whole = (sums["total"] - sums["squares"]).abs().max()
    binary = asked.reward is None and bool(whole <= 1e-9)  # type: ignore[operator]
    return Tally(name, log.files, log.format, sums, known, said, binary, tuple(notes()))


Read = tuple[str, Iterator[pl.DataFrame], Callable[[], list[str]]]


def _of_numbers(log: Log, asked: Reward, name: str) -> Read:
    """Of a table of numbers without responses: counts, lists of rewards, or one score a row."""
    taken = taken_of(log, name, asked.score, asked.correct, asked.reward)
    said = "counts of right samples" if taken.kind == "counts" else f"column {taken.column!r}"
    if asked.correct is not None:
        said = f"condition {asked.correct!r}"

    def notes() -> list[str]:
        lost = [f"{name}: {count:,} rows left out: {why}" for why, count in log.left_out.items()]
        return [*reading_notes(name, log), *lost]

    return said if asked.reward is None else f"reward {asked.reward!r}", numbers(log, taken), notes


def _of_responses(log: Log, asked: Reward, name: str) -> Read:
    """Of responses with their scores."""
    if log.counts_only and any(given is not None for given in (asked.score, asked.correct, asked.reward)):
        raise StratagemError(
            f"{name}: --where goes with --score, --correct and --reward only where a log holds responses"
        )
    first = log.first()
    if first is None or first.is_empty():
        raise StratagemError(f"{name}: no response in it{reasons(log)}")
    rows = rows_of(log, first, asked.where, name)
    first = rows.of(first)
    if first.is_empty():
        first = next((taken for batch in log.batches() if (taken := rows.of(batch)).height), first)
    if first.is_empty():
        raise StratagemError(f"{name}: --where {asked.where!r}: is true for no response")
    if log.counts_only:
        said, correctness = "counts of right samples", None
    elif asked.reward is not None:
        said, correctness = f"reward {asked.reward!r}", None
        _check_reward(first, asked.reward, name)
    else:
        correctness = choose(log.score_names, first, asked.score, asked.correct, name)
        said = correctness.text
    unscored = 0

    def batches() -> Iterator[pl.DataFrame]:
        nonlocal unscored
        rows.forget()
        for whole in log.batches():
            batch = rows.of(whole)
            if batch.is_empty():
                continue
            if log.counts_only:
                right = pl.col("count_c")
                yield batch.with_columns(n=pl.col("count_n").cast(pl.Float64), total=right, squares=right)
                continue
            if asked.reward is None:
                batch = scored(batch, correctness, name)
            else:
                batch = batch.with_columns(score=pl.col(asked.reward).cast(pl.Float64).fill_nan(None))
            unscored += batch["score"].null_count()
            batch = batch.filter(pl.col("score").is_not_null())
            yield batch.with_columns(n=pl.lit(1.0), total=pl.col("score"), squares=pl.col("score").pow(2))

    def notes() -> list[str]:
        lost = [f"{name}: {unscored:,} responses have no score and do not count"] if unscored else []
        return [*rows.notes(), *reading_notes(name, log), *lost, *pooled(name, sorted(rows.checkpoints))]

    return said, batches(), notes


def _check_reward(first: pl.DataFrame, column: str, name: str) -> None:
    if column not in first.columns:
        raise StratagemError(
            f"{name}: --reward {column}: no such column; {near(column, first.columns, 'column')}"
        )
    if not first[column].dtype.is_numeric():
        raise StratagemError(f"{name}: --reward {column}: holds no numbers")


def _with_half(batch: pl.DataFrame, rng: np.random.Generator) -> pl.DataFrame:
    """The batch with the sums of a random half of the samples of each row, where it has not got them."""
    if "half_n" in batch.columns:
        return batch
    coin = pl.Series(rng.integers(0, 2, batch.height)).cast(pl.Float64)
    halves = (pl.col(sums) * coin for sums in SUMS[:3])
    return batch.with_columns(half.alias(f"half_{sums}") for half, sums in zip(halves, SUMS[:3], strict=True))


def _summed(batch: pl.DataFrame) -> pl.DataFrame:
    return batch.group_by("problem_id").agg(pl.col(SUMS).sum())


def _merged(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return _summed(pl.concat(list(tables))).filter(pl.col("n") > 0).sort("problem_id")
