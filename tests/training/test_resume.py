"""A run killed at any moment and started again ends with the same bits as one that was never killed."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.records import StratagemError
from stratagem.settings import GRPOConfig, SFTConfig
from stratagem.training import grpo, loop, sft

SFT = SFTConfig(size=48, epochs=10, batch=4, steps=(1, 2))
RL = GRPOConfig(steps=(1, 2), updates=60, prompts=16, batch=4, group=4)
CHILD = """
import sys; from pathlib import Path; import torch; torch.set_num_threads(1)
from tests.training.test_resume import start
start(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
"""


def start(stage: str, out: Path, model: Path) -> None:
    if stage == "sft":
        sft.train(SFT, out, model)
    else:
        grpo.train(RL, out, model, keep_rollouts=True)


def digest(folder: Path) -> dict[str, str]:
    """The content of every file that holds results; times differ from run to run."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name not in ("config.json", "metrics.jsonl"):
            digests[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return digests


@pytest.mark.parametrize("stage", ["sft", "rl"])
def test_killed_at_random_moments(stage: str, taught_model: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    began = time.monotonic()
    start(stage, whole, taught_model)
    length = time.monotonic() - began
    out, kills = tmp_path / "killed", 0
    rng = random.Random(os.urandom(8))
    for _ in range(40):
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, stage, str(out), str(taught_model)],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        try:
            # The process needs some seconds to import; then it is killed somewhere in its work.
            child.wait(timeout=3 + rng.random() * max(length, 1))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            kills += 1
        if out.exists():
            break
        if kills >= 3:
            start(stage, out, taught_model)
            break
    assert out.exists()
    assert digest(out) == digest(whole)
    assert len((out / loop.METRICS).read_bytes().splitlines()) == len(
        (whole / loop.METRICS).read_bytes().splitlines()
    )


def test_a_state_is_used_and_a_torn_log_is_cut(random_model: Path, tmp_path: Path, monkeypatch) -> None:
    whole, out = tmp_path / "whole", tmp_path / "torn"
    sft_config = SFTConfig(size=48, epochs=40, batch=8, steps=(1, 2))
    sft.train(sft_config, whole, random_model)

    class Stop(Exception):
        pass

    def stop_at(done: int, total: int, metrics: dict) -> None:
        if done == 211:
            raise Stop

    with pytest.raises(Stop):
        sft.train(sft_config, out, random_model, stop_at)
    partial = out.with_name("torn.partial")
    with open(partial / loop.METRICS, "ab") as log:
        log.write(b'{"update": 211, "lo')
    (partial / "rollouts").mkdir()
    (partial / "rollouts" / ".update_00211.parquet.7.aside").write_bytes(b"PAR1 and no more")
    updates = []
    sft.train(sft_config, out, random_model, lambda done, total, metrics: updates.append(done))
    assert updates[0] == 201
    assert digest(out) == digest(whole)
    assert (out / loop.METRICS).read_bytes() == (whole / loop.METRICS).read_bytes()


def test_a_finished_stage_returns_at_once_and_other_settings_are_refused(
    random_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    config = SFTConfig(size=8, epochs=1, steps=(1, 2))
    sft.train(config, out, random_model)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    sft.train(config, out, random_model)
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    with pytest.raises(StratagemError, match="epochs was 1, now 2"):
        sft.train(SFTConfig(size=8, epochs=2, steps=(1, 2)), out, random_model)


def test_the_same_seed_gives_the_same_bits_and_another_does_not(taught_model: Path, tmp_path: Path) -> None:
    config = GRPOConfig(steps=(1, 2), updates=4, prompts=8, batch=4, group=4)
    other = GRPOConfig(steps=(1, 2), updates=4, prompts=8, batch=4, group=4, seed=1)
    for name, settings in (("a", config), ("b", config), ("c", other)):
        grpo.train(settings, tmp_path / name, taught_model)
    before = (taught_model / "model.safetensors").read_bytes()
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in "abc"]
    assert weights[0] == weights[1]
    assert len({before, weights[0], weights[2]}) == 3


def test_evaluation_problems_are_never_trained_on(random_model: Path, tmp_path: Path) -> None:
    import json

    from stratagem.tasks import FiniteField

    config = SFTConfig(size=64, epochs=1, steps=(1, 3))
    sft.train(config, tmp_path / "sft", random_model)
    trained = set(json.loads((tmp_path / "sft" / "trained_on.json").read_text()))
    held_out = {p.id for p in FiniteField(11).generate("eval", 400, (1, 3))}
    assert len(trained) == 64
    assert not trained & held_out
