"""Tables of labelled responses that other people's trainers write, counted for the live page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from stratagem.records import UNPARSED, StratagemError
from stratagem.watch.gain import gain_by_problem
from stratagem.watch.log import COUNTS, Gain

NEEDED = ("problem_id", "strategy")  # what our integrations add to a response, and what is counted of it
OURS = (*NEEDED, "group")
MOST_KINDS, MOST_STEPS = 8, 12  # different values of a column that makes panels, or lines
Stamp = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of the responses are read: the score, if known, and what describes a problem."""

    score: str | None
    kinds: tuple[str, ...]
    steps: str | None

    @property
    def used(self) -> list[str]:
        found = [*NEEDED, *self.kinds, self.steps, self.score]
        return list(dict.fromkeys(name for name in found if name is not None))


def layout_of(table: pl.DataFrame, columns: Sequence[str], score: str | None) -> Layout:
    """Which of `columns` are meant.

    Args:
        score: the column that the user says tells what is right.

    Raises:
        StratagemError: no column of the name that the user gave.
    """
    rewards = [name for name in columns if table[name].dtype.is_float()]
    if score is None:
        fit = [name for name in rewards if table[name].drop_nulls().is_between(0, 1).all()]
        found = rewards if len(rewards) == 1 else fit
        score = found[0] if len(found) == 1 else None
    elif score not in columns:
        raise StratagemError(f"--score {score}: no such column; there are {', '.join(columns)}")
    # What describes a problem is the same for all its responses; what else was logged is not.
    others = [name for name in columns if name not in rewards]
    values = table.group_by("problem_id").agg(pl.col(others).n_unique()).select(pl.col(others).max() <= 1)
    described = [name for name in others if values[name].all()]
    kinds = [
        name
        for name in described
        if table[name].dtype in (pl.String, pl.Boolean) and table[name].n_unique() <= MOST_KINDS
    ]
    steps = [
        name for name in described if table[name].dtype.is_integer() and table[name].n_unique() <= MOST_STEPS
    ]
    return Layout(score, tuple(kinds), steps[0] if steps else None)


def counted(table: pl.DataFrame, layout: Layout) -> pl.DataFrame:
    """Responses as counts: problem_id, kind, difficulty, strategy, n, right; those without a score in [0, 1] are left
    out."""
    score = pl.lit(0.0) if layout.score is None else pl.col(layout.score).cast(pl.Float64, strict=False)
    parts = [pl.lit(f"{name} ") + pl.col(name).cast(pl.String) for name in layout.kinds]
    kind = pl.concat_str(parts, separator=", ") if parts else pl.lit("all")
    steps = pl.col(layout.steps).cast(pl.Int64, strict=False) if layout.steps else pl.lit(0, pl.Int64)
    return (
        table.select(
            pl.col("problem_id").cast(pl.String),
            kind.fill_null("none").alias("kind"),
            steps.fill_null(0).alias("difficulty"),
            pl.col("strategy").cast(pl.String).fill_null(UNPARSED),
            score.alias("score"),
        )
        .filter(pl.col("score").is_between(0, 1))
        .group_by("problem_id", "kind", "difficulty", "strategy")
        .agg(n=pl.len().cast(pl.Float64), right=pl.col("score").sum())
    )


def by_update(table: pl.DataFrame) -> pl.DataFrame:
    """The counts of `counted`, with their update, over all problems, as `watch_log.MetricsLog` has them."""
    keys = ["update", "kind", "difficulty", "strategy"]
    return table.group_by(keys).agg(pl.col("n", "right").sum()).sort(keys).select(list(COUNTS))


def gain_by_strata(start: pl.DataFrame, now: pl.DataFrame) -> Gain | None:
    """The gain from some responses to others, by problem where both sides answered the same ones."""
    keys = ["problem_id", "kind", "difficulty", "strategy"]
    tables = [
        side.group_by(keys).agg(pl.col("n").sum().cast(pl.Int64), pl.col("right").sum()).sort(keys)
        for side in (start, now)
    ]
    return gain_by_problem(tables, ("kind", "difficulty"))


def pace_of(times: dict[int, float], recent: int) -> float | None:
    """Seconds an update, from when the latest ones were written."""
    last = sorted(times)[-recent:]
    return (times[last[-1]] - times[last[0]]) / (last[-1] - last[0]) if len(last) > 1 else None


def stamp(path: Path) -> Stamp:
    """A file's size and time, which tell whether it has changed; zeros where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns
