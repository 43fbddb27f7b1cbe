"""A folder on a file system that is mounted read-only: one line, before anything long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

MOUNT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && exec "$@"'
# Permissions do not bind an administrator, and a mount of one's own needs no more than a name space of one's own.
ALONE = ["unshare", "--map-root-user", "--mount"]
RUN = """
import json, sys
from stratagem.cli import run
for words in json.loads(sys.argv[1]):
    print("code", run(words), file=sys.stderr)
"""


def read_only(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A program that sees this folder as read-only."""
    return subprocess.run(
        [*ALONE, "bash", "-c", MOUNT, str(folder), *words], capture_output=True, text=True, cwd=folder.parent
    )


def test_a_read_only_folder_is_said_in_a_line(tmp_path: Path) -> None:
    folder = tmp_path / "held"
    folder.mkdir()
    try:
        mounted = (
            read_only(folder, "true").returncode == 0 and read_only(folder, "touch", "held/x").returncode != 0
        )
    except OSError:
        mounted = False
    if not mounted:
        pytest.skip("a read-only mount is not allowed here: `unshare --map-root-user --mount` failed")
    rows = [
        {
            "prompt": f"What is {i}+1?",
            "completion": f"So x = {i}. The answer is {i + j}",
            "score": (i + j) % 3,
        }
        for i in range(20)
        for j in range(3)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    labelled = ["label", "a.jsonl", "--strategies", "math", "--correct", "score > 1", "--out"]
    whole = [*labelled, "labelled.parquet"]
    asked = [
        ["diagnose", "a.jsonl", "a.jsonl", "--correct", "score > 1", "--out", "held"],
        ["diagnose", "a.jsonl", "a.jsonl", "--correct", "score > 1", "--out", "held/why"],
        [*labelled, "held/labelled.parquet"],
        ["validate-labels", "labelled.parquet", "--out", "held/sheet.csv"],
        ["curate", "prompts", "a.jsonl", "--rollouts", "a.jsonl", "--out", "held/chosen"],
        ["curate", "demonstrations", "a.jsonl", "--strategies", "math", "--out", "held/chosen"],
        ["discover", "a.jsonl", "a.jsonl", "--correct", "score > 1", "--out", "held/proposals.toml"],
        [
            "annotate",
            "a.jsonl",
            "a.jsonl",
            "--correct",
            "score > 1",
            "--port",
            "0",
            "--out",
            "held/sheet.csv",
        ],
    ]
    ran = read_only(folder, sys.executable, "-c", RUN, json.dumps([whole, *asked]))
    said = ran.stderr.strip().partition("code 0\n")[2].splitlines()
    assert said[1::2] == ["code 2"] * len(asked), ran.stderr
    for words, line in zip(asked, said[::2], strict=True):
        assert line.startswith(f"stratagem {words[0]}: held"), line
        assert "cannot be written" in line or "cannot be made (Read-only" in line, line
    assert not [*folder.iterdir()]
