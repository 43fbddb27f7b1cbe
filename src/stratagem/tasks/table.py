"""Labels for a whole rollout table of a task of this package."""

from __future__ import annotations

import polars as pl

from stratagem.records import Label, Problem, StratagemError
from stratagem.tasks import Task, task_of


def is_of_a_task(table: pl.DataFrame) -> bool:
    """Whether the table's first prompt is one of a task of this package."""
    return not table.is_empty() and table["prompt"][0] is not None and task_of(table["prompt"][0]) is not None


def parsed(text: str) -> tuple[Task, Problem]:
    """The problem that a text states, after an instruction or alone, and its task.

    Raises:
        StratagemError: it states none of any task.
    """
    task = task_of(text)
    if task is None:
        raise StratagemError(f"no problem of a task of this package: {text[:60]!r}")
    return task, task.parse(task.find_prompt(text))


def label_table(table: pl.DataFrame) -> pl.DataFrame:
    """The table with `strategy`, `evidence` and `error` filled in by its task's recogniser.

    Raises:
        StratagemError: a prompt is of no task; the row is named.
    """
    problems: dict[str, tuple[Task, Problem]] = {}
    labels: list[Label] = []
    rows = table.select("prompt", "completion", "finish_reason").iter_rows()
    for number, (prompt, completion, finish_reason) in enumerate(rows, start=1):
        if prompt not in problems:
            try:
                problems[prompt] = parsed(prompt)
            except StratagemError as error:
                raise StratagemError(f"row {number}, column 'prompt': {error}") from None
        task, problem = problems[prompt]
        labels.append(task.label(problem, completion, finish_reason))
    return table.with_columns(
        pl.Series("strategy", [label.strategy for label in labels], pl.String),
        pl.Series("evidence", [label.evidence() for label in labels], pl.String),
        pl.Series("error", [label.error for label in labels], pl.String),
    )
