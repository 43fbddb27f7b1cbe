"""Write training_grpo_trl.json: losses and gradients of TRL's own GRPO loss on fixed tensors in float64.

    pip install 'trl==1.16.*' && python tests/golden/training_grpo_trl.py

What runs is `GRPOTrainer._compute_loss` of the installed TRL, on an object that has the attributes that it reads and
hands it fixed log-probabilities instead of a model's.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import torch
import trl
from trl import GRPOTrainer

ROWS, WIDTH, MAX_NEW, CLIP = 6, 7, 9, 0.2
LENGTHS = [7, 3, 5, 1, 7, 2]


def trainer(loss: str, beta: float, logps: torch.Tensor) -> SimpleNamespace:
    alone = SimpleNamespace(
        num_processes=1,
        sync_gradients=True,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, reduction="sum": x,
    )
    return SimpleNamespace(
        loss_type=loss,
        beta=beta,
        epsilon_low=CLIP,
        epsilon_high=CLIP,
        max_completion_length=MAX_NEW,
        importance_sampling_level="token",
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        use_vllm=False,
        aux_loss_enabled=False,
        _entropy_bonus_enabled=False,
        use_adaptive_entropy=False,
        current_gradient_accumulation_steps=1,
        accelerator=alone,
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        _metrics=defaultdict(lambda: defaultdict(list)),
        _get_per_token_logps_and_entropies=lambda *args, **options: (logps, torch.zeros_like(logps), None),
    )


def case(loss: str, beta: float, old_is_given: bool, seed: int) -> dict[str, object]:
    g = torch.Generator().manual_seed(seed)

    def normal(scale: float) -> torch.Tensor:
        return torch.randn(ROWS, WIDTH, generator=g, dtype=torch.float64) * scale

    old = -torch.rand(ROWS, WIDTH, generator=g, dtype=torch.float64) * 3
    new, ref = (old + normal(0.4)).requires_grad_(True), old + normal(0.4)
    gains = torch.randn(ROWS, generator=g, dtype=torch.float64)
    mask = (torch.arange(WIDTH)[None] < torch.tensor(LENGTHS)[:, None]).long()
    inputs = {
        "prompt_ids": torch.zeros(ROWS, 1, dtype=torch.long),
        "prompt_mask": torch.ones(ROWS, 1, dtype=torch.long),
        "completion_ids": torch.zeros(ROWS, WIDTH, dtype=torch.long),
        "completion_mask": mask,
        "advantages": gains,
        "ref_per_token_logps": ref,
        "num_items_in_batch": mask.sum(),
    }
    if old_is_given:
        inputs["old_per_token_logps"] = old
    value = GRPOTrainer._compute_loss(trainer(loss, beta, new), None, inputs)
    value.backward()
    return {
        "loss": loss,
        "beta": beta,
        "clip": CLIP,
        "max_new": MAX_NEW,
        "logps": new.tolist(),
        "old_logps": old.tolist() if old_is_given else None,
        "ref_logps": ref.tolist(),
        "advantages": gains.tolist(),
        "mask": mask.tolist(),
        "value": value.item(),
        "gradient": new.grad.tolist(),
    }


def main() -> None:
    cases = [
        case(loss, beta, old_is_given, seed)
        for loss in ("grpo", "dapo", "dr_grpo")
        for beta in (0.0, 0.05)
        for seed, old_is_given in enumerate((False, True))
    ]
    found = {"made_by": f"trl {trl.__version__}, torch {torch.__version__}", "cases": cases}
    Path(__file__).with_suffix(".json").write_text(json.dumps(found, indent=None) + "\n")


if __name__ == "__main__":
    main()
