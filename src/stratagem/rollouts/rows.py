"""Which rows of a log are taken: those of a condition, and never those of training beside those of evaluations, or
sampled responses beside greedy ones."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from stratagem.conditions import condition, values
from stratagem.records import StratagemError
from stratagem.rollouts.log import Log
from stratagem.rollouts.overwritten import Prompts, check_folders
from stratagem.rollouts.readers import trl, verl

# Columns by which rows are never mixed: the value that alone is taken where it occurs, and what such rows are called.
APART = {"split": ("train", "responses of training"), "mode": ("sampled", "sampled responses")}
NUMBER = "response_number"  # of a response of training, among all so far, as `integrations.trl` writes it
MAX_CHECKPOINTS = 1_000


@dataclass
class Rows:
    """Takes rows of a log's batches. Where rows say their split, some of them training's, only those are taken, and
    sampled responses alone where some are greedy, unless the condition speaks of that column.

    Attributes:
        name: what the log is called in messages.
        whole: columns of text that hold whole numbers, which the condition takes as such.
        apart: columns of `APART` that the log has, and whether their value there is the only one taken.
        left: rows by column and value that were not taken for this reason, so far.
        checkpoints: those of the rows that were taken, about a thousand at most.
        prompts: of a log that may hold evaluations without saying so; else None.
        seen, made: how many responses were taken, and the largest number that one of them has.
    """

    name: str
    where: pl.Expr | None
    aliases: dict[str, str]
    whole: tuple[str, ...]
    apart: dict[str, bool]
    left: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    checkpoints: set[str] = field(default_factory=set[str])

    prompts: Prompts | None = None
    seen: int = 0
    made: int = 0

    def forget(self) -> None:
        """Begin anew: the log is read from its start."""
        self.left.clear()
        self.checkpoints.clear()
        self.prompts = None if self.prompts is None else Prompts()
        self.seen = self.made = 0

    def of(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The rows of a batch that are taken.

        Raises:
            StratagemError: the condition cannot be applied, or splits are mixed after all.
        """
        if self.where is not None:
            batch = self._fitting(batch, self.where)
        for column, chosen in self.apart.items():
            batch = self._unmixed(batch, column, chosen)
        if self.prompts is not None:
            self.prompts.add(batch)
        if NUMBER in batch.columns:
            self.seen, self.made = self.seen + batch.height, max(self.made, int(batch[NUMBER].max() or 0))  # type: ignore[arg-type]
        if len(self.checkpoints) < MAX_CHECKPOINTS:
            self.checkpoints.update(batch["checkpoint"].drop_nulls().unique().head(MAX_CHECKPOINTS))
        return batch

    def _unmixed(self, batch: pl.DataFrame, column: str, chosen: bool) -> pl.DataFrame:
        taken, called = APART[column]
        other = (pl.col(column) != taken).fill_null(False)
        if chosen:
            rows = batch.filter(other)[column].value_counts()
            self.left.update({(column, value): n for value, n in rows.iter_rows()})
            return batch.filter(~other)
        if (batch[column] == taken).any():
            raise StratagemError(
                f"{self.name}: holds {called} and others: choose with --where \"{column} = '{taken}'\""
            )
        return batch

    def _fitting(self, batch: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
        try:
            return batch.filter(values(_seen(batch, self.aliases, self.whole), where))
        except pl.exceptions.PolarsError as error:
            raise StratagemError(f"{self.name}: --where: {str(error).splitlines()[0]}") from None

    def notes(self) -> list[str]:
        """What a user has to know of rows that were not taken."""
        if self.prompts is not None and (steps := self.prompts.evaluated()):
            return [
                f"{self.name}: the prompts change within the table: steps {', '.join(steps[:5])}"
                f"{', …' if len(steps) > 5 else ''} end with the same ones, as evaluations do, which TRL writes over "
                "its table of training; leave them out with --where, or keep all responses with Live(write=FOLDER)"
            ]
        notes: list[str] = []
        for column in dict.fromkeys(column for column, _ in self.left):
            rows = {value: n for (of, value), n in self.left.items() if of == column}
            counts = ", ".join(f"{n:,} of {value!r}" for value, n in sorted(rows.items()))
            notes.append(
                f"{self.name}: {APART[column][1]} alone are read, and not {counts}; these are read with "
                f"--where \"{column} = '{min(rows)}'\""
            )
        if self.where is None and self.made > self.seen:
            notes.append(
                f"{self.name}: holds {self.seen:,} of the {self.made:,} responses that training had drawn: TRL keeps "
                "the last batch before each log; log every update, or keep all with Live(write=FOLDER)"
            )
        return notes


def rows_of(log: Log, first: pl.DataFrame, where: str | None, name: str) -> Rows:
    """How the rows of a log are chosen.

    Args:
        first: its first batch, as it was read.
        where: a condition over its columns, by their names here or in the log itself; null counts as false.

    Raises:
        StratagemError: the condition cannot be read, or speaks of another column; or the log is verl's, of training and
            of validation.
    """
    if log.format == verl.NAME:
        check_folders(log.files)
    aliases = {
        theirs: ours
        for ours, theirs in log.options.columns.items()
        if ours in first.columns and theirs not in first.columns
    }
    texts = [column for column in ("checkpoint", "id") if column in first.columns]
    whole = tuple(column for column in texts if _is_whole(first[column]))
    expression = None
    if where is not None:
        expression = condition(where, _seen(first, aliases, whole).schema, "--where")
    spoken = () if expression is None else expression.meta.root_names()
    apart = {
        column: bool((first[column] == taken).any())
        for column, (taken, _) in APART.items()
        if first.schema.get(column) == pl.String() and column not in spoken
    }
    rows = Rows(name, expression, aliases, whole, apart)
    if log.format == trl.NAME and "split" not in first.columns:
        rows.prompts = Prompts()
    return rows


def _is_whole(column: pl.Series) -> bool:
    return column.cast(pl.Int64, strict=False).null_count() == column.null_count() < len(column)


def _seen(batch: pl.DataFrame, aliases: dict[str, str], whole: tuple[str, ...]) -> pl.DataFrame:
    """A batch as a condition sees it."""
    typed = batch.with_columns(pl.col(name).cast(pl.Int64, strict=False) for name in whole)
    return typed.with_columns(pl.col(ours).alias(theirs) for theirs, ours in aliases.items())
