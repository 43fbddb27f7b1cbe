"""What a study with an LLM costs: the numbers of docs/llms.md, counted and not timed. Nothing is trained.

    python benchmarks/llm_cost.py --tokenizer HuggingFaceTB/SmolLM2-135M-Instruct
    python benchmarks/llm_cost.py --tokenizer runs/FB/model --run runs/FB-hard

Tokens are those of 256 problems each. Operations and what a training step keeps for its gradients are those that torch
dispatches for one sequence through a model of Qwen2.5-1.5B's shape without weights (device "meta"). With `--run`, the
folder of RL by TRL, the tokens that TRL counted are set beside those of its problems and their demonstrations.
"""

from __future__ import annotations

import argparse
import json
import warnings
from contextlib import nullcontext
from pathlib import Path
from statistics import mean
from types import SimpleNamespace
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from stratagem.studies.config import QWEN, read_study
from stratagem.studies.table1 import cell_names, probes_of
from torch.utils.flop_counter import FlopCounterMode
from transformers import Qwen2Config, Qwen2ForCausalLM

from stratagem.models.llm import find_model, load_tokenizer, prompting, token_budget
from stratagem.records import Problem
from stratagem.settings import LLMConfig, RolloutConfig
from stratagem.tasks import FiniteField
from stratagem.training.loop import asked

PEAK = 989e12  # operations a second of an H100 in bfloat16
STEP = 0.03  # seconds of a decoding step of transformers: an assumption
CHUNK = 60  # problems that are answered together
LAYERS, SHAPE = (
    28,
    {
        "vocab_size": 151936,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
        "attn_implementation": "sdpa",
    },
)


def lengths(tokenizer: Any, task: FiniteField, problems: list[Problem]) -> tuple[list[int], list[int]]:
    """Tokens of the prompts, and of their demonstrations with the end token."""
    form = prompting(tokenizer, task)
    texts = task.demonstrations(problems, "FB")
    prompts = [len(form.ids(tokenizer, problem.prompt)) for problem in problems]
    return prompts, [len(tokenizer(f" {text}")["input_ids"]) + 1 for text in texts]


def adapted(layers: int, dropout: float) -> Any:
    """The shape with so many layers and a fresh adapter, in bfloat16, to be trained."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE, num_hidden_layers=layers)).bfloat16()
        given = LoraConfig(r=64, lora_alpha=128, lora_dropout=dropout, target_modules="all-linear")
        return get_peft_model(model, given).train()


def operations(prompt: int, completion: int) -> tuple[int, dict[str, float]]:
    """Weights without adapter, and the operations of a sequence by pass."""
    found: dict[str, float] = {}
    with torch.device("meta"):
        model = adapted(LAYERS, 0.05)
        ids = torch.zeros(1, prompt + completion, dtype=torch.long)
        for name in ("forward", "reference", "training"):
            counter = FlopCounterMode(display=False)
            off = model.disable_adapter() if name == "reference" else nullcontext()
            with counter, off, torch.set_grad_enabled(name == "training"):
                logits = model(input_ids=ids, logits_to_keep=completion).logits
                if name == "training":
                    logits.sum().backward()
            found[name] = counter.get_total_flops()
    weights = sum(one.numel() for name, one in model.named_parameters() if "lora" not in name)
    return weights, found


def kept(tokens: int = 97) -> float:
    """Bytes a token that a layer keeps for its gradients, with a byte for each value that dropout may drop.

    It is what torch saves on a CPU for two layers, less what it saves for one, without dropout. A mask of dropout has
    four bytes a value there, and one on a GPU.
    """
    sizes = []
    for layers in (1, 2):
        model, saved, alive = adapted(layers, 0.0), {}, []
        own = {one.untyped_storage()._cdata for one in model.parameters()}
        ids = torch.zeros(1, tokens, dtype=torch.long)

        def keep(one: torch.Tensor, saved: Any = saved, alive: Any = alive, own: Any = own) -> torch.Tensor:
            storage = one.untyped_storage()
            if storage._cdata not in own and tokens in one.shape:  # and not a weight in another type
                saved[storage._cdata] = storage.nbytes()
            alive.append(one)  # so that no place in memory comes twice
            return one

        hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one)
        with hooks, torch.autocast("cpu", torch.bfloat16):
            model(input_ids=ids, attention_mask=torch.ones_like(ids), logits_to_keep=1)
        sizes.append(sum(saved.values()) / tokens)
    masks = 6 * SHAPE["hidden_size"] + SHAPE["intermediate_size"]  # the inputs of a layer's seven adapters
    return sizes[1] - sizes[0] + masks


def calls(config: RolloutConfig, batch: int) -> int:
    """Batches that an evaluation or a probe is answered in."""
    sizes = [min(CHUNK, config.size - first) for first in range(0, config.size, CHUNK)]
    each = [
        -(-size * config.samples // batch) + (-(-size // batch) if config.greedy else 0) for size in sizes
    ]
    return sum(each)


def check(tokenizer: Any, run: Path) -> None:
    """TRL's own count of a run's tokens beside what its problems and their demonstrations come to."""
    config = SimpleNamespace(**json.loads((run / "config.json").read_text())["settings"])
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    task = FiniteField(config.p)
    weights = [1 - config.inversion, config.inversion]
    problems = task.generate("rl", config.prompts, tuple(config.steps), seed=config.seed, weights=weights)
    prompts, texts = lengths(tokenizer, task, problems)
    order = [i for line in lines for i in asked(config, line["update"])]  # pyright: ignore
    expected = config.group * sum(prompts[i] + texts[i] for i in order)
    written = config.group * config.batch * sum(line["length"] for line in lines)
    print(
        f"{run}: {len(lines)} updates, TRL counted {lines[-1]['tokens']:,.0f} tokens; prompts and demonstrations "
        f"{expected:,}, prompts and what was written {config.group * sum(prompts[i] for i in order) + written:,.0f}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tokenizer", required=True, help="a hub id or folder with Qwen2.5's or a like tokenizer"
    )
    parser.add_argument("--run", type=Path, help="a folder of `stratagem rl --engine trl`")
    given = parser.parse_args()
    tokenizer = load_tokenizer(find_model(given.tokenizer, LLMConfig()))
    if given.run:
        check(tokenizer, given.run)
        return
    task, tokens, sizes = FiniteField(11), {}, {}
    for steps in ((2, 5), (6, 9), (6, 15)):
        prompts, texts = lengths(tokenizer, task, task.generate("rl", 256, steps))
        tokens[steps], sizes[steps] = mean(prompts) + mean(texts), (round(mean(prompts)), round(mean(texts)))
        budget = token_budget(tokenizer, task, steps[1])
        print(f"{steps}: prompt {mean(prompts):.0f} ({max(prompts)})", end=", ")
        print(f"demonstration {mean(texts):.0f} ({max(texts)}), budget {budget}")

    weights, passes = operations(*sizes[6, 9])
    each = ", ".join(f"{name} {count / weights / sum(sizes[6, 9]):.2f} N" for name, count in passes.items())
    print(f"N = {weights:,}; operations a token of a rollout: {each}")
    layer = kept()
    print(f"kept for gradients: {layer / SHAPE['hidden_size']:.0f} x hidden x layers", end=", ")
    print(f"{layer * LAYERS / 1e6:.2f} MB a token")

    study = read_study(QWEN)
    sft, rl = study.sft("full", "FB", 0), study.rl("full", "6-9", 0)
    evaluation, probe = study.rollouts("x"), study.rollouts("x", "forward")
    cells = cell_names(study)
    probes = sum(len(probes_of(cell)) for cell in cells)
    answers = len(cells) * evaluation.size * (evaluation.samples + 1) + probes * probe.size * probe.samples
    rows = [
        ("3 x SFT", 4, 3 * sft.size * sft.epochs, tokens[2, 5]),
        ("3 x RL(2-5)", 8, 3 * rl.updates * rl.batch * rl.group, tokens[2, 5]),
        ("3 x RL(6-9)", 8, 3 * rl.updates * rl.batch * rl.group, tokens[6, 9]),
        ("answers", 2, answers, tokens[6, 9]),
    ]
    for name, factor, sequences, each in rows:
        print(f"{name}: {sequences:,} sequences, {sequences * each / 1e6:.1f} M tokens, {factor} N:", end=" ")
        print(f"{factor * weights * sequences * each:.2g}")
    for vllm in (8, 10):
        training = sum(weights * n * each * (4 if factor == 4 else vllm) for _, factor, n, each in rows[:3])
        stage = weights * (rows[0][2] / 3 * tokens[2, 5] * 4 + rows[2][2] / 3 * tokens[6, 9] * vllm)
        print(f"training with RL at {vllm} N: {training:.2g}; one SFT and one RL(6-9) {stage:.2g}")
        for gpus, work in ((1, training), (8, training), (6, stage * 6)):
            hours = (work / PEAK / gpus / 3600 / use for use in (0.4, 0.2, 0.1))
            print(f"  {gpus} x H100: " + ", ".join(f"{one:.2f}" for one in hours))
    for batch in (16, 32, 64):
        one, forced = calls(evaluation, batch), calls(probe, batch)
        steps = token_budget(tokenizer, task, 9)
        hours = (len(cells) * one + probes * forced) * steps * STEP / 3600
        print(
            f"answers by {batch}: {one} and {forced} calls, {len(cells) * one + probes * forced} in all",
            end=", ",
        )
        print(f"{hours:.2f} h, one evaluation {one * steps * STEP / 3600:.2f} h")
    for name, longest in (("RL(2-5)", 5), ("RL(6-9)", 9)):
        steps = token_budget(tokenizer, task, longest)
        print(f"{name}: {steps} steps an update, {rl.updates * steps * STEP / 3600:.2f} h a run")


if __name__ == "__main__":
    main()
