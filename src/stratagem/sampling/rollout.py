"""Evaluation: completions of held-out problems, sampled and greedy, as a rollout table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import polars as pl
import torch

from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.rollouts.store import frame, rollout_row, write_rollouts
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import RolloutConfig
from stratagem.strategies import STRATEGIES
from stratagem.tasks.finite_field import FiniteField
from stratagem.workspace import Stage

VERSION = 1
TABLE = "rollouts.parquet"
CHUNK = 60  # problems of one batch


def rollout(
    config: RolloutConfig,
    out: Path,
    model: Path,
    report: Callable[[int, int, dict[str, Any]], None] | None = None,
) -> Path:
    """Write ``out/rollouts.parquet``, unlabelled; returns at once when done."""
    folder = model_folder(model)
    stage = Stage("rollout", VERSION, asdict(config) | {"model": fingerprint(folder)}, out)
    if not stage.done:
        with stage.open() as work:
            write_rollouts(work / TABLE, answers(config, folder, report))
    return out


def answers(
    config: RolloutConfig, folder: Path, report: Callable[[int, int, dict[str, Any]], None] | None = None
) -> pl.DataFrame:
    """The table of `rollout`, without a folder."""
    task = FiniteField(config.p)
    problems = task.generate("eval", config.size, config.steps, seed=config.seed)
    problems.sort(key=lambda problem: problem.difficulty)  # rows of like length share a batch
    model, tokenizer = load_model(folder)
    opening = STRATEGIES[config.force].OPENING if config.force else ""
    start = encode(tokenizer, opening) if opening else []
    limit = token_limit(config.steps[1]) - len(start)
    modes = [("sampled", config.samples, config.temperature)] + [("greedy", 1, 0.0)] * config.greedy
    rows: list[dict[str, Any]] = []
    for first in range(0, len(problems), CHUNK):
        part = problems[first : first + CHUNK]
        prompts = [encode(tokenizer, problem.prompt) + start for problem in part]
        for mode, samples, temperature in modes:
            generator = torch.Generator().manual_seed(config.seed * 1_000_003 + first)
            found = generate(
                model, prompts, samples=samples, max_new=limit, temperature=temperature, generator=generator
            )
            for k, generation in enumerate(found):
                problem, text = part[k // samples], tokenizer.decode(generation.ids, skip_special_tokens=True)
                text = f"{opening} {text}" if opening else text
                row = rollout_row(
                    problem, config.checkpoint, k % samples, text, generation, task.verify(problem, text)
                )
                rows.append(row | {"mode": mode, "seed": config.seed})
        if report is not None:
            report(first + len(part), len(problems), {})
    return frame(rows)
