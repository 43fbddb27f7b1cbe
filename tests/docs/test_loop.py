"""docs/loop.md shows the commands of examples/loop.sh, and the script runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.tutorial import ROOT

SCRIPT = (ROOT / "examples" / "loop.sh").read_text()
PAGE = (ROOT / "docs" / "loop.md").read_text()


def commands() -> list[str]:
    """The script's commands, in order, with its two shorthands written out."""
    short = dict(re.findall(r'^(\w+)="(.*)"$', SCRIPT, re.MULTILINE))
    lines = [line for line in SCRIPT.splitlines() if line.startswith(("stratagem", "$"))]
    return [re.sub(r"^\$(\w+)", lambda name: short[name[1]], line) for line in lines]


def test_the_page_has_the_scripts_commands() -> None:
    shown = re.findall(r"^(?:\$ )?(stratagem (?!curate prompts PROMPTS).*)$", PAGE, re.MULTILINE)
    assert shown == commands()


@pytest.mark.slow
def test_the_script_runs_at_toy_size(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    small = re.sub(r"--budget \d+", "--budget 9000", SCRIPT)
    for printed, toy in (
        ("--size 240", "--size 24"),
        ("--size 1024", "--size 96"),
        ("--size 256", "--size 40"),
        ("--only", "--prompts 96 --only"),
        ("--steps 6-9", "--steps 6-9 --size 24"),
    ):
        assert printed in small
        small = small.replace(printed, toy)
    shim = tmp_path / "bin" / "stratagem"
    shim.parent.mkdir()
    shim.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m stratagem "$@"\n')
    shim.chmod(0o755)
    env = os.environ | {
        "PATH": f"{shim.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        "OMP_NUM_THREADS": "1",
    }
    done = subprocess.run(
        ["sh", "-c", small], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in ("diagnosis", "diagnosis-chosen", "diagnosis-control"):
        assert (tmp_path / "run" / name / "diagnosis.json").is_file()
