"""The stages of a study as a graph, and the one loop that runs them, whoever does the work."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal, Protocol

from stratagem.records import Progress


@dataclass(frozen=True, slots=True)
class Job:
    """A stage to run.

    Attributes:
        out: its folder.
        model: the model that it trains or asks; None for the base that ships with the task.
        opener: the model that opens responses which `model` goes on from, where that is another one.
        needs: the jobs whose folders it reads.
        address: a name of what it makes, made of all that decides it: equal stages of any study have the same.
    """

    name: str
    stage: Literal["base", "sft", "rl", "rollout", "validation"]
    config: Any
    out: Path
    model: Path | None = None
    needs: tuple[str, ...] = ()
    address: str = ""
    opener: Path | None = None

    @property
    def updates(self) -> int:
        """Optimizer steps or updates in all; 0 for rollouts."""
        return getattr(self.config, "updates", 0)


class Executor(AbstractContextManager["Executor"], Protocol):
    """Runs jobs somewhere. Leaving it by an exception stops what is running; every stage resumes."""

    def free(self) -> bool:
        """Whether one more job may start now."""
        ...

    def start(self, job: Job) -> None: ...

    def ended(self, progress: Progress) -> list[Job]:
        """The jobs that have ended; waits a moment for one, and passes on what they report.

        Raises:
            StratagemError: as the job that failed.
        """
        ...


def run(jobs: Sequence[Job], executor: Executor, progress: Progress, finished: Mapping[str, Path]) -> None:
    """Run all jobs, each when what it needs is there; of those that are ready the first in order.

    Args:
        finished: folders of other studies by the address of what they hold. Equal stages are taken from there.

    Raises:
        StratagemError: as the job that failed. What is done is kept.
        KeyboardInterrupt: the work has been stopped; each stage resumes from its last saved state.
    """
    order = {job.name: place for place, job in enumerate(jobs)}
    graph = TopologicalSorter({job.name: job.needs for job in jobs})
    graph.prepare()
    ready: list[Job] = []
    with executor:
        while graph.is_active():
            ready += [jobs[order[name]] for name in graph.get_ready()]
            ready.sort(key=lambda job: order[job.name])
            there = [job for job in ready if job.out.exists() or taken(job, finished)]
            for job in there:
                graph.done(job.name)
            ready = [job for job in ready if job not in there]
            if there:  # others may be ready now, before these
                continue
            while ready and executor.free():
                executor.start(ready.pop(0))
            for job in executor.ended(progress):
                graph.done(job.name)


def taken(job: Job, finished: Mapping[str, Path]) -> bool:
    """Take an equal stage's folder from another study: the same files under another name, where the disk allows it."""
    source = finished.get(job.address)
    if source is None or not source.is_dir():
        return False
    aside = job.out.with_name(f"{job.out.name}.taken")
    shutil.rmtree(aside, ignore_errors=True)
    aside.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copytree(source, aside, copy_function=link)
        os.replace(aside, job.out)
    except OSError:  # it is being removed, or the disk is full: the stage is run here
        shutil.rmtree(aside, ignore_errors=True)
        return False
    return True


def link(source: str, target: str) -> None:
    """Files of finished stages are never written again, so that two studies can share them."""
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copy2(source, target)
