"""What is watched: one stage's folder, or a whole study's, read off the disk as it grows."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import StratagemError
from stratagem.report.format import finite
from stratagem.tasks.finite_field.strategies import SETS
from stratagem.watch.gain import Gains
from stratagem.watch.log import Gain, MetricsLog
from stratagem.workspace import CONFIG, read_json

METRICS, STUDY, SUMMARY, LOCK = "metrics.jsonl", "study.json", "summary.json", ".lock"
QUIET = 120.0  # seconds without a new line, and ten times a usual update's, before a run counts as quiet
RECENT = 20  # updates by whose time the rest is foretold


def is_quiet(at: float, pace: float | None) -> bool:
    """Whether nothing was written for long, since `at`, for a run whose updates take `pace` seconds."""
    return time.time() - at > max(QUIET, 10 * (pace or 0))


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands.

    `state` is waiting, running, stopped (its folder is locked by no process here), quiet (nothing new for long) or
    done. `at` is when it last wrote, in seconds since 1970; `pace` seconds an update; `total` updates in all.
    """

    state: str
    done: int = 0
    total: int | None = None
    at: float | None = None
    pace: float | None = None

    @property
    def left(self) -> float | None:
        """Seconds to go, at the recent pace."""
        if self.state != "running" or self.total is None or self.pace is None:
            return None
        return self.pace * (self.total - self.done)


@dataclass
class Run:
    """One training of a name and, in a study, a seed.

    Attributes:
        kind: the stage (sft or rl), or trl or verl for a run that is not ours.
        counts, scalars: as `watch_log.MetricsLog` has them.
        gains: by updates done, the last one now.
        settings: what the run was started with.
        scored: whether `right` of the counts is known.
        notes: what a reader has to know about the data.
    """

    name: str
    seed: int = 0
    kind: str = ""
    status: Status = Status("waiting")
    counts: pl.DataFrame = field(default_factory=lambda: MetricsLog().counts)
    scalars: pl.DataFrame = field(default_factory=lambda: MetricsLog().scalars)
    gains: dict[int, Gain] = field(default_factory=dict[int, Gain])
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    scored: bool = True
    notes: list[str] = field(default_factory=list[str])


class StageRun:
    """A stage that this package runs: ``NAME.partial`` while it works, ``NAME`` when it is whole."""

    def __init__(self, out: Path, name: str | None = None, seed: int = 0) -> None:
        self.out = out
        self.run = Run(name or out.name, seed)
        self._log, self._gains, self._seen = MetricsLog(), Gains(), (-1, -1)
        self._first: tuple[float, int] | None = None  # when the first update that we saw was written

    def poll(self) -> Run:
        """Read what is new."""
        run = self.run
        whole, partial = self.out, self.out.with_name(f"{self.out.name}.partial")
        folder = whole if (whole / CONFIG).is_file() else partial
        config = settings_of(folder)
        run.kind, run.settings = str(config.get("stage") or run.kind), config.get("settings") or run.settings
        self._log.poll(folder / METRICS)
        if self._seen[1] != self._log.rewound:
            self._gains = Gains()
        if self._seen != (self._log.version, self._log.rewound):
            self._seen = (self._log.version, self._log.rewound)
            run.counts, run.scalars = self._log.counts, self._log.scalars
            # A run by TRL splits its gain itself, by problem; counts alone do not know problems.
            logged = {update + 1: gain for update, gain in self._log.gains.items()}
            run.gains = logged or self._gains.curve(run.counts)
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
        state = "running"
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


class StudyRun:
    """A folder of `stratagem reproduce`: a stage for every cell and seed, and their evaluations."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self._stages: dict[tuple[int, str], StageRun] = {}
        self.cells: tuple[str, ...] = ()
        self.evaluations: dict[str, tuple[int, int, int]] = {}
        self.settings: dict[str, Any] = {}

    def poll(self) -> list[Run]:
        """Read what is new; the runs of all seeds that have begun, or of the first, in the order of the table."""
        config = settings_of(self.out, STUDY)
        self.settings = config.get("settings") or {}
        study = self.settings.get("study") or {}
        self.cells = cells_of(study)
        seeds = seeds_of(self.out)
        for seed in seeds:
            for cell in self.cells:
                if (seed, cell) not in self._stages:
                    home = self.out / f"seed{seed}"
                    self._stages[seed, cell] = StageRun(home / folder_of(cell), cell, seed)
        self.evaluations = {
            f"seed {seed}" if len(seeds) > 1 else "all": evaluations_of(
                self.out / f"seed{seed}" / "rollouts", self.cells
            )
            for seed in seeds
        }
        return [self._stages[seed, cell].poll() for seed in seeds for cell in self.cells]

    @property
    def begun(self) -> float | None:
        """When the study was first started, in seconds since 1970."""
        return modified(self.out / STUDY)

    @property
    def took(self) -> float | None:
        """Seconds that the finished study took; None before."""
        with contextlib.suppress(StratagemError):
            found = read_json(self.out / SUMMARY)
            return finite(found.get("elapsed_s")) if isinstance(found, dict) else None
        return None


def cells_of(study: dict[str, Any]) -> tuple[str, ...]:
    """The cells of a study's table, as `studies.table1` names them."""
    return tuple(
        f"{strategy}/{stage}"
        for strategy in study.get("strategies") or ()
        for stage in ("SFT", *(f"RL({steps})" for steps in study.get("rl_steps") or ()))
    )


def folder_of(cell: str) -> str:
    """A cell's folder, as `studies.table1` names it."""
    return cell.replace("/", "_").replace("(", "_").replace(")", "")


def evaluations_of(folder: Path, cells: Sequence[str]) -> tuple[int, int, int]:
    """How many evaluations and probes are done, are running, and there are to be."""
    names: list[str] = []
    for cell in cells:
        taught = SETS.get(cell.split("/")[0], ())
        names += [folder_of(cell), *(f"{folder_of(cell)}_{name}" for name in taught if len(taught) > 1)]
    done = sum((folder / name / CONFIG).is_file() for name in names)
    running = sum(
        locked(folder / f"{name}.partial" / LOCK) is not False
        for name in names
        if (folder / f"{name}.partial").is_dir()
    )
    return done, running, len(names)


def seeds_of(out: Path) -> list[int]:
    """The seeds whose folders are there; the first where none is yet."""
    found = [path.name.removeprefix("seed") for path in out.glob("seed*") if path.is_dir()]
    return sorted(int(name) for name in found if name.isdecimal()) or [0]


def settings_of(folder: Path, name: str = CONFIG) -> dict[str, Any]:
    """A folder's config; empty where it is not there yet or cannot be read."""
    with contextlib.suppress(StratagemError, OSError):
        found = read_json(folder / name)
        return found if isinstance(found, dict) else {}
    return {}


def total_of(kind: str, settings: dict[str, Any]) -> int | None:
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
        for major, minor, inode in (one.split(":") for one in held)
    )


def damage(lines: int) -> list[str]:
    if not lines:
        return []
    return [f"{lines} damaged {'line' if lines == 1 else 'lines'} of its log left out."]
