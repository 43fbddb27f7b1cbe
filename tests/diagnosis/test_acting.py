"""A verdict that asks for other prompts ends in the command that chooses them, which runs as it is printed."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from stratagem.cli import run
from stratagem.result import decode

RATES = {"before": np.repeat([0.5, 0.9], 100), "after": np.repeat([0.97, 1.0], 100)}


def log(path: Path, rates: np.ndarray, seed: int, step: int = 0) -> list[dict[str, object]]:
    rng = np.random.default_rng(seed)
    rows: list[dict[str, object]] = [
        {
            "question_id": f"q{i}",
            "prompt": f"How much is {i} and one more?",
            "dataset": "sums" if i % 2 else "adding",
            "step": step,
            "response": f"We add one to {i}, which gives \\boxed{{{i + int(right)}}}, try {k}.",
            "reward": 1 if right else -1,
        }
        for i, rate in enumerate(rates)
        for k, right in enumerate(rng.random(8) < rate)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


@pytest.mark.parametrize("several", [False, True])
def test_raising_the_difficulty_ends_in_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], several: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    before = log(tmp_path / "before.jsonl", RATES["before"], 0)
    after = log(tmp_path / "after.jsonl", RATES["after"], 1, step=400)
    pool = {row["prompt"]: {"prompt": row["prompt"], "dataset": row["dataset"]} for row in after}
    (tmp_path / "pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pool.values()))
    words = ["diagnose", "before.jsonl", "after.jsonl", "--correct", "reward > 0", "--draws", "100"]
    if several:
        both = "".join(json.dumps(row) + "\n" for row in (*before, *after))
        (tmp_path / "run.jsonl").write_text(both)
        words = ["diagnose", "run.jsonl", "--checkpoint", "step", *words[3:]]
    assert run(words) == 0
    shown = capsys.readouterr().out
    verdict = decode((tmp_path / "diagnosis" / "diagnosis.json").read_bytes()).verdict
    assert verdict is not None
    assert verdict.action == "raise the RL difficulty"
    assert f"$ {verdict.command}" in shown.splitlines()
    told = shlex.split(verdict.command)
    assert told[told.index("--by") + 1] == "dataset"
    assert ("--where" in told) == several
    page = (tmp_path / "diagnosis" / "report.html").read_text()
    assert "stratagem curate prompts PROMPTS" in page
    # As it is printed it runs, with the pool in its place.
    assert run(["pool.jsonl" if word == "PROMPTS" else word for word in told[1:]]) == 0
    curated = json.loads((tmp_path / "curation" / "curation.json").read_text())
    assert curated["with_rollouts"] == 200
    assert curated["samples"] == [8, 8.0, 8]
    assert curated["chosen"]["signal"]["value"] > curated["control"]["signal"]["value"]


def test_what_needs_no_other_prompts_has_no_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    log(tmp_path / "before.jsonl", RATES["before"][:8], 0)
    log(tmp_path / "after.jsonl", RATES["before"][:8], 1)
    assert run(["diagnose", "before.jsonl", "after.jsonl", "--correct", "reward > 0", "--draws", "100"]) == 0
    assert "stratagem curate" not in capsys.readouterr().out
