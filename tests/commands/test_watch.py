"""`stratagem watch` as a user runs it: its address, its end, and what it refuses."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.watch import runs

Run = Callable[..., subprocess.CompletedProcess[str]]


def test_it_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    runs.stage(tmp_path / "run.partial", b"".join(runs.lines(6)))
    line = [sys.executable, "-m", "stratagem", "watch", "run", "--port", "0", "--json"]
    process = subprocess.Popen(line, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        said = json.loads(process.stdout.readline())
        assert said["run"] == "run"
        with urllib.request.urlopen(said["url"], timeout=60) as answer:
            assert b"watching run" in answer.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert errors == ""


def test_it_needs_no_torch(tmp_path: Path) -> None:
    runs.stage(tmp_path / "run.partial", b"".join(runs.lines(6)))
    code = (
        "import sys; from stratagem.watch.page import Watched, shell; from pathlib import Path\n"
        "import stratagem.commands.watch\n"
        "shell(Watched(Path('run')).show(), 'run')\n"
        "assert not {'torch', 'transformers', 'tokenizers', 'safetensors'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env={**os.environ}
    )
    assert done.returncode == 0, done.stderr


def test_a_port_in_use_is_one_line(stratagem: Run, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = stratagem("watch", "run", "--port", taken.getsockname()[1])
    assert done.returncode == 2
    assert "choose another --port, or 0" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("words", [("--port", "70000"), ("--host", "no.such.host.invalid"), ("--port", "-1")])
def test_impossible_addresses_are_one_line(stratagem: Run, words: tuple[str, str]) -> None:
    done = stratagem("watch", "run", *words)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_folder_that_is_no_run_is_one_line(stratagem: Run, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "notes").write_text("")
    done = stratagem("watch", "x")
    assert done.returncode == 2
    assert done.stderr.startswith("stratagem watch: x: no run there")
    assert done.stderr.count("\n") == 1


def test_a_study_that_lists_no_arms_is_one_line(stratagem: Run, tmp_path: Path) -> None:
    (tmp_path / "study.json").write_text('{"settings": {}}')
    done = stratagem("watch", str(tmp_path))
    assert done.returncode == 2
    assert f"{tmp_path}/study.json: lists no arms" in done.stderr
    assert done.stderr.count("\n") == 1
