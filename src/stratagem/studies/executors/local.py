"""Stages of the native engine side by side: one process with one thread each."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import Any

from stratagem.records import Metrics, Progress, StratagemError
from stratagem.studies.graph import Job

REPORTED = ("reward", "loss")
_reports: Any = None  # in a worker: the queue that its progress goes to


def start_worker(reports: Any, parent: int) -> None:
    """One thread for torch; interrupts are the parent's business; a worker does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    report_to(reports)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def report_to(reports: Any) -> None:
    """Let this process, which runs stages with one thread, put its progress there."""
    global _reports
    _reports = reports
    import torch

    torch.set_num_threads(1)


def work(job: Job) -> str:
    """Run one job in a worker."""

    def report(done: int, total: int, metrics: Metrics) -> None:
        if _reports is not None and (done % 5 == 0 or done == total):
            shown = {name: value for name, value in metrics.items() if name in REPORTED}
            _reports.put((job.name, done, total, shown))

    match job.stage:
        case "base":
            from stratagem.training import base

            base.train(job.config, job.out, report)
        case "sft":
            from stratagem.training import sft

            sft.train(job.config, job.out, job.model, report)
        case "rl":
            from stratagem.training import grpo

            assert job.model is not None
            grpo.train(job.config, job.out, job.model, report=report)
        case "rollout":
            from stratagem.sampling.rollout import rollout

            assert job.model is not None
            if job.opener is None:
                rollout(job.config, job.out, job.model, report)
            else:
                from stratagem.sampling.splice import write_spliced

                write_spliced(job.config, job.out, job.opener, job.model, report)
        case "validation":
            from stratagem.training.validation import validate

            assert job.model is not None
            validate(job.config, job.out, job.model, report)
    return job.name


class Local:
    """Processes of this machine, `workers` at a time."""

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.running: dict[Future[str], Job] = {}

    def __enter__(self) -> Local:
        context = multiprocessing.get_context("spawn")
        self.reports: Any = context.Queue()
        self.pool = ProcessPoolExecutor(self.workers, context, start_worker, (self.reports, os.getpid()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.pool.shutdown()
        else:
            for process in list((self.pool._processes or {}).values()):
                process.terminate()
            self.pool.shutdown(wait=False, cancel_futures=True)
        self.reports.close()

    def free(self) -> bool:
        return len(self.running) < self.workers

    def start(self, job: Job) -> None:
        self.running[self.pool.submit(work, job)] = job

    def ended(self, progress: Progress) -> list[Job]:
        finished, _ = wait(self.running, timeout=0.2, return_when=FIRST_COMPLETED)
        drain(self.reports, progress)
        return [settle(future, self.running.pop(future)) for future in finished]


def drain(reports: Any, progress: Progress) -> None:
    while True:
        try:
            progress(*reports.get_nowait())
        except queue.Empty:
            return


def settle(future: Future[str], job: Job) -> Job:
    try:
        future.result()
    except BrokenProcessPool:
        raise StratagemError(
            f"{job.out}: its process was killed (out of memory?); the same command resumes"
        ) from None
    return job
