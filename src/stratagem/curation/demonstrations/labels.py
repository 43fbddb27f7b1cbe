"""Where the strategies of demonstrations come from: rules, a column, a task's recogniser."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from stratagem.labelling.aliases import renamed
from stratagem.labelling.fit import FEWEST, LOOKED_AT, MOST, unfit_notes
from stratagem.labelling.in_place import share_of, taken_in_place
from stratagem.labelling.rules import RuleSet, label_frame, read_rules
from stratagem.records import MIXED, OTHER, TRUNCATED, UNPARSED, Problem, StratagemError
from stratagem.tasks import Task
from stratagem.tasks.table import is_of_a_task, parsed

USUAL = "math"
# Strategies that are no way to solve a problem which could be asked for.
UNNAMED = (MIXED, OTHER, UNPARSED, TRUNCATED)
UNREAD = (UNPARSED, TRUNCATED)


@dataclass(frozen=True, slots=True)
class Labeller:
    """
    Attributes:
        source: where strategies come from, in words.
        names: all that it may name; empty where only the data say which there are.
        label: adds `strategy` to a table as `columns.texts` gives it; of a task also `kind`, `level` (the problem's
            difficulty) and `right`.
        task: whose recogniser names them; fingerprint: of the rules that do.
    """

    source: str
    names: tuple[str, ...]
    label: Callable[[pl.DataFrame], pl.DataFrame]
    task: Task | None = None
    fingerprint: str = ""
    notes: tuple[str, ...] = ()


def labeller(name: str, first: pl.DataFrame, rules: RuleSet | None, has_column: bool) -> Labeller:
    """How the demonstrations of a set are labelled.

    Args:
        name: of the set.
        first: its first rows.
        rules: those that the user named.
        has_column: whether it has a column of strategies itself.
    """
    if rules is None and has_column:
        return Labeller("column 'strategy'", (), _as_given)
    if rules is None and is_of_a_task(asked := first.select(_asked())):
        task, _ = parsed(asked["prompt"][0])
        return Labeller("the task's recogniser", tuple(task.strategies), _recognised, task)
    notes: list[str] = []
    if rules is None:
        rules = read_rules(USUAL)
        rules, notes = _finer(name, first, rules)
        notes += unfit_notes(name, first["completion"], rules)
    chosen = rules
    names = tuple(rule.name for rule in chosen.strategies)
    return Labeller(
        f"rules {chosen.name}" if names else chosen.name,  # a function, or a sheet that a model learned from
        names,
        lambda table: label_frame(table, chosen, evidence=False),
        fingerprint=chosen.fingerprint,
        notes=tuple(notes),
    )


def _finer(name: str, first: pl.DataFrame, rules: RuleSet) -> tuple[RuleSet, list[str]]:
    """The set that a rule of the usual one names as finer, where that rule has most of the first responses."""
    looked = first.select("completion").drop_nulls().head(LOOKED_AT)
    for rule in (*rules.unfit, *rules.strategies) if looked.height >= FEWEST else ():
        if rule.finer and (share := share_of(looked, rules, rule)) > MOST:
            most = f"{share:.0%} of the first {looked.height:,} of {name}"
            return read_rules(rule.finer), [taken_in_place(rule.finer, rules, rule, most)]
    return rules, [f"strategies are those of the set {rules.name}; --strategies RULES takes others"]


def _asked() -> pl.Expr:
    """What is asked: the user's last message, where a prompt is more than that."""
    return pl.coalesce("question", "prompt").alias("prompt")


def _as_given(table: pl.DataFrame) -> pl.DataFrame:
    older = renamed(table["strategy"])
    return table.with_columns(pl.col("strategy").replace(older).fill_null(UNPARSED))


def _recognised(table: pl.DataFrame) -> pl.DataFrame:
    """
    Raises:
        StratagemError: a prompt is of no task; its row is named.
    """
    problems: dict[str, tuple[Task, Problem]] = {}
    made: list[tuple[str, str, str, bool]] = []
    for number, (prompt, completion) in enumerate(table.select(_asked(), "completion").iter_rows(), 1):
        if prompt not in problems:
            try:
                problems[prompt] = parsed(prompt or "")
            except StratagemError as error:
                raise StratagemError(f"row {number} of them: {error}") from None
        task, problem = problems[prompt]
        label = task.label(problem, completion or "")
        slip = label.error is not None and label.error not in task.guesses
        right = task.verify(problem, completion or "") == 1.0 and not slip
        made.append((label.strategy, problem.kind, str(problem.difficulty), right))
    columns = {"strategy": pl.String(), "kind": pl.String(), "level": pl.String(), "right": pl.Boolean()}
    return table.with_columns(pl.DataFrame(made, schema=columns, orient="row").get_columns())
