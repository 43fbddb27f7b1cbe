"""The stages of a study as Ray tasks, on this machine or on a cluster: the same folders as by local processes.

A task is a stage. It is handed to Ray when its inputs are there, asks for one CPU and for GPUs, and writes into the
study's folder, which all nodes have to share. A task whose worker is lost is started again, and the stage goes on from
its last saved state; an error of the stage itself ends the study, as it does without Ray. Ray is imported only here and
only when asked for.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import stratagem
from stratagem.records import Metrics, Progress, StratagemError
from stratagem.settings import LLMConfig
from stratagem.studies.executors import local
from stratagem.studies.executors.trl import POLL, Killed, Running, command
from stratagem.studies.graph import Job
from stratagem.workspace import partial_of, write_bytes

SEEN = (
    90.0  # seconds after which a network file system shows what another machine wrote; NFS remembers for 60
)
SHARE = "--out has to be on a file system that all nodes share"
log = logging.getLogger(__name__)


class Lost(Exception):
    """The process that ran a stage was killed."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What every worker must find: a file in the study's folder with `token` in it, and this very code."""

    path: str
    token: str
    version: str
    code: str


class Reports:
    """The actor that keeps what workers say of their progress until the driver takes it."""

    def __init__(self) -> None:
        self.reports: list[tuple[str, int, int, Metrics]] = []

    def put(self, report: tuple[str, int, int, Metrics]) -> None:
        self.reports.append(report)

    def take(self) -> list[tuple[str, int, int, Metrics]]:
        reports, self.reports = self.reports, []
        return reports


@dataclass(frozen=True, slots=True)
class Sink:
    """A worker's end of `Reports`. Nothing waits for it, and nothing is lost but a bar's step if it is gone."""

    actor: Any

    def put(self, report: tuple[str, int, int, Metrics]) -> None:
        self.actor.put.remote(report)


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray that is connected (see ray_connect), and what a study asks of it.

    Args:
        gpus: asked for by each task; a part of one is allowed.
        tasks: at most so many side by side; None leaves it to Ray.
        retries: how often a stage whose worker is lost is started again.
    """

    gpus: float = 0.0
    tasks: int | None = None
    retries: int = 3

    def executor(self, home: Path, llm: LLMConfig | None = None, accelerate: Path | None = None) -> Tasks:
        """Runs the stages of the study in `home`; by TRL where `llm` is given."""
        return Tasks(self, home, llm, accelerate and accelerate.absolute())

    def able_nodes(self) -> list[dict[str, Any]]:
        """The nodes with what a task asks for."""
        import ray  # pyright: ignore[reportMissingImports]

        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) >= 1]
        if not nodes:
            raise StratagemError(
                "no node of this Ray has a CPU to give; start one with `ray start --address …`"
            )
        able = [node for node in nodes if node["Resources"].get("GPU", 0) >= self.gpus]
        if not able:
            most = max(node["Resources"].get("GPU", 0) for node in nodes)
            raise StratagemError(
                f"--ray-gpus {self.gpus:g}: no node of this Ray has as many (the most is {most:g}); ask for fewer"
            )
        return able

    def see_nodes(self, mark: Mark) -> None:
        """Let every node that can run a task look for the study's folder and for this package."""
        import ray  # pyright: ignore[reportMissingImports]
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy  # pyright: ignore[reportMissingImports]

        def look(mark: tuple[str, str, str, str]) -> str:  # a function of a function travels whole
            try:
                from stratagem.studies.executors import ray as there
            except ImportError as error:
                return f"cannot import stratagem {mark[2]} ({error}); install the same on every node"
            return there.complaint(there.Mark(*mark))

        looks = {
            ray.remote(look)
            .options(
                num_cpus=0, scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            )
            .remote((mark.path, mark.token, mark.version, mark.code)): node["NodeManagerHostname"]
            for node in self.able_nodes()
        }
        _, silent = ray.wait(list(looks), num_returns=len(looks), timeout=120)
        if silent:
            raise StratagemError(f"node {looks[silent[0]]}: Ray starts no worker there within 2 minutes")
        for answer, name in looks.items():
            if wrong := ray.get(answer):
                raise StratagemError(f"node {name}: {wrong}")


class Tasks:
    """The executor whose jobs are Ray tasks.

    Raises:
        StratagemError: a node cannot do the work, a job failed, or its worker was lost too often.
    """

    def __init__(self, cluster: Cluster, home: Path, llm: LLMConfig | None, accelerate: Path | None) -> None:
        self.cluster, self.home, self.llm, self.accelerate = cluster, home, llm, accelerate
        self.running: dict[Any, Job] = {}
        self.lost: Counter[str] = Counter()

    def __enter__(self) -> Tasks:
        import ray  # pyright: ignore[reportMissingImports]

        self.home.mkdir(parents=True, exist_ok=True)
        path = self.home.absolute() / f".ray-{secrets.token_hex(4)}"
        self.mark = Mark(str(path), secrets.token_hex(16), version(), code())
        write_bytes(path, self.mark.token.encode())
        try:
            with own_words():
                self.cluster.see_nodes(self.mark)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        self.reports: Any = ray.remote(Reports).options(num_cpus=0, max_restarts=-1).remote()
        # Retries are counted here: where memory ran out Ray's own have no end, and nobody hears of them.
        self.task: Any = ray.remote(num_cpus=1, num_gpus=self.cluster.gpus, max_retries=0)(run_stage)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import ray  # pyright: ignore[reportMissingImports]

        with own_words():
            for task in self.running:
                ray.cancel(task, force=True)
            if self.running:
                ray.wait(list(self.running), num_returns=len(self.running), timeout=10)
            ray.kill(self.reports)  # pyright: ignore[reportArgumentType]
        Path(self.mark.path).unlink(missing_ok=True)

    def free(self) -> bool:
        return self.cluster.tasks is None or len(self.running) < self.cluster.tasks

    def start(self, job: Job) -> None:
        with own_words():
            task = self.task.options(name=job.name).remote(
                portable(job), self.llm, self.accelerate, self.mark, Sink(self.reports)
            )
        self.running[task] = job

    def ended(self, progress: Progress) -> list[Job]:
        import ray  # pyright: ignore[reportMissingImports]

        with own_words():
            finished, _ = ray.wait(list(self.running), timeout=0.5)
            drain(self.reports, progress)
            return [job for task in finished if (job := self.settled(task)) is not None]

    def settled(self, task: Any) -> Job | None:
        """The job of a task that has ended; None where it was started again, since its worker was lost."""
        import ray  # pyright: ignore[reportMissingImports]
        from ray import exceptions  # pyright: ignore[reportMissingImports]

        gone = (exceptions.WorkerCrashedError, exceptions.NodeDiedError, exceptions.OutOfMemoryError, Lost)
        job = self.running.pop(task)
        try:
            ray.get(task)
        except gone as error:
            self.lost[job.name] += 1
            again(job, self.lost[job.name], self.cluster.retries, error)
            self.start(job)
            return None
        except StratagemError as error:
            raise StratagemError(str(getattr(error, "cause", error))) from None
        if not appears(job.out):
            raise StratagemError(f"{job.out}: finished on its node, but not to be seen here; {SHARE}")
        return job


@contextlib.contextmanager
def own_words() -> Iterator[None]:
    """Ray's own errors as one line.

    Raises:
        StratagemError: Ray failed. A mistake in this package keeps its traceback, from where it happened.
    """
    from ray.exceptions import RayError, RayTaskError  # pyright: ignore[reportMissingImports]

    try:
        yield
    except RayTaskError:
        raise
    except RayError as error:
        raise StratagemError(f"Ray failed ({first_sentence(error)}); the same command resumes") from None


def again(job: Job, lost: int, retries: int, error: Exception) -> None:
    """Say that a stage is started again.

    Raises:
        StratagemError: it has been often enough.
    """
    reason = first_sentence(getattr(error, "cause", None) or error)
    if lost > retries:
        raise StratagemError(
            f"{job.name}: its worker was lost {lost} times ({reason}); the same command resumes"
        )
    log.warning("%s: its worker was lost (%s); start %d of %d", job.name, reason, lost + 1, retries + 1)


def drain(reports: Any, progress: Progress) -> None:
    """Show what has been reported. The actor may be on its way to another node, and bars are worth no wait."""
    import ray  # pyright: ignore[reportMissingImports]
    from ray.exceptions import GetTimeoutError, RayActorError  # pyright: ignore[reportMissingImports]

    with contextlib.suppress(RayActorError, GetTimeoutError):
        for report in ray.get(reports.take.remote(), timeout=2):
            progress(*report)


def portable(job: Job) -> Job:
    """The job for a machine with another working directory and this package in another place."""
    model = job.model
    if model is not None and (job.needs or model.exists()):
        model = model.absolute()  # else the id of a model on a hub
    return replace(job, out=job.out.absolute(), model=model)


def run_stage(job: Job, llm: LLMConfig | None, accelerate: Path | None, mark: Mark, reports: Sink) -> None:
    """One stage, in a worker.

    Raises:
        StratagemError: as the stage, or this node cannot do it.
        Lost: the stage's own process was killed.
    """
    if wrong := complaint(mark):
        raise StratagemError(f"node {socket.gethostname()}: {wrong}")
    if job.needs and job.model is not None:
        appears(job.model)
    wait_for_lock(partial_of(job.out))
    if llm is None:
        local.report_to(reports)
        local.work(job)
    elif not job.out.exists():
        running = Running(job, guarded(job, llm, accelerate))
        try:
            while not running.has_ended(lambda *report: reports.put(report)):
                time.sleep(POLL)
        except Killed as error:
            raise Lost(str(error).removeprefix(f"{job.name}: ")) from None
        except BaseException:
            running.stop()
            raise


def guarded(job: Job, llm: LLMConfig, accelerate: Path | None) -> list[str]:
    """The command of a stage by TRL, which ends with this worker and shares a machine with others."""
    line = command(job, llm, accelerate)
    if "--config_file" in line:
        line[3:3] = ["--main_process_port", "0"]  # any free port
    return [line[0], "-m", "stratagem.studies.executors.guard", *line]


def complaint(mark: Mark) -> str:
    """What keeps this machine from working on the study; empty if nothing does."""
    if code() != mark.code:
        return (
            f"its stratagem ({version()}) is not the code that the study was started with ({mark.version}); install "
            "the same on every node and leave it as it is until the end"
        )
    path = Path(mark.path)
    if not appears(path, 5) or path.read_text() != mark.token:
        return f"does not see {path.parent}; {SHARE}"
    if not os.access(path.parent, os.W_OK):
        return f"cannot write to {path.parent}; {SHARE} and may write to"
    return ""


def version() -> str:
    return metadata.version("stratagem")


def code() -> str:
    """A digest of this package's modules: two working copies may carry one version."""
    root = Path(stratagem.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def appears(path: Path, seconds: float = SEEN) -> bool:
    """Whether a file is there, or comes to be seen on a file system that lags behind."""
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def wait_for_lock(partial: Path, seconds: float = SEEN) -> None:
    """Wait until a worker that was given up lets go of a stage's folder. If it does not, the stage itself complains."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with open(partial / ".lock", "r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.2)
        except OSError:
            return


def first_sentence(error: BaseException) -> str:
    """The first sentence of a message, which Ray's go on after with advice."""
    text = str(error).strip() or type(error).__name__
    return " ".join(text.splitlines()[0].split()).partition(". ")[0].rstrip(".")
