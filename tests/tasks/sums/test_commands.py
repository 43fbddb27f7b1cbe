"""The second task through every command, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from tests.conftest import Run

STUDY = """
title = "Sums"
task = "sums"
base = { updates = 0 }
sft = { steps = "4-5", size = 64, epochs = 2, lr = 1e-3, tune = "all" }
rl = { steps = "4-5", updates = 2, prompts = 8, batch = 4, group = 4 }

[arms]
"all" = { sft = {} }
"all, RL" = { start = "all", rl = {} }
"tally" = { sft = { strategy = "tally" } }

[evaluations.held-out]
steps = "4-5"
size = 16

[probe]
samples = 2
"""


def test_the_pieces(stratagem: Run, tmp_path: Path) -> None:
    asked = ["--task", "sums", "--steps", "4-5"]
    shown = stratagem("problems", *asked, "--size", 2, "--strategy", "all", "--mix", "repeated=1")
    assert shown.stdout.count("repeated, 4 steps") == 1
    refused = stratagem("sft", *asked, "--out", "x")
    assert refused.returncode == 2
    assert (
        "no base model ships for sums: make one with `stratagem base train --task sums --out BASE`"
        in refused.stderr
    )
    for words in (
        ["base", "train", "--task", "sums", "--out", "base"],
        [
            "sft",
            *asked,
            "--model",
            "base",
            "--size",
            64,
            "--epochs",
            2,
            "--tune",
            "all",
            "--lr",
            1e-3,
            "--out",
            "sft",
        ],
        [
            "rl",
            *asked,
            "--model",
            "sft",
            "--updates",
            2,
            "--prompts",
            8,
            "--batch",
            4,
            "--group",
            4,
            "--out",
            "rl",
        ],
        ["rollout", *asked, "--model", "sft", "--size", 16, "--checkpoint", "before", "--out", "before"],
        ["rollout", *asked, "--model", "rl", "--size", 16, "--checkpoint", "after", "--out", "after"],
        ["label", "before"],
        ["label", "after"],
        ["decompose", "before", "after", "--draws", 200],
        ["diagnose", "before", "after", "--out", "diagnosis", "--draws", 200],
    ):
        done = stratagem(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    probes = stratagem(
        "probe", *asked, "--model", "rl", "--size", 8, "--samples", 2, "--out", "probes", "--json"
    )
    assert set(json.loads(probes.stdout)["probes"]) == {"mental", "running", "tally"}
    wrong = stratagem("rollout", "--model", "sft", "--task", "finite_field", "--size", 4, "--out", "y")
    assert wrong.returncode == 2
    assert "does not know the word 'start'" in wrong.stderr


def test_a_study(stratagem: Run, tmp_path: Path) -> None:
    (tmp_path / "sums.toml").write_text(STUDY)
    done = stratagem("reproduce", "./sums.toml", "--out", "out", "--json", timeout=300)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert list(summary["cells"]["all"]) == ["all", "varied", "repeated"]
    assert set(summary["forced"]["all"]) == {"mental", "running", "tally"}
    assert "tally" not in summary["forced"]  # it was taught one strategy, so there is nothing to choose
    assert "keep a running total" in (tmp_path / "out" / "report.html").read_text()
