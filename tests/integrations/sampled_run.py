"""A run of FrontierTrainer on a very small model, which a test starts as one process or two; what each generation asked
and was rewarded is written down by every process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from trl import GRPOConfig

from stratagem.integrations.trl_sampler import FrontierTrainer


def reward(completions: list[str], level: list[int], **_: Any) -> list[float]:
    """Level 0 is never right, level 2 always, level 1 by chance."""
    by_level = {0: 0.0, 2: 1.0}
    return [by_level.get(which, float(len(text) % 2)) for text, which in zip(completions, level, strict=True)]


def data(prompts: int = 24) -> Dataset:
    return Dataset.from_list([{"prompt": f"prompt {i}", "level": i % 3, "row": i} for i in range(prompts)])


class Watched(FrontierTrainer):
    """Writes down the rows that this process answers, and what all processes were rewarded."""

    seen: list[dict[str, Any]]

    def _calculate_rewards(self, inputs: Any, *rest: Any) -> Any:
        rewards = super()._calculate_rewards(inputs, *rest)
        if self.model.training:
            rows = [each["row"] for each in inputs]
            self.seen.append({"asked": list(self.asked), "rows": rows, "rewards": rewards[:, 0].tolist()})
        return rewards


def trainer(model: str, out: Path, given: dict[str, Any] | None = None, **own: Any) -> Watched:
    options = {
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 6,
        "max_steps": 6,
        "logging_steps": 1,
        "save_steps": 3,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
    } | (given or {})
    made = Watched(model, reward, GRPOConfig(str(out), **options), data(), **({"by": ("level",)} | own))
    made.seen = []
    return made


if __name__ == "__main__":
    made = trainer(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
    made.train(resume_from_checkpoint=sys.argv[4] if len(sys.argv) > 4 else None)
    rank = os.environ.get("RANK", "0")
    (Path(sys.argv[2]) / f"seen_{rank}.json").write_text(json.dumps(made.seen))
