"""The vocabulary that every other module shares: problems, labels, estimates and the rollout table."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import msgspec
import polars as pl
from msgspec import UNSET, UnsetType

# How long work says how far it is: done, total and what was measured; `Progress` says first of what.
Metrics = Mapping[str, object]
Report = Callable[[int, int, Metrics], None]
Progress = Callable[[str, int, int, Metrics], None]

# Strategies that are values of their own, whatever the task: a response that shows none of the known
# strategies, one that could not be read, and one that was cut off by the token limit.
MIXED, OTHER, UNPARSED, TRUNCATED = "mixed", "other", "unparsed", "truncated"
NO_VALUE = "(none)"  # what stands for the value of a column in a row that has none
SIDES = ("before", "after")

ALL = "all"  # every kind of problem together
FORM = "answer_not_plain"  # the behaviour of a response that shows any behaviour of the answer's form

# The values of the columns that make strata, by column.
Stratum = dict[str, str | int | float | None]

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
    """What a user can fix: the command line prints it as one line and exits with code 2."""


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


if TYPE_CHECKING:
    Real = float
else:
    Real = Annotated[float | None, msgspec.Meta(description="null where it is not defined")]


class Result(msgspec.Struct, frozen=True):
    """A part of a result. A number that is not defined (`Real`) is NaN in Python and null in JSON."""

    def __post_init__(self) -> None:
        for name in _reals(type(self)):
            if getattr(self, name) is None:
                msgspec.structs.force_setattr(self, name, math.nan)

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready: NaN becomes null."""
        return finite(msgspec.to_builtins(self, enc_hook=_number))


Part = TypeVar("Part", bound=Result)


def part_of(result: Part, kind: type[Part]) -> Part:
    """A result as the type that its own extends: without what that one adds for Python alone, such as tables."""
    return kind(**{name: getattr(result, name) for name in kind.__struct_fields__})


def _number(value: Any) -> Any:
    """NumPy's numbers as Python's."""
    return value.item()


@cache
def _reals(kind: type[Result]) -> tuple[str, ...]:
    hints = get_type_hints(kind, include_extras=True)
    return tuple(name for name in kind.__struct_fields__ if hints[name] == Real)


class Estimate(Result, frozen=True):
    """A number with its interval. `n` counts the units that were resampled, as a rule problems.

    NaN stands for "not defined here" and is never replaced by 0. Where the data only bound the number, it lies in
    `bounds`, whatever the unknown is: then `value` is NaN, since no point is singled out, `low` and `high` hold the
    number at the stated level (Imbens-Manski), and `se` is the larger of the two bounds' standard errors.
    """

    value: Real
    low: Real = math.nan
    high: Real = math.nan
    se: Real = math.nan
    n: int = 0
    bounds: tuple[float, float] | UnsetType = UNSET

    @property
    def ends(self) -> tuple[float, float]:
        """The bounds; the value twice where that is known."""
        return (self.value, self.value) if self.bounds is UNSET else self.bounds


UNDEFINED = Estimate(math.nan)


def points(x: float, digits: int = 1, sign: str = "") -> str:
    """A fraction in percent, 0.123 as ``12.3``; numbers that differ by the rounding of floats alone print equal.

    Args:
        sign: ``+`` shows it for positive numbers too.
    """
    return f"{round(100 * x, 9):{sign}z.{digits}f}"


def content_id(*parts: object) -> str:
    """Sixteen hexadecimal digits made of the parts' text."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:16]


def finite(value: Any) -> Any:
    """NaN as None and results as dictionaries, all the way down: JSON has no NaN."""
    if isinstance(value, Result):
        return value.as_dict()
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
    return None if isinstance(value, float) and math.isnan(value) else value


def check_file(path: Path) -> None:
    """See that a file which is to be read as a whole has an end; one that is not there is for its reader to say.

    Raises:
        StratagemError: a pipe, which might be waited for without end, or a device.
    """
    with contextlib.suppress(OSError, ValueError):
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
            raise StratagemError(f"{path}: not a file (a pipe or device cannot be read twice)")


def read_table(path: Path, columns: Sequence[str] = tuple(ROLLOUT_SCHEMA)) -> pl.DataFrame:
    """A rollout table from Parquet, with its columns checked: those of the schema hold text or numbers, as it says.

    Args:
        columns: those that have to be there.

    Raises:
        StratagemError: no such file, not Parquet, or a column is missing or holds something else.
    """
    check_file(path)
    try:
        table = pl.read_parquet(path, glob=False)
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        raise StratagemError(f"{path}: not a readable Parquet file ({str(error).splitlines()[0]})") from None
    missing = [name for name in columns if name not in table.columns]
    if missing:
        raise StratagemError(f"{path}: no column {missing[0]!r}; such a table has {', '.join(columns)}")
    for name, dtype in table.schema.items():
        text = ROLLOUT_SCHEMA.get(name) == pl.String
        fits = dtype == pl.String if text else dtype.is_numeric() or dtype == pl.Boolean
        if name in ROLLOUT_SCHEMA and not fits and dtype != pl.Null:
            raise StratagemError(
                f"{path}: column {name!r} holds {dtype} and no {'text' if text else 'numbers'}"
            )
    empty = [name for name, dtype in table.schema.items() if name in ROLLOUT_SCHEMA and dtype == pl.Null]
    return table.cast({name: ROLLOUT_SCHEMA[name] for name in empty})
