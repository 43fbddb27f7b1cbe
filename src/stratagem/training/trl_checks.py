"""What `--engine trl` can know of the machine before it reads a model: its processes, its GPUs and vLLM."""

from __future__ import annotations

import os
import urllib.request
from importlib.util import find_spec

import torch
from accelerate import PartialState  # pyright: ignore[reportMissingImports]
from accelerate.utils import DistributedType  # pyright: ignore[reportMissingImports]

from stratagem.records import StratagemError
from stratagem.settings import GRPOConfig, LLMConfig, SFTConfig

SERVER = "http://localhost:8000"  # where TRL itself looks for a server that nobody names
PATIENCE = 10.0  # seconds for the server to answer at all


def state() -> PartialState:
    """The processes of this run. Without being told, accelerate would see each process on a CPU as alone."""
    return PartialState(cpu=not torch.cuda.is_available())


def processes() -> int:
    return state().num_processes


def sharded() -> bool:
    """Whether a process may hold only a part of each weight."""
    kinds = (DistributedType.FSDP, DistributedType.DEEPSPEED, DistributedType.MEGATRON_LM)
    asked = os.environ.get("ACCELERATE_USE_FSDP", "").lower() == "true"
    return (
        asked
        or os.environ.get("ACCELERATE_USE_DEEPSPEED", "").lower() == "true"
        or (state().distributed_type in kinds)
    )


def check_machine(config: SFTConfig | GRPOConfig, llm: LLMConfig) -> None:
    """Refuse what would end in the trainer, after the model was read or after the stages before.

    Raises:
        StratagemError: one process sees several GPUs, the batch does not divide by the processes, weights that are
            spread over processes would have to be merged, or vLLM is not there.
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if gpus > 1 and processes() == 1:
        raise StratagemError(
            f"{gpus} GPUs and one process: start it with `accelerate launch -m stratagem …` (in a study "
            "--accelerate CONFIG), or let it see one GPU with CUDA_VISIBLE_DEVICES=0"
        )
    rl = isinstance(config, GRPOConfig)
    rows = config.batch * config.group if rl else config.batch
    if rows % processes():
        asked = f"--batch {config.batch}" + (f" x --group {config.group}" if rl else "")
        raise StratagemError(f"{asked}: must divide by {processes()} processes")
    if llm.merge and sharded():
        raise StratagemError("--merge: weights that FSDP or DeepSpeed spreads are not merged; leave it out")
    check_vllm(llm)


def check_vllm(llm: LLMConfig) -> None:
    """
    Raises:
        StratagemError: vLLM is asked for and not installed, or its server does not answer.
    """
    if llm.vllm == "off":
        return
    if find_spec("vllm") is None:
        raise StratagemError(f"--vllm {llm.vllm}: vLLM is not installed: pip install 'trl[vllm]'")
    if llm.vllm == "server":
        url = (llm.vllm_url or SERVER).rstrip("/")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=PATIENCE):
                pass
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", None) or error
            raise StratagemError(
                f"--vllm server: nothing answers at {url} ({reason}); start it with `trl vllm-serve --model MODEL`"
            ) from None
