"""Where a log does not say which responses are of evaluations: what betrays that it holds both."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.readers.files import step_of

TAIL = 2  # prompts at the end of a step


class Prompts:
    """The prompts of each step of a TRL table of completions, in order.

    An evaluation overwrites the table of its step, from the end on (trl 1.16, grpo_trainer.py, `log`), and always asks
    the same problems in the same order; training asks others at every step.
    """

    def __init__(self) -> None:
        self._tails: dict[str, list[int]] = {}

    def add(self, batch: pl.DataFrame) -> None:
        """Take in the next rows."""
        keys = batch.select("checkpoint", prompt=pl.col("prompt").hash())
        runs = keys.filter(
            (keys != keys.shift(1)).select(pl.any_horizontal(pl.all())).to_series().fill_null(True)
        )
        for step, prompt in runs.drop_nulls().iter_rows():
            tail = self._tails.setdefault(step, [])
            if tail[-1:] != [prompt]:
                tail.append(prompt)
                del tail[:-TAIL]

    def evaluated(self) -> list[str]:
        """The steps that end with the same prompts, where others do not: those of evaluations, by all appearances."""
        tails = {step: tuple(tail) for step, tail in self._tails.items() if len(tail) == TAIL}
        again = [tail for tail, times in Counter(tails.values()).items() if times > 1]
        if len(again) != 1 or len(set(tails.values())) == 1:
            return []
        return [step for step, tail in tails.items() if tail == again[0]]


def check_folders(files: Sequence[str]) -> None:
    """See that the files of verl's dumps are of training or of validation alone: each has a folder of its own.

    Raises:
        StratagemError: two folders have a file of the same step.
    """
    first: dict[str, str] = {}
    for name in files:
        step = step_of(Path(name).name)
        if step is None:
            continue
        other = first.setdefault(step, name)
        if Path(other).parent != Path(name).parent:
            raise StratagemError(
                f"{other}, {name}: two folders with the same step, as verl's dumps of training and of validation: give "
                "one of the folders"
            )
