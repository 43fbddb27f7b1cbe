"""Independent stages side by side: one process with one thread each, started as soon as their inputs are there."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError

Progress = Callable[[str, int, int, dict[str, Any]], None]
_reports: Any = None  # in a worker: the queue that its progress goes to


@dataclass(frozen=True, slots=True)
class Job:
    """A stage to run: `stage` is ``sft``, ``rl`` or ``rollout``; `needs` names the jobs whose folders it reads."""

    name: str
    stage: str
    config: Any
    out: Path
    model: Path | None = None
    needs: tuple[str, ...] = ()


def start_worker(reports: Any, parent: int) -> None:
    """One thread for torch; interrupts are the parent's business; a worker does not outlive its parent."""
    global _reports
    _reports = reports
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    import torch

    torch.set_num_threads(1)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def work(job: Job) -> str:
    """Run one job in a worker."""

    def report(done: int, total: int, metrics: dict[str, Any]) -> None:
        if _reports is not None and (done % 5 == 0 or done == total):
            _reports.put(
                (job.name, done, total, {k: v for k, v in metrics.items() if k in ("reward", "loss")})
            )

    match job.stage:
        case "sft":
            from stratagem.models.folder import SHIPPED
            from stratagem.training import sft

            sft.train(job.config, job.out, job.model or SHIPPED, report)
        case "rl":
            from stratagem.training import grpo

            assert job.model is not None
            grpo.train(job.config, job.out, job.model, report=report)
        case "rollout":
            from stratagem.sampling.rollout import rollout

            assert job.model is not None
            rollout(job.config, job.out, job.model, report)
        case other:
            raise ValueError(f"stage {other!r}")
    return job.name


def run_jobs(jobs: Sequence[Job], workers: int, progress: Progress) -> None:
    """Run all jobs, those that others wait for first.

    Raises:
        StratagemError: as the job that failed; or a worker was killed. What is done is kept.
        KeyboardInterrupt: the workers have been stopped; each stage resumes from its last saved state.
    """
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        reports: Any = manager.Queue()
        pool = ProcessPoolExecutor(workers, context, start_worker, (reports, os.getpid()))
        waiting, running, done = list(jobs), {}, set()
        try:
            while waiting or running:
                ready = [job for job in waiting if done.issuperset(job.needs)]
                for job in ready[: workers - len(running)]:
                    waiting.remove(job)
                    running[pool.submit(work, job)] = job
                finished, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                drain(reports, progress)
                for future in finished:
                    done.add(settle(future, running.pop(future)))
            pool.shutdown()
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.terminate()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def drain(reports: Any, progress: Progress) -> None:
    while True:
        try:
            progress(*reports.get_nowait())
        except queue.Empty:
            return


def settle(future: Future[str], job: Job) -> str:
    try:
        return future.result()
    except BrokenProcessPool:
        raise StratagemError(
            f"{job.out}: its process was killed (out of memory?); the same command resumes"
        ) from None
