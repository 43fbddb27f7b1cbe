"""A study with an LLM: the commands it gives, and a very small one from end to end."""

from __future__ import annotations

import sys
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


@pytest.mark.slow
def test_a_small_study_from_end_to_end(taught_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl", reason="needs the llm extra")
    from stratagem.studies import table1

    model = taught_model  # it knows both strategies
    text = QWEN.read_text()
    text = text.replace('steps = "6-9"\nsize = 480\nsamples = 8', 'steps = "1-2"\nsize = 8\nsamples = 8')
    text = (
        text.replace("size = 512", "size = 8")
        .replace("epochs = 5", "epochs = 1")
        .replace('"2-5"\n', '"1-1"\n')
    )
    text = text.replace("updates = 50", "updates = 1").replace("prompts = 256", "prompts = 4")
    text = text.replace("batch = 32\ngroup = 8", "batch = 2\ngroup = 4")
    text = text.replace('"sft.steps" = "1-1"', '"sft.steps" = "2-5"')
    (tmp_path / "small.toml").write_text(text)
    study = {"settings": tmp_path / "small.toml", "engine": "trl", "model": str(model)}
    seen: list[str] = []

    def progress(what: str, *_: object) -> None:
        seen.append(what)

    summary = table1.reproduce(
        "quick", 1, tmp_path / "out", progress=progress, llm=LLMConfig(rank=2, alpha=2), **study
    )
    assert (tmp_path / "out" / "report.html").stat().st_size > 10_000
    assert summary["deviations"][0]["ours"] == str(model)
    assert "B/RL(6-9) 0" in seen
    seen.clear()
    table1.reproduce("quick", 1, tmp_path / "out", progress=progress, llm=LLMConfig(rank=2, alpha=2), **study)
    assert seen == []
    with pytest.raises(StratagemError, match="holds another study"):
        table1.reproduce("quick", 1, tmp_path / "out", progress=progress, llm=LLMConfig(rank=4), **study)
