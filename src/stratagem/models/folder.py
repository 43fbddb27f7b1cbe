"""Models as standard Hugging Face folders, and training states: safetensors only, nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import hashlib
import math
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import safetensors.torch
import torch
from tokenizers import Tokenizer
from torch import Tensor

from stratagem.models.transformer import Shape, Transformer, parameter_sizes
from stratagem.models.vocabulary import EOS, PAD, UNK
from stratagem.records import StratagemError
from stratagem.tasks.base import Task
from stratagem.workspace import partial_of, read_json, write_bytes, write_json

# The base models that ship, in folders by their names; `model_folder` takes a name.
BASES = Path(__file__).parent / "bases"
# The bases of each task that has some, in the order in which they were tried (`bases/README.md`). The first one is the
# default; replicate i of a study starts from number i.
SHIPPED = {"finite_field": ("base-0", "base-1", "base-4", "base-7"), "five_ways": ("five-0",)}
WEIGHTS, CONFIG, TOKENIZER = "model.safetensors", "config.json", "tokenizer.json"
CARRIED = "carried."  # of names in a training state
Moments = dict[Tensor, dict[str, Tensor]]  # of parameters: what an optimizer keeps of each


def shipped_bases(task: Task) -> list[Path]:
    """The folders of the task's base models, the default one first.

    Raises:
        StratagemError: none ships for this task.
    """
    if task.name not in SHIPPED:
        raise StratagemError(
            f"no base model ships for {task.name}: make one with `stratagem base train --task {task.spec} --out BASE`, "
            'and give --model BASE; in a study, base = "BASE", or base = {} for one of its own'
        )
    return [BASES / name for name in SHIPPED[task.name]]


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
    """The folder that holds the weights: `path`, ``path/model`` of a stage, or the base of that name that ships.

    Raises:
        StratagemError: none holds a model.
    """
    named = [BASES / path] if len(path.parts) == 1 else []
    for folder in (path, path / "model", *named):
        if (folder / WEIGHTS).is_file():
            return folder
    hint = " (its training has not finished)" if partial_of(path).exists() else ""
    raise StratagemError(f"{path}: no model here{hint}; a model folder holds {WEIGHTS} and {CONFIG}")


def fingerprint(folder: Path) -> str:
    """The weights' content, by which a stage's key names its input model."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()[:16]


def load_model(folder: Path) -> tuple[Transformer, Tokenizer]:
    """The model, in float32 and ready to train, with its tokenizer.

    Raises:
        StratagemError: a file is missing or corrupt, or the folder holds another architecture.
    """
    shape = read_shape(folder / CONFIG)
    tokenizer = read_tokenizer(folder / TOKENIZER, shape)
    check_weights(folder / WEIGHTS, shape)
    model = Transformer(shape)
    model.load_state_dict({name: t.float() for name, t in read_tensors(folder / WEIGHTS).items()})
    for name, parameter in model.named_parameters():
        if not parameter.isfinite().all():
            raise StratagemError(f"{folder / WEIGHTS}: {name} holds NaN or infinity; its training diverged")
    return model, tokenizer


def read_shape(path: Path) -> Shape:
    """
    Raises:
        StratagemError: the config is not one of a Qwen2 model, or a field has no possible value.
    """
    config = read_json(path)
    if not isinstance(config, dict) or config.get("model_type") != "qwen2":
        raise StratagemError(f"{path}: not a Qwen2 model, which is what the native engine runs")
    try:
        shape = msgspec.convert(
            {name: config[name] for name in Shape.__dataclass_fields__ if name in config}, Shape
        )
    except msgspec.ValidationError as error:
        raise StratagemError(f"{path}: {error}") from None
    heads, keys = shape.num_attention_heads, shape.num_key_value_heads
    if shape.hidden_size % (2 * heads):
        raise StratagemError(
            f"{path}: hidden_size {shape.hidden_size} is no even multiple of its {heads} heads"
        )
    if heads % keys:
        raise StratagemError(
            f"{path}: num_attention_heads {heads} is no multiple of num_key_value_heads {keys}"
        )
    for name in ("rope_theta", "rms_norm_eps"):
        if not math.isfinite(getattr(shape, name)):
            raise StratagemError(f"{path}: {name} is not a finite number")
    return shape


def read_tokenizer(path: Path, shape: Shape) -> Tokenizer:
    """
    Raises:
        StratagemError: no tokenizer, or one with ids that the model has no embedding for.
    """
    if not path.is_file():
        raise StratagemError(f"{path}: no such file")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the tokenizers library raises no narrower type
        raise StratagemError(f"{path}: not a tokenizer ({error})") from None
    largest = max(tokenizer.get_vocab().values(), default=0)
    if largest >= shape.vocab_size:
        raise StratagemError(
            f"{path}: has the id {largest}, but vocab_size in {CONFIG} is {shape.vocab_size}"
        )
    return tokenizer


def check_weights(path: Path, shape: Shape) -> None:
    """See that the weights are those of this shape, by what their file says of itself, before memory is taken.

    Raises:
        StratagemError: they are not; the first that differs is named.
    """
    wanted = parameter_sizes(shape)
    held = shapes_of(path)
    for name in sorted(wanted.keys() | held.keys()):
        if wanted.get(name) != held.get(name):
            raise StratagemError(
                f"{path}: {name} is {held.get(name, 'missing')}, but {CONFIG} asks for {wanted.get(name, 'none')}"
            )


def shapes_of(path: Path) -> dict[str, list[int]]:
    """The sizes of a file's tensors, by name.

    Raises:
        StratagemError: no such file, or not whole.
    """
    with opened(path) as file:
        return {name: file.get_slice(name).get_shape() for name in list(file.keys())}


def read_tensors(path: Path) -> dict[str, Tensor]:
    """
    Raises:
        StratagemError: no such file, or not whole.
    """
    with opened(path) as file:
        return {name: file.get_tensor(name) for name in list(file.keys())}


@contextlib.contextmanager
def opened(path: Path) -> Generator[Any]:
    """A file of safetensors.

    Raises:
        StratagemError: no such file, or not whole.
    """
    if not path.is_file():
        raise StratagemError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, "pt") as file:
            yield file
    except (safetensors.SafetensorError, OSError) as error:
        raise StratagemError(f"{path}: corrupt or not safetensors ({error}); make it again") from None


def save_state(
    path: Path,
    model: Transformer,
    moments: Moments,
    done: int,
    log_bytes: int,
    carried: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """A training state after `done` updates, in one file that is whole or absent.

    `log_bytes` is how long the logs were then, so that a resumed run cuts off what was written after; `carried` are
    numbers that updates depend on beside the weights.
    """
    tensors: dict[str, Tensor] = {"done": torch.tensor(done), "log_bytes": torch.tensor(log_bytes)}
    for name, numbers in (carried or {}).items():
        tensors[f"{CARRIED}{name}"] = torch.tensor(numbers, dtype=torch.float64)
    for name, parameter in model.named_parameters():
        tensors[f"model.{name}"] = parameter.detach()
        if parameter.requires_grad:
            for slot, value in moments[parameter].items():
                tensors[f"{slot}.{name}"] = value
    write_bytes(path, safetensors.torch.save(tensors))


def load_state(path: Path, model: Transformer, moments: Moments) -> tuple[int, int, dict[str, list[float]]]:
    """Put a saved state back, its moments too; returns (updates done, bytes of log, what it carried beside them).

    Raises:
        StratagemError: it is not the state of this training.
    """
    tensors = read_tensors(path)
    try:
        done, log_bytes = int(tensors["done"]), int(tensors["log_bytes"])
        if min(done, log_bytes) < 0:
            raise ValueError
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
                if parameter.requires_grad:
                    moments[parameter] = {
                        slot: tensors[f"{slot}.{name}"].clone() for slot in ("step", "exp_avg", "exp_avg_sq")
                    }
    except (KeyError, ValueError, RuntimeError):
        raise StratagemError(
            f"{path}: not the saved state of this training; remove {path.parent} to begin again"
        ) from None
    carried = {
        name.removeprefix(CARRIED): numbers.tolist()
        for name, numbers in tensors.items()
        if name.startswith(CARRIED)
    }
    return done, log_bytes, carried
