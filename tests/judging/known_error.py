"""The stand-in as a judge that is wrong in a known way, on the logs of tests/learned/worlds.py."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import polars as pl

from stratagem.judging import judge as judging
from stratagem.judging.rubric import Rubric
from stratagem.label_error.quality import LabelQuality, validate
from stratagem.label_error.sheet import sheet
from tests.judging.stand_in import MODEL, Brain
from tests.learned import worlds

# P(label | true strategy) of a right response; of a wrong one the errors are as often again.
WRONG = np.array([[0.92, 0.06, 0.02], [0.03, 0.94, 0.03], [0.09, 0.05, 0.86]])


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    return int(hashlib.sha256(repr(parts).encode()).hexdigest()[:12], 16) / 16**12


def errs(seed: int, log: pl.DataFrame) -> Brain:
    """A judge that confuses strategies as `WRONG` says, the same response always alike."""
    rows = log.select("completion", "true_strategy", "score").iter_rows()
    known = {text: (true, score) for text, true, score in rows}

    def said(text: str, vote: int) -> str:
        true, score = known[text]
        t = worlds.NAMES.index(true)
        row = WRONG[t].copy()
        if score < 0.5:
            row *= 2
            row[t] = 0.0
            row[t] = 1 - row.sum()
        return worlds.NAMES[int(np.searchsorted(np.cumsum(row), chance(seed, text, vote)))]

    return Brain(truth=said)


def judged(seed: int, log: pl.DataFrame, folder: Path) -> pl.DataFrame:
    """The log as this judge labels it, through the whole client but for the socket."""
    rubric = Rubric(worlds.STYLES, dict.fromkeys(worlds.NAMES, ()))
    config = judging.JudgeConfig(
        MODEL, max_requests=log.height, per_minute=1e6, answers=folder / f"{seed}.jsonl", parallel=1
    )
    brain = errs(seed, log)

    def ask(url: str, method: str, path: str, body: dict[str, Any], **_: Any) -> dict[str, Any]:
        return brain.reply(body)[1]

    with mock.patch.object(judging, "ask", ask):
        judge = judging.Judge(rubric, config, "judge")
        labelled = judge.label(log)
        judge.close()
    return labelled


def measured(labelled: pl.DataFrame, size: int, rng: np.random.Generator) -> LabelQuality:
    """What a sheet of `stratagem validate-labels` says of the labels, filled in with the truth."""
    hand = sheet(labelled.drop("checkpoint"), size, rng).drop("true_strategy")
    keys = ["side", "problem_id", "sample"]
    hand = hand.join(labelled.select(*keys, "true_strategy"), on=keys, maintain_order="left")
    return validate(hand, names=sorted(worlds.NAMES))
