"""Any causal language model with its tokenizer, from a hub, a folder, an adapter or a GGUF file.

Weights are read as safetensors or GGUF only, remote code runs only where it is asked for, and what cannot be loaded is
said in one line before anything long begins.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as their_logging

from stratagem.models.memory import check_memory
from stratagem.records import StratagemError
from stratagem.settings import LLMConfig
from stratagem.tasks import Task
from stratagem.tasks.base import token_budget as budget_of
from stratagem.workspace import partial_of, read_json, write_json

RECORD = "stratagem.json"  # beside the weights: what they were trained with
ADAPTER = "adapter_config.json"
NEEDS = "pip install 'stratagem[llm]'"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a model's weights come from.

    `base` is a hub id, a folder or a ``.gguf`` file; `adapter` a folder of LoRA weights on top of it. `fingerprint`
    names the content: it is a part of the key of every stage that reads the model. `record` is what training left
    beside the weights, empty for a model of others. `revision` is the commit of a model of a hub.
    """

    base: str
    adapter: Path | None
    fingerprint: str
    record: Mapping[str, Any]
    revision: str | None = None

    @property
    def where(self) -> dict[str, Any]:
        """What `from_pretrained` takes for the base."""
        path = Path(self.base)
        if path.suffix == ".gguf":
            return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
        arguments = {"pretrained_model_name_or_path": self.base}
        return arguments | ({"revision": self.revision} if self.revision else {})


def find_model(model: str | Path, llm: LLMConfig) -> Source:
    """Say where a model is, without loading it.

    Args:
        model: a hub id; a folder of weights or of an adapter, or a stage's folder with one in it; a GGUF file.

    Raises:
        StratagemError: there is no such model, its format is refused, the hub cannot be reached, or an adapter's base
            is not the one that it was trained on.
    """
    path = Path(model)
    if path.suffix == ".gguf":
        if not path.is_file():
            raise StratagemError(f"{path}: no such file")
        return Source(str(path.resolve()), None, content([path]), {})
    if path.exists():
        return local(path, llm)
    if partial_of(path).exists():
        raise StratagemError(f"{path}: its training has not finished; the same command resumes it")
    if str(model).count("/") > 1 or str(model).startswith((".", "/", "~")):
        raise StratagemError(f"{model}: no such folder")
    return on_hub(str(model), llm)


def local(path: Path, llm: LLMConfig) -> Source:
    folder = next((place for place in (path, path / "model") if holds_model(place)), None)
    if folder is None:
        gguf = sorted(path.glob("*.gguf"))
        if len(gguf) == 1:
            return find_model(gguf[0], llm)
        what = "only weights that are no safetensors" if any(path.glob("*.bin")) else "no model"
        raise StratagemError(f"{path}: {what} here; a model folder holds config.json and safetensors")
    record = read_json(folder / RECORD) if (folder / RECORD).is_file() else {}
    weights = sorted(folder.glob("*.safetensors"))
    if not (folder / ADAPTER).is_file():
        return Source(str(folder.resolve()), None, content(weights), record)
    if not weights:
        raise StratagemError(f"{folder}: an adapter without safetensors; train it again")
    named = read_json(folder / ADAPTER).get("base_model_name_or_path")
    if not named:
        raise StratagemError(f"{folder / ADAPTER}: does not say its base model (base_model_name_or_path)")
    known = record.get("base_fingerprint")
    name, _, commit = str(known).partition("@")
    try:  # of a hub's model, the commit that it was trained on, whatever has been pushed since
        base = find_model(named, replace(llm, revision=commit) if name == named and commit else llm)
    except StratagemError as error:
        raise StratagemError(f"{folder}: its base model cannot be found: {error}") from None
    if known is not None and known != base.fingerprint:
        raise StratagemError(
            f"{folder}: its adapter was trained on another {named} than the one that is there now"
        )
    return Source(base.base, folder, f"{base.fingerprint}+{content(weights)}", record, base.revision)


def holds_model(folder: Path) -> bool:
    weights = (folder / "config.json").is_file() and any(folder.glob("*.safetensors"))
    return weights or (folder / ADAPTER).is_file()


def on_hub(name: str, llm: LLMConfig) -> Source:
    """A model of a hub, found by its config alone.

    Raises:
        StratagemError: not there, not allowed, or not reachable.
    """
    try:
        config = AutoConfig.from_pretrained(
            name, revision=llm.revision, trust_remote_code=llm.trust_remote_code
        )
    except Exception as error:  # transformers wraps all of the hub's errors in OSError or ValueError
        raise StratagemError(f"{name}: {why(error)}") from None
    commit = getattr(config, "_commit_hash", None) or llm.revision or "main"
    return Source(name, None, f"{name}@{commit}", {}, commit)


def why(error: BaseException | None) -> str:
    """What a failed load means to the user, from the whole chain of its causes."""
    names: set[str] = set()
    texts: list[str] = []
    while error is not None and len(texts) < 10:
        names.add(type(error).__name__)
        texts.append(str(error))
        error = error.__cause__ or error.__context__
    text = " ".join(texts)
    if "GatedRepoError" in names or "gated repo" in text:
        return "a gated model: accept its licence on the hub, then `hf auth login`"
    if "RevisionNotFoundError" in names:
        return "the hub has no such revision of it"
    if "RepositoryNotFoundError" in names or "HFValidationError" in names:
        return "no such folder, and no such model on the hub"
    if "trust_remote_code" in text or "custom code" in text:
        return "it brings code of its own, which is not run unless you say --trust-remote-code"
    unreachable = {"LocalEntryNotFoundError", "OfflineModeIsEnabled", "ConnectionError", "ConnectError"}
    if names & unreachable or "offline" in text.lower() or "couldn't connect" in text.lower():
        return (
            "no such folder, and the hub cannot be reached; give a folder, or fetch it first where there is a "
            "network with `hf download`"
        )
    return texts[0].splitlines()[0]


def content(files: list[Path]) -> str:
    """Sixteen hexadecimal digits of the files' content."""
    digest = hashlib.sha256()
    for file in files:
        with open(file, "rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()[:16]


# -- loading -----------------------------------------------------------------------------------------------


def compute_dtype(llm: LLMConfig) -> torch.dtype:
    """The type that products are computed in."""
    if llm.dtype != "auto":
        return getattr(torch, llm.dtype)
    fits = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return torch.bfloat16 if fits else torch.float32


def load_llm(source: Source, llm: LLMConfig, *, train: str | None = None, device_map: Any = None) -> Any:
    """The model in memory, its adapter on it.

    Args:
        train: ``"lora"`` or ``"all"`` to train it, which holds all weights to be trained in float32; None to sample.
        device_map: as transformers takes it; None leaves the place to the caller.

    Raises:
        StratagemError: the weights cannot be read, do not fit the config or the memory.
    """
    dtype = torch.float32 if train == "all" else compute_dtype(llm)
    if not torch.cuda.is_available() and train is not None:
        dtype = torch.float32  # autocast does the rest on a CPU
    options: dict[str, Any] = {
        "dtype": dtype,
        "trust_remote_code": llm.trust_remote_code,
        "device_map": device_map,
    }
    if "gguf_file" not in source.where:
        options |= {"use_safetensors": True}
    if llm.attention is not None:
        options |= {"attn_implementation": llm.attention}
    their_logging.disable_progress_bar()
    try:
        if "gguf_file" not in source.where:  # whose config is read with its weights
            config = AutoConfig.from_pretrained(**source.where, trust_remote_code=llm.trust_remote_code)
            check_memory(source.base, config, dtype, train, llm.trust_remote_code)
        model = AutoModelForCausalLM.from_pretrained(**source.where, **options)
    except torch.OutOfMemoryError:
        raise StratagemError(f"{source.base}: does not fit the GPU's memory; try --dtype bfloat16") from None
    except ModuleNotFoundError as error:
        raise StratagemError(f"{source.base}: needs {error.name}: {NEEDS}") from None
    except (OSError, ValueError, RuntimeError, ImportError, KeyError, SafetensorError) as error:
        raise StratagemError(f"{source.base}: cannot be loaded: {why(error)}") from None
    if "gguf_file" in source.where:
        # Its weights are de-quantized by now, and plain; the mark of a quantized model forbids training.
        for mark in ("is_quantized", "hf_quantizer", "quantization_method"):
            model.__dict__.pop(mark, None)
        for mark in ("quantization_config", "_is_quantized"):
            model.config.__dict__.pop(mark, None)
    if train is None:
        without_habits(model)
    if source.adapter is not None:
        with warnings.catch_warnings():  # what PEFT uses of transformers and is deprecated there
            warnings.filterwarnings("ignore", category=FutureWarning)
            model = with_adapter(model, source, train)
    return model


def without_habits(model: Any) -> None:
    """Let go of how the model's makers would sample it (penalties, top-p, top-k, banned words), and keep which tokens
    end a text: `generate` fills in from there whatever it is not told, and measured is the model's own distribution."""
    theirs = model.generation_config
    kept = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
    model.generation_config = GenerationConfig(**{name: getattr(theirs, name, None) for name in kept})


def with_adapter(model: Any, source: Source, train: str | None) -> Any:
    try:
        from peft import PeftModel  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise StratagemError(f"{source.adapter}: an adapter needs peft: {NEEDS}") from None
    try:
        adapted = PeftModel.from_pretrained(model, str(source.adapter), is_trainable=train == "lora")
    except (RuntimeError, ValueError) as error:
        first = " ".join(str(error).split())[:160]
        raise StratagemError(
            f"{source.adapter}: an adapter of another model than {source.base} ({first})"
        ) from None
    return adapted.merge_and_unload().requires_grad_(True) if train == "all" else adapted


def load_tokenizer(model: str | Path | Source, llm: LLMConfig | None = None) -> Any:
    """The tokenizer of a model, padding on the left; without a pad token, its end token pads.

    A folder whose `tokenizer_config.json` names no architecture's own class, as the small models of this package do,
    is read as it stands: `AutoTokenizer` would put the rules of the architecture (Qwen2's, say) in their place.

    Raises:
        StratagemError: there is none, or it has no end token.
    """
    llm = llm or LLMConfig()
    source = model if isinstance(model, Source) else None
    where: dict[str, Any] = source.where if source else {"pretrained_model_name_or_path": str(model)}
    if source and source.adapter and (source.adapter / "tokenizer_config.json").is_file():
        where = {"pretrained_model_name_or_path": str(source.adapter)}
    config = Path(where["pretrained_model_name_or_path"]) / "tokenizer_config.json"
    plain = config.is_file() and read_json(config).get("tokenizer_class") in (
        "PreTrainedTokenizerFast",
        "TokenizersBackend",
    )
    try:
        tokenizer = (PreTrainedTokenizerFast if plain else AutoTokenizer).from_pretrained(
            **where, padding_side="left", trust_remote_code=llm.trust_remote_code
        )
    except Exception as error:  # as with configs, many types for the same few causes
        raise StratagemError(
            f"{where['pretrained_model_name_or_path']}: no tokenizer: {why(error)}"
        ) from None
    if tokenizer.eos_token is None:
        raise StratagemError(f"{config.parent}: its tokenizer has no end token (eos_token in {config.name})")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def save_llm(
    model: Any,
    tokenizer: Any,
    folder: Path,
    record: Mapping[str, Any],
    *,
    merge: bool,
    weights: dict[str, torch.Tensor] | None = None,
) -> None:
    """Write an adapter, or the whole model where there is none or `merge` asks, with what it was trained with.

    `weights` are all of the model's, where it holds only a part of each itself; they cannot be merged.
    """
    from peft import PeftModel  # pyright: ignore[reportMissingImports]

    if merge and isinstance(model, PeftModel):
        model = model.merge_and_unload()
    if isinstance(model, PeftModel):
        model.peft_config["default"].base_model_name_or_path = record["base"]
        model.save_pretrained(
            str(folder), selected_adapters=["default"], save_embedding_layers=False, state_dict=weights
        )
    else:
        model.save_pretrained(str(folder), state_dict=weights)
    tokenizer.save_pretrained(str(folder))
    write_json(folder / RECORD, dict(record))


# -- prompts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prompting:
    """How a problem is put to a model: as a user's message, as text, or, to the small models, bare."""

    form: str  # "chat", "text" or "bare"
    instruction: str

    def text(self, prompt: str) -> str:
        return prompt if self.form == "bare" else f"{self.instruction}\n\n{prompt}"

    def example(self, prompt: str) -> Any:
        """What TRL takes as a prompt: a list of messages, or a string."""
        return [{"role": "user", "content": self.text(prompt)}] if self.form == "chat" else self.text(prompt)

    def response(self, text: str) -> Any:
        """What TRL takes as a completion."""
        return [{"role": "assistant", "content": text}] if self.form == "chat" else f" {text}"

    def ids(self, tokenizer: Any, prompt: str, opening: str = "") -> list[int]:
        """Token ids of a prompt, to be continued after `opening`."""
        if self.form != "chat":
            whole = self.text(prompt) + (f" {opening}" if opening else "")
            return tokenizer(whole)["input_ids"]
        text = tokenizer.apply_chat_template(self.example(prompt), add_generation_prompt=True, tokenize=False)
        return tokenizer(text + opening, add_special_tokens=False)["input_ids"]


def prompting(tokenizer: Any, task: Task) -> Prompting:
    """The form that suits a tokenizer: its chat template, plain text without one, and a bare problem where the words of
    the instruction are not in its vocabulary."""
    instruction = task.instruction()
    if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in tokenizer(instruction)["input_ids"]:
        return Prompting("bare", instruction)
    return Prompting("chat" if tokenizer.chat_template else "text", instruction)


def token_budget(tokenizer: Any, task: Task, steps: int) -> int:
    """Most new tokens for problems of difficulty `steps`, in the tokenizer's own (`tasks.base.token_budget`)."""
    return budget_of(task, steps, lambda text: len(tokenizer(f" {text}")["input_ids"]))
