from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.training.adamw import AdamW  # noqa: E402

TRAINED = """
import sys
from pathlib import Path
from stratagem.settings import GRPOConfig, SFTConfig
from stratagem.training import grpo, sft
out = Path(sys.argv[1])
model = sft.train(SFTConfig(size=16, epochs=1, steps=(1, 2)), out / "sft") / "model"
grpo.train(GRPOConfig(updates=1, prompts=4, batch=4, group=2, steps=(1, 2)), out / "rl", model)
assert "torch._dynamo" not in sys.modules
"""


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_its_steps_are_those_of_torch(decay: float) -> None:
    torch.manual_seed(0)
    start = [torch.randn(33, 7), torch.randn(5), torch.randn(3)]
    sides = [[torch.nn.Parameter(tensor.clone()) for tensor in start] for _ in range(2)]
    theirs = torch.optim.AdamW(sides[0], lr=0.01, betas=(0.9, 0.98), weight_decay=decay, fused=True)
    ours = AdamW(sides[1], 0.01, (0.9, 0.98), decay)
    for step in range(5):
        theirs.param_groups[0]["lr"] = ours.lr = 0.01 / (step + 1)
        for side in sides:
            # The last parameter gets its first gradient late, and is left alone until then.
            (
                side[0].square().sum() + side[1].sin().sum() + (side[2].cos().sum() if step > 1 else 0)
            ).backward()
        theirs.step()
        ours.step()
        theirs.zero_grad()
        ours.zero_grad()
        assert all(torch.equal(a, b) for a, b in zip(*sides, strict=True))
    assert all(parameter.grad is None for parameter in sides[1])
    for a, b in zip(*sides, strict=True):
        assert theirs.state[a].keys() == ours.state[b].keys()
        assert all(torch.equal(theirs.state[a][slot], ours.state[b][slot]) for slot in ours.state[b])


def test_training_does_not_import_the_compiler(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", TRAINED, str(tmp_path)], check=True, timeout=120)
