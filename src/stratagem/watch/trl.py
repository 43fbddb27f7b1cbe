"""Anybody's TRL run, read off its output folder: completions/*.parquet and the newest trainer_state.json.

`rollouts.readers.trl` reads the completions; problem_id, strategy and the columns that describe a problem are what
`integrations.trl.Live` adds to them. What was logged as numbers reaches the disk with each checkpoint only
(transformers 5.24, trainer_callback.py, `TrainerState`).
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
from stratagem.rollouts.readers import trl
from stratagem.rollouts.readers.containers import parquet_source
from stratagem.rollouts.rows import NUMBER
from stratagem.watch.gain import WINDOW, read_gain
from stratagem.watch.metrics import COUNTS, Entry, scalar_table
from stratagem.watch.responses import ASKED, Asked, Responses
from stratagem.watch.run import Run, Status, is_quiet, pace_of
from stratagem.watch.tail import Changes, Stamp, stamp
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
TEXTS = ("prompt", "completion")  # counting needs neither, so they stay on the disk; naming strategies does
ASIDE = ("group", "advantage", NUMBER)  # what describes no problem
_STEP = re.compile(r"completions_(\d+)\.parquet")
_CHECKPOINT = re.compile(r"checkpoint-(\d+)")


class TRLRun:
    """A folder that a TRL trainer writes.

    Args:
        asked: what the user says.
    """

    def __init__(self, out: Path, asked: Asked = ASKED) -> None:
        self.out = out
        self.run = Run(out.name, kind="trl", by_problem=True)
        self._state: dict[str, Any] = {}
        self._state_at: tuple[str, Stamp] | None = None
        self._changes = Changes(".parquet")
        self._times: dict[int, float] = {}  # when each update's completions were written, by updates done
        self._responses = Responses(trl.NAME, asked, out.name, ASIDE)
        self._unread = TEXTS if asked.rules is None else ()

    def poll(self) -> Run:
        """Read what is new."""
        changed = self._read_state()
        changed |= self._read_completions()
        if changed:
            self._describe()
        self.run.status = self._status()
        return self.run

    # -- files -----------------------------------------------------------------------------------------------

    def _read_state(self) -> bool:
        """The newest trainer_state.json, if it is another one than before."""
        newest = max(states_of(self.out), key=lambda path: stamp(path)[1], default=None)
        if newest is None or self._state_at == (str(newest), stamp(newest)):
            return False
        with contextlib.suppress(StratagemError, OSError):  # half written: at the next poll
            state = read_json(newest)
            if isinstance(state, dict):
                self._state, self._state_at = state, (str(newest), stamp(newest))
                return True
        return False

    def _read_completions(self) -> bool:
        changed = self._changes.look(self.out / "completions")
        for path in changed:
            if step := _STEP.fullmatch(path.name):
                self._times[int(step[1])] = self._changes.stamps[path.name][1] / 1e9
                self._responses.drop(path)  # another run in the same folder
                # Half written: read when it has changed again. Without problems and strategies: nothing to count.
                with contextlib.suppress(StratagemError):
                    self._responses.add(parquet_source(path, self._unread))
        return bool(changed)

    # -- what they say ---------------------------------------------------------------------------------------

    def _describe(self) -> None:
        """Fill in the run from the files."""
        run, responses, history = self.run, self._responses, self._history()
        run.settings = {"updates": self._state.get("max_steps")}
        run.scalars = scalar_table([Entry(update, scalars_of(logged), []) for update, logged in history])
        gains = {update + 1: gain for update, logged in history if (gain := read_gain(logged, LIVE))}
        run.notes = []
        if responses.table.height:
            responses.fill(run)
            # Whichever is later: logs reach the disk with checkpoints only, and know all batches.
            if max(run.gains, default=0) <= max(gains, default=0):
                run.gains, run.window = gains, WINDOW
        else:
            run.counts, run.gains = shares_of(history), gains
            if responses.question:
                run.notes.append(responses.question)
        if not history:
            run.notes.append("Losses, KL and entropy reach the disk with the first checkpoint.")
        if run.counts.is_empty():
            run.notes.append("No strategies yet: they are written by the callback Live (docs/llms.md).")

    def _history(self) -> list[tuple[int, dict[str, Any]]]:
        """The logs of training, by update from 0."""
        history: list[tuple[int, dict[str, Any]]] = []
        for logged in self._state.get("log_history") or []:
            step = logged.get("step") if isinstance(logged, dict) else None
            if type(step) is int and step > 0 and ("loss" in logged or "reward" in logged):
                history.append((step - 1, logged))
        return history

    def _status(self) -> Status:
        done = max([*self._times, int(finite(self._state.get("global_step")) or 0)])
        total = self._state.get("max_steps")
        total = total if type(total) is int and total > 0 else None
        times = [self._state_at[1][1] / 1e9] if self._state_at else []
        at = max([*self._times.values(), *times], default=None)
        if at is None:
            return Status("waiting")
        pace = pace_of(self._times)
        if total is not None and done >= total:
            return Status("done", done, total, at, pace)
        return Status("quiet" if is_quiet(at, pace) else "running", done, total, at, pace)


def scalars_of(logged: dict[str, Any]) -> dict[str, float]:
    """What is charted of one entry of a trainer's log, by our names."""
    values = {ours: finite(logged.get(theirs)) for theirs, ours in NAMES.items() if theirs in logged}
    return {name: value for name, value in values.items() if value is not None}


def is_trl(folder: Path) -> bool:
    """Whether a TRL trainer has written there."""
    # TRL makes the folder of completions before anything is in it.
    return bool(states_of(folder)) or (folder / "completions").is_dir()


def states_of(folder: Path) -> list[Path]:
    """trainer_state.json of the folder and of its checkpoints."""
    folders = [folder, *(path for path in folder.glob("checkpoint-*") if _CHECKPOINT.fullmatch(path.name))]
    return [path / "trainer_state.json" for path in folders if (path / "trainer_state.json").is_file()]


def shares_of(history: Sequence[tuple[int, dict[str, Any]]]) -> pl.DataFrame:
    """Logged shares and accuracies in the form of counts: a share is a part of one response."""
    rows: list[tuple[int, str, int, str, float, float]] = []
    for update, logged in history:
        for name, value in logged.items():
            share = finite(value)
            if name.startswith(f"{LIVE}share/") and share is not None and 0 <= share <= 1:
                strategy = name.removeprefix(f"{LIVE}share/")
                accuracy = finite(logged.get(f"{LIVE}accuracy/{strategy}")) or 0.0
                rows.append((update, "all", 0, strategy, share, min(1.0, max(0.0, accuracy)) * share))
    return pl.DataFrame(rows, schema=COUNTS, orient="row")
