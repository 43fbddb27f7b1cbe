"""The GRPO loss against formulas written out one token at a time, and one update's habits."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import load_model  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.settings import GRPOConfig  # noqa: E402
from stratagem.training import loop  # noqa: E402
from stratagem.training.grpo import advantages, policy_loss, token_logps  # noqa: E402
from stratagem.training.packing import pack  # noqa: E402

LOSSES = get_args(get_type_hints(GRPOConfig)["loss"])

CLIP, BETA, MAX_NEW = 0.2, 0.05, 9


def tensors(seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    B, R = 6, 7
    old = -torch.rand(B, R, generator=g, dtype=torch.float64) * 3
    new = old + torch.randn(B, R, generator=g, dtype=torch.float64) * 0.4
    ref = old + torch.randn(B, R, generator=g, dtype=torch.float64) * 0.4
    lengths = torch.tensor([7, 3, 5, 1, 7, 2])
    mask = (torch.arange(R)[None] < lengths[:, None]).double()
    return new, old, ref, torch.randn(B, generator=g, dtype=torch.float64), mask


def by_hand(new, old, ref, gains, mask, loss: str) -> float:
    """The formulas of the three papers, token by token, in plain Python."""
    sums, counts = [], []
    for row in range(len(new)):
        total, count = 0.0, 0
        for t in range(new.shape[1]):
            if not mask[row, t]:
                continue
            ratio = math.exp(new[row, t] - old[row, t])
            clipped = min(max(ratio, 1 - CLIP), 1 + CLIP)
            gain = float(gains[row])
            x = float(ref[row, t] - new[row, t])
            total += -min(ratio * gain, clipped * gain) + BETA * (math.exp(x) - x - 1)
            count += 1
        sums.append(total)
        counts.append(count)
    if loss == "grpo":
        return float(np.mean([s / c for s, c in zip(sums, counts, strict=True)]))
    return sum(sums) / (sum(counts) if loss == "dapo" else len(sums) * MAX_NEW)


def ours(new, old, ref, gains, mask, loss: str, rows=slice(None)):
    return policy_loss(
        new[rows], old[rows], ref[rows], gains[rows], mask[rows],
        loss=loss, clip=CLIP, beta=BETA, rows=len(new), tokens=int(mask.sum()), max_new=MAX_NEW,
    )  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("seed", range(5))
def test_loss_is_the_papers(loss: str, seed: int) -> None:
    inputs = tensors(seed)
    assert float(ours(*inputs, loss)) == pytest.approx(by_hand(*inputs, loss), abs=1e-12)


GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "training_grpo_trl.json").read_text())["cases"]


@pytest.mark.parametrize(
    "case", GOLDEN, ids=lambda c: f"{c['loss']}-{c['beta']}-{c['old_logps'] is not None}"
)
def test_loss_and_gradient_are_those_of_trl(case: dict[str, Any]) -> None:
    """Every variant, with and without the KL term, on and off the policy that was sampled from."""

    def tensor(name: str):
        return torch.tensor(case[name], dtype=torch.float64)

    logps, mask = tensor("logps").requires_grad_(True), tensor("mask")
    old = logps.detach() if case["old_logps"] is None else tensor("old_logps")
    value = policy_loss(
        logps, old, tensor("ref_logps"), tensor("advantages"), mask,
        loss=case["loss"], clip=case["clip"], beta=case["beta"], rows=len(mask), tokens=int(mask.sum()),
        max_new=case["max_new"],
    )  # fmt: skip
    value.backward()
    assert float(value.detach()) == pytest.approx(case["value"], abs=1e-14, rel=1e-12)
    torch.testing.assert_close(logps.grad, tensor("gradient"), atol=1e-14, rtol=1e-12)


def test_every_variant_has_a_golden() -> None:
    assert {case["loss"] for case in GOLDEN} == set(LOSSES)


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_is_that_of_the_formula(loss: str) -> None:
    new, *rest = tensors(1)
    new.requires_grad_(True)
    ours(new, *rest, loss).backward()
    step, plain = 1e-6, new.detach()
    for row, t in [(0, 0), (0, 6), (1, 2), (3, 0), (5, 1), (1, 5)]:
        up, down = plain.clone(), plain.clone()
        up[row, t] += step
        down[row, t] -= step
        slope = (by_hand(up, *rest, loss) - by_hand(down, *rest, loss)) / (2 * step)
        assert float(new.grad[row, t]) == pytest.approx(slope, abs=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_parts_add_up(loss: str) -> None:
    inputs = tensors(2)
    parts = ours(*inputs, loss, slice(0, 2)) + ours(*inputs, loss, slice(2, 6))
    assert float(parts) == pytest.approx(float(ours(*inputs, loss)), abs=1e-12)


def test_advantages() -> None:
    scores = torch.tensor([[1.0, 0, 0, 0], [1, 1, 1, 1], [1, 1, 0, 0]])
    plain = advantages(scores, "none")
    torch.testing.assert_close(plain.sum(1), torch.zeros(3))
    torch.testing.assert_close(plain[0], torch.tensor([0.75, -0.25, -0.25, -0.25]))
    scaled = advantages(scores, "group")
    assert scaled[1].abs().max() == 0
    torch.testing.assert_close(scaled[2], plain[2] / scores[2].std(), atol=1e-3, rtol=1e-3)


def test_token_logps_are_the_models(random_model) -> None:
    """Prompts of different length, shared and not, one response twice, in one part and in several."""
    model, _ = load_model(random_model)
    rows = [
        ([5, 6, 7], [8, 9, 1]), ([10, 11], [12, 1]), ([5, 6, 7], [8, 13, 14, 1]), ([5, 6, 7], [8, 9, 1]),
        ([20], [21, 22]),
    ]  # fmt: skip
    for parts in (pack(rows), pack(rows, tokens=4)):
        assert sorted(i for part in parts for i in part.members) == list(range(len(rows)))
        for part in parts:
            logps, mask, entropy = token_logps(model, part, 0.7)
            for k, (prompt, response) in enumerate([rows[i] for i in part.members]):
                assert mask[k].sum() == len(response)
                expected = (model(torch.tensor([prompt + response]))[0] / 0.7).log_softmax(-1)
                for i, token in enumerate(response):
                    place = expected[len(prompt) - 1 + i]
                    torch.testing.assert_close(logps[k, i], place[token], atol=1e-5, rtol=1e-5)
                    torch.testing.assert_close(
                        entropy[k, i], -(place.exp() * place).sum(), atol=1e-5, rtol=1e-5
                    )
            assert logps[mask == 0].abs().sum() == 0


def test_equal_completions_are_computed_once_and_prompts_too() -> None:
    rows = [([3, 4, 5], [6, 7]), ([3, 4], [6, 1]), ([3, 4, 5], [6, 7]), ([3, 4, 5], [6, 8])] * 2
    (part,) = pack(rows)
    assert part.prompts_PT.tolist() == [[3, 0], [3, 4]]
    assert part.lengths_P.tolist() == [1, 2]
    assert part.ids_BR.tolist() == [[4, 6], [5, 6], [5, 6]]
    unpacked = [
        (
            [*part.prompts_PT[k, : part.lengths_P[k]].tolist(), part.ids_BR[b, 0].item()],
            part.targets_BR[b].tolist(),
        )
        for b, k in ((b, int(part.owner_B[b])) for b in part.which.tolist())
    ]
    assert unpacked == [rows[i] for i in part.members]


def test_gradients_are_those_of_whole_rows(random_model) -> None:
    """Sharing prompts and completions leaves the gradient of every weight as it is."""
    rows = [([5, 6, 7], [8, 9, 1]), ([10, 11], [12, 1]), ([5, 6, 7], [8, 13, 14, 1]), ([5, 6, 7], [8, 9, 1])]
    gains = torch.tensor([1.0, -0.5, 2.0, 0.25], dtype=torch.float64)
    grads = []
    for shared in (True, False):
        model, _ = load_model(random_model)
        model.double()
        if shared:
            for part in pack(rows, tokens=5):
                (token_logps(model, part, 0.7)[0].sum(1) * gains[part.members]).sum().backward()
        else:
            for (prompt, response), gain in zip(rows, gains, strict=True):
                logps = (model(torch.tensor([prompt + response]))[0] / 0.7).log_softmax(-1)
                (sum(logps[len(prompt) - 1 + i, token] for i, token in enumerate(response)) * gain).backward()
        grads.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name in grads[0]:
        torch.testing.assert_close(grads[0][name], grads[1][name], atol=1e-12, rtol=1e-9)


def test_bf16_changes_log_probabilities_a_little(random_model) -> None:
    model, _ = load_model(random_model)
    (part,) = pack([([5, 6, 7], [8, 9, 10, 11, 1]), ([10, 11], [12, 1])])
    exact = token_logps(model, part, 1.0)[0]
    model.bf16 = True
    rounded = token_logps(model, part, 1.0)[0]
    assert rounded.dtype == exact.dtype
    assert 0 < (rounded - exact).abs().max() < 0.05
    rounded.sum().backward()
    assert all(parameter.grad.dtype == torch.float32 for parameter in model.parameters())


def test_bf16_is_refused_where_it_is_slow(monkeypatch) -> None:
    monkeypatch.setattr(loop, "product_speed", lambda dtype: 100.0 if dtype == torch.float32 else 1.0)
    with pytest.raises(StratagemError, match="100 times as slowly"):
        loop.set_precision((), "bf16")
