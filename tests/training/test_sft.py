"""The loss of SFT against cross-entropy on whole rows."""

from __future__ import annotations

import contextlib

import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import load_model  # noqa: E402
from stratagem.training.packing import pack  # noqa: E402
from stratagem.training.sft import cross_entropy  # noqa: E402

ROWS = [([5, 6, 7], [8, 9, 1]), ([10, 11], [12, 1]), ([5, 6, 7], [8, 13, 14, 1]), ([5, 6, 7], [8, 9, 1])]


def test_loss_and_gradients_are_those_of_whole_rows(random_model) -> None:
    results = []
    for packed in (True, False):
        model, _ = load_model(random_model)
        model.double()
        loss = torch.zeros((), dtype=torch.float64)
        if packed:
            parts = pack(ROWS, tokens=8)
            assert len(parts) > 1
            loss = sum((cross_entropy(model, part) for part in parts), loss)
        else:
            for prompt, response in ROWS:
                logits = model(torch.tensor([prompt + response]))[0, len(prompt) - 1 : -1]
                loss = loss + torch.nn.functional.cross_entropy(
                    logits, torch.tensor(response), reduction="sum"
                )
        loss.backward()
        results.append(
            (loss.detach(), {name: parameter.grad for name, parameter in model.named_parameters()})
        )
    torch.testing.assert_close(results[0], results[1], atol=1e-10, rtol=1e-9)


def test_padding_that_bf16_adds_changes_nothing(random_model, monkeypatch) -> None:
    """With its padding, but products in fp32, the loss is the same."""
    model, _ = load_model(random_model)
    (part,) = pack(ROWS)
    plain = cross_entropy(model, part)
    lengths = []
    layers = model.layers
    monkeypatch.setattr("stratagem.models.transformer.ROUND", 4)
    monkeypatch.setattr(torch, "autocast", lambda *args, **options: contextlib.nullcontext())
    monkeypatch.setattr(model, "layers", lambda ids, *rest: lengths.append(len(ids)) or layers(ids, *rest))
    model.bf16 = True
    torch.testing.assert_close(cross_entropy(model, part), plain, atol=1e-5, rtol=1e-6)
    assert lengths == [4 + 12]  # of 3 tokens of prompts and 9 of responses
