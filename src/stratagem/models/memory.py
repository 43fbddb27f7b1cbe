"""Whether a language model fits this machine, decided before its weights are fetched or read."""

from __future__ import annotations

import os
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from stratagem.records import StratagemError

ADAM = 16  # bytes a parameter that is trained whole takes: weight, gradient and two moments in float32


def check_memory(name: str, config: Any, dtype: torch.dtype, train: str | None, trust: bool = False) -> None:
    """Refuse a model whose weights alone, or with AdamW's state where all are trained, are more than is free.

    What activations and caches take is not known here. With several processes weights may be split, and nothing is
    refused.

    Args:
        trust: code that the model brings may be run, to know its shape.

    Raises:
        StratagemError: it cannot fit.
    """
    free = available()
    if free is None or int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return
    with torch.device("meta"):
        parameters = AutoModelForCausalLM.from_config(config, trust_remote_code=trust).num_parameters()
    needed = parameters * (ADAM if train == "all" else dtype.itemsize)
    if needed > free:
        what = (
            "training all weights"
            if train == "all"
            else f"its weights in {str(dtype).removeprefix('torch.')}"
        )
        fix = "--tune lora" if train == "all" else "--dtype bfloat16, a smaller model or a larger machine"
        raise StratagemError(
            f"{name}: {what} takes {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} are free; try {fix}"
        )


def available() -> int | None:
    """Free bytes of the GPUs together, else of the machine; None where the system does not say."""
    if torch.cuda.is_available():
        return sum(torch.cuda.mem_get_info(i)[0] for i in range(torch.cuda.device_count()))
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            meminfo = dict(line.split(":", 1) for line in file)
        return int(meminfo["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None
