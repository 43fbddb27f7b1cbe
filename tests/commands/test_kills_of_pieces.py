"""Commands that are killed at a step of what they do to files: the same command makes the same result."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

# Dies in place of the step of this number: a folder made, a file made durable, renamed or removed.
DYING = """
import os, signal, sys
left, words = int(sys.argv[1]), sys.argv[2:]
def dying(call):
    def step(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **named)
    return step
for name in ("mkdir", "fsync", "replace", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
from stratagem.cli import run
sys.exit(run(words))
"""
LAST = 10**6
COMMANDS = {
    "label": (["label", "a.jsonl", "--strategies", "math"], "labelled.parquet", (1, 3)),
    "prompts": (["curate", "prompts", "a.jsonl", "--rollouts", "a.jsonl"], "chosen", (1, 5, 9)),
    "demonstrations": (["curate", "demonstrations", "a.jsonl", "--strategies", "math"], "chosen", (2, 11)),
}


def content(out: Path) -> dict[str, bytes]:
    files = [out] if out.is_file() else sorted(out.glob("*"))
    return {path.name: path.read_bytes() for path in files}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_is_given_again(command: str, tmp_path: Path) -> None:
    words, name, steps = COMMANDS[command]
    rows = [
        {
            "prompt": f"What is {i}+1?",
            "completion": f"So x = {i}. The answer is {i + j}",
            "score": (i + j) % 3 == 0,
        }
        for i in range(20)
        for j in range(3)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def given(step: int, out: str) -> int:
        asked = [sys.executable, "-c", DYING, str(step), *words, "--out", out]
        ran = subprocess.run(asked, cwd=tmp_path, capture_output=True, text=True)
        assert "Traceback" not in ran.stderr
        return ran.returncode

    assert given(LAST, f"first-{name}") == 0
    expected = [*content(tmp_path / f"first-{name}").values()]
    for step in steps:
        assert given(step, name) == -signal.SIGKILL
        assert [*content(tmp_path / name).values()] in ([], expected)
    assert given(LAST, name) == 0
    assert [*content(tmp_path / name).values()] == expected
    assert {path.name for path in tmp_path.iterdir()} == {"a.jsonl", f"first-{name}", name}
