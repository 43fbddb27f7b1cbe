"""A study on a real local Ray: the bits of local processes, whatever is killed; and what is said where it cannot be."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")
pytest.importorskip("ray", reason="needs the cluster extra: pip install 'stratagem[cluster]'")

import ray  # pyright: ignore[reportMissingImports]

from stratagem.commands.study import cluster_of, with_address
from stratagem.records import StratagemError
from stratagem.settings import STUDY_SFT, LLMConfig
from stratagem.studies import graph
from stratagem.studies.executors import ray as ray_tasks
from stratagem.studies.executors import ray_connect
from stratagem.studies.executors.local import Local
from stratagem.studies.executors.ray import Cluster
from stratagem.studies.executors.ray_connect import connect
from stratagem.studies.graph import Job
from stratagem.studies.plan import plan
from stratagem.studies.run import reproduce, start_of
from stratagem.studies.study import read_study
from stratagem.training import sft
from tests.conftest import Run

SMALL = """
title = "Four arms"

[arms]
"F/SFT" = { sft = { strategy = "F" } }
"F/RL(2-5)" = { start = "F/SFT", rl = { steps = "2-5" } }
"FB/SFT" = { sft = { strategy = "FB" } }
"FB/RL(6-9)" = { start = "FB/SFT", rl = { steps = "6-9", updates = 5 } }

[evaluations.held-out]
steps = "6-9"
size = 8
samples = 2

[probe]
samples = 4

[presets.quick]
sft = { size = 64, epochs = 2 }
rl = { updates = 50, prompts = 8, batch = 2, group = 4, lr = 3e-4 }
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of four conditions; one RL is long enough to save a state (at update 25) before its end."""
    path = tmp_path_factory.mktemp("study") / "small.toml"
    path.write_text(SMALL)
    return path


def stages(study: Path, out: Path) -> list[Job]:
    whole = read_study(study)
    start = start_of(whole, "native", None, None)
    return plan(whole, "quick", 1, out, start.bases, {})


def run(
    cluster: Cluster,
    jobs: Sequence[Job],
    home: Path,
    progress: Any = lambda *_: None,
    llm: LLMConfig | None = None,
) -> None:
    graph.run(jobs, cluster.executor(home, llm), progress, {})


@pytest.fixture(scope="module")
def by_processes(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "processes"
    graph.run(stages(small, out), Local(2), lambda *_: None, {})
    return out


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    ray.init(
        "local",
        num_cpus=2,
        num_gpus=0,
        include_dashboard=False,
        object_store_memory=80 * 2**20,
        log_to_driver=False,
        logging_level="ERROR",
    )
    yield
    ray.shutdown()


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def workers(name: str) -> list[int]:
    """The processes of this test's Ray, our grandchildren, that run a stage; Ray gives them the task's name."""
    title = f"ray::{name}".encode()
    pids = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            pid = int(place.name)
            if (place / "cmdline").read_bytes().rstrip(b"\0") == title and parent(parent(pid)) == os.getpid():
                pids.append(pid)
    return pids


class Killer(threading.Thread):
    """Kills the worker of each stage, once, as soon as its file is there."""

    def __init__(self, files: dict[str, Path]) -> None:
        super().__init__(daemon=True)
        self.files, self.killed, self.over = files, set[str](), threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.02):
            for name in self.files.keys() - self.killed:
                if self.files[name].exists():
                    for pid in workers(name):
                        os.kill(pid, signal.SIGKILL)
                        self.killed.add(name)

    def __enter__(self) -> Killer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.join()


def results(out: Path) -> dict[str, Any]:
    """What a study makes that is the same each time it is run: weights, answers, and the log but for its times."""
    contents: dict[str, Any] = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.name in ("model.safetensors", "trained_on.json"):
            contents[name] = path.read_bytes()
        elif path.name == "rollouts.parquet":
            contents[name] = pl.read_parquet(path).to_dicts()
        elif path.name == "metrics.jsonl":
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            contents[name] = [
                {k: v for k, v in line.items() if not k.endswith("_s") and k != "seconds"} for line in lines
            ]
    return contents


@pytest.mark.usefixtures("_ray")
def test_workers_are_killed_and_the_bits_are_those_of_local_processes(
    small: Path, by_processes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    out, seen = tmp_path / "ray", list[tuple[str, int, int]]()
    early, late = "FB/RL(6-9) 0", "F/RL(2-5) 0"
    files = {
        early: out / "seed0" / "FB_RL_6-9.partial" / "config.json",
        late: out / "seed0" / "F_RL_2-5.partial" / "state.safetensors",
    }
    with connect("") as cluster, Killer(files) as killer:
        run(cluster, stages(small, out), out, lambda *report: seen.append(report[:3]))
    assert killer.killed == {early, late}
    for name in (early, late):
        assert f"{name}: its worker was lost" in caplog.text
    assert caplog.text.count("start 2 of 4") == 2
    assert seen.count((late, 5, 50)) == 1, "it began again instead of going on from update 25"
    assert seen.count((late, 50, 50)) == 1
    expected = results(by_processes)
    assert sum("model.safetensors" in name for name in expected) == 4
    assert results(out) == expected
    assert not [path for path in out.rglob("*") if ".partial" in path.name or path.name.startswith(".")]


@pytest.mark.usefixtures("_ray")
def test_a_worker_that_is_lost_every_time_ends_the_study(small: Path, tmp_path: Path) -> None:
    job = stages(small, tmp_path)[0]
    files = {job.name: job.out.with_name(f"{job.out.name}.partial") / "config.json"}
    with Killer(files), pytest.raises(StratagemError) as caught:
        run(Cluster(retries=0), [job], tmp_path)
    assert str(caught.value).startswith(f"{job.name}: its worker was lost 1 times (")
    assert str(caught.value).endswith("; the same command resumes")
    run(Cluster(retries=0), [job], tmp_path)
    assert_same_model(job, tmp_path)


def assert_same_model(job: Job, tmp_path: Path) -> None:
    """The stage made what it makes without Ray."""
    alone = sft.train(job.config, tmp_path / "alone")
    place = Path("model") / "model.safetensors"
    assert (job.out / place).read_bytes() == (alone / place).read_bytes()


@pytest.mark.usefixtures("_ray")
def test_an_interrupt_stops_the_tasks_and_the_same_call_goes_on(small: Path, tmp_path: Path) -> None:
    job = next(job for job in stages(small, tmp_path) if job.stage == "sft")
    job = replace(job, config=replace(job.config, epochs=2000))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with connect("") as cluster:
        with pytest.raises(KeyboardInterrupt):
            run(cluster, [job], tmp_path, stop)
        assert not workers(job.name)
        partial = job.out.with_name(f"{job.out.name}.partial")
        with open(partial / ".lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # nobody holds it
        assert ray.is_initialized(), "a Ray that was there before is left running"
        job = replace(job, config=replace(job.config, epochs=2))
        run(cluster, [job], tmp_path)
    assert_same_model(job, tmp_path)


@pytest.mark.usefixtures("_ray")
def test_an_error_of_a_stage_reads_as_without_ray_and_is_not_tried_again(
    small: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "nothing").mkdir()
    job = next(job for job in stages(small, tmp_path) if job.stage == "rl")
    job = replace(job, model=tmp_path / "nothing", needs=())
    with pytest.raises(StratagemError) as alone:
        graph.run([job], Local(1), lambda *_: None, {})
    with pytest.raises(StratagemError) as by_ray:
        run(Cluster(), [job], tmp_path)
    assert str(by_ray.value) == str(alone.value)
    assert "no model here" in str(alone.value)
    assert "lost" not in caplog.text


@pytest.mark.usefixtures("_ray")
def test_a_stage_by_trl_fails_in_its_own_words(small: Path, tmp_path: Path) -> None:
    job = replace(stages(small, tmp_path)[0], config=STUDY_SFT, model=tmp_path / "nowhere")
    with pytest.raises(StratagemError, match=rf"^{job.name}: .*; the same command resumes$") as caught:
        run(Cluster(), [job], tmp_path, llm=LLMConfig())
    assert "no such folder" in str(caught.value) or "pip install 'stratagem[llm]'" in str(caught.value)


@pytest.mark.usefixtures("_ray")
def test_a_node_that_cannot_work_is_named_before_any_work(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begin() -> None:
        run(Cluster(), stages(small, tmp_path / "out"), tmp_path / "out")

    monkeypatch.setattr(ray_tasks, "code", lambda: "another")
    with pytest.raises(
        StratagemError, match=r"^node \S+: its stratagem \(\S+\) is not the code that .*install the same"
    ):
        begin()
    monkeypatch.undo()
    real = ray_tasks.Mark
    monkeypatch.setattr(
        ray_tasks, "Mark", lambda path, *rest: real(path.replace("/out/", "/elsewhere/"), *rest)
    )
    with pytest.raises(
        StratagemError, match=r"^node \S+: does not see .*/elsewhere; --out has to be on a file system"
    ):
        begin()
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.usefixtures("_ray")
def test_more_gpus_than_a_node_has_are_refused_before_any_work(small: Path, tmp_path: Path) -> None:
    with (
        connect("", gpus=0.5) as cluster,
        pytest.raises(StratagemError, match=r"^--ray-gpus 0.5: .*the most is 0"),
    ):
        run(cluster, stages(small, tmp_path / "out"), tmp_path / "out")
    with (
        pytest.raises(StratagemError, match=r"--ray-gpus 1.5: must be a whole number"),
        connect("", gpus=1.5),
    ):
        pass


@pytest.fixture
def closed() -> Iterator[int]:
    """A port that nothing answers at: it is taken, but nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "auto"])
def test_an_unreachable_ray_is_said_at_once(
    stratagem: Run, closed: int, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed}")  # which `auto` means
    done = stratagem("reproduce", "table1", "--ray", form.format(closed))
    assert done.returncode == 2
    shown = form.format(closed) if form != "auto" else f"127.0.0.1:{closed}"
    assert done.stderr == (
        f"stratagem reproduce: --ray {shown}: no Ray answers there (Connection refused); start one with "
        "`ray start --head`, or leave the address out to run on this machine\n"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_ray_of_this_machine_is_joined_by_name_so_that_its_token_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(ray, "init", lambda address, **_: asked.append(address))
    monkeypatch.setattr(ray_connect, "find", lambda address: "head:6379")
    monkeypatch.setattr(ray_connect, "unreachable", lambda address: "")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    for address in ("", "auto", "head:6379"):
        ray_connect.join(address)
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    ray_connect.join("auto")
    assert asked == ["auto", "auto", "head:6379", "head:6379"]


@pytest.mark.parametrize("address", ["somewhere", "http://localhost:80", "host:port"])
def test_what_is_no_address_is_refused(stratagem: Run, tmp_path: Path, address: str) -> None:
    done = stratagem("reproduce", "table1", "--ray", address)
    assert done.returncode == 2
    assert f"--ray {address}: must be auto, HOST:PORT or ray://HOST:PORT\n" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_ray")
def test_what_ray_prints_is_no_part_of_a_result(capsys: pytest.CaptureFixture[str]) -> None:
    with cluster_of("", 2.0, 5) as cluster:
        print("(raylet) a node is dead")
    assert cluster == Cluster(gpus=2.0, tasks=5)
    out, err = capsys.readouterr()
    assert (out, err) == ("", "(raylet) a node is dead\n")


@pytest.mark.parametrize(
    ("words", "read"),
    [
        (["table1", "--ray"], ["table1", "--ray", ""]),
        (["--ray", "table1"], ["--ray", "", "table1"]),
        (["--ray", "mine.toml"], ["--ray", "", "mine.toml"]),
        (["table1", "--ray", "--seeds", "2"], ["table1", "--ray", "", "--seeds", "2"]),
        (["table1", "--ray", "auto", "--seeds", "2"], ["table1", "--ray", "auto", "--seeds", "2"]),
        (["table1", "--ray=head:6379"], ["table1", "--ray=head:6379"]),
    ],
)
def test_the_address_may_be_left_out(words: list[str], read: list[str]) -> None:
    assert with_address(words) == read


def test_the_study_hands_its_stages_to_ray(tmp_path: Path) -> None:
    class Recorder(Cluster):
        def executor(self, home: Path, llm: Any = None, accelerate: Any = None) -> Any:
            raise StratagemError(f"stages in {home.name}, {llm}, {accelerate}")

    with pytest.raises(StratagemError, match=r"^stages in out, None, None$"):
        reproduce("table1", tmp_path / "out", "quick", cluster=Recorder())


def test_ray_is_not_imported_unless_asked_for() -> None:
    code = (
        "import sys, stratagem.commands.study, stratagem.studies.run, stratagem.studies.executors.ray_connect\n"
        "assert 'ray' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
