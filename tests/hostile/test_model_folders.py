"""Folders of models that cannot be: refused by file and field, before memory is taken."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")
import safetensors.torch  # noqa: E402

from stratagem.cli import run  # noqa: E402
from stratagem.models.folder import load_model, load_state, save_state  # noqa: E402
from stratagem.records import StratagemError  # noqa: E402
from stratagem.training.adamw import AdamW  # noqa: E402

DIGITS = "1" + 5_000 * "0"


@pytest.fixture
def folder(random_model: Path, tmp_path: Path) -> Path:
    """A good model, to be damaged."""
    return Path(shutil.copytree(random_model, tmp_path / "model"))


def config(**fields: Any) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        held = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(held | fields))

    return damage


def text(content: str, name: str = "config.json") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def weights(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def damage(folder: Path) -> None:
        tensors = safetensors.torch.load_file(folder / "model.safetensors")
        change(tensors)
        safetensors.torch.save_file(tensors, folder / "model.safetensors")

    return damage


def pipe(name: str) -> Callable[[Path], object]:
    return lambda folder: ((folder / name).unlink(), os.mkfifo(folder / name))


NORM = "model.norm.weight"
DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no heads": (config(num_attention_heads=0), r"config\.json: .*`int` >= 1 - at `\$\.num_attention_heads`"),
    "negative layers": (config(num_hidden_layers=-1), r"config\.json: .*num_hidden_layers"),
    "a million layers": (config(num_hidden_layers=1_000_000), r"config\.json: .*<= 1000 - at `\$\.num_hidden_layers`"),
    "a huge vocabulary": (config(vocab_size=10**12), r"config\.json: .*vocab_size"),
    "a word for a number": (config(hidden_size="many"), r"config\.json: .*`int`, got `str` - at `\$\.hidden_size`"),
    "a fraction": (config(intermediate_size=2.5), r"config\.json: .*intermediate_size"),
    "heads that do not divide": (config(num_attention_heads=5), r"hidden_size 32 is no even multiple of its 5 heads"),
    "keys that do not divide": (config(num_key_value_heads=3), r"num_attention_heads 4 is no multiple of .*heads 3"),
    "NaN in the rotary base": (config(rope_theta=math.nan), r"config\.json: .*rope_theta"),
    "an endless rotary base": (config(rope_theta=math.inf), r"config\.json: rope_theta is not a finite number"),
    "no room in the norm": (config(rms_norm_eps=0), r"config\.json: .*rms_norm_eps"),
    "a number of 5,000 digits": (text(f'{{"model_type": "qwen2", "hidden_size": {DIGITS}}}'), r"json: not JSON"),
    "deep nesting": (text("[" * 100_000), r"config\.json: not JSON"),
    "a list": (text("[]"), r"config\.json: not a Qwen2 model"),
    "another model": (config(model_type="llama"), r"config\.json: not a Qwen2 model"),
    "a wider model than its weights": (config(intermediate_size=64_000), r"\S+ is \[32, 32\], but .*64000"),
    "more layers than its weights": (config(num_hidden_layers=900), r"model\.layers\.\S+ is missing, but config"),
    "weights of another model": (weights(lambda held: held.update(more=torch.ones(1))), r"more is \[1\], but .* none"),
    "a weight that is NaN": (weights(lambda held: held[NORM].fill_(math.nan)), rf"{NORM} holds NaN or infinity"),
    "a weight without end": (weights(lambda held: held[NORM].fill_(math.inf)), rf"{NORM} holds NaN or infinity"),
    "weights that are text": (text("{}", "model.safetensors"), r"model\.safetensors: corrupt or not safetensors"),
    "a tokenizer that is none": (text("{}", "tokenizer.json"), r"tokenizer\.json: not a tokenizer"),
    "a config that is a pipe": (pipe("config.json"), r"config\.json: no such file"),
    "a tokenizer that is a pipe": (pipe("tokenizer.json"), r"tokenizer\.json: no such file"),
    "weights that are a pipe": (pipe("model.safetensors"), r"model\.safetensors: no such file"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_model_that_cannot_be_is_refused_by_name(damage: str, folder: Path) -> None:
    change, said = DAMAGE[damage]
    change(folder)
    with pytest.raises(StratagemError, match=said) as refused:
        load_model(folder)
    assert len(str(refused.value).splitlines()) == 1


def test_token_ids_beyond_the_vocabulary(folder: Path) -> None:
    held = json.loads((folder / "tokenizer.json").read_text())
    held["model"]["vocab"]["more"] = 10**6
    (folder / "tokenizer.json").write_text(json.dumps(held))
    with pytest.raises(
        StratagemError, match=r"tokenizer\.json: has the id 1000000, but vocab_size .* is \d+$"
    ):
        load_model(folder)


STATES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no length of the log": lambda held: held.pop("log_bytes"),
    "a negative number": lambda held: held.update(done=torch.tensor(-1)),
    "weights of another size": lambda held: held.update({f"model.{NORM}": torch.ones(3)}),
    "no moments": lambda held: held.pop(f"exp_avg.{NORM}"),
}


@pytest.mark.parametrize("damage", STATES)
def test_a_saved_state_of_something_else_is_refused(damage: str, random_model: Path, tmp_path: Path) -> None:
    model, _ = load_model(random_model)
    optimizer = AdamW(model.parameters())
    torch.stack([p.sum() for p in model.parameters()]).sum().backward()
    optimizer.step()
    path = tmp_path / "run.partial" / "state.safetensors"
    path.parent.mkdir()
    save_state(path, model, optimizer.state, 3, 100)
    assert load_state(path, model, optimizer.state) == (3, 100, {})
    held = safetensors.torch.load_file(path)
    STATES[damage](held)
    safetensors.torch.save_file(held, path)
    with pytest.raises(
        StratagemError, match=r"not the saved state of this training; remove .*run\.partial to begin"
    ):
        load_state(path, model, optimizer.state)


@pytest.fixture
def overflowing(folder: Path) -> Path:
    """A model of finite weights whose products are not."""
    weights(
        lambda held: [held[name].fill_(1e30) for name in held if "gate_proj" in name or "up_proj" in name]
    )(folder)
    return folder


ASKED = ["--steps", "1-1", "--size", "2", "--samples", "2"]
SCORES, GRADIENT = "scores of the next token are NaN or infinite", "gradient of update 0 is NaN or infinite"
COMMANDS: dict[str, tuple[list[str], str]] = {
    "rollout": (ASKED, "{model}: its " + SCORES),
    "rl": (["--steps", "1-1", "--updates", "1", "--batch", "1", "--prompts", "2"], "{model}: its " + SCORES),
    "sft": (["--steps", "1-1", "--size", "4", "--epochs", "1"], "{out}.partial: the " + GRADIENT),
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_scores_that_are_no_numbers(
    command: str, overflowing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, said = COMMANDS[command]
    out = tmp_path / "out"
    assert run([command, *words, "--model", str(overflowing), "--out", str(out)]) == 2
    assert said.format(model=overflowing, out=out) in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_scores_that_are_no_numbers_in_transformers(temperature: float, overflowing: Path) -> None:
    pytest.importorskip("transformers", reason="needs the llm extra")
    from stratagem.models.llm import find_model
    from stratagem.sampling.huggingface import HuggingFace
    from stratagem.settings import LLMConfig
    from stratagem.tasks import FiniteField

    task, llm = FiniteField(), LLMConfig()
    sampler = HuggingFace(find_model(overflowing, llm), llm, task, 1)
    with pytest.raises(StratagemError, match=f"{overflowing}: its {SCORES}"):
        sampler(task.generate("eval", 2, (1, 1)), "", 2, temperature, seed=0)


@pytest.mark.parametrize("spliced", ["opener", "model"])
def test_a_splice_names_the_model_of_the_two(spliced: str, overflowing: Path, random_model: Path) -> None:
    from stratagem.sampling.splice import Splicing
    from stratagem.settings import RolloutConfig
    from stratagem.tasks import FiniteField

    opener, other = (overflowing, random_model) if spliced == "opener" else (random_model, overflowing)
    sampler = Splicing(opener, other, RolloutConfig(steps=(1, 1)))
    with pytest.raises(StratagemError, match=f"{overflowing}: its {SCORES}"):
        sampler(FiniteField().generate("eval", 2, (1, 1)), "", 2, 1.0, seed=0)
