"""The vocabulary that every other module shares: problems, labels, estimates and the rollout table."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

# Strategies that are values of their own, whatever the task: a response that shows none of the known
# strategies, one that could not be read, and one that was cut off by the token limit.
MIXED, OTHER, UNPARSED, TRUNCATED = "mixed", "other", "unparsed", "truncated"

ALL = "all"  # every kind of problem together

FinishReason = Literal["stop", "length"]

# One row a response. `kind` and `difficulty` are the group columns of the lab; foreign logs bring their own.
ROLLOUT_SCHEMA: dict[str, pl.DataType] = {
    "problem_id": pl.String(),
    "kind": pl.String(),
    "difficulty": pl.Int32(),
    "checkpoint": pl.String(),
    "sample": pl.Int32(),
    "prompt": pl.String(),
    "completion": pl.String(),
    "score": pl.Float64(),
    "strategy": pl.String(),
    "evidence": pl.String(),
    "finish_reason": pl.String(),
    "length": pl.Int32(),
}


class StratagemError(Exception):
    """What a user can mend: the command line prints it as one line and exits with code 2."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question with a verifiable answer.

    `id` is made of the content, so that it is the same wherever the problem turns up. `data` is what the task
    itself needs to verify and to demonstrate.
    """

    id: str
    task: str
    kind: str
    difficulty: int
    prompt: str
    answer: str
    data: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Mark:
    """A span of a completion, in characters, and what the recogniser found there.

    `error` is None where the span is right, else the kind of error.
    """

    start: int
    end: int
    error: str | None = None
    expected: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """The one strategy that a response follows, with the evidence for it.

    `error` is the kind of the first error (None where there is none), `step` the step it happened in, counted
    from 0 in the order written; `marks` are the spans that were read, in order.
    """

    strategy: str
    error: str | None = None
    step: int | None = None
    marks: tuple[Mark, ...] = ()

    def evidence(self) -> str:
        """The label without its strategy as compact JSON, for the `evidence` column."""
        marks = [[m.start, m.end, m.error, m.expected] for m in self.marks]
        return json.dumps({"error": self.error, "step": self.step, "marks": marks}, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval. `n` counts the units that were resampled, as a rule problems.

    NaN stands for "not defined here" and is never replaced by 0.
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    se: float = math.nan
    n: int = 0

    def as_dict(self) -> dict[str, float | int | None]:
        """JSON-ready: NaN becomes null."""

        def clean(x: float) -> float | None:
            return None if math.isnan(x) else float(x)

        return {
            "value": clean(self.value),
            "low": clean(self.low),
            "high": clean(self.high),
            "se": clean(self.se),
            "n": int(self.n),
        }


def points(x: float, digits: int = 1, sign: str = "") -> str:
    """A fraction as points, 0.123 as ``12.3``; numbers that differ by the rounding of floats alone print equal.

    Args:
        sign: ``+`` shows it for positive numbers too.
    """
    return f"{round(100 * x, 9):{sign}z.{digits}f}"


def content_id(*parts: object) -> str:
    """Sixteen hexadecimal digits made of the parts' text."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


def finite(value: Any) -> Any:
    """NaN as None, all the way down: JSON has no NaN."""
    if isinstance(value, dict):
        return {name: finite(one) for name, one in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]  # pyright: ignore[reportUnknownVariableType]
    return None if isinstance(value, float) and math.isnan(value) else value


def read_table(path: Path, columns: Sequence[str] = tuple(ROLLOUT_SCHEMA)) -> pl.DataFrame:
    """A rollout table from Parquet, with its columns checked.

    Raises:
        StratagemError: no such file, not Parquet, or a column of the schema is missing.
    """
    try:
        table = pl.read_parquet(path)
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except (pl.exceptions.ComputeError, OSError) as error:
        raise StratagemError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise StratagemError(f"{path}: no column {missing[0]!r}; a rollout table has {', '.join(columns)}")
    return table
