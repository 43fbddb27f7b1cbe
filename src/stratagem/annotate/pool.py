"""The responses of logs that may be asked: a random sample of each log, read in a stream."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.diagnosis.match import usable_strata
from stratagem.diagnosis.side import Look, open_side, strata
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
        table: side (the number of the log), problem_id, sample, prompt, completion, score, outcome, key (of the
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
        logs: the paths of each.
        names: of the logs, for messages.
        seed: of the sample and of the order of random questions.
        most: responses of a log.
        progress: gets a log's name and the number of rows read.

    Raises:
        StratagemError: a log cannot be read, leaves open what is right, or holds no texts.
    """
    look = replace(look, label=False)
    opened = [open_side(paths, look, name) for name, paths in zip(names, logs, strict=True)]
    by = {
        name: dtype for name, dtype in strata([log.first for log in opened], look).items() if name not in KEPT
    }
    tables: list[pl.DataFrame] = []
    read = cut = 0
    for side, log in enumerate(opened):
        if log.counted:
            raise StratagemError(f"{log.name}: holds counts and no completions to label")
        rng = np.random.default_rng([seed, side])
        kept, totals, rows = pl.DataFrame(), {"right": 0, "wrong": 0}, 0
        for batch in log.batches(dict(by)):
            rows += batch.height
            progress(log.name, rows)
            drawn = batch.with_columns(_draw=pl.Series(rng.random(batch.height)))
            drawn = drawn.filter(pl.col("score").is_not_null(), pl.col("completion").is_not_null())
            whole = drawn.filter((pl.col("finish_reason") != "length").fill_null(True))
            cut += drawn.height - whole.height
            chosen = whole.select(
                *KEPT, *by, "_draw", side=pl.lit(str(side)), outcome=outcome(pl.col("score"))
            ).with_columns(pl.col("prompt").fill_null(""), pl.col("score").cast(pl.Float64))
            for which, number in chosen["outcome"].value_counts().iter_rows():
                totals[which] += number
            kept = pl.concat([kept, chosen], how="vertical_relaxed") if kept.height else chosen
            kept = kept.sort("_draw").head(most)
        read += sum(totals.values())
        weight = pl.col("outcome").replace_strict(totals, return_dtype=pl.Float64)
        tables.append(kept.with_columns(weight=weight))
    table = pl.concat(tables, how="vertical_relaxed").drop("_draw")
    if table.is_empty():
        raise StratagemError(f"{', '.join(names)}: no scored response that is whole")
    table = table.with_columns(
        key=pl.Series([_key(*row) for row in table.select("prompt", "problem_id").iter_rows()])
    )
    rng = np.random.default_rng([seed, len(logs)])
    texts = read_texts(table["completion"].to_list(), table["prompt"].to_list())
    right_r = (table["score"].to_numpy() >= 0.5).astype(np.float64)
    side_r = table["side"].cast(pl.Int64).to_numpy()
    pool = Pool(texts, side_r, right_r, rng.permutation(table.height))
    counts = [table.filter(side=str(side)).with_columns(problem_id="key") for side in range(len(logs))]
    return Responses(table, tuple(usable_strata(counts, tuple(by))) if by else (), read, cut, pool)


def _key(prompt: str, problem_id: str) -> str:
    """A problem's name in all logs: its prompt's, else its own."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16] if prompt else problem_id
