"""Batched generation with transformers, for any causal language model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessorList

from stratagem.models.llm import Source, find_model, load_llm, load_tokenizer, prompting, token_budget
from stratagem.records import Problem, Report, StratagemError, content_id
from stratagem.sampling.answer import Answer, not_finite
from stratagem.sampling.rollout import write_answers
from stratagem.settings import LLMConfig, RolloutConfig
from stratagem.tasks import Task, make_task


def rollout(
    config: RolloutConfig, out: Path, model: str | Path, llm: LLMConfig, report: Report | None = None
) -> Path:
    """Write ``out/rollouts.parquet`` with the answers of any causal language model; returns at once when done.

    Raises:
        StratagemError: there is no such model, or it cannot be loaded.
    """
    source = find_model(model, llm)
    task = make_task(config.task)
    held = {"engine": "transformers", "model": source.fingerprint, "dtype": llm.dtype}
    held |= {"instruction": content_id(task.instruction())}

    def sampler() -> HuggingFace:
        return HuggingFace(source, llm, task, config.steps[1], config.max_new)

    return write_answers(config, out, held, sampler, report)


class HuggingFace:
    """A model that answers problems of `task` of up to `steps` steps, `llm.device_batch` responses at once, each of at
    most `max_new` tokens, by default the budget of the steps."""

    def __init__(
        self, source: Source, llm: LLMConfig, task: Task, steps: int, max_new: int | None = None
    ) -> None:
        self.tokenizer = load_tokenizer(source, llm)
        self.model = load_llm(source, llm, device_map="auto" if torch.cuda.is_available() else None).eval()
        self.prompting = prompting(self.tokenizer, task)
        self.max_new = max_new or token_budget(self.tokenizer, task, steps)
        self.batch = llm.device_batch
        self.named = str(source.adapter or source.base)

    def __call__(
        self, problems: Sequence[Problem], opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        prompts = [self.prompting.ids(self.tokenizer, problem.prompt, opening) for problem in problems]
        rows = [ids for ids in prompts for _ in range(samples)]
        # Rows of like length share a batch; the order of the answers is that of the problems all the same.
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        by_row: dict[int, Answer] = {}
        torch.manual_seed(seed)
        for first in range(0, len(order), self.batch):
            part = order[first : first + self.batch]
            asked = [rows[i] for i in part]
            answers = generate(self.model, self.tokenizer, asked, self.max_new, temperature, named=self.named)
            by_row |= dict(zip(part, answers, strict=True))
        return [by_row[i] for i in range(len(rows))]


@torch.inference_mode()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    max_new: int,
    temperature: float,
    logprobs: bool = False,
    named: str = "the model",
) -> list[Answer]:
    """One completion of each prompt, given as token ids; `logprobs` costs the memory of every step's distribution.

    Nothing of the model's own sampling habits (top-p, top-k, penalties) is kept: the draw is from its distribution at
    `temperature`.

    Raises:
        StratagemError: the batch does not fit the memory, or the model, which is called `named`, gives scores that
            are no numbers to draw by.
    """

    def check(ids_BT: torch.Tensor, scores_BV: torch.Tensor) -> torch.Tensor:
        if not (scores_BV < math.inf).all():  # a word that a model never says may well be at minus infinity
            raise StratagemError(not_finite(named))
        return scores_BV

    longest = max(map(len, prompts))
    pad = tokenizer.pad_token_id
    ids_BT = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts], device=model.device)
    mask_BT = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    ends = end_ids(model, tokenizer)
    config = GenerationConfig(
        max_new_tokens=max_new,
        do_sample=temperature > 0,
        pad_token_id=pad,
        eos_token_id=sorted(ends),
        output_scores=logprobs,
        return_dict_in_generate=True,
        **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature > 0 else {}),
    )
    try:
        output = model.generate(
            input_ids=ids_BT,
            attention_mask=mask_BT,
            generation_config=config,
            logits_processor=LogitsProcessorList([check]),
        )
    except torch.OutOfMemoryError:
        raise StratagemError(
            f"{len(prompts)} responses do not fit the GPU's memory; lower --device-batch"
        ) from None
    new_BT = output.sequences[:, longest:]
    answers: list[Answer] = []
    rows = new_BT.tolist()
    known = [[math.nan] * len(ids) for ids in rows]
    if logprobs:
        known = model.compute_transition_scores(
            output.sequences, output.scores, normalize_logits=True
        ).tolist()
    for ids, logps in zip(rows, known, strict=True):
        end = next((i for i, token in enumerate(ids) if token in ends), None)
        n = len(ids) if end is None else end + 1
        text = tokenizer.decode(ids[:n] if end is None else ids[:end], skip_special_tokens=True)
        answers.append(Answer(text, n, "length" if end is None else "stop", sum(logps[:n]) / n))
    return answers


def end_ids(model: Any, tokenizer: Any) -> set[int]:
    """Every token that ends a completion: the tokenizer's, and those that the model declares."""
    declared = model.generation_config.eos_token_id
    ids = declared if isinstance(declared, list) else [declared]
    return {tokenizer.eos_token_id, *(token for token in ids if token is not None)}
