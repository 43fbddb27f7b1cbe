"""A verl run, read off the responses that it writes: its rollout_data_dir, or the folder of `labelled(…, write=)`.

Read off verl 0.9.0 (see `rollouts.readers.verl`): {step}.jsonl with input, output, gts, score, step and, by name,
what the reward function of `integrations.verl` adds: acc, strategy, problem_id and the columns that describe a
problem, as text. verl keeps its losses to its own loggers, so the page shows responses alone.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.rollouts.readers import verl
from stratagem.watch.gain import Gains
from stratagem.watch.log import Entry, Tail, scalar_table
from stratagem.watch.responses import (
    NEEDED,
    OURS,
    Layout,
    by_update,
    counted,
    gain_by_strata,
    layout_of,
    pace_of,
)
from stratagem.watch.run import RECENT, Run, Status, is_quiet

SCORES = ("acc", "score")  # verl's own, the first of them where it is within 0 and 1
# What verl writes that neither says what is right nor describes a problem.
OWN = ("input", "output", "gts", "step", "uid", "request_id", "data_source", "pred", "split")
TRAINING = "train"


class VerlRun:
    """A folder that a verl run writes its training responses to.

    Args:
        score: the column that says what is right, where it is not verl's `acc` or `score`.
    """

    def __init__(self, out: Path, score: str | None = None) -> None:
        self.out, self.score = out, score
        self.run = Run(out.name, kind="verl")
        self._tails: dict[Path, Tail] = {}
        self._rows: dict[Path, list[pl.DataFrame]] = {}
        self._times: dict[int, float] = {}
        self._layout: Layout | None = None
        self._gains = Gains()
        self._left_out: Counter[Path] = Counter()

    def poll(self) -> Run:
        """Read what is new."""
        changed = False
        for path in sorted(self.out.glob("*.jsonl")):
            void, lines = self._tails.setdefault(path, Tail()).read(path)
            if void:
                self._rows[path], self._left_out[path], self._gains = [], 0, Gains()
            placed = [one for line in lines if (one := response_of(line)) is not None]
            self._left_out[path] += len(lines) - len(placed)
            if (table := self._counted(placed)) is not None:
                self._rows.setdefault(path, []).append(table)
                if not self._times.keys().isdisjoint(table["update"]):  # more of what was split already
                    self._gains = Gains()
                written = path.stat().st_mtime
                self._times |= {
                    step: max(written, self._times.get(step, 0)) for step in table["update"].unique()
                }
            changed |= void or bool(lines)
        if changed:
            self._tell()
        self.run.status = self._status()
        return self.run

    def _counted(self, placed: list[dict[str, Any]]) -> pl.DataFrame | None:
        """New responses of training counted by update, problem and strategy; None where there is none."""
        found = [one for one in placed if one.get("split", TRAINING) == TRAINING]
        if not found:
            return None
        names = [name for name in found[0] if name not in (*OWN, *OURS)]
        columns = {name: column_of(name, [one.get(name) for one in found]) for name in names}
        ours = {name: [str(one[name]) for one in found] for name in NEEDED}
        table = pl.DataFrame({"update": [one["step"] - 1 for one in found], **ours, **columns})
        if self._layout is None:
            self._layout = layout_of(table, names, self.score or usual_score(table))
        missing = [name for name in self._layout.used if name not in table.columns]
        table = table.with_columns(pl.lit(None).alias(name) for name in missing)
        return pl.concat(
            counted(part, self._layout).with_columns(update=pl.lit(update, pl.Int64))
            for (update,), part in table.group_by("update", maintain_order=True)
        )

    def _tell(self) -> None:
        """Fill in the run from the responses."""
        run = self.run
        run.notes = []
        if left_out := self._left_out.total():
            run.notes.append(
                f"{left_out:,} lines without a step, a problem_id or a strategy are left out: `labelled` of "
                "stratagem.integrations.verl writes them (docs/llms.md)."
            )
        parts = [table for tables in self._rows.values() for table in tables]
        if not parts:
            return
        keys = ["update", "problem_id", "kind", "difficulty", "strategy"]
        table = pl.concat(parts).group_by(keys).agg(pl.col("n", "right").sum()).sort(keys)
        run.counts = by_update(table)
        run.scored = self._layout is not None and self._layout.score is not None
        if not run.scored:
            run.notes.append(
                "No column is surely the one that says what is right: name it with --score COLUMN."
            )
            return
        run.gains = self._gains.curve(table, gain_by_strata)
        problems = table.group_by("update", "problem_id").agg(pl.col("n", "right").sum())
        none = (pl.col("right") == 0) | (pl.col("right") == pl.col("n"))
        means = problems.group_by("update").agg(
            reward=pl.col("right").sum() / pl.col("n").sum(), no_signal=none.mean()
        )
        run.scalars = scalar_table(
            [Entry(one.pop("update"), one, []) for one in means.sort("update").to_dicts()]
        )

    def _status(self) -> Status:
        if not self._times:
            return Status("waiting")
        done, at, pace = max(self._times) + 1, max(self._times.values()), pace_of(self._times, RECENT)
        return Status("quiet" if is_quiet(at, pace) else "running", done, None, at, pace)


def is_verl(folder: Path) -> bool:
    """Whether verl, or its reward function of ours, has written responses there."""
    for path in sorted(folder.glob("*.jsonl"))[:1]:
        with open(path, "rb") as file:
            one = parsed(file.readline())
        return one is not None and verl.recognises(one)
    return False


def parsed(line: bytes) -> dict[str, Any] | None:
    try:
        one = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return one if isinstance(one, dict) else None


def response_of(line: bytes) -> dict[str, Any] | None:
    """A response with all that is needed to count it."""
    one = parsed(line)
    if one is None or type(one.get("step")) is not int or one["step"] < 1:
        return None
    return None if any(one.get(name) is None for name in NEEDED) else one


def column_of(name: str, values: list[Any]) -> pl.Series:
    """verl writes many numbers as text: a column of numbers where all of it is (whole ones are no scores), of text
    else."""
    told = {"True": "1.0", "False": "0.0"}
    texts = [None if x is None else told.get(str(x), str(x)) for x in values]
    column = pl.Series(texts, dtype=pl.String)
    for kind in (pl.Float64,) if name in SCORES else (pl.Int64, pl.Float64):
        cast = column.cast(kind, strict=False)
        if cast.null_count() == column.null_count() < len(column):
            return cast
    return column


def usual_score(table: pl.DataFrame) -> str | None:
    """verl's own column of what is right."""
    for name in SCORES:
        if name in table.columns and table[name].dtype.is_numeric() and table[name].is_between(0, 1).all():
            return name
    return None
