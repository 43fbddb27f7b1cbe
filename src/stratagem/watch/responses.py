"""Labelled responses that other people's trainers write, read as `diagnose` reads them and counted as they come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.labelling.rules import label_frame
from stratagem.labelling.ruleset import RuleSet
from stratagem.records import StratagemError
from stratagem.rollouts.correctness import choose
from stratagem.rollouts.log import Log, open_log
from stratagem.rollouts.problems import local_keys
from stratagem.rollouts.readers.choose import first_records
from stratagem.rollouts.readers.containers import Source
from stratagem.rollouts.readers.files import Found
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.rollouts.rows import Rows, rows_of
from stratagem.watch.curve import Curve
from stratagem.watch.gain import STRATUM, WINDOW, Gain, split
from stratagem.watch.metrics import COUNTS, Entry, scalar_table
from stratagem.watch.run import Run

MOST_KINDS, MOST_STEPS = 8, 12  # different values of a column that makes panels, or lines
BY_PROBLEM: dict[str, pl.DataType] = {"problem_id": pl.String(), **COUNTS}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says of a run that other people's trainers write.

    Attributes:
        score, correct: what is right, as `rollouts.correctness.choose` takes it.
        where: a condition on the responses that are counted (`rollouts.rows`).
        rules: name the strategies; None for those that the run wrote.
        window: updates on each side of the gain, at most; None for the run's own.
    """

    score: str | None = None
    correct: str | None = None
    where: str | None = None
    rules: RuleSet | None = None
    window: int | None = None


ASKED = Asked()


@dataclass(frozen=True, slots=True)
class Described:
    """The columns that describe a problem: those that make panels, and the one that makes lines."""

    kinds: tuple[str, ...]
    steps: str | None


def described(table: pl.DataFrame, names: Sequence[str]) -> Described:
    """Which of some columns describe a problem: they are the same for all its responses, and have few values."""
    values = table.group_by("id").agg(pl.col(names).n_unique()).select(pl.col(names).max() <= 1)
    few = {name: table[name].n_unique() for name in names if values[name].all()}
    whole = [name for name in few if is_whole(table[name])]
    kinds = [name for name in few if name not in whole and not table[name].dtype.is_numeric()]
    steps = [name for name in whole if few[name] <= MOST_STEPS]
    return Described(tuple(name for name in kinds if few[name] <= MOST_KINDS), steps[0] if steps else None)


def declared_as(table: pl.DataFrame, by: Sequence[str]) -> Described:
    """The columns that a log itself names, all of them: their values together are its strata."""
    steps = next((name for name in by if is_whole(table[name])), None)
    return Described(tuple(name for name in by if name != steps), steps)


def is_whole(column: pl.Series) -> bool:
    """Whether a column holds whole numbers, as such or as text: verl writes many numbers as text."""
    if column.dtype != pl.String:
        return column.dtype.is_integer()
    return column.cast(pl.Int64, strict=False).null_count() == column.null_count() < len(column)


class Responses:
    """The responses of one run, counted by update, problem and strategy.

    Args:
        reader: the name of the reader of their format.
        asked: what the user says.
        name: what the run is called in messages.
        aside: columns of this format that do not describe a problem.

    Attributes:
        question: what the user has to say before it is known what is right, or to say otherwise; None where nothing.
        left_out: responses of each file without a step, a problem or a strategy, and damaged ones.
    """

    def __init__(self, reader: str, asked: Asked, name: str, aside: Collection[str] = ()) -> None:
        self._reader, self._asked, self._name = reader, asked, name
        self._aside = {*aside, "strategy", "split", "update"}
        self._log: Log | None = None
        self._rows: Rows | None = None
        self._window = asked.window or WINDOW
        self._described: Described | None = None
        self._counts: dict[Path, list[pl.DataFrame]] = {}
        self._table = pl.DataFrame(schema=BY_PROBLEM)
        self._new: list[pl.DataFrame] = []
        self._curve = Curve(split_problems, self._window)
        self.question: str | None = None
        self.left_out: Counter[Path] = Counter()

    def add(self, source: Source) -> list[int]:
        """Count what is new in a file; returns its updates, from 0.

        Raises:
            StratagemError: it cannot be read, or names no problems and strategies.
        """
        if self._log is None:
            self._log = self._opened(source)
            if self._asked.window is None and self._log.declared is not None:
                self._window = self._log.declared.window or WINDOW
                self._curve = Curve(split_problems, self._window)
        before = self._log.left_out.total()
        table = self._taken(self._log.rows_of(source), self._log)
        if self._asked.rules is not None:
            table = label_frame(table, self._asked.rules, evidence=False)
        update = pl.col("checkpoint").cast(pl.Int64, strict=False) - 1
        known = table.with_columns(update=update).filter(
            pl.col("update") >= 0, pl.col("id").is_not_null(), pl.col("strategy").is_not_null()
        )
        self.left_out[source.path] += self._log.left_out.total() - before + table.height - known.height
        if known.is_empty():
            return []
        counts = self._counted(known, self._log)
        updates: list[int] = counts["update"].unique().sort().to_list()
        if updates:
            self._counts.setdefault(source.path, []).append(counts)
            self._new.append(counts)
            self._curve.forget(updates[0])
        return updates

    def drop(self, path: Path) -> None:
        """Forget what a file held."""
        self.left_out.pop(path, None)
        if self._counts.pop(path, None):
            self._table, self._curve = pl.DataFrame(schema=BY_PROBLEM), Curve(split_problems, self._window)
            self._new = [counts for parts in self._counts.values() for counts in parts]

    def rename(self, path: Path, new: Path) -> None:
        """Take what a file held for what it holds under another name."""
        self.left_out[new] = self.left_out.pop(path, 0)
        if path in self._counts:
            self._counts[new] = self._counts.pop(path)

    @property
    def scored(self) -> bool:
        """Whether it is known what is right."""
        return self.question is None

    @property
    def table(self) -> pl.DataFrame:
        """All counts: problem_id, update, kind, difficulty, strategy, n, right; parts of an update may come apart."""
        if self._new:
            self._table, self._new = pl.concat([self._table, *self._new], rechunk=True), []
        return self._table

    def counts(self) -> pl.DataFrame:
        """The counts over all problems, as `metrics.MetricsLog` has them."""
        keys = ["update", "kind", "difficulty", "strategy"]
        return self.table.group_by(keys).agg(pl.col("n", "right").sum()).sort(keys).select(list(COUNTS))

    def gains(self) -> dict[int, Gain]:
        """The gain since the start by updates done; empty where it is not known what is right."""
        return self._curve.gains(self.table) if self.scored else {}

    def fill(self, run: Run) -> None:
        """Put counts, gains and what the user has to say into what is known of the run."""
        run.counts, run.scored, run.gains = self.counts(), self.scored, self.gains()
        run.window = self._window
        if self.question:
            run.notes.append(self.question)

    def _opened(self, source: Source) -> Log:
        """
        Raises:
            StratagemError: it cannot be read, or names no problems and strategies.
        """
        named = any("problem_id" in record for record in first_records(source, 1))
        columns = {"id": "problem_id"} if named or self._asked.rules is None else {}
        options = ReadOptions(columns=columns, format=self._reader)
        log = open_log([(source, Found(source.path, named=True))], options)
        if self._asked.rules is None and "strategy" not in log.extra:
            raise StratagemError(f"{source.name}: no column 'strategy'")
        return log

    def _taken(self, table: pl.DataFrame, log: Log) -> pl.DataFrame:
        """The rows of training, or those that the user's condition names; `id` names their problems."""
        if self._rows is None:
            try:
                self._rows = rows_of(log, table, self._asked.where, self._name)
            except StratagemError as error:
                self.question = str(error)
                self._rows = rows_of(log, table, "FALSE", self._name)
            # The first file may be of an evaluation.
            self._rows.apart = dict.fromkeys(self._rows.apart, True)
        table = self._rows.of(table)
        if "id" in log.options.columns or table.is_empty():
            return table
        return local_keys(table, "prompt").with_columns(id="problem_id")

    def _counted(self, table: pl.DataFrame, log: Log) -> pl.DataFrame:
        """Responses as counts. Those without a score in [0, 1] are left out."""
        if self._described is None and log.declared is not None:
            self._described = declared_as(table, log.declared.by)
        if self._described is None:
            self._described = described(table, [name for name in log.extra if name not in self._aside])
        kinds, steps = self._described.kinds, self._described.steps
        parts = [pl.lit(f"{name} ") + pl.col(name).cast(pl.String) for name in kinds]
        kind = pl.concat_str(parts, separator=", ") if parts else pl.lit("all")
        return (
            table.select(
                pl.col("id").alias("problem_id"),
                "update",
                kind.fill_null("none").alias("kind"),
                (pl.col(steps) if steps else pl.lit(0))
                .cast(pl.Int64, strict=False)
                .fill_null(0)
                .alias("difficulty"),
                "strategy",
                self._right(table, log).alias("right"),
            )
            .filter(pl.col("right").is_between(0, 1))
            .group_by("problem_id", "update", "kind", "difficulty", "strategy")
            .agg(n=pl.len().cast(pl.Float64), right=pl.col("right").sum())
        )

    def _right(self, table: pl.DataFrame, log: Log) -> pl.Expr:
        """What is right. Asked of every new part, since columns that were equal at first may differ later."""
        if self.question is None:
            try:
                return choose(
                    log.score_names, table, self._asked.score, self._asked.correct, self._name
                ).expression
            except StratagemError as error:
                self.question = str(error)
        return pl.lit(0.0)


def means(table: pl.DataFrame) -> pl.DataFrame:
    """The mean reward and the part of problems that teach nothing, by update, as a run's own numbers."""
    problems = table.group_by("update", "problem_id").agg(pl.col("n", "right").sum())
    none = (pl.col("right") == 0) | (pl.col("right") == pl.col("n"))
    rates = problems.group_by("update").agg(
        reward=pl.col("right").sum() / pl.col("n").sum(), no_signal=none.mean()
    )
    return scalar_table([Entry(row.pop("update"), row, []) for row in rates.sort("update").to_dicts()])


def split_problems(start: pl.DataFrame, now: pl.DataFrame) -> Gain | None:
    """The gain from some responses to others."""
    keys = ["problem_id", *STRATUM, "strategy"]
    sides = [
        side.group_by(keys).agg(pl.col("n").sum().cast(pl.Int64), pl.col("right").sum()).sort(keys)
        for side in (start, now)
    ]
    return split(*sides, by=STRATUM, rng=np.random.default_rng(0))
