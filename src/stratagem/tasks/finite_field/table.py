"""Labels for a whole rollout table of the finite-field task."""

from __future__ import annotations

import polars as pl

from stratagem.records import Label, Problem, StratagemError
from stratagem.tasks.finite_field.field import PRIMES, FiniteField
from stratagem.tasks.finite_field.strategies import label


def field_of(prompt: str) -> FiniteField:
    """The field that a prompt is about, from its symbols' letter.

    Raises:
        StratagemError: the prompt is not of the finite-field task.
    """
    words = prompt.split()
    i = next((i for i, word in enumerate(words[:-1]) if word in ("start", "result")), None)
    rank = ord(words[i + 1][0]) - ord("a") if i is not None else -1
    if not 0 <= rank < len(PRIMES):
        raise StratagemError(f"not a finite-field prompt: {prompt[:60]!r}")
    return FiniteField(PRIMES[rank], "problem" if "=" in words[0] else "study")


def is_finite_field(table: pl.DataFrame) -> bool:
    """Whether the table's first prompt is one of the finite-field task."""
    if table.is_empty() or table["prompt"][0] is None:
        return False
    try:
        field_of(table["prompt"][0]).parse(table["prompt"][0])
    except StratagemError:
        return False
    return True


def label_table(table: pl.DataFrame) -> pl.DataFrame:
    """The table with `strategy`, `evidence` and `error` filled in, for prompts of the finite-field task.

    Raises:
        StratagemError: a prompt is not of the task; the row is named.
    """
    problems: dict[str, tuple[FiniteField, Problem]] = {}
    found: list[Label] = []
    rows = table.select("prompt", "completion", "finish_reason").iter_rows()
    for number, (prompt, completion, finish_reason) in enumerate(rows, start=1):
        if prompt not in problems:
            try:
                task = field_of(prompt)
                problems[prompt] = task, task.parse(prompt)
            except StratagemError as error:
                raise StratagemError(f"row {number}, column 'prompt': {error}") from None
        found.append(label(*problems[prompt], completion, finish_reason))
    return table.with_columns(
        pl.Series("strategy", [one.strategy for one in found], pl.String),
        pl.Series("evidence", [one.evidence() for one in found], pl.String),
        pl.Series("error", [one.error for one in found], pl.String),
    )
