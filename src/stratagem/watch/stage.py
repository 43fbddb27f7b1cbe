"""A stage that this package runs, read off its folder as it grows."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError
from stratagem.report.format import finite
from stratagem.watch.curve import Curve
from stratagem.watch.gain import split_updates
from stratagem.watch.metrics import MetricsLog
from stratagem.watch.run import RECENT, Kind, Run, State, Status, is_quiet
from stratagem.watch.tail import Stamp, stamp
from stratagem.workspace import CONFIG, partial_of, read_json

METRICS, LOCK = "metrics.jsonl", ".lock"
STAGES: dict[str, Kind] = {"sft": "sft", "rl": "rl"}


class StageRun:
    """A stage that this package runs: ``NAME.partial`` while it works, ``NAME`` when it is whole."""

    def __init__(self, out: Path, name: str | None = None, replicate: int = 0) -> None:
        self.out = out
        self.run = Run(name or out.name, replicate)
        self._log, self._curve, self._seen = MetricsLog(), Curve(split_updates), (-1, -1)
        self._config_at: Stamp | None = None
        self._first: tuple[float, int] | None = None  # when the first update that we saw was written

    def poll(self) -> Run:
        """Read what is new."""
        run = self.run
        whole, partial = self.out, partial_of(self.out)
        folder = whole if (whole / CONFIG).is_file() else partial
        if self._config_at != (config_at := stamp(folder / CONFIG)):
            self._config_at, config = config_at, config_of(folder / CONFIG)
            run.kind = STAGES.get(str(config.get("stage")), run.kind)
            run.settings = config.get("settings") or run.settings
        self._log.poll(folder / METRICS)
        if self._seen[1] != self._log.rewound:
            self._curve = Curve(split_updates)
        if self._seen != (self._log.version, self._log.rewound):
            self._seen = (self._log.version, self._log.rewound)
            run.counts, run.scalars = self._log.counts, self._log.scalars
            # A run by TRL splits its gain itself, by problem; counts alone do not know problems.
            logged = {update + 1: gain for update, gain in self._log.gains.items()}
            run.by_problem = bool(logged)
            run.gains = logged or self._curve.gains(run.counts)
            run.notes = damage(self._log.damaged)
        run.status = self._status(folder, folder is whole)
        return run

    def _status(self, folder: Path, whole: bool) -> Status:
        if not folder.is_dir():
            return Status("waiting")
        done, total = self._log.updates, total_of(self.run.kind, self.run.settings)
        at = modified(folder / METRICS) or modified(folder / CONFIG)
        seconds = self._pace(at, done)
        if whole:
            return Status("done", done, total, at, seconds)
        held = locked(folder / LOCK)
        state: State = "running"
        if held is False:
            state = "stopped"
        elif held is None and at is not None and is_quiet(at, seconds):
            state = "quiet"
        return Status(state, done, total, at, seconds)

    def _pace(self, at: float | None, done: int) -> float | None:
        """The mean time of the last updates; of those that we saw, where the log has no times."""
        logged = finite(self.run.scalars["seconds"].tail(RECENT).mean())
        if logged is not None or at is None or not done:
            return logged
        if self._first is None or done < self._first[1]:
            self._first = at, done
        since, before = self._first
        return (at - since) / (done - before) if done > before else None


def config_of(path: Path) -> dict[str, Any]:
    """What a folder's JSON file says; empty where it is not there yet or cannot be read."""
    with contextlib.suppress(StratagemError, OSError):
        config = read_json(path)
        return config if isinstance(config, dict) else {}
    return {}


def total_of(kind: Kind, settings: dict[str, Any]) -> int | None:
    """Updates in all, by a stage's settings."""
    try:
        if kind == "rl":
            return int(settings["updates"])
        if kind == "sft":
            return int(settings["epochs"]) * -(-int(settings["size"]) // int(settings["batch"]))
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        pass
    return None


def modified(path: Path) -> float | None:
    """When a file was last written; None where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return None


def locked(path: Path) -> bool | None:
    """Whether a process of this machine holds a lock on a file; None where that cannot be told.

    The lock itself is not tried: a stage that starts at that moment would be refused.
    """
    try:
        status = path.stat()
        with open("/proc/locks") as file:
            held = {line.split()[-3] for line in file if "FLOCK" in line}
    except FileNotFoundError:
        return None if not os.path.exists("/proc/locks") else False
    except (OSError, IndexError):
        return None
    return any(
        int(inode) == status.st_ino
        and (int(major, 16), int(minor, 16)) == (os.major(status.st_dev), os.minor(status.st_dev))
        for major, minor, inode in (place.split(":") for place in held)
    )


def damage(lines: int) -> list[str]:
    if not lines:
        return []
    return [f"{lines} damaged {'line' if lines == 1 else 'lines'} of its log left out."]
