"""Anybody's TRL run, read off its output folder: completions/*.parquet and the newest trainer_state.json.

Read off trl 1.16, trainer/grpo_trainer.py, `log`, and transformers 5.24, trainer_callback.py, `TrainerState`. With
`log_completions=True` TRL writes a table at every log: step, prompt, completion, a column of floats a reward, and by
name what `integrations.trl.Live` adds: problem_id, group, strategy and the columns that describe a problem. What was
logged as numbers reaches the disk with each checkpoint only.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import StratagemError
from stratagem.report.format import finite
from stratagem.watch.gain import Gains
from stratagem.watch.log import COUNTS, Entry, read_gain, scalar_table
from stratagem.watch.responses import (
    OURS,
    Layout,
    Stamp,
    by_update,
    counted,
    gain_by_strata,
    layout_of,
    pace_of,
    stamp,
)
from stratagem.watch.run import RECENT, Run, Status, is_quiet
from stratagem.workspace import read_json

LIVE = "stratagem/"
NAMES = {
    "reward": "reward",
    "kl": "kl",
    "entropy": "entropy",
    "loss": "loss",
    "grad_norm": "grad_norm",
    "mean_token_accuracy": "accuracy",
    "frac_reward_zero_std": "no_signal",
    f"{LIVE}no_signal": "no_signal",
    "completions/mean_length": "length",
}
_STEP = re.compile(r"completions_(\d+)\.parquet")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class TRLRun:
    """A folder that a TRL trainer writes.

    Args:
        score: the column of the completions that says what is right, where there are several rewards.
    """

    def __init__(self, out: Path, score: str | None = None) -> None:
        self.out, self.score = out, score
        self.run = Run(out.name, kind="trl")
        self._state: dict[str, Any] = {}
        self._state_at: tuple[str, Stamp] | None = None
        self._files: dict[str, Stamp] = {}
        self._tables: dict[int, pl.DataFrame] = {}
        self._times: dict[int, float] = {}
        self._layout: Layout | None = None
        self._gains = Gains()
        self._unread: dict[str, Stamp] = {}

    def poll(self) -> Run:
        """Read what is new."""
        changed = self._read_state()
        changed |= self._read_completions()
        if changed:
            self._tell()
        self.run.status = self._status()
        return self.run

    # -- files -----------------------------------------------------------------------------------------------

    def _read_state(self) -> bool:
        """The newest trainer_state.json, if it is another one than before."""
        newest = max(states_of(self.out), key=lambda path: stamp(path)[1], default=None)
        if newest is None or self._state_at == (str(newest), stamp(newest)):
            return False
        with contextlib.suppress(StratagemError, OSError):  # half written: at the next poll
            found = read_json(newest)
            if isinstance(found, dict):
                self._state, self._state_at = found, (str(newest), stamp(newest))
                return True
        return False

    def _read_completions(self) -> bool:
        changed = False
        for path in sorted((self.out / "completions").glob("completions_*.parquet")):
            step, seen = _STEP.fullmatch(path.name), stamp(path)
            if not step or self._files.get(path.name) == seen or self._unread.get(path.name) == seen:
                continue
            try:
                table = self._counted(path)
            except (pl.exceptions.PolarsError, OSError, StratagemError):
                # Half written: read when it is whole. A file that stays damaged is not tried at each poll.
                self._unread[path.name] = seen
                continue
            self._unread.pop(path.name, None)
            if self._files.get(path.name):  # another run in the same folder
                self._gains = Gains()
            self._files[path.name], changed = seen, True
            self._times[int(step[1])] = seen[1] / 1e9
            if table is not None:
                self._tables[int(step[1]) - 1] = table.with_columns(update=pl.lit(int(step[1]) - 1, pl.Int64))
        return changed

    def _counted(self, path: Path) -> pl.DataFrame | None:
        """One file's responses counted by problem and strategy; None where no strategies stand in it."""
        columns = pl.read_parquet_schema(path)
        if not {"strategy", "problem_id"} <= columns.keys():
            return None
        if self._layout is None:
            table = pl.read_parquet(path)
            between = [name for name in table.columns[3:] if name not in (*OURS, "advantage")]
            self._layout = layout_of(table, between, self.score)
        return counted(pl.read_parquet(path, columns=self._layout.used), self._layout)

    # -- what they say ---------------------------------------------------------------------------------------

    def _tell(self) -> None:
        """Fill in the run from the files."""
        run, history = self.run, self._history()
        run.settings = {"updates": self._state.get("max_steps")}
        run.scalars = scalar_table(
            [Entry(at, {ours: x for theirs, ours in NAMES.items() if (x := finite(one.get(theirs))) is not None}, [])
             for at, one in history]
        )  # fmt: skip
        logged = {at + 1: gain for at, one in history if (gain := read_gain(one, LIVE))}
        run.notes = []
        if self._tables:
            table = pl.concat(list(self._tables.values())).sort("update")
            run.counts = by_update(table)
            run.scored = self._layout is not None and self._layout.score is not None
            if not run.scored:
                run.notes.append(
                    "Several columns of the completions may say what is right: name one with --score COLUMN."
                )
            by_problem = self._gains.curve(table, gain_by_strata) if run.scored else {}
            # Whichever is later: logs reach the disk with checkpoints only, and know all batches.
            later = max(by_problem, default=0) > max(logged, default=0)
            run.gains = by_problem if later else logged
        else:
            run.counts, run.gains = shares_of(history), logged
        if not history:
            run.notes.append("Losses, KL and entropy reach the disk with the first checkpoint.")
        if run.counts.is_empty():
            run.notes.append("No strategies yet: they are written by the callback Live (docs/llms.md).")

    def _history(self) -> list[tuple[int, dict[str, Any]]]:
        """The logs of training, by update from 0."""
        found: list[tuple[int, dict[str, Any]]] = []
        for one in self._state.get("log_history") or []:
            step = one.get("step") if isinstance(one, dict) else None
            if type(step) is int and step > 0 and ("loss" in one or "reward" in one):
                found.append((step - 1, one))
        return found

    def _status(self) -> Status:
        done = max([*self._times, int(finite(self._state.get("global_step")) or 0)])
        total = self._state.get("max_steps")
        total = total if type(total) is int and total > 0 else None
        times = [stamp(Path(self._state_at[0]))[1] / 1e9] if self._state_at else []
        at = max([*self._times.values(), *times], default=None)
        if at is None:
            return Status("waiting")
        pace = pace_of(self._times, RECENT)
        if total is not None and done >= total:
            return Status("done", done, total, at, pace)
        return Status("quiet" if is_quiet(at, pace) else "running", done, total, at, pace)


def is_trl(folder: Path) -> bool:
    """Whether a TRL trainer has written there."""
    # TRL makes the folder of completions before anything is in it.
    return bool(states_of(folder)) or (folder / "completions").is_dir()


def states_of(folder: Path) -> list[Path]:
    """trainer_state.json of the folder and of its checkpoints."""
    found = [folder] + [path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name)]
    return [path / "trainer_state.json" for path in found if (path / "trainer_state.json").is_file()]


def shares_of(history: Sequence[tuple[int, dict[str, Any]]]) -> pl.DataFrame:
    """Logged shares and accuracies in the form of counts: a share is a part of one response."""
    rows: list[tuple[int, str, int, str, float, float]] = []
    for at, one in history:
        for name, value in one.items():
            share = finite(value)
            if name.startswith(f"{LIVE}share/") and share is not None and 0 <= share <= 1:
                strategy = name.removeprefix(f"{LIVE}share/")
                accuracy = finite(one.get(f"{LIVE}accuracy/{strategy}")) or 0.0
                rows.append((at, "all", 0, strategy, share, min(1.0, max(0.0, accuracy)) * share))
    return pl.DataFrame(rows, schema=COUNTS, orient="row")
