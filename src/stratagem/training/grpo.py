"""Group relative policy optimisation, native: one update read from top to bottom.

The variants that are called GRPO, by `loss` and `scale`:

- ``grpo`` with ``group``: each completion's mean over its tokens, then the mean over completions; advantages divided by
  the standard deviation of their group (Shao et al., DeepSeekMath, arXiv 2402.03300). The default.
- ``dapo``: the mean over all tokens of the update (Yu et al., arXiv 2503.14476).
- ``dr_grpo`` with ``none``: the sum over tokens divided by a constant, the token limit; advantages not scaled (Liu et
  al., "Understanding R1-Zero-like training", arXiv 2503.20783).

The KL term is Schulman's non-negative estimator, exp(r - p) - (r - p) - 1 for log-probabilities r of the reference and
p of the policy. Log-probabilities are those of the distribution that is sampled from, at the temperature, in policy,
reference and entropy alike.

Shapes by suffix: B completions, R response tokens, G completions of a group.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from stratagem.models.folder import fingerprint, load_model, model_folder, save_model
from stratagem.models.transformer import Transformer
from stratagem.models.vocabulary import encode
from stratagem.records import Problem, Report, content_id
from stratagem.rollouts.store import rollout_row, write_rollouts
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import GRPOConfig, stage
from stratagem.tasks import make_task, read_mix
from stratagem.training import loop
from stratagem.training.asking import Asking, Response, named
from stratagem.training.packing import Part, pack
from stratagem.workspace import write_json


def advantages(scores_BG: Tensor, scale: str) -> Tensor:
    """Rewards relative to their group (one row a group), over its standard deviation where `scale` is ``group``."""
    centred = scores_BG - scores_BG.mean(1, keepdim=True)
    return centred / (scores_BG.std(1, keepdim=True) + 1e-4) if scale == "group" else centred


def policy_loss(
    logps_BR: Tensor,
    old_logps_BR: Tensor,
    ref_logps_BR: Tensor,
    advantages_B: Tensor,
    mask_BR: Tensor,
    *,
    loss: str,
    clip: float,
    beta: float,
    rows: int,
    tokens: int,
    max_new: int,
) -> Tensor:
    """The loss of some completions of an update, a scalar; the parts of one update add up to its loss.

    Args:
        mask_BR: 1 for response tokens, the end token included.
        rows: completions in the whole update.
        tokens: response tokens in the whole update, which ``dapo`` divides by.
        max_new: the token limit, which ``dr_grpo`` divides by.
    """
    ratio = (logps_BR - old_logps_BR).exp()
    gain = advantages_B[:, None]
    terms = -torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)
    if beta:
        difference = ref_logps_BR - logps_BR
        terms = terms + beta * (difference.exp() - difference - 1)
    terms = terms * mask_BR
    match loss:
        case "grpo":
            return (terms.sum(1) / mask_BR.sum(1).clamp(min=1)).sum() / rows
        case "dapo":
            return terms.sum() / tokens
        case "dr_grpo":
            return terms.sum() / (rows * max_new)
        case other:
            raise ValueError(f"loss {other!r}")


def token_logps(model: Transformer, part: Part, temperature: float) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probabilities of the members' tokens at `temperature`, the mask of their tokens, and entropies, all BR."""
    mask = part.real_BR
    hidden = model.hidden_after(part.prompts_PT, part.lengths_P, part.owner_B, part.ids_BR, mask)
    logps = (model.logits(hidden) / temperature).log_softmax(-1)
    with torch.no_grad():
        entropy = -(logps.exp() * logps).sum(-1)
    chosen = logps.gather(-1, part.targets_BR[mask][:, None])[:, 0]
    blank = torch.zeros(mask.shape, dtype=logps.dtype)
    distinct = blank.masked_scatter(mask, chosen), mask.to(logps.dtype), blank.masked_scatter(mask, entropy)
    logps_BR, mask_BR, entropy_BR = (tensor[part.which] for tensor in distinct)
    return logps_BR, mask_BR, entropy_BR


def train(
    config: GRPOConfig,
    out: Path,
    model: Path,
    keep_rollouts: bool = False,
    report: Report = loop.quiet,
    only: Path | None = None,
) -> Path:
    """RL from `model`, which is the reference too; writes ``out/model`` and ``out/metrics.jsonl``.

    Resumes, or returns at once when done. With `keep_rollouts` each update's rollouts are kept, labelled, in
    ``out/rollouts/``. `only` is a file of those of the problems that are asked (`asking.named`).
    """
    start = model_folder(model)
    task = make_task(config.task)
    weights = read_mix(config.mix, task)
    problems = task.generate("rl", config.prompts, config.steps, seed=config.seed, weights=weights)
    inputs: dict[str, Any] = {"keep_rollouts": keep_rollouts}
    if only is not None:
        problems = named(problems, only, config)
        inputs["only"] = content_id(*(problem.id for problem in problems))
    folder = stage("rl", config, out, model=fingerprint(start), **inputs)
    if folder.done:
        return out
    policy, tokenizer = load_model(start)
    reference, _ = load_model(start)
    reference.requires_grad_(False)
    loop.set_precision((policy, reference), config.precision)
    prompts = [encode(tokenizer, problem.prompt) for problem in problems]
    asking = Asking(config, problems)
    optimizer = loop.optimizer_for(policy, config.lr, tune=config.tune)
    max_new = token_limit(task, config.steps[1])

    def update(number: int, step: Callable[[], float]) -> dict[str, Any]:
        started = time.perf_counter()
        # 1. This update's problems, and a group of completions each with their outcome reward.
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + number)

        def answer(chosen: list[int]) -> list[Response]:
            generations = generate(
                policy,
                [prompts[i] for i in chosen],
                samples=config.group,
                max_new=max_new,
                temperature=config.temperature,
                generator=generator,
                named=f"{start} after {number} updates" if number else str(start),
            )
            asked = [i for i in chosen for _ in range(config.group)]
            texts = [tokenizer.decode(g.ids, skip_special_tokens=True) for g in generations]
            return [
                Response(i, g, text, task.verify(problems[i], text))
                for i, g, text in zip(asked, generations, texts, strict=True)
            ]

        asked = asking.ask(number, answer)
        sampled = time.perf_counter() - started

        # 2. Rewards relative to the group.
        trained = asked.trained_on(config.batch)
        scores_BG = torch.tensor([response.score for response in trained]).view(config.batch, config.group)
        advantages_B = advantages(scores_BG, config.scale).flatten()

        # 3. One step of the policy, or several on the same completions.
        rows = [(prompts[response.problem], response.generation.ids) for response in trained]
        learnt = optimise(config, policy, reference, rows, advantages_B, max_new, step)

        # 4. What happened, by problem type, number of steps and strategy: all that was asked.
        every = asked.responses
        labels = [
            task.label(problems[response.problem], response.text, response.generation.finish_reason)
            for response in every
        ]
        if keep_rollouts:
            kept = [
                rollout_row(
                    problems[response.problem],
                    f"update {number}",
                    k % config.group,
                    response.text,
                    response.generation,
                    response.score,
                    label,
                )
                | {"group": k // config.group, "update": number}
                for k, (response, label) in enumerate(zip(every, labels, strict=True))
            ]
            write_rollouts(work / "rollouts" / f"update_{number:05d}.parquet", kept)
        tokens = asked.tokens()
        return {
            "reward": round(sum(response.score for response in every) / len(every), 6),
            "no_signal": round(float(asked.flat_C.mean()), 6),
            **learnt,
            "length": round(tokens / len(every), 3),
            "truncated": sum(response.generation.finish_reason == "length" for response in every),
            "cells": cells(
                [problems[response.problem] for response in every],
                [label.strategy for label in labels],
                [response.score for response in every],
            ),
            "response_tokens": tokens,
            "flat_tokens": asked.tokens(flat=True),
            "choosing_s": round(asked.own_s, 6),
            "sampling_s": round(sampled, 3),
            "seconds": round(time.perf_counter() - started, 3),
        }

    with folder.open() as work:
        rate = loop.constant(config.lr, warmup=min(5, config.updates))
        loop.run(
            work, policy, optimizer, config.updates, update, rate, save_every=25, report=report, kept=asking
        )
        save_model(policy, tokenizer, work / "model")
        write_json(work / "trained_on.json", [problem.id for problem in problems])
    return out


def optimise(
    config: GRPOConfig,
    policy: Transformer,
    reference: Transformer,
    rows: list[tuple[list[int], list[int]]],
    advantages_B: Tensor,
    max_new: int,
    step: Callable[[], float],
) -> dict[str, float]:
    """The inner steps of one update on its completions; returns metrics."""
    parts = pack(rows)
    with torch.no_grad():
        refs = [token_logps(reference, part, config.temperature)[0] for part in parts]
    tokens = sum(len(response) for _, response in rows)
    olds: list[Tensor] = []
    entropies = kl = norm = 0.0
    for inner in range(config.inner):
        for i, part in enumerate(parts):
            logps, mask, entropy = token_logps(policy, part, config.temperature)
            if inner == 0:
                olds.append(logps.detach())
                entropies += entropy.sum().item()
                difference = refs[i] - olds[i]
                kl += ((difference.exp() - difference - 1) * mask).sum().item()
            policy_loss(
                logps,
                olds[i],
                refs[i],
                advantages_B[part.members],
                mask,
                loss=config.loss,
                clip=config.clip,
                beta=config.beta,
                rows=len(rows),
                tokens=tokens,
                max_new=max_new,
            ).backward()
        norm = step()
    return {
        "kl": round(kl / tokens, 6),
        "entropy": round(entropies / tokens, 6),
        "grad_norm": round(norm, 6),
    }


def cells(problems: Sequence[Problem], strategies: Sequence[str], scores: Sequence[float]) -> list[list[Any]]:
    """[kind, difficulty, strategy, responses, correct ones], one a cell, sorted."""
    n: Counter[tuple[str, int, str]] = Counter()
    right: Counter[tuple[str, int, str]] = Counter()
    for problem, strategy, score in zip(problems, strategies, scores, strict=True):
        cell = (problem.kind, problem.difficulty, strategy)
        n[cell] += 1
        right[cell] += int(score)
    return [[*cell, n[cell], right[cell]] for cell in sorted(n)]
