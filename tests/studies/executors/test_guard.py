"""A guarded command: its exit code, its death by a signal, and its end when the one who started it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

GUARD = [sys.executable, "-m", "stratagem.studies.executors.guard"]


def guarded(*line: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*GUARD, *line], capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("code", [0, 2])
def test_the_exit_code_and_the_output_are_the_commands(code: int) -> None:
    done = guarded("sh", "-c", f"echo out; echo err >&2; exit {code}")
    assert (done.returncode, done.stdout, done.stderr) == (code, "out\n", "err\n")


def test_a_command_that_was_killed_says_so_by_its_code() -> None:
    assert guarded("sh", "-c", "kill -9 $$").returncode == 128 + 9


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_command_and_what_it_started_end_with_the_one_who_started_it(tmp_path: Path, end: int) -> None:
    pids = tmp_path / "pids"
    command = f"sleep 1000 & echo $$ $! > {pids}.aside; mv {pids}.aside {pids}; wait"
    code = "import subprocess, sys; subprocess.run(sys.argv[1:])"
    starter = subprocess.Popen([sys.executable, "-c", code, *GUARD, "sh", "-c", command])
    wait_until(pids.exists)
    started = [int(word) for word in pids.read_text().split()]
    assert len(started) == 2
    assert all(map(alive, started))
    starter.send_signal(end)
    starter.wait()
    wait_until(lambda: not any(map(alive, started)))


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until(holds: object) -> None:
    assert callable(holds)
    end = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < end, "waited for a minute"
        time.sleep(0.05)
