"""A study with an LLM: the commands it gives, and a very small one from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from stratagem.commands.common import read
from stratagem.records import StratagemError
from stratagem.settings import STUDY_RL, STUDY_SFT, GRPOConfig, LLMConfig, RolloutConfig, SFTConfig
from stratagem.studies.config import QWEN, TABLE1, read_study
from stratagem.studies.jobs import Job
from stratagem.studies.llm_jobs import command, run_llm_jobs, words


@dataclass(frozen=True)
class ForSFT:
    config: SFTConfig
    llm: LLMConfig


@dataclass(frozen=True)
class ForRL:
    config: GRPOConfig
    llm: LLMConfig


@dataclass(frozen=True)
class ForRollout:
    config: RolloutConfig
    llm: LLMConfig


@pytest.mark.parametrize(
    ("options", "config"),
    [
        (ForSFT, STUDY_SFT),
        (ForSFT, replace(STUDY_SFT, p=13, steps=(3, 3), seed=4)),
        (ForRL, STUDY_RL),
        (ForRL, replace(STUDY_RL, beta=0.0, loss="dapo", scale="none", lr=1e-7, inversion=0.25)),
        (ForRollout, RolloutConfig()),
        (ForRollout, RolloutConfig(greedy=False, force="backward", checkpoint="FB/RL(6-9)")),
    ],
)
def test_settings_survive_the_command_line(options: type, config: object) -> None:
    llm = LLMConfig(
        rank=8, merge=True, checkpointing=True, vllm="server", vllm_url="http://x:1", attention="sdpa"
    )
    for held in (LLMConfig(), llm):
        made = read(options, "x", [*words(config), *words(held)], "")
        assert (made.config, made.llm) == (config, held)


def test_training_is_launched_by_accelerate_and_answering_is_not() -> None:
    job = Job("x", "rl", STUDY_RL, Path("out/x"), Path("Qwen/Qwen2.5-1.5B-Instruct"))
    line = command(job, LLMConfig(), Path("eight.yaml"))
    assert line[1:7] == ["-m", "accelerate.commands.launch", "--config_file", "eight.yaml", "-m", "stratagem"]
    assert line[7] == "rl"
    assert line[line.index("--model") + 1] == "Qwen/Qwen2.5-1.5B-Instruct"
    plain = [sys.executable, "-m", "stratagem"]
    assert command(job, LLMConfig(), None)[:3] == plain
    answer = Job("x", "rollout", RolloutConfig(), Path("out/x"), Path("m"))
    assert command(answer, LLMConfig(), Path("eight.yaml"))[:3] == plain


def test_qwen_is_the_study() -> None:
    study = read_study(QWEN)
    assert study.held() == LLMConfig(rank=64, alpha=128, dropout=0.05)
    found = study.deviations("full", model=study.llm["model"])
    assert [deviation["setting"] for deviation in found] == ["rl.loss"]
    other = study.deviations("full", model="another")
    assert {deviation["setting"] for deviation in other} == {"model", "rl.loss"}
    assert study.published == read_study(TABLE1).published
    assert study.evaluation == read_study(TABLE1).evaluation


def test_a_failed_stage_is_named_with_its_own_reason(tmp_path: Path) -> None:
    job = Job("FB/SFT 0", "sft", STUDY_SFT, tmp_path / "FB_SFT", tmp_path / "nowhere")
    with pytest.raises(StratagemError, match=r"FB/SFT 0: .*; the same command resumes") as caught:
        run_llm_jobs([job], LLMConfig(), lambda *_: None)
    assert "no such folder" in str(caught.value) or "pip install 'stratagem[llm]'" in str(caught.value)
    assert not (tmp_path / "FB_SFT").exists()


SMALL = """
[evaluation]
steps = "1-2"
size = 8

[quick.sft]
size = 8
steps = "1-1"
epochs = 1

[quick.rl]
updates = 1
prompts = 4
batch = 2
group = 4
"""


@pytest.mark.slow
def test_a_small_study_from_end_to_end(
    taught_model: Path, tmp_path: Path, stratagem: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    pytest.importorskip("trl", reason="needs the llm extra")
    (tmp_path / "small.toml").write_text(SMALL)
    line = ["reproduce", "table1", "--engine", "trl", "--model", taught_model, "--preset", "quick"]
    line += ["--settings", "small.toml", "--out", "out", "--alpha", "2", "--json"]
    done = stratagem(*line, "--rank", "2", timeout=1200)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["cells"]) == 9
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    found = {one["setting"]: one for one in summary["deviations"]}
    assert found["model"]["ours"] == str(taught_model)
    assert found["sft.epochs"]["reason"] == "set in small.toml"
    before = (tmp_path / "out" / "seed0" / "FB_SFT").stat().st_mtime_ns
    again = stratagem(*line, "--rank", "2")
    assert json.loads(again.stdout) == summary
    assert (tmp_path / "out" / "seed0" / "FB_SFT").stat().st_mtime_ns == before
    other = stratagem(*line, "--rank", "4")
    assert other.returncode == 2
    assert "holds another study" in other.stderr
    assert other.stderr.count("\n") == 1
