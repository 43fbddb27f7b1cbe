"""A study with an LLM: the commands it gives, and a very small one from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from stratagem.commands.common import read
from stratagem.records import StratagemError
from stratagem.settings import STUDY_RL, STUDY_SFT, GRPOConfig, LLMConfig, RolloutConfig, SFTConfig
from stratagem.studies.executors.trl import REST, TRL, Killed, Running, command, disk_space, words
from stratagem.studies.graph import Job, run
from tests.integrations.tiny import tiny_qwen2


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
        (ForSFT, replace(STUDY_SFT, task="finite_field:p=13", steps=(3, 3), seed=4)),
        (ForRL, STUDY_RL),
        (
            ForRL,
            replace(STUDY_RL, beta=0.0, loss="dapo", scale="none", lr=1e-7, mix="evaluation=3,inversion=1"),
        ),
        (ForRollout, RolloutConfig()),
        (ForRollout, RolloutConfig(greedy=False, force="backward", checkpoint="FB/RL(6-9)")),
        (ForRollout, RolloutConfig(max_new=512)),
    ],
)
def test_settings_survive_the_command_line(options: type, config: object) -> None:
    llm = LLMConfig(
        rank=8, merge=True, checkpointing=True, vllm="server", vllm_url="http://x:1", attention="sdpa"
    )
    for held in (LLMConfig(), llm):
        parsed = read(options, "x", [*words(config), *words(held)], "")
        assert (parsed.config, parsed.llm) == (config, held)


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


def some_jobs(tune: str) -> list[Job]:
    config = replace(STUDY_SFT, tune=tune)
    first = Job("F/SFT 0", "sft", config, Path("F_SFT"))
    second = Job("F/RL 0", "rl", replace(STUDY_RL, tune=tune), Path("F_RL"))
    return [first, second, Job("evaluate", "rollout", RolloutConfig(), Path("rollouts"))]


@pytest.mark.filterwarnings("default::FutureWarning")  # what PEFT uses of transformers
def test_the_disk_is_asked_for_adapters_or_whole_models(tmp_path: Path) -> None:
    pytest.importorskip("peft", reason="needs the llm extra")
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    from stratagem.models.llm import find_model

    llm = LLMConfig(rank=8)
    source = find_model(tiny_qwen2(tmp_path / "tiny"), llm)
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    whole = model.num_parameters()
    adapted = get_peft_model(model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapter = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    assert disk_space(some_jobs("lora"), source, llm) - REST == (2 + 12) * 4 * adapter
    assert disk_space(some_jobs("all"), source, llm) - REST == (2 + 12) * 4 * whole
    merged = disk_space(some_jobs("lora"), source, replace(llm, merge=True))
    assert merged - REST == 2 * 2 * whole + 12 * 4 * adapter


def test_too_little_disk_is_said_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("transformers", reason="needs the lab extra")
    from stratagem.studies import run as study

    place = tiny_qwen2(tmp_path / "tiny")
    usage = study.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(study.shutil, "disk_usage", lambda _: usage._replace(free=REST + 10_000))
    with pytest.raises(StratagemError, match=r"0\.2 GiB are free and a study takes up to 0\.\d;") as caught:
        study.reproduce(
            "table1",
            tmp_path / "out",
            "full",
            engine="trl",
            model=str(place),
            llm=LLMConfig(),
        )
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "study.json").exists()


def test_a_failed_stage_is_named_with_its_own_reason(tmp_path: Path) -> None:
    job = Job("FB/SFT 0", "sft", STUDY_SFT, tmp_path / "FB_SFT", tmp_path / "nowhere")
    with pytest.raises(StratagemError, match=r"FB/SFT 0: .*; the same command resumes") as caught:
        run([job], TRL(LLMConfig()), lambda *_: None, {})
    assert "no such folder" in str(caught.value) or "pip install 'stratagem[llm]'" in str(caught.value)
    assert not (tmp_path / "FB_SFT").exists()


def test_a_stage_that_a_signal_ended_is_told_from_one_that_failed(tmp_path: Path) -> None:
    job = Job("FB/SFT 0", "sft", STUDY_SFT, tmp_path / "FB_SFT", tmp_path / "nowhere")
    killed = Running(job, [sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    killed.process.wait()
    with pytest.raises(Killed, match=r"FB/SFT 0: killed by signal 9"):
        killed.has_ended(lambda *_: None)
    failed = Running(job, [sys.executable, "-c", "raise SystemExit(1)"])
    failed.process.wait()
    with pytest.raises(
        StratagemError, match=r"FB/SFT 0: failed; see .*FB_SFT\.log; the same command"
    ) as caught:
        failed.has_ended(lambda *_: None)
    assert not isinstance(caught.value, Killed)


SMALL = """
[evaluations.held-out]
steps = "1-2"
size = 8

[presets.quick.sft]
size = 8
steps = "1-1"
epochs = 1

[presets.quick.rl]
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
    deviations = {deviation["setting"]: deviation for deviation in summary["deviations"]}
    assert deviations["model"]["ours"] == str(taught_model)
    assert deviations["llm.rank"]["ours"] == 2
    assert summary["settings"]["llm"] == {"model": str(taught_model)} | asdict(LLMConfig(rank=2, alpha=2))
    assert deviations["sft.epochs"]["reason"] == "set in small.toml"
    before = (tmp_path / "out" / "seed0" / "FB_SFT").stat().st_mtime_ns
    again = stratagem(*line, "--rank", "2")
    assert json.loads(again.stdout) == summary
    assert (tmp_path / "out" / "seed0" / "FB_SFT").stat().st_mtime_ns == before
    other = stratagem(*line, "--rank", "4")
    assert other.returncode == 2
    assert "made with other settings (llm.rank was 2, now 4)" in other.stderr
    assert other.stderr.count("\n") == 1
