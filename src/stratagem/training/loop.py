"""What every training stage shares: a resumable loop over updates, its log and its learning rate."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch

from stratagem.models.folder import load_state, save_state
from stratagem.models.transformer import Transformer
from stratagem.records import Metrics, Report, StratagemError
from stratagem.samplers import State, in_epochs
from stratagem.settings import GRPOConfig
from stratagem.training.adamw import AdamW

STATE, METRICS = "state.safetensors", "metrics.jsonl"


def asked(config: GRPOConfig, number: int) -> list[int]:
    """The problems of an update of RL: each once an epoch, in an order of the epoch's own."""
    return in_epochs(config.seed, config.prompts, config.batch, number * config.batch, config.batch)


class Kept(Protocol):
    """What a training carries from update to update beside its weights."""

    def state(self) -> State: ...

    def restore(self, state: State) -> None: ...

    def enough(self) -> bool:
        """Whether training ends here, before all updates are made."""
        ...


def quiet(done: int, total: int, metrics: Metrics) -> None:
    """A report that shows nothing."""


def optimizer_for(
    model: Transformer, lr: float, weight_decay: float = 0.0, beta2: float = 0.999, tune: str = "all"
) -> AdamW:
    """AdamW on all parameters, or on the word embeddings alone, which freezes the rest."""
    if tune == "embeddings":
        model.requires_grad_(False)
        model.model.embed_tokens.requires_grad_(True)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return AdamW(trained, lr, (0.9, beta2), weight_decay)


def run(
    work: Path,
    model: Transformer,
    optimizer: AdamW,
    updates: int,
    update: Callable[[int, Callable[[], float]], dict[str, Any]],
    rate: Callable[[int], float],
    save_every: int,
    report: Report = quiet,
    max_norm: float = 1.0,
    kept: Kept | None = None,
) -> None:
    """Make updates until `updates` are done or `kept` has enough, from the last saved state on.

    Args:
        update: makes update `number` and returns its metrics. It accumulates gradients and calls `step()`, which
            applies them and returns their norm, once or for each inner step. All its randomness comes from
            `number` and from `kept`, so that a run killed at any moment and started again ends with the same bits.
        rate: learning rate of an update.
        save_every: updates between two saved states.
        max_norm: gradients are clipped to this norm.
        kept: is saved with the weights, and told of what was saved.

    Raises:
        StratagemError: the gradient of an update is not finite, which would leave no weight a number.
    """

    def step() -> float:
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), max_norm)
        if not norm.isfinite():
            raise StratagemError(
                f"{work}: the gradient of update {number} is NaN or infinite: the weights of its model are damaged or "
                "its training diverges; take another --model or a lower --lr"
            )
        optimizer.step()
        optimizer.zero_grad()
        return float(norm)

    state, log = work / STATE, work / METRICS
    done, log_bytes, carried = load_state(state, model, optimizer.state) if state.exists() else (0, 0, {})
    if kept is not None and carried:  # states of before runs carried anything have none
        kept.restore(carried)
    with open(log, "ab") as file:
        file.truncate(log_bytes)
        for number in range(done, updates):
            if kept is not None and kept.enough():
                break
            optimizer.lr = rate(number)
            metrics = {"update": number, **update(number, step)}
            file.write(json.dumps(metrics).encode() + b"\n")
            file.flush()  # whoever watches sees each update
            if (number + 1) % save_every == 0 and number + 1 < updates:
                os.fsync(file.fileno())
                carried = {} if kept is None else kept.state()
                save_state(state, model, optimizer.state, number + 1, file.tell(), carried)
            report(number + 1, updates, metrics)
    state.unlink(missing_ok=True)


def set_precision(models: Sequence[Transformer], precision: str) -> None:
    """Let the layers' products be ``fp32`` or ``bf16`` (see `Transformer`).

    Raises:
        StratagemError: this machine is slower in bf16, as those without instructions for it are, up to a hundredfold.
    """
    if precision == "bf16":
        single, half = (product_speed(dtype) for dtype in (torch.float32, torch.bfloat16))
        if half < single:
            raise StratagemError(
                f"--precision bf16: this machine multiplies {single / half:.0f} times as slowly in it; use fp32"
            )
    for model in models:
        model.bf16 = precision == "bf16"


def product_speed(dtype: torch.dtype = torch.float32) -> float:
    """FLOP/s of the fastest of twenty products of the size of a layer's, with one thread."""
    a, b = torch.ones(1024, 128, dtype=dtype), torch.ones(128, 256, dtype=dtype)
    seconds = []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(20):
        started = time.thread_time()
        torch.mm(a, b)
        seconds.append(time.thread_time() - started)
    torch.set_num_threads(threads)
    return 2 * 1024 * 128 * 256 / min(seconds)


def linear(peak: float, updates: int, warmup: int) -> Callable[[int], float]:
    """Linear warm-up, then linear decay to zero."""
    return lambda n: peak * min((n + 1) / max(1, warmup), (updates - n) / max(1, updates - warmup))


def constant(peak: float, warmup: int = 0) -> Callable[[int], float]:
    return lambda n: peak * min(1.0, (n + 1) / max(1, warmup))
