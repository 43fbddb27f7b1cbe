"""The responses of logs that may be asked: a random sample of each side, read in a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.diagnosis.match import check_several, checkpoint_runs, usable_strata
from stratagem.diagnosis.side import Look, Opened, checkpoints_of, open_side, strata
from stratagem.label_error.sheet import outcome
from stratagem.learned.asking import Pool
from stratagem.learned.features import read_texts
from stratagem.records import StratagemError

MOST = 3_000  # responses of a log; a model that is fitted while somebody waits has to label them all
KEPT = ("problem_id", "sample", "prompt", "completion", "score")


@dataclass(frozen=True)
class Responses:
    """What may be asked.

    Attributes:
        table: side (its number), problem_id, sample, prompt, completion, score, outcome, key (of the
            problem, in all logs), the columns of `by`, and weight: how many responses of this side and outcome the
            log holds.
        by: the columns of the strata.
        read: responses of all logs that can be labelled.
        cut: those that were cut off by the token limit, which nobody has to label.
        pool: the same as what questions are chosen from.
    """

    table: pl.DataFrame
    by: tuple[str, ...]
    read: int
    cut: int
    pool: Pool


def read_pool(
    logs: Sequence[Sequence[str | Path]],
    look: Look,
    names: Sequence[str],
    seed: int = 0,
    most: int = MOST,
    progress: Callable[[str, int], None] = lambda name, rows: None,
) -> Responses:
    """Sample logs.

    Args:
        logs: the paths of each. With `look.checkpoint` there is one, whose first and last checkpoints are the sides.
        names: of the logs, for messages.
        seed: of the sample and of the order of random questions.
        most: responses of a side.
        progress: gets a log's name and the number of rows read.

    Raises:
        StratagemError: a log cannot be read, leaves open what is right, or holds no texts.
    """
    look = replace(look, label=False)
    opened = [open_side(paths, look, name) for name, paths in zip(names, logs, strict=True)]
    if counted := [log.name for log in opened if log.counted]:
        raise StratagemError(f"{counted[0]}: holds counts and no completions to label")
    by = {name: dtype for name, dtype in strata(opened, look).items() if name not in KEPT}
    tables: list[pl.DataFrame] = []
    read = cut = 0
    for log, sides in sides_of(opened, look, progress):
        sample = Sample(log, by, sides, seed, most)
        for batch in log.batches(dict(by)):
            sample.take(batch)
            progress(log.name, sample.rows)
        tables += sample.tables()
        read, cut = read + sample.read, cut + sample.cut
    table = pl.concat(tables, how="vertical_relaxed").drop("_draw")
    if table.is_empty():
        raise StratagemError(f"{', '.join(names)}: no scored response that is whole")
    table = table.with_columns(
        key=pl.Series([_key(*row) for row in table.select("prompt", "problem_id").iter_rows()])
    )
    rng = np.random.default_rng([seed, len(tables)])
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
    right_r = (table["score"].to_numpy() >= 0.5).astype(np.float64)
    side_r = table["side"].cast(pl.Int64).to_numpy()
    pool = Pool(texts, side_r, right_r, rng.permutation(table.height))
    sides = table.partition_by("side", maintain_order=True)
    counts = [side.with_columns(problem_id="key") for side in sides]
    return Responses(table, tuple(usable_strata(counts, tuple(by))) if by else (), read, cut, pool)


def sides_of(
    opened: Sequence[Opened], look: Look, progress: Callable[[str, int], None]
) -> list[tuple[Opened, dict[int, pl.Expr]]]:
    """The sides that each log has, by number, with which of its rows they are: a side a log, or, where it holds
    checkpoints, the first of them and the last, as `diagnose` compares them.

    Raises:
        StratagemError: several logs, or a single checkpoint.
    """
    if look.checkpoint is None:
        return [(log, {number: pl.lit(True)}) for number, log in enumerate(opened)]
    if len(opened) > 1:
        raise StratagemError("--checkpoint goes with a single log")
    (log,) = opened
    runs = checkpoint_runs(checkpoints_of(log, progress), log.look.window)
    check_several(runs, look.checkpoint)
    return [
        (log, {number: pl.col("checkpoint").is_in(run) for number, run in enumerate((runs[0], runs[-1]))})
    ]


class Sample:
    """The responses of a log's sides that are drawn, as batches go by.

    Attributes:
        rows: responses that went by; `read` of them can be labelled, `cut` were cut off by the token limit.
    """

    def __init__(
        self, log: Opened, by: Mapping[str, pl.DataType], sides: Mapping[int, pl.Expr], seed: int, most: int
    ) -> None:
        self.sides, self.most, self.columns = sides, most, (*KEPT, *by)
        self.draws = {side: np.random.default_rng([seed, side]) for side in sides}
        self.kept = dict.fromkeys(sides, pl.DataFrame())
        self.totals = {side: {"right": 0, "wrong": 0} for side in sides}
        self.rows = self.cut = 0

    @property
    def read(self) -> int:
        return sum(sum(totals.values()) for totals in self.totals.values())

    def take(self, batch: pl.DataFrame) -> None:
        self.rows += batch.height
        for side, rows in self.sides.items():
            part = batch.filter(rows)
            drawn = part.with_columns(_draw=pl.Series(self.draws[side].random(part.height)))
            drawn = drawn.filter(pl.col("score").is_not_null(), pl.col("completion").is_not_null())
            whole = drawn.filter((pl.col("finish_reason") != "length").fill_null(True))
            self.cut += drawn.height - whole.height
            chosen = whole.select(
                *self.columns, "_draw", side=pl.lit(str(side)), outcome=outcome(pl.col("score"))
            ).with_columns(pl.col("prompt").fill_null(""), pl.col("score").cast(pl.Float64))
            for which, number in chosen["outcome"].value_counts().iter_rows():
                self.totals[side][which] += number
            kept = self.kept[side]
            kept = pl.concat([kept, chosen], how="vertical_relaxed") if kept.height else chosen
            self.kept[side] = kept.sort("_draw").head(self.most)

    def tables(self) -> list[pl.DataFrame]:
        """Of each side, the responses drawn, and how many of its outcome each stands for."""
        return [
            kept.with_columns(
                weight=pl.col("outcome").replace_strict(self.totals[side], return_dtype=pl.Float64)
            )
            for side, kept in self.kept.items()
        ]


def _key(prompt: str, problem_id: str) -> str:
    """A problem's name in all logs: its prompt's, else its own."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16] if prompt else problem_id
