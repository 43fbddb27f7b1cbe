"""Which rows of a log are taken: those of a condition, and never those of training beside those of evaluations."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import polars as pl

from stratagem.conditions import condition
from stratagem.records import StratagemError
from stratagem.rollouts.log import Log
from stratagem.rollouts.overwritten import Prompts, check_folders
from stratagem.rollouts.readers import trl, verl

SPLIT, TRAINING = "split", "train"
NUMBER = "response_number"  # of a response of training, among all so far, as `integrations.trl` writes it
MAX_CHECKPOINTS = 1_000


@dataclass
class Rows:
    """Takes rows of a log's batches. Where rows say their split, some of them training's, only those are taken, unless
    the condition speaks of `split`.

    Attributes:
        name: what the log is called in messages.
        whole: columns of text that hold whole numbers, which the condition takes as such.
        training: whether only the rows of training are taken.
        splits: rows by split that were not taken for this reason, so far.
        checkpoints: those of the rows that were taken, about a thousand at most.
        prompts: of a log that may hold evaluations without saying so; else None.
        seen, made: how many responses were taken, and the largest number that one of them has.
    """

    name: str
    where: pl.Expr | None
    aliases: dict[str, str]
    whole: tuple[str, ...]
    training: bool
    by_split: bool
    splits: Counter[str] = field(default_factory=Counter[str])
    checkpoints: set[str] = field(default_factory=set[str])

    prompts: Prompts | None = None
    seen: int = 0
    made: int = 0

    def forget(self) -> None:
        """Begin anew: the log is read from its start."""
        self.splits.clear()
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
        if self.by_split:
            batch = self._of_training(batch)
        if self.prompts is not None:
            self.prompts.add(batch)
        if NUMBER in batch.columns:
            self.seen, self.made = self.seen + batch.height, max(self.made, int(batch[NUMBER].max() or 0))  # type: ignore[arg-type]
        if len(self.checkpoints) < MAX_CHECKPOINTS:
            self.checkpoints.update(batch["checkpoint"].drop_nulls().unique().head(MAX_CHECKPOINTS))
        return batch

    def _of_training(self, batch: pl.DataFrame) -> pl.DataFrame:
        other = (pl.col(SPLIT) != TRAINING).fill_null(False)
        if self.training:
            self.splits.update(dict(batch.filter(other)[SPLIT].value_counts().iter_rows()))
            return batch.filter(~other)
        if (batch[SPLIT] == TRAINING).any():
            raise StratagemError(
                f"{self.name}: holds responses of training and of other splits: choose with --where \"split = 'train'\""
            )
        return batch

    def _fitting(self, batch: pl.DataFrame, where: pl.Expr) -> pl.DataFrame:
        try:
            return batch.filter(_seen(batch, self.aliases, self.whole).select(where).to_series())
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
        if self.splits:
            first = min(self.splits)
            counts = ", ".join(f"{n:,} of {split!r}" for split, n in sorted(self.splits.items()))
            notes.append(
                f"{self.name}: responses of training alone are read, and not {counts}; these are read with "
                f"--where \"split = '{first}'\""
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
    spoken = expression is not None and SPLIT in expression.meta.root_names()
    by_split = first.schema.get(SPLIT) == pl.String() and not spoken
    training = by_split and bool((first[SPLIT] == TRAINING).any())
    rows = Rows(name, expression, aliases, whole, training, by_split)
    if log.format == trl.NAME and SPLIT not in first.columns:
        rows.prompts = Prompts()
    return rows


def _is_whole(column: pl.Series) -> bool:
    return column.cast(pl.Int64, strict=False).null_count() == column.null_count() < len(column)


def _seen(batch: pl.DataFrame, aliases: dict[str, str], whole: tuple[str, ...]) -> pl.DataFrame:
    """A batch as a condition sees it."""
    typed = batch.with_columns(pl.col(name).cast(pl.Int64, strict=False) for name in whole)
    return typed.with_columns(pl.col(ours).alias(theirs) for theirs, ours in aliases.items())
