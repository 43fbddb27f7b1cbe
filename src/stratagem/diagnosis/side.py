"""One side of a comparison: a log read once, in a stream, labelled, and reduced to counts."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from stratagem.decomposition.behaviours import count_behaviours
from stratagem.diagnosis.columns import coded, refining, strata_types, typed
from stratagem.diagnosis.notes import examples, ordered, reading_notes, reasons
from stratagem.labelling.aliases import renamed
from stratagem.labelling.fit import unfit_notes
from stratagem.labelling.rules import RuleSet, label_frame, read_rules
from stratagem.records import FORM, UNPARSED, StratagemError
from stratagem.result import SideFacts, Spread
from stratagem.rollouts.correctness import Correctness, choose, held_columns
from stratagem.rollouts.log import Log, read_rollouts
from stratagem.rollouts.problems import METHODS, NONE, check_ids, local_keys, named_columns, problem_rows
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.rollouts.rows import Rows, rows_of
from stratagem.stats.ahead import ahead
from stratagem.stats.counts import MEASURES, count, merge
from stratagem.tasks.table import is_of_a_task, label_table

# Names under which logs keep what a problem is about; used as strata where the user names none.
KINDS = (
    "kind",
    "difficulty",
    "dataset",
    "data_source",
    "source",
    "task",
    "env_class",
    "category",
    "subject",
    "level",
)
MOST_STRATA = 60
COUNTED = "counted"  # the strategy of all responses of a log that holds counts and no texts
COUNTS = "counts alone"  # where the strategies of such a log come from, in words
STEPS = ("step", "global_step", "update")  # what readers call `checkpoint`
MERGE_AT = 64

Keep = Callable[[pl.DataFrame], None]


@dataclass(frozen=True, slots=True)
class Look:
    """How logs are looked at, the same for all sides.

    Attributes:
        rules: names the strategies; None for those that the log has, or the finite-field task's own.
        by: columns of the strata; None picks those of `KINDS` that the logs have.
        score, correct: see `rollouts.correctness`.
        join: see `rollouts.problems.join`.
        checkpoint: a column whose values are the checkpoints of a single log.
        label: whether responses are labelled at all; else all have the strategy `COUNTED`.
        where: a condition on the rows that are taken (`rollouts.rows`).
        window: checkpoints at the start and at the end of a single log that are compared, at most half of them each;
            None compares the first with the last.
        refine: what strategies are split by beside the answer (`lens.columns.refinements`); None for the usual.
    """

    rules: RuleSet | None = None
    by: tuple[str, ...] | None = None
    score: str | None = None
    correct: str | None = None
    join: str = "auto"
    checkpoint: str | None = None
    read: ReadOptions = field(default_factory=ReadOptions)
    label: bool = True
    refine: tuple[str, ...] | None = None
    where: str | None = None
    window: int | None = None

    def as_declared(self, log: Log) -> Look:
        """With the strata and the window that the log itself names, where the user names none."""
        if log.declared is None:
            return self
        window = log.declared.window if self.window is None else self.window
        return replace(
            self,
            by=log.declared.by if self.by is None else self.by,
            window=None if self.checkpoint is None else window,
        )

    def columns(self) -> tuple[str, ...]:
        """Columns that name a problem beside its id and its prompt."""
        return named_columns(self.join)


@dataclass(frozen=True, slots=True)
class Side:
    """What is kept of a log: counts by checkpoint, its problems, counts of behaviours, and facts about it. Texts of
    these tables are numbers (`columns.coded`).

    `number` is its place among the logs, as in the labelled table's column `side`.

    `about` is its entry in `diagnosis.json`; `labels` says where its strategies come from, `rules` are those used.

    `fine` has the counts by refinements of the strategies too, where there are some. `notes` say which rows were not
    taken, `reading` what else there is to say of how the log was read.
    """

    name: str
    number: int
    counts: pl.DataFrame
    problems: pl.DataFrame
    behaviours: pl.DataFrame | None
    about: SideFacts
    labels: str
    rules: RuleSet | None
    reading: tuple[str, ...]
    fine: pl.DataFrame | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A log whose first rows have been read, so that it is known how it is scored, labelled and measured.

    Attributes:
        correctness: None for counts alone, and where there is no score and none is needed.
        labels: where the strategies come from, in words; `rules` are those used, if any.
        notes: what there is to say of how it is labelled.
    """

    name: str
    log: Log
    first: pl.DataFrame
    look: Look
    correctness: Correctness | None
    labels: str
    rules: RuleSet | None
    label: Callable[[pl.DataFrame], pl.DataFrame]
    unit: str
    chosen: Rows
    notes: tuple[str, ...] = ()

    @property
    def counted(self) -> bool:
        """Whether the log holds counts and no texts."""
        return self.log.counts_only

    def unfit(self) -> list[str]:
        """What to do where the rules are not for such responses."""
        return [] if self.counted else unfit_notes(self.name, self.first["completion"], self.rules)

    def batches(self, keys: Mapping[str, pl.DataType] | None = None) -> Iterator[pl.DataFrame]:
        """Labelled batches: the log's columns with checkpoint, problem_id, sample, score (null where there is none),
        length, strategy and what else the labels bring. `keys` get the types given, text without nulls."""
        seen: dict[str, int] = {}
        self.chosen.forget()
        types = [typed(name, dtype) for name, dtype in (keys or {}).items()]
        for batch in ahead(self.log.batches()):
            batch = self.chosen.of(batch)
            if batch.is_empty():
                continue
            batch = as_named(batch, self.log, self.look)
            batch = local_keys(batch, self.look.join).with_columns(types)
            column = self.look.checkpoint
            if column in STEPS and column not in batch.columns:
                column = "checkpoint"
            mark = pl.lit(self.name) if column is None else pl.col(column).cast(pl.String)
            batch = batch.with_columns(checkpoint=mark)
            if not self.counted:
                batch = numbered(scored(batch, self.correctness, self.name), seen)
                length = pl.col("tokens") if self.unit == "tokens" else pl.col("completion").str.len_chars()
                batch = batch.with_columns(length=length.cast(pl.Int32))
            yield self.label(batch)


def open_side(paths: Sequence[str | Path], look: Look, name: str, scoreless: bool = False) -> Opened:
    """Open a log, before anything long is done.

    Args:
        scoreless: whether a log without any score will do; what is right is open then.

    Raises:
        StratagemError: nothing there that can be read, no column that says what is right, or no such checkpoint.
    """
    log = read_rollouts(paths, replace(look.read, problem=look.columns()))
    first = log.first()
    if first is None or first.is_empty():
        raise StratagemError(f"{paths[0]}: no response in it{reasons(log)}")
    look = look.as_declared(log)
    chosen = rows_of(log, first, look.where, name)
    first = chosen.of(first)
    if first.is_empty():
        first = next((taken for batch in log.batches() if (taken := chosen.of(batch)).height), None)
    if first is None:
        raise StratagemError(f"{name}: --where {look.where!r}: is true for no response")
    first = as_named(first, log, look)
    if look.checkpoint is not None and look.checkpoint not in (*first.columns, *STEPS):
        raise StratagemError(
            f"--checkpoint {look.checkpoint}: no such column; there are {column_names(first, log)}"
        )
    for column in look.columns():
        if column not in first.columns:
            raise StratagemError(
                f"--join {column}: must be one of auto, {', '.join(METHODS)}, {NONE}, or columns of the logs; there "
                f"are {column_names(first, log)}"
            )
    counted = log.counts_only
    labels, rules, label = (COUNTS, None, label_counted) if counted else labeller(first, look)
    unasked = scoreless and not log.score_names and look.score is None and look.correct is None
    return Opened(
        name=name,
        log=log,
        first=first,
        look=look,
        correctness=None
        if counted or unasked
        else choose(log.score_names, first, look.score, look.correct, name),
        labels=labels,
        rules=rules,
        label=label,
        unit="tokens" if not counted and first["tokens"].null_count() == 0 else "characters",
        chosen=chosen,
    )


def checkpoints_of(opened: Opened, progress: Callable[[str, int], None]) -> set[str]:
    """The checkpoints of the scored responses of a log, which is read to its end.

    Args:
        progress: gets what is read and the number of rows read.
    """
    values: set[str] = set()
    rows = 0
    for batch in replace(opened, label=lambda batch: batch).batches():
        scored_rows = batch if opened.counted else batch.filter(pl.col("score").is_not_null())
        values |= set(scored_rows["checkpoint"].drop_nulls().unique())
        rows += batch.height
        progress(f"checkpoints of {opened.name}", rows)
    return values


def column_names(first: pl.DataFrame, log: Log) -> str:
    """The columns of a log that hold something in its first rows, by the log's own names."""
    return ", ".join(dict.fromkeys(log.options.columns.get(name, name) for name in held_columns(first)))


def as_named(batch: pl.DataFrame, log: Log, look: Look) -> pl.DataFrame:
    """The batch with the columns that the user calls by the log's own names, where they have other names here."""
    asked = (*look.columns(), *(look.by or ()), *(look.refine or ()), look.checkpoint)
    ours = {theirs: name for name, theirs in log.options.columns.items() if name in batch.columns}
    return batch.with_columns(
        pl.col(ours[name]).alias(name) for name in asked if name in ours and name not in batch.columns
    )


def strata(opened: Sequence[Opened], look: Look) -> dict[str, pl.DataType]:
    """The columns of the strata, with their types.

    Raises:
        StratagemError: a column that the user named is not in all logs.
    """
    firsts = [log.first for log in opened]
    if look.by is not None:
        for name in look.by:
            for log, first in zip(opened, firsts, strict=True):
                if name not in first.columns and name != "problem_id":
                    raise StratagemError(
                        f"--by {name}: no such column; there are {column_names(first, log.log)}"
                    )
        return strata_types(firsts, look.by)
    return strata_types(firsts, usual_strata(firsts))


def usual_strata(firsts: Sequence[pl.DataFrame]) -> tuple[str, ...]:
    """The columns of the strata where the user names none: those of `KINDS` that all logs have, with few values."""
    return tuple(
        name
        for name in KINDS
        if all(
            name in first.columns and 1 <= first[name].drop_nulls().n_unique() <= MOST_STRATA
            for first in firsts
        )
        and sum(first[name].n_unique() for first in firsts) > len(firsts)
    )


def read_side(
    opened: Opened,
    by: Mapping[str, pl.DataType],
    keep: Keep,
    progress: Callable[[int, int], None],
    number: int = 0,
    fine: Sequence[str] = (),
) -> Side:
    """Read a log to its end.

    Args:
        number: its place among the logs.
        by: columns of the strata, with their types.
        keep: gets every labelled batch of scored responses, in order.
        progress: gets the number of rows read so far, and of all rows (0 where unknown).
        fine: refinements of the strategies, by which responses are counted too; not for counts alone.

    Raises:
        StratagemError: a score outside [0, 1], or nothing that can be used.
    """
    log, rows, unscored = opened.log, 0, 0
    tables: list[pl.DataFrame] = []
    problems: list[pl.DataFrame] = []
    behaviours: list[pl.DataFrame] = []
    types = {name: dtype for name, dtype in by.items() if name != "problem_id"}
    types |= dict.fromkeys(opened.look.columns(), pl.String())
    keys = list(types)
    for batch in opened.batches(types):
        rows += batch.height
        problems.append(coded(problem_rows(batch, keys)))
        if opened.counted:
            tables.append(
                coded(batch.select("checkpoint", "problem_id", *keys, "strategy", "half", *MEASURES))
            )
        else:
            unscored += batch["score"].null_count()
            batch = batch.filter(pl.col("score").is_not_null())
            if batch.height:
                tables.append(
                    coded(count(batch.with_columns(refining(name, batch) for name in fine), [*by, *fine]))
                )
                behaviours += [coded(count_behaviours(batch))] if "behaviours" in batch.columns else []
                keep(batch)
        if len(tables) >= MERGE_AT:
            tables = [merge(tables)]
            problems = [pl.concat(problems).unique(maintain_order=True)]
            behaviours = [merge(behaviours)] if behaviours else []
        progress(rows, 0)
    if not tables:
        raise StratagemError(f"{opened.name}: no response that can be used{reasons(log)}")
    counts = merge(tables)
    asked = pl.concat(problems).unique(maintain_order=True)
    check_ids(opened.name, asked, opened.look.join)
    return Side(
        name=opened.name,
        number=number,
        counts=counts,
        problems=asked,
        behaviours=merge(behaviours) if behaviours else None,
        about=SideFacts(
            name=opened.name,
            files=tuple(str(path) for path in log.files),
            format=log.format,
            rows=rows,
            problems=counts["problem_id"].n_unique(),
            responses=int(counts["n"].sum()),
            samples=spread(counts.group_by("checkpoint", "problem_id").agg(pl.col("n").sum())["n"]),
            score="counts of right responses" if opened.correctness is None else opened.correctness.text,
            facts={key: tuple(sorted(values)) for key, values in log.facts.items()},
            checkpoints=tuple(ordered(opened.chosen.checkpoints)),
            left_out={**dict(log.left_out), **({"no score": unscored} if unscored else {})},
            left_out_examples=examples(log),
            length_unit=opened.unit,
        ),
        labels=opened.labels,
        rules=opened.rules,
        reading=tuple(reading_notes(opened.name, log)),
        notes=(*opened.notes, *opened.chosen.notes(), *opened.unfit()),
    )


Labeller = Callable[[pl.DataFrame], pl.DataFrame]


def labeller(first: pl.DataFrame, look: Look) -> tuple[str, RuleSet | None, Labeller]:
    """Where strategies come from, in words; the rules, if any; and the function that adds strategies to a batch."""
    if not look.label:
        return "none", None, lambda batch: batch.with_columns(strategy=pl.lit(COUNTED))
    if look.rules is None and "strategy" in first.columns and first["strategy"].null_count() < first.height:
        older = renamed(first["strategy"])
        return (
            "column 'strategy'",
            None,
            lambda batch: batch.with_columns(pl.col("strategy").replace(older).fill_null(UNPARSED)),
        )
    if look.rules is None and is_of_a_task(first):
        return "the task's recogniser", None, label_table
    rules = look.rules or read_rules("math")
    forms = [rule.name for rule in rules.behaviours if rule.name.startswith("answer")]
    if len(forms) < 2:
        return rules.name, rules, lambda batch: label_frame(batch, rules)
    return rules.name, rules, lambda batch: with_form(label_frame(batch, rules), forms)


def with_form(batch: pl.DataFrame, forms: Sequence[str]) -> pl.DataFrame:
    """The batch with one behaviour more, `FORM`, where a response shows any of the forms of an answer: what all of
    them carry of a gain is not the sum of what each does."""
    shown = pl.col("behaviours")
    any_form = shown.list.set_intersection(list(forms)).list.len() > 0
    return batch.with_columns(
        behaviours=pl.when(any_form).then(pl.concat_list(shown, pl.lit(FORM))).otherwise(shown)
    )


def label_counted(batch: pl.DataFrame) -> pl.DataFrame:
    """Counts of a log without texts as counts of one strategy, dealt evenly to both halves."""
    n, right = pl.col("count_n").cast(pl.Int64), pl.col("count_c").cast(pl.Float64)
    whole = batch.with_columns(strategy=pl.lit(COUNTED), half=pl.lit(0, pl.Int8), n=n, right=right)
    return whole.with_columns(squares=pl.col("right"), length=pl.lit(float("nan")))


def scored(batch: pl.DataFrame, correctness: Correctness | None, name: str) -> pl.DataFrame:
    """The batch with `score` in [0, 1], null where there is none."""
    if correctness is None:
        return batch.with_columns(score=pl.lit(None, pl.Float64))
    try:
        with_score = batch.with_columns(score=correctness.expression.fill_nan(None))
    except pl.exceptions.PolarsError as error:
        raise StratagemError(f"{name}: {correctness.text}: {str(error).splitlines()[0]}") from None
    outside = with_score.filter(~pl.col("score").is_between(0, 1))
    if outside.height:
        value = outside["score"][0]
        raise StratagemError(
            f"{name}: {correctness.text} holds {value:g}, outside [0, 1]; give a condition with --correct"
        )
    return with_score


def numbered(batch: pl.DataFrame, seen: dict[str, int]) -> pl.DataFrame:
    """The batch with a `sample` number for every response; `seen` counts each problem's responses so far."""
    if batch["sample"].null_count() == 0:
        return batch
    known = batch.select(pl.col("problem_id").unique())
    known = known.with_columns(
        _seen=pl.Series([seen.get(name, 0) for name in known["problem_id"]], dtype=pl.Int64)
    )
    batch = batch.join(known, on="problem_id", how="left", maintain_order="left")
    number = pl.int_range(pl.len()).over("problem_id") + pl.col("_seen")
    batch = batch.with_columns(sample=number.cast(pl.Int32)).drop("_seen")
    seen.update(batch.group_by("problem_id").agg(pl.col("sample").max() + 1).iter_rows())
    return batch


def spread(sizes: pl.Series) -> Spread:
    """Fewest, median and most."""
    return Spread(int(sizes.min() or 0), float(sizes.median() or 0), int(sizes.max() or 0))  # type: ignore[arg-type]
