"""The native engine against its peers in one run: Hugging Face `generate`, TRL's GRPOTrainer and SFTTrainer.

    pip install 'trl==1.16.*' datasets && python benchmarks/engine.py            # the table of docs/performance.md

All work on the shipped base after SFT as in the study (made first, half a minute), on the same problems of 6-9
steps, with the same batch, group, token limit and temperature, one thread each, in turns. `flat` is the same at a
temperature that makes every word about equally likely, so that no two samples share anything: the worst case. `TRL` is
TRL with its own defaults, `TRL fast` without gradient checkpointing and in fp32.

Times are CPU seconds of the process: at one thread those of the clock on an idle machine, and far less disturbed by
what else runs. Operations and bytes are counted as they are dispatched: products and attention for FLOPs; for bytes
every input and output of every kernel, as if nothing stayed in a cache. Of the compiled kernels only attention is
counted: the norms and gates do a hundredth of the operations. Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from stratagem.models import kernels
from stratagem.models.folder import load_model
from stratagem.models.vocabulary import EOS_ID, PAD_ID, encode
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import GRPOConfig, SFTConfig
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.chain import KINDS
from stratagem.training import grpo, loop, sft

TASK = FiniteField(11)
RL = GRPOConfig(lr=3e-4, prompts=128)
SFT = SFTConfig(size=256, epochs=1, tune="all", lr=1e-4)


@dataclass
class Work:
    """CPU seconds of each turn of one engine at one task, tokens of a turn, and what one turn was counted to do."""

    seconds: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    flops: float = 0.0
    moved: float = 0.0

    @property
    def rate(self) -> float:
        """Tokens a second, median over turns."""
        return median(n / s for n, s in zip(self.tokens, self.seconds, strict=True))


class Bytes(TorchDispatchMode):
    """Sums the inputs and outputs of every kernel that is no view."""

    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if not func.is_view:
            tensors = [t for t in tree_leaves((args, kwargs, output)) if isinstance(t, torch.Tensor)]
            self.total += sum(t.numel() * t.element_size() for t in tensors)
        return output


def count(work: Work, turn: Callable[[], Any]) -> None:
    """Count one turn."""
    attend, seen = kernels.attend, [0, 0]

    def counted(
        heads: Any, cos: Any, sin: Any, base: Any, before: Any, row: Any, slot: Any, *rest: Any
    ) -> None:
        keys, out = rest[0], rest[3]
        slots = int((before + slot + 1).sum())
        seen[0] += 4 * slots * out[0].size  # a product with the keys and one with the values
        seen[1] += 8 * slots * keys.shape[2] * keys.shape[3] + heads.nbytes + out.nbytes
        attend(heads, cos, sin, base, before, row, slot, *rest)

    with FlopCounterMode(display=False) as flops:
        turn()
    kernels.attend = counted
    try:
        with Bytes() as moved:
            turn()
    finally:
        kernels.attend = attend
    work.flops, work.moved = float(flops.get_total_flops() + seen[0]), float(moved.total + seen[1])


def count_last(work: Work, updates: Callable[[int], Any]) -> None:
    """Count an update as what two do more than one."""
    single, double = Work(), Work()
    count(single, lambda: updates(1))
    count(double, lambda: updates(2))
    work.flops, work.moved = double.flops - single.flops, double.moved - single.moved


def timed(turn: Callable[[], int], work: Work) -> None:
    started = time.process_time()
    tokens = turn()
    work.seconds.append(time.process_time() - started)
    work.tokens.append(tokens)


def peaks() -> dict[str, float]:
    """Matrix products in FLOP/s and copies in bytes/s, one turn each."""
    limits = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a = torch.randn(1024, 1024).to(dtype)
        seconds = []
        for _ in range(4):
            started = time.process_time()
            torch.mm(a, a)
            seconds.append(time.process_time() - started)
        limits[name] = 2 * 1024**3 / min(seconds)
    source = torch.ones(64 * 2**20)
    target = torch.empty_like(source)
    seconds = []
    for _ in range(4):
        started = time.process_time()
        target.copy_(source)
        seconds.append(time.process_time() - started)
    limits["bytes"] = 2 * source.numel() * 4 / min(seconds)
    return limits


# -- sampling ----------------------------------------------------------------------------------------------


class Sampling:
    """One batch of rollouts, as an update draws it."""

    def __init__(self, model: Path, config: GRPOConfig = RL) -> None:
        self.model, self.tokenizer = load_model(model)
        self.folder, self.config = model, config
        problems = TASK.generate("rl", config.batch, config.steps, kinds=KINDS, weights=[0.5, 0.5])
        self.prompts = [encode(self.tokenizer, problem.prompt) for problem in problems]
        self.limit = token_limit(TASK, config.steps[1])

    def native(self) -> int:
        generations = generate(
            self.model,
            self.prompts,
            samples=self.config.group,
            max_new=self.limit,
            temperature=self.config.temperature,
            generator=torch.Generator().manual_seed(0),
        )
        return sum(len(generation.ids) for generation in generations)

    def hugging_face(self) -> Callable[[], int]:
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(self.folder).eval()
        width = max(map(len, self.prompts))
        rows = [[PAD_ID] * (width - len(prompt)) + prompt for prompt in self.prompts]
        ids = torch.tensor(rows).repeat_interleave(self.config.group, 0)

        def turn() -> int:
            torch.manual_seed(0)
            # top_k 0: the whole distribution, as ours; the library's own default is 50.
            responses = model.generate(
                ids, attention_mask=(ids != PAD_ID).long(), max_new_tokens=self.limit, do_sample=True, top_k=0,
                temperature=self.config.temperature, pad_token_id=PAD_ID, eos_token_id=EOS_ID,
            )[:, width:].tolist()  # fmt: skip
            return sum(row.index(EOS_ID) + 1 if EOS_ID in row else len(row) for row in responses)

        return turn


# -- training ----------------------------------------------------------------------------------------------


def native_grpo(model: Path, config: GRPOConfig, work: Work | None = None) -> None:
    """Updates of `grpo.train`, everything included; the first, which warms up, is not recorded."""
    last = [0.0]

    def report(done: int, total: int, metrics: dict[str, Any]) -> None:
        if work is not None and done > 1:
            work.seconds.append(time.process_time() - last[0])
            work.tokens.append(round(metrics["length"] * config.batch * config.group))
        last[0] = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        grpo.train(config, Path(folder) / "rl", model, report=report)


def native_sft(model: Path, config: SFTConfig, work: Work | None = None) -> None:
    last = [0.0]
    tokens = sum(map(len, sft_rows(model, config)[0])) // (config.size // config.batch)

    def report(done: int, total: int, metrics: dict[str, Any]) -> None:
        if work is not None and done > 1:
            work.seconds.append(time.process_time() - last[0])
            work.tokens.append(tokens)
        last[0] = time.process_time()

    with tempfile.TemporaryDirectory() as folder:
        sft.train(config, Path(folder) / "sft", model, report=report)


def sft_rows(model: Path, config: SFTConfig) -> tuple[list[list[int]], list[list[int]]]:
    """Token ids of the demonstrations, and which of them are learnt."""
    _, tokenizer = load_model(model)
    problems = TASK.generate("sft", config.size, config.steps, seed=config.seed)
    ids, masks = [], []
    for problem, text in zip(
        problems, TASK.demonstrations(problems, config.strategy, config.seed), strict=True
    ):
        prompt, response = encode(tokenizer, problem.prompt), [*encode(tokenizer, text), EOS_ID]
        ids.append(prompt + response)
        masks.append([0] * len(prompt) + [1] * len(response))
    return ids, masks


def clock(work: Work, tokens: Callable[[Any], int]) -> Any:
    """A trainer's callback that records its steps but the first."""
    from transformers import TrainerCallback

    class Clock(TrainerCallback):
        last = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
            if state.global_step > 1:
                work.seconds.append(time.process_time() - self.last)
                work.tokens.append(tokens(state))
            self.last = time.process_time()

    return Clock()


def common(folder: str, steps: int) -> dict[str, Any]:
    return {
        "output_dir": folder, "max_steps": steps, "use_cpu": True, "report_to": [], "save_strategy": "no",
        "logging_strategy": "no", "disable_tqdm": True, "lr_scheduler_type": "constant",
    }  # fmt: skip


def trl_grpo(model: Path, config: GRPOConfig, steps: int, work: Work, **options: Any) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import GRPOConfig as TRLConfig
    from trl import GRPOTrainer

    problems = {
        problem.prompt: problem
        for problem in TASK.generate(
            "rl", config.prompts, config.steps, seed=config.seed, kinds=KINDS, weights=[0.5, 0.5]
        )
    }
    lengths = [0]

    def reward(prompts: list[str], completions: list[str], completion_ids: Any, **rest: Any) -> list[float]:
        lengths[0] = sum(map(len, completion_ids))
        return [TASK.verify(problems[p], c) for p, c in zip(prompts, completions, strict=True)]

    with tempfile.TemporaryDirectory() as folder:
        settings = TRLConfig(
            **common(folder, steps), per_device_train_batch_size=config.batch * config.group,
            num_generations=config.group, max_completion_length=token_limit(TASK, config.steps[1]), beta=config.beta,
            temperature=config.temperature, learning_rate=config.lr, loss_type=config.loss, **options,
        )  # fmt: skip
        GRPOTrainer(
            AutoModelForCausalLM.from_pretrained(model),
            reward,
            args=settings,
            train_dataset=Dataset.from_list([{"prompt": prompt} for prompt in problems]),
            processing_class=PreTrainedTokenizerFast.from_pretrained(model, padding_side="left"),
            callbacks=[clock(work, lambda state: lengths[0])],
        ).train()


def trl_sft(model: Path, config: SFTConfig, work: Work, **options: Any) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast
    from trl import SFTConfig as TRLConfig
    from trl import SFTTrainer

    ids, masks = sft_rows(model, config)
    steps = config.size // config.batch
    tokens = sum(map(len, ids)) // steps
    with tempfile.TemporaryDirectory() as folder:
        SFTTrainer(
            AutoModelForCausalLM.from_pretrained(model),
            TRLConfig(
                **common(folder, steps),
                per_device_train_batch_size=config.batch,
                learning_rate=config.lr,
                **options,
            ),
            train_dataset=Dataset.from_dict({"input_ids": ids, "completion_mask": masks}),
            processing_class=PreTrainedTokenizerFast.from_pretrained(model),
            callbacks=[clock(work, lambda state: tokens)],
        ).train()


# -- the tables --------------------------------------------------------------------------------------------


def compare(model: Path, rounds: int, only: str = "") -> dict[str, Any]:
    """Every engine at every task whose name begins with `only`, in turns."""
    flat = replace(RL, temperature=20.0)
    sampling, flat_sampling = Sampling(model), Sampling(model, flat)
    hf, flat_hf = sampling.hugging_face(), flat_sampling.hugging_face()
    fast = {"gradient_checkpointing": False, "bf16": False}
    few = replace(RL, updates=3)
    turns: dict[str, Callable[[Work], None]] = {
        "sample: native": lambda work: timed(sampling.native, work),
        "sample: generate": lambda work: timed(hf, work),
        "sample flat: native": lambda work: timed(flat_sampling.native, work),
        "sample flat: generate": lambda work: timed(flat_hf, work),
        "grpo: native": lambda work: native_grpo(model, few, work),
        "grpo flat: native": lambda work: native_grpo(model, replace(flat, updates=3), work),
        "sft: native": lambda work: native_sft(model, SFT, work),
    }
    if loop.product_speed(torch.bfloat16) > loop.product_speed():
        turns["grpo: native bf16"] = lambda work: native_grpo(model, replace(few, precision="bf16"), work)
        turns["sft: native bf16"] = lambda work: native_sft(model, replace(SFT, precision="bf16"), work)
    if installed():
        turns |= {
            "grpo: TRL": lambda work: trl_grpo(model, RL, 3, work),
            "grpo: TRL fast": lambda work: trl_grpo(model, RL, 3, work, **fast),
            "grpo flat: TRL": lambda work: trl_grpo(model, flat, 3, work),
            "sft: TRL": lambda work: trl_sft(model, SFT, work),
            "sft: TRL fast": lambda work: trl_sft(model, SFT, work, **fast),
        }
    turns = {name: turn for name, turn in turns.items() if name.startswith(only)}
    done = {name: Work() for name in turns}
    limits: list[dict[str, float]] = []
    for turn in range(rounds):
        limits.append(peaks())
        for name, run in turns.items():
            run(done[name])
            print(f"round {turn + 1}: {name:22} {median(done[name].seconds):7.3f} s", flush=True)
    if "sample: native" in done:
        count(done["sample: native"], sampling.native)
    if "grpo: native" in done:
        count_last(done["grpo: native"], lambda n: native_grpo(model, replace(RL, updates=n)))
    if "sft: native" in done:
        count_last(done["sft: native"], lambda n: native_sft(model, replace(SFT, size=n * SFT.batch)))
    return {
        "limits": {name: median(limit[name] for limit in limits) for name in limits[0]},
        "work": {
            name: {
                "seconds": median(work.seconds), "low": min(work.seconds), "high": max(work.seconds),
                "tokens_per_second": work.rate, "flops": work.flops, "bytes": work.moved,
            }
            for name, work in done.items()
        },
    }  # fmt: skip


def installed() -> bool:
    try:
        import datasets  # noqa: F401
        import trl  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def show(comparison: dict[str, Any]) -> None:
    limits, work = comparison["limits"], comparison["work"]
    print("\nlimits: " + ", ".join(f"{name} {value / 1e9:.1f} G/s" for name, value in limits.items()))
    for name, measured in work.items():
        line = f"{name:22} {measured['seconds']:7.3f} s [{measured['low']:.3f}, {measured['high']:.3f}]"
        line += f" {measured['tokens_per_second']:9,.0f} tokens/s"
        peer = work.get(name.split(":")[0] + ": native")
        if peer is not measured:
            line += (
                f"  native is {peer['tokens_per_second'] / measured['tokens_per_second']:.2f} times as fast"
            )
        elif measured["flops"]:
            flops, moved = measured["flops"] / measured["seconds"], measured["bytes"] / measured["seconds"]
            line += f"  {measured['flops'] / 1e9:.1f} GFLOP: {flops / limits['fp32']:.0%} of the fp32 peak"
            line += f", {flops / limits['bf16']:.0%} of bf16"
            line += f"; {measured['bytes'] / 1e9:.1f} GB: {moved / limits['bytes']:.0%} of the bandwidth"
        print(line)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, help="a model folder; without it the base after SFT is made")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each engine")
    parser.add_argument("--only", default="", help="tasks whose name begins so: sample, grpo or sft")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or sft.train(SFTConfig(), Path(folder) / "FB") / "model"
        comparison = compare(model, options.rounds, options.only)
    show(comparison)
    if options.json:
        options.json.write_text(json.dumps(comparison, indent=1) + "\n")


if __name__ == "__main__":
    main()
