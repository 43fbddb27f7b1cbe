"""Responses of a run as files: one for each update of training and each evaluation, whole or absent.

`Live(write=FOLDER)` fills such a folder; `diagnose`, `label`, `rollouts` and `watch` read it as they read any log.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.declared import Declared
from stratagem.rollouts.store import write_rollouts

TRAINING = "train"
COLUMNS: dict[str, pl.DataType] = {
    "step": pl.Int64(),
    "split": pl.String(),
    "problem_id": pl.String(),
    "group": pl.String(),
    "prompt": pl.String(),
    "question": pl.String(),
    "completion": pl.String(),
    "score": pl.Float64(),
    "strategy": pl.String(),
    "finish_reason": pl.String(),
    "completion_tokens": pl.Int32(),
}
Row = Mapping[str, Any]
_NAME = re.compile(r"step_(\d+)_(.+)\.parquet")


class ResponseFiles:
    """The folder of one run, written by one process.

    Args:
        declared: what its readers need not be told again.

    Raises:
        StratagemError: a column of `by` has the name of one of `COLUMNS`.
    """

    def __init__(self, folder: Path, declared: Declared) -> None:
        if taken := sorted(set(COLUMNS) & set(declared.by)):
            raise StratagemError(
                f"by {taken[0]!r}: the files of responses have a column of that name; rename the data set's"
            )
        self.folder, self.declared = folder, declared
        self._begun = False
        self._written: set[Path] = set()
        self._open: tuple[Path, list[Row]] | None = None

    def begin(self, step: int) -> None:
        """Take up a run after `step` updates: what was written of later ones is removed, since they are done again.

        Raises:
            StratagemError: the run is a new one, and the folder has responses of another.
        """
        for path in sorted(self.folder.glob("step_*.parquet")):
            name = _NAME.fullmatch(path.name)
            if name is None or path in self._written:
                continue
            if step == 0:
                raise self._taken(path)
            if int(name[1]) > step:
                path.unlink()
        self._begun, self._open = True, None

    def add(self, split: str, step: int, rows: Sequence[Row]) -> None:
        """Write responses of a split at a step, together with those that were added just before of the same two.

        Args:
            step: of training the update that learns from them, from 1; of an evaluation the updates done.
            rows: `COLUMNS` without step and split, and the columns of `declared.by`.

        Raises:
            StratagemError: the file cannot be written, or is another run's.
        """
        path = self.folder / f"step_{step:05d}_{split}.parquet"
        if not self._begun and path not in self._written and path.exists():
            raise self._taken(path)
        before = self._open[1] if self._open is not None and self._open[0] == path else []
        together = [*before, *({"step": step, "split": split, **row} for row in rows)]
        self._open = path, together
        schema = {**COLUMNS, **dict.fromkeys(self.declared.by)}
        table = pl.DataFrame(together, schema=schema, infer_schema_length=None)
        write_rollouts(path, table, self.declared.metadata())
        self._written.add(path)

    def _taken(self, path: Path) -> StratagemError:
        return StratagemError(
            f"{path}: has the responses of another run: choose another folder for `write`, or remove this one"
        )
