"""The loss of SFT against cross-entropy on whole rows."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import load_model  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.settings import SFTConfig  # noqa: E402
from stratagem.tasks import make_task  # noqa: E402
from stratagem.training.data import demonstrations  # noqa: E402
from stratagem.training.packing import pack  # noqa: E402
from stratagem.training.sft import cross_entropy, train  # noqa: E402

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


def lines(path: Path, split: str = "sft", task: str = "finite_field", size: int = 8) -> Path:
    made = make_task(task)
    problems = made.generate(split, size, (2, 3))
    rows = [
        {"prompt": problem.prompt, "completion": text}
        for problem, text in zip(problems, made.demonstrations(problems, "all"), strict=True)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_size_counts_demonstrations_and_not_problems() -> None:
    config = SFTConfig(task="sums", size=12, traces=3, steps=(4, 5))
    problems, texts = demonstrations(config, make_task("sums"))
    assert len(problems) == len(texts) == 12
    assert [problem.id for problem in problems[::3]] == [problem.id for problem in problems[2::3]]
    assert len({problem.id for problem in problems}) == 4
    assert config.updates == SFTConfig(task="sums", size=12, steps=(4, 5)).updates


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"traces": 3, "size": 16}, r"--traces 3: must divide --size 16 and be at most the 2 strategies"),
        ({"traces": 2, "size": 15}, r"--traces 2: must divide --size 15"),
        ({"traces": 2, "size": 16, "strategy": "F"}, r"at most the 1 strategies of --strategy F"),
        ({"traces": 2, "size": 16, "data": "x.jsonl"}, r"--traces: the file of --data says"),
        ({"traces": 0}, r"--traces 0"),
    ],
)
def test_traces_that_cannot_be(given: dict[str, Any], message: str) -> None:
    with pytest.raises(StratagemError, match=message):
        SFTConfig(**given)


def test_a_file_of_the_tasks_own_demonstrations_trains_the_same_model(random_model, tmp_path) -> None:
    data = lines(tmp_path / "sft.jsonl")
    small = {"size": 8, "steps": (2, 3), "epochs": 2, "batch": 4}
    weights = [
        (train(SFTConfig(**small, data=given), tmp_path / name, random_model) / "model" / "model.safetensors")
        for name, given in (("own", None), ("file", str(data)))
    ]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    # The file's content decides the result, wherever it lies; another content is refused.
    moved = data.rename(tmp_path / "moved.jsonl")
    train(SFTConfig(**small, data=str(moved)), tmp_path / "file", random_model)
    lines(moved, size=9)
    with pytest.raises(StratagemError, match="made with other settings"):
        train(SFTConfig(**small | {"size": 9}, data=str(moved)), tmp_path / "file", random_model)


@pytest.mark.parametrize(
    ("written", "size", "said"),
    [
        ({}, 9, "holds 8 demonstrations; say --size 8"),
        ({"split": "eval"}, 8, "row 1: its problem is one of those that are held out"),
        ({"task": "sums"}, 8, "sft.jsonl: row 1: "),
        (None, 8, "cannot be read"),
    ],
)
def test_files_that_cannot_be_trained_on(random_model, tmp_path, written, size, said) -> None:
    if written is not None:
        lines(tmp_path / "sft.jsonl", **written)
    with pytest.raises(StratagemError, match=said) as error:
        train(SFTConfig(size=size, data=str(tmp_path / "sft.jsonl")), tmp_path / "out", random_model)
    assert "\n" not in str(error.value)
