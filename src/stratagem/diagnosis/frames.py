"""The lens from Python: logs as tables, and labels for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.diagnosis.side import Look, open_side
from stratagem.labelling.function import rules_of
from stratagem.labelling.rules import RuleSet, label_frame
from stratagem.labelling.rules import read_rules as rules_from
from stratagem.records import StratagemError
from stratagem.rollouts.problems import check_ids, problem_rows
from stratagem.rollouts.readers.row import ReadOptions


def read_rollouts(
    path: str | Path | Sequence[str | Path],
    *,
    score: str | None = None,
    correct: str | None = None,
    join: str = "auto",
    columns: Mapping[str, str] | None = None,
    where: str | None = None,
) -> pl.DataFrame:
    """A log of any known format as one rollout table: a row a response, with all columns that the log has.

    Args:
        path: a file, folder or glob, or several.
        score, correct: which column, or which condition in SQL, says what is right; needed where the log leaves it
            open.
        join: ``prompt`` makes `problem_id` of the prompt where the log's ids are not to be used, columns joined by
            commas of what they say together; ``id`` takes ids even where they stand for several prompts.
        columns: what a column is called here, such as ``{"completion": "response"}``.
        where: a condition in SQL that says which responses are read; without it, of a log whose column `split` tells
            training from evaluations, those of training, with a warning.

    Returns:
        problem_id, sample, prompt, completion, score (1 right, 0 wrong), finish_reason, length, checkpoint and the
        log's own columns. For logs larger than memory use `diagnose`, which streams.

    Raises:
        StratagemError: the log cannot be read, leaves open what is right, or has ids that stand for several prompts.
    """
    paths = [path] if isinstance(path, str | Path) else list(path)
    read = ReadOptions(columns=columns or {})
    look = Look(score=score, correct=correct, join=join, read=read, label=False, where=where)
    opened = replace(open_side(paths, look, str(paths[0])), label=lambda batch: batch)
    if opened.counted:
        raise StratagemError(f"{paths[0]}: holds counts and no texts; `stratagem passk` reads it")
    table = pl.concat(list(opened.batches()), how="diagonal_relaxed")
    check_ids(str(paths[0]), problem_rows(table, ()), join)
    for note in opened.chosen.notes():
        warnings.warn(note, stacklevel=2)
    return table


def label(
    rollouts: pl.DataFrame, strategies: str | Path | RuleSet | Callable[..., Any] = "math"
) -> pl.DataFrame:
    """The table with `strategy`, `evidence` and `behaviours`.

    Args:
        rollouts: has completion and finish_reason.
        strategies: ``math``, ``code``, a TOML file of rules, ``module:function``, rules that were read, or a function
            from a text to the name of its strategy (from a frame to a column, where its argument is annotated so).

    Raises:
        StratagemError: the rules are wrong, or a column is missing.
    """
    if isinstance(strategies, RuleSet):
        rules = strategies
    elif callable(strategies):
        rules = rules_of(strategies, getattr(strategies, "__name__", "strategies"))
    else:
        rules = rules_from(str(strategies))
    return label_frame(rollouts, rules)
