"""A disk that fills under a command, as a limit on the size of files: one line; what was saved is good."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Run

pytestmark = pytest.mark.timeout(300)
SFT = ["sft", "--size", "64", "--steps", "1-2", "--epochs", "1", "--out", "out"]
RL = [
    "rl",
    "--steps",
    "1-2",
    "--updates",
    "2",
    "--batch",
    "2",
    "--prompts",
    "8",
    "--keep-rollouts",
    "--out",
    "out",
]
ROLLOUT = ["rollout", "--steps", "1-2", "--size", "20", "--samples", "2", "--out", "out"]
LENS = [
    ["diagnose", "a.jsonl", "b.jsonl", "--out", "out"],
    ["label", "a.jsonl", "--strategies", "math", "--out", "out"],
    ["curate", "prompts", "a.jsonl", "--rollouts", "a.jsonl", "--out", "out"],
    ["problems", "--size", "300", "--out", "out"],
]


def limited(folder: Path, words: list[str], most: int) -> subprocess.CompletedProcess[str]:
    """A command whose files may have `most` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))

    return subprocess.run(
        [sys.executable, "-m", "stratagem", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def check(ran: subprocess.CompletedProcess[str], name: str) -> None:
    assert ran.returncode == 2, ran.stderr
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith(f"stratagem {name}: out"), ran.stderr
    assert "File too large" in last
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("most", [100, 200_000])
@pytest.mark.parametrize("words", [SFT, RL], ids=lambda words: words[0])
def test_a_stage_goes_on_when_there_is_room(
    tmp_path: Path, taught_model: Path, stratagem: Run, words: list[str], most: int
) -> None:
    words = [*words, "--model", str(taught_model)]
    check(limited(tmp_path, words, most), words[0])
    assert not (tmp_path / "out").exists()
    assert stratagem(*words).returncode == 0
    assert (tmp_path / "out" / "model" / "model.safetensors").stat().st_size > 1_000_000


def test_rollouts_go_on_when_there_is_room(tmp_path: Path, taught_model: Path, stratagem: Run) -> None:
    words = [*ROLLOUT, "--model", str(taught_model)]
    check(limited(tmp_path, words, 3_000), "rollout")
    assert stratagem(*words).returncode == 0


@pytest.mark.parametrize("words", LENS, ids=lambda words: words[0])
def test_a_result_is_whole_or_absent(
    tmp_path: Path, stratagem: Callable[..., subprocess.CompletedProcess[str]], words: list[str]
) -> None:
    rows = [
        {
            "prompt": f"What is {i % 40}+1?",
            "completion": "First, add. " * 40 + f"The answer is {i}",
            "score": i % 3 == 0,
        }
        for i in range(1_000)
    ]
    for name, step in (("a.jsonl", 7), ("b.jsonl", 5)):
        lines = (json.dumps({**row, "score": i * step % 3 == 0}) for i, row in enumerate(rows))
        (tmp_path / name).write_text("".join(line + "\n" for line in lines))
    check(limited(tmp_path, words, 5_000), words[0])
    ran = stratagem(*words)
    assert ran.returncode == 0, ran.stderr
