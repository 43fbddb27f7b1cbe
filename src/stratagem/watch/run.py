"""What is known of one training that is watched, whoever runs it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

from stratagem.watch.gain import WINDOW, Gain
from stratagem.watch.metrics import COUNTS, scalar_table

QUIET = 120.0  # seconds without a new line, and ten times a usual update's, before a run counts as quiet
RECENT = 20  # updates by whose time the rest is foretold
State = Literal["waiting", "running", "quiet", "stopped", "done"]
Kind = Literal["", "sft", "rl", "trl", "verl", "live"]


@dataclass(frozen=True, slots=True)
class Status:
    """Where a run stands.

    `state` is waiting, running, stopped (its folder is locked by no process here), quiet (nothing new for long) or
    done. `at` is when it last wrote, in seconds since 1970; `pace` seconds an update; `total` updates in all.
    """

    state: State
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
    """One training of a name and, in a study, a replicate.

    Attributes:
        kind: the stage, or who else trains; empty before that is known.
        counts, scalars: as `metrics.MetricsLog` has them.
        gains: by updates done, the last one now.
        by_problem: whether the gains compare problems; else updates.
        window: updates on each side of a gain, at most.
        settings: what the run was started with.
        scored: whether `right` of the counts is known.
        notes: what a reader has to know about the data.
    """

    name: str
    replicate: int = 0
    kind: Kind = ""
    status: Status = Status("waiting")
    counts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COUNTS))
    scalars: pl.DataFrame = field(default_factory=lambda: scalar_table([]))
    gains: dict[int, Gain] = field(default_factory=dict[int, Gain])
    by_problem: bool = False
    window: int = WINDOW
    settings: dict[str, Any] = field(default_factory=dict[str, Any])
    scored: bool = True
    notes: list[str] = field(default_factory=list[str])


def is_quiet(at: float, pace: float | None) -> bool:
    """Whether nothing was written for long, since `at`, for a run whose updates take `pace` seconds."""
    return time.time() - at > max(QUIET, 10 * (pace or 0))


def status_of(times: Mapping[int, float]) -> Status:
    """Where a run stands whose end is not known, from when each of its updates was written, by their numbers from 0."""
    if not times:
        return Status("waiting")
    done, at, pace = max(times) + 1, max(times.values()), pace_of(times)
    return Status("quiet" if is_quiet(at, pace) else "running", done, None, at, pace)


def pace_of(times: Mapping[int, float]) -> float | None:
    """Seconds an update, from when the latest ones were written, by their numbers."""
    last = sorted(times)[-RECENT:]
    return (times[last[-1]] - times[last[0]]) / (last[-1] - last[0]) if len(last) > 1 else None
