"""Models as standard Hugging Face folders, and training states: safetensors only, nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from pathlib import Path

import safetensors.torch
import torch
from tokenizers import Tokenizer
from torch import Tensor

from stratagem.models.transformer import Shape, Transformer
from stratagem.models.vocabulary import EOS, PAD, UNK
from stratagem.records import StratagemError
from stratagem.tasks.base import Task
from stratagem.workspace import read_json, write_bytes, write_json

# The base models that ship with the package, by task.
SHIPPED = {"finite_field": Path(__file__).parent / "base"}
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"


def shipped_base(task: Task) -> Path:
    """The folder of the task's base model.

    Raises:
        StratagemError: none ships for this task.
    """
    if task.name not in SHIPPED:
        raise StratagemError(
            f"no base model ships for {task.name}: make one with `stratagem base train --task {task.spec} --out BASE`, "
            'and give --model BASE; in a study, base = "BASE", or base = {} for one of its own'
        )
    return SHIPPED[task.name]


def save_model(
    model: Transformer, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write a folder that `transformers.AutoModelForCausalLM` loads as well."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: p.detach().to(dtype).contiguous() for name, p in model.named_parameters()}
    write_json(folder / CONFIG, model.shape.config() | {"dtype": str(dtype).removeprefix("torch.")})
    write_bytes(folder / TOKENIZER, tokenizer.to_str(pretty=False).encode())
    write_json(
        folder / "tokenizer_config.json",
        {"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": PAD, "eos_token": EOS, "unk_token": UNK},
    )
    write_bytes(folder / WEIGHTS, safetensors.torch.save(tensors, {"format": "pt"}))


def model_folder(path: Path) -> Path:
    """The folder that holds the weights: `path` itself, or ``path/model`` where `path` is a stage's folder.

    Raises:
        StratagemError: neither holds a model.
    """
    for folder in (path, path / "model"):
        if (folder / WEIGHTS).is_file():
            return folder
    hint = " (its training has not finished)" if path.with_name(path.name + ".partial").exists() else ""
    raise StratagemError(f"{path}: no model here{hint}; a model folder holds {WEIGHTS} and {CONFIG}")


def fingerprint(folder: Path) -> str:
    """The weights' content, by which a stage's key names its input model."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]


def load_model(folder: Path) -> tuple[Transformer, Tokenizer]:
    """The model, in float32 and ready to train, with its tokenizer.

    Raises:
        StratagemError: a file is missing or corrupt, or the folder holds another architecture.
    """
    config = read_json(folder / CONFIG)
    if not isinstance(config, dict) or config.get("model_type") != "qwen2":
        raise StratagemError(f"{folder / CONFIG}: not a Qwen2 model, which is what the native engine runs")
    try:
        fields = {name: config[name] for name in Shape.__dataclass_fields__ if name in config}
        model = Transformer(Shape(**fields))
        tensors = read_tensors(folder / WEIGHTS)
        model.load_state_dict({name: t.float() for name, t in tensors.items()}, strict=True)
    except (TypeError, RuntimeError) as error:
        raise StratagemError(
            f"{folder}: config and weights do not fit ({str(error).splitlines()[0]})"
        ) from None
    try:
        return model, Tokenizer.from_file(str(folder / TOKENIZER))
    except Exception as error:  # the tokenizers library raises no narrower type
        raise StratagemError(f"{folder / TOKENIZER}: not a tokenizer ({error})") from None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """
    Raises:
        StratagemError: no such file, or not whole.
    """
    try:
        return safetensors.torch.load_file(path)
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except (safetensors.SafetensorError, OSError) as error:
        raise StratagemError(f"{path}: corrupt or not safetensors ({error}); make it again") from None


def save_state(
    path: Path, model: Transformer, optimizer: torch.optim.AdamW, done: int, log_bytes: int
) -> None:
    """A training state after `done` updates, in one file that is whole or absent.

    `log_bytes` is how long the logs were then, so that a resumed run cuts off what was written after.
    """
    tensors: dict[str, Tensor] = {"done": torch.tensor(done), "log_bytes": torch.tensor(log_bytes)}
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        if parameter.requires_grad:
            for slot, value in optimizer.state[parameter].items():
                tensors[f"{slot}.{name}"] = value
    write_bytes(path, safetensors.torch.save(tensors))


def load_state(path: Path, model: Transformer, optimizer: torch.optim.AdamW) -> tuple[int, int]:
    """Put a saved state back; returns (updates done, bytes of log)."""
    tensors = read_tensors(path)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(tensors[f"model.{name}"])
            if parameter.requires_grad:
                optimizer.state[parameter] = {
                    slot: tensors[f"{slot}.{name}"].clone() for slot in ("step", "exp_avg", "exp_avg_sq")
                }
    return int(tensors["done"]), int(tensors["log_bytes"])
