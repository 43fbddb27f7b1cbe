"""Where the time of the native engine goes: shares of sampling, of a GRPO update and of SFT, and what is computed.

    python benchmarks/engine_profile.py

The model and settings of `engine.py`. Parts are timed by wrapping the functions that do them, each without what it
calls of the others; products by torch's own profiler in another turn. Medians of five turns, after one that compiles.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from engine import RL, SFT, Sampling, native_grpo, native_sft
from torch.profiler import ProfilerActivity, profile

from stratagem.models import kernels
from stratagem.models.decoder import Decoder
from stratagem.sampling import native
from stratagem.settings import SFTConfig
from stratagem.training import grpo, sft
from stratagem.training.packing import Part

PRODUCTS = ("aten::mm", "aten::addmm", "aten::bmm", "aten::_scaled_dot_product_flash_attention_for_cpu")
SAMPLED = [(kernels, "attend"), (kernels, "gate"), (kernels, "unit"), (kernels, "copy"),
           (native, "choose"), (native, "part"), (native, "settle")]  # fmt: skip
UPDATED = [(grpo, "generate"), (grpo, "token_logps"), (torch.Tensor, "backward"), (grpo, "label"), (grpo, "pack"),
           (torch.optim.AdamW, "step")]  # fmt: skip


class Clock:
    """CPU seconds of functions, each without the others that it calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def around(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def timed(*given: Any, **named: Any) -> Any:
            # The policy's pass keeps a gradient, the reference's does not.
            called = name if name != "token_logps" else ("reference", "policy")[torch.is_grad_enabled()]
            self._inner.append(0.0)
            started = time.process_time()
            try:
                return function(*given, **named)
            finally:
                whole = time.process_time() - started
                self.seconds[called] += whole - self._inner.pop()
                self._inner[-1] += whole

        return timed

    @contextmanager
    def over(self, places: list[tuple[Any, str]]) -> Iterator[Clock]:
        with ExitStack() as stack:
            for owner, name in places:
                stack.enter_context(patch.object(owner, name, self.around(name, getattr(owner, name))))
            yield self


def turns(
    work: Callable[[], Any], places: list[tuple[Any, str]], n: int = 5
) -> tuple[float, dict[str, float]]:
    """Median CPU seconds of a turn, and of its parts."""
    work()
    whole: list[float] = []
    parts: dict[str, list[float]] = defaultdict(list)
    for _ in range(n):
        started = time.process_time()
        with Clock().over(places) as clock:
            work()
        whole.append(time.process_time() - started)
        for name, seconds in clock.seconds.items():
            parts[name].append(seconds)
    return median(whole), {name: median(seconds) for name, seconds in parts.items()}


def products(work: Callable[[], Any]) -> dict[str, float]:
    """Seconds of a turn in products and attention, as torch's profiler has them."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        work()
    return {
        event.key: event.self_cpu_time_total / 1e6
        for event in profiler.key_averages()
        if event.key in PRODUCTS
    }


def show(title: str, whole: float, parts: dict[str, float]) -> None:
    shares = ", ".join(
        f"{name} {100 * s / whole:.0f}%" for name, s in sorted(parts.items(), key=lambda x: -x[1])
    )
    print(f"{title}: {whole:.3f} s; {shares}", flush=True)


def rows_of(sampling: Sampling) -> tuple[int, int, int]:
    """Tokens sampled, rows that were computed for them, and tokens of the prompts."""
    steps: list[int] = []
    step = Decoder.step

    def counted(self: Decoder, ids_M: Any, *rest: Any) -> Any:
        steps.append(len(ids_M))
        return step(self, ids_M, *rest)

    with patch.object(Decoder, "step", counted):
        tokens = sampling.native()
    return tokens, sum(steps[1:]), steps[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model folder; without it the base after SFT is made")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or sft.train(SFTConfig(strategy="FB"), Path(folder) / "FB") / "model"
        sampling = Sampling(model)
        show("sampling", *turns(sampling.native, SAMPLED))
        show("  by torch's profiler", turns(sampling.native, [])[0], products(sampling.native))
        tokens, rows, prompts = rows_of(sampling)
        print(f"  {tokens:,} tokens sampled, {rows:,} rows computed, prompts of {prompts:,} tokens")
        parts: list[Part] = []
        pack = grpo.pack
        with patch.object(grpo, "pack", lambda rows: parts.extend(packed := pack(rows)) or packed):
            native_grpo(model, replace(RL, updates=1))
        computed = sum(int(part.real_BR.sum()) + int(part.lengths_P.sum()) for part in parts)
        print(f"  an update trains on {computed:,} tokens of {tokens + prompts * RL.group:,}")
        show("GRPO, 4 updates", *turns(lambda: native_grpo(model, replace(RL, updates=4)), UPDATED, 3))
        epoch = lambda: native_sft(model, replace(SFT, epochs=4))  # noqa: E731
        show("SFT, 4 epochs", turns(epoch, [], 3)[0], products(epoch))


if __name__ == "__main__":
    main()
