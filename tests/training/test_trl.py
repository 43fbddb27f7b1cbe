"""SFT and RL by TRL on a very small random model: folders, resuming, settings, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the llm extra")

import torch
from safetensors.torch import load_file

from stratagem.models.llm import find_model, load_tokenizer, prompting
from stratagem.records import StratagemError
from stratagem.settings import GRPOConfig, LLMConfig, SFTConfig
from stratagem.tasks import make_task
from stratagem.training import loop, trl, trl_checks
from tests.conftest import Run
from tests.integrations.tiny import tiny_qwen2

# Deprecations between TRL, PEFT and transformers are theirs.
pytestmark = pytest.mark.filterwarnings(
    "default::FutureWarning", "default::DeprecationWarning", "default::UserWarning"
)

LLM = LLMConfig(rank=4, alpha=8, dropout=0.0, device_batch=4, save_every=2)
SFT = SFTConfig(size=16, epochs=2, batch=8, lr=1e-3, steps=(1, 1), tune="lora")
RL = GRPOConfig(updates=4, prompts=8, batch=2, group=4, lr=1e-3, steps=(1, 1), tune="lora")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="module")
def taught(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trl.sft(SFT, tmp_path_factory.mktemp("taught") / "sft", tiny, LLM)


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted((folder / "model").glob("*.safetensors")):
        tensors |= load_file(path)
    return tensors


def untimed_metrics(folder: Path) -> list[dict[str, Any]]:
    """The metrics without what depends on the clock."""
    return [{k: v for k, v in line.items() if k not in ("seconds", "own_time")} for line in lines(folder)]


def same(first: Path, second: Path) -> None:
    assert untimed_metrics(first) == untimed_metrics(second)
    left, right = weights(first), weights(second)
    assert left.keys() == right.keys()
    for name in left:
        assert torch.equal(left[name], right[name]), name


class Stop(Exception):
    """As if the machine went down."""


def stop_after(updates: int) -> Any:
    def report(done: int, total: int, metrics: dict[str, Any]) -> None:
        if done == updates:
            raise Stop

    return report


def test_sft_learns_and_leaves_the_folder_of_a_stage(tiny: Path, tmp_path: Path) -> None:
    config = SFTConfig(size=16, epochs=12, batch=8, lr=1e-2, steps=(1, 1), tune="all", strategy="F")
    seen: list[tuple[int, int]] = []
    out = trl.sft(config, tmp_path / "sft", tiny, LLM, lambda done, total, _: seen.append((done, total)))
    metrics = lines(out)
    assert [line["update"] for line in metrics] == list(range(24))
    assert [line["epoch"] for line in metrics] == [i // 2 for i in range(24)]
    assert metrics[-1]["loss"] < 0.8 * metrics[0]["loss"]
    assert seen == [(i + 1, 24) for i in range(24)]
    assert sorted(path.name for path in out.iterdir()) == [
        "config.json", "metrics.jsonl", "model", "trained_on.json"
    ]  # fmt: skip
    assert len(json.loads((out / "trained_on.json").read_text())) == 16
    record = json.loads((out / "model" / "stratagem.json").read_text())
    assert record["base"] == str(tiny.resolve())
    assert record["task"] == "finite_field"
    assert (record["strategies"], record["stages"], record["tune"]) == (["forward"], ["sft"], "all")


def test_only_the_response_is_learnt(tiny: Path) -> None:
    tokenizer = load_tokenizer(find_model(tiny, LLM))
    form = prompting(tokenizer, make_task("finite_field"))
    from trl import SFTConfig as Theirs
    from trl import SFTTrainer

    row = {
        "prompt": form.example("start e1 ; #1 +e1 ; evaluate :"),
        "completion": form.response("forward e1"),
    }
    trainer = SFTTrainer(
        str(tiny),
        Theirs("unused", use_cpu=True, bf16=False, completion_only_loss=True, report_to="none"),
        train_dataset=trl.Dataset.from_list([row]),
        processing_class=tokenizer,
    )
    batch = trainer.data_collator([trainer.train_dataset[0]])
    learnt = batch["input_ids"][batch["labels"] != -100]
    assert tokenizer.decode(learnt) == "forward e1<|im_end|>\n"


def test_rl_writes_what_the_native_engine_writes(taught: Path, tmp_path: Path) -> None:
    out = trl.grpo(RL, tmp_path / "rl", taught, LLM, keep_rollouts=True)
    metrics = lines(out)
    assert [line["update"] for line in metrics] == [0, 1, 2, 3]
    names = ("reward", "kl", "entropy", "no_signal", "length", "seconds", "truncated", "grad_norm", "cells")
    assert all(set(names) <= line.keys() for line in metrics)
    kept = [pl.read_parquet(path) for path in sorted((out / "rollouts").glob("*.parquet"))]
    assert len(kept) == 4
    ids = json.loads((out / "trained_on.json").read_text())
    for number, (line, table) in enumerate(zip(metrics, kept, strict=True)):
        assert table["problem_id"].to_list()[::4] == [ids[i] for i in loop.asked(RL, number)]
        assert table["update"].to_list() == [number] * 8
        assert table["group"].to_list() == [0] * 4 + [1] * 4
        assert table["sample"].to_list() == [0, 1, 2, 3] * 2
        assert table.group_by("group").agg(pl.col("problem_id").n_unique())["problem_id"].to_list() == [1, 1]
        counts = table.group_by("kind", "difficulty", "strategy").agg(
            pl.len(), pl.col("score").sum().cast(int)
        )
        assert sorted(counts.rows()) == sorted(tuple(cell) for cell in line["cells"])
        assert line["length"] == pytest.approx(table["length"].mean(), abs=1e-3)
        assert line["truncated"] == (table["finish_reason"] == "length").sum()
        assert line["reward"] == pytest.approx(table["score"].mean())
    record = json.loads((out / "model" / "stratagem.json").read_text())
    assert record["strategies"] == ["forward", "backward"]
    assert record["stages"] == ["sft", "rl"]
    assert find_model(out, LLM).base == find_model(taught, LLM).base
    before = (out / "metrics.jsonl").stat().st_mtime_ns
    trl.grpo(RL, out, taught, LLM, keep_rollouts=True)
    assert (out / "metrics.jsonl").stat().st_mtime_ns == before
    with pytest.raises(StratagemError, match=r"lr was 0\.001, now 0\.002"):
        trl.grpo(GRPOConfig(**{**asdict(RL), "lr": 2e-3}), out, taught, LLM, keep_rollouts=True)


def test_a_stopped_sft_ends_as_an_unbroken_one(tiny: Path, tmp_path: Path) -> None:
    whole = trl.sft(SFT, tmp_path / "whole", tiny, LLM)
    with pytest.raises(Stop):
        trl.sft(SFT, tmp_path / "broken", tiny, LLM, stop_after(3))
    assert not (tmp_path / "broken").exists()
    checkpoints = tmp_path / "broken.partial" / "checkpoints"
    assert (checkpoints / "checkpoint-2").is_dir()
    (checkpoints / "checkpoint-3").mkdir()  # one that the machine stopped in the middle of
    same(whole, trl.sft(SFT, tmp_path / "broken", tiny, LLM))


def test_a_stopped_rl_ends_as_an_unbroken_one(taught: Path, tmp_path: Path) -> None:
    config = GRPOConfig(**{**asdict(RL), "prompts": 4, "updates": 6})  # three epochs
    whole = trl.grpo(config, tmp_path / "whole", taught, LLM)
    with pytest.raises(Stop):
        trl.grpo(config, tmp_path / "broken", taught, LLM, report=stop_after(5))
    same(whole, trl.grpo(config, tmp_path / "broken", taught, LLM))


OPTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all": ({"tune": "all"}, {}),
    "no reference": ({"beta": 0.0}, {}),
    "inner steps": ({"inner": 2}, {}),
    "dapo": ({"loss": "dapo", "scale": "none"}, {}),
    "dr_grpo": ({"loss": "dr_grpo"}, {}),
    "bfloat16": ({}, {"dtype": "bfloat16"}),
    "checkpointing": ({}, {"checkpointing": True}),
    "eager": ({}, {"attention": "eager"}),
    "merged": ({}, {"merge": True}),
    "one by one": ({}, {"device_batch": 1}),
    "13": ({"task": "finite_field:p=13"}, {}),
}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_trains(taught: Path, tmp_path: Path, name: str) -> None:
    setting, held = OPTIONS[name]
    config = GRPOConfig(**{**asdict(RL), "updates": 2, **setting})
    out = trl.grpo(config, tmp_path / "rl", taught, LLMConfig(**{**asdict(LLM), **held}))
    assert [line["update"] for line in lines(out)] == [0, 1]
    adapter = (out / "model" / "adapter_config.json").exists()
    assert adapter == (name not in ("all", "merged"))
    assert not (out / "start").exists()


def test_the_reference_of_a_wholly_trained_model_is_where_it_started(taught: Path, tmp_path: Path) -> None:
    """With nothing learnt, no distance to the reference: it is the adapted model and not its base."""
    config = GRPOConfig(**{**asdict(RL), "tune": "all", "lr": 1e-12, "updates": 2})
    assert [line["kl"] for line in lines(trl.grpo(config, tmp_path / "rl", taught, LLM))] == [0.0, 0.0]


@pytest.mark.parametrize("chat", [True, False])
def test_a_bare_tokenizer_trains_as_well(tmp_path: Path, chat: bool) -> None:
    model = tiny_qwen2(tmp_path / "model", chat=chat, pad=False)
    out = trl.sft(SFTConfig(**{**asdict(SFT), "epochs": 1}), tmp_path / "sft", model, LLM)
    assert len(lines(trl.grpo(RL, tmp_path / "rl", out, LLM))) == 4


def test_what_cannot_be_is_said_at_once(tiny: Path, tmp_path: Path) -> None:
    with pytest.raises(StratagemError, match="--tune embeddings: not with --engine trl"):
        trl.sft(SFTConfig(size=8), tmp_path / "a", tiny, LLM)
    assert not (tmp_path / "a.partial").exists()


@pytest.mark.parametrize(
    ("llm", "expected"),
    [
        (LLMConfig(vllm="colocate"), "vLLM is not installed"),
        (LLMConfig(vllm="server", vllm_url="http://127.0.0.1:9"), "nothing answers at http://127.0.0.1:9"),
        (LLMConfig(merge=True), "--merge: weights that FSDP"),
    ],
)
def test_what_the_machine_lacks_is_said_before_a_model_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, llm: LLMConfig, expected: str
) -> None:
    if llm.vllm == "server":
        monkeypatch.setattr(trl_checks, "find_spec", lambda name: name)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", str(llm.merge))
    for stage, config in ((trl.sft, SFT), (trl.grpo, RL)):
        with pytest.raises(StratagemError, match=expected):
            stage(config, tmp_path / "x", "no/model", llm)


def test_processes_and_gpus_have_to_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trl_checks, "processes", lambda: 6)
    with pytest.raises(StratagemError, match="--batch 8: must divide by 6 processes"):
        trl_checks.check_machine(SFT, LLM)
    with pytest.raises(StratagemError, match="--batch 2 x --group 4: must divide by 6"):
        trl_checks.check_machine(RL, LLM)
    monkeypatch.setattr(trl_checks, "processes", lambda: 1)
    trl_checks.check_machine(RL, LLM)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    with pytest.raises(StratagemError, match="8 GPUs and one process: start it with `accelerate launch"):
        trl_checks.check_machine(SFT, LLM)


def test_a_gpu_that_is_too_small_is_said(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    for name in ("SFT", "run"):  # when the trainer is made, or while it trains
        with monkeypatch.context() as patch:
            patch.setattr(trl, name, full)
            with pytest.raises(StratagemError, match="lower --device-batch"):
                trl.sft(SFT, tmp_path / "x", tiny, LLM)
    assert not (tmp_path / "x").exists()


def test_all_weights_may_come_from_all_processes(
    taught: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way that weights spread by FSDP are saved, here with one process that has them all."""
    plain = trl.grpo(RL, tmp_path / "plain", taught, LLM)
    monkeypatch.setattr(trl, "sharded", lambda: True)
    same(trl.grpo(RL, tmp_path / "spread", taught, LLM), plain)


def test_the_record_has_the_adapter_that_was_trained(taught: Path, tmp_path: Path) -> None:
    out = trl.grpo(RL, tmp_path / "rl", taught, LLMConfig(rank=64, alpha=99, device_batch=4))
    held = json.loads((out / "config.json").read_text())["settings"]["llm"]
    assert (held["rank"], held["alpha"], held["dropout"]) == (4, 8, 0.0)


@pytest.mark.parametrize(("epochs", "inner"), [(1, 1), (3, 2)])
def test_learning_rates_are_those_of_the_native_engine(epochs: int, inner: int) -> None:
    """Warm-up of the same length, from the same first step."""
    for trainer, native, steps in (
        (trl.SFT, loop.linear(1.0, 20 * epochs, warmup=2 * epochs), 20 * epochs),
        (trl.GRPO, loop.constant(1.0, warmup=5), 8 * inner),
    ):
        instance = object.__new__(trainer)
        instance.rate = native if trainer is trl.SFT else lambda step, native=native: native(step // inner)
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        instance.optimizer = optimizer
        schedule = instance.create_scheduler(steps)
        for step in range(steps):
            update = step if trainer is trl.SFT else step // inner
            assert optimizer.param_groups[0]["lr"] == pytest.approx(0.5 * native(update))
            optimizer.step()
            schedule.step()


@pytest.mark.slow
@pytest.mark.parametrize(("task", "steps"), [("finite_field", "1-1"), ("sums", "3-4")])
def test_the_commands_work_together(
    stratagem: Run, tiny: Path, tmp_path: Path, task: str, steps: str
) -> None:
    small = ["--rank", 4, "--alpha", 8, "--device-batch", 4]
    asked = ["--engine", "trl", "--task", task, "--steps", steps]
    for words in (
        ["sft", *asked, "--model", tiny, "--size", 8, "--epochs", 1, "--batch", 4, *small, "--out", "fb"],
        ["rl", *asked, "--model", "fb", "--updates", 1, "--prompts", 4, "--batch", 2, "--group", 2, *small,
         "--out", "fb-rl"],
        ["rollout", *asked, "--model", "fb", "--size", 4, "--samples", 2, "--checkpoint", "before", "--out", "before"],
        ["rollout", *asked, "--model", "fb-rl", "--size", 4, "--samples", 2, "--checkpoint", "after", "--out", "after"],
        ["probe", *asked, "--model", "fb-rl", "--size", 4, "--samples", 1, "--no-greedy", "--out", "probes"],
        ["label", "before"],
        ["label", "after"],
        ["decompose", "before", "after", "--draws", 100, "--json"],
    ):  # fmt: skip
        done = stratagem(*words, timeout=300)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    assert "gain" in json.loads(done.stdout)
    for words, expected in (
        (["rl", "--engine", "trl", "--model", "nowhere/at/all", "--out", "x"], "no such folder"),
        (["sft", "--engine", "trl", "--model", tiny, "--tune", "embeddings", "--out", "x"], "not with --engine trl"),
        (["sft", "--tune", "lora", "--out", "x"], "not with --engine native"),
        (["rollout", "--engine", "server", "--url", "http://127.0.0.1:9/v1", "--model", "m", "--out", "x"],
         "is the server running"),
    ):  # fmt: skip
        done = stratagem(*words)
        assert done.returncode == 2
        assert expected in done.stderr.splitlines()[-1]
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_two_processes_make_one_folder(tiny: Path, taught: Path, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29518",
         "-m", "stratagem", "rl", "--engine", "trl", "--model", str(taught), "--steps", "1-1", "--updates", "2",
         "--prompts", "8", "--batch", "2", "--group", "4", "--rank", "4", "--alpha", "8", "--device-batch", "4",
         "--keep-rollouts", "--out", str(tmp_path / "rl")],
        capture_output=True, text=True, timeout=500,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert [sum(cell[3] for cell in line["cells"]) for line in lines(tmp_path / "rl")] == [8, 8]
    table = pl.read_parquet(tmp_path / "rl" / "rollouts" / "update_00001.parquet")
    assert table["group"].to_list() == [0] * 4 + [1] * 4
