"""Evaluation: completions of held-out problems, sampled and greedy, as a rollout table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import torch

from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.records import Report
from stratagem.rollouts.store import rollout_row, write_rollouts
from stratagem.sampling.answer import Answer, Sampler
from stratagem.sampling.native import generate, token_limit
from stratagem.settings import RolloutConfig, stage
from stratagem.tasks import make_task

TABLE = "rollouts.parquet"
CHUNK = 60  # problems of one batch


def rollout(config: RolloutConfig, out: Path, model: Path, report: Report | None = None) -> Path:
    """Write ``out/rollouts.parquet`` with the native engine, unlabelled; returns at once when done."""
    folder = model_folder(model)
    return write_answers(config, out, {"model": fingerprint(folder)}, lambda: Native(folder, config), report)


def write_answers(
    config: RolloutConfig,
    out: Path,
    source: Mapping[str, Any],
    sampler: Callable[[], Sampler],
    report: Report | None = None,
) -> Path:
    """The stage of every engine: ``out/rollouts.parquet``, from whoever answers.

    Args:
        source: what, beside `config`, makes the answers: the model's content, and the engine where it is not native.
        sampler: makes the sampler, only when there is something left to answer.
    """
    folder = stage("rollout", config, out, **source)
    if not folder.done:
        with folder.open() as work:
            table = answers(config, sampler, report, work / "parts")
            write_rollouts(work / TABLE, table)
            for part in (work / "parts").glob("*"):
                part.unlink()
            (work / "parts").rmdir()
    return out


def answers(
    config: RolloutConfig, sampler: Callable[[], Sampler], report: Report | None, parts: Path
) -> pl.DataFrame:
    """The table of `write_answers`. What an interrupted run answered is read from `parts` and not asked again."""
    task = make_task(config.task)
    problems = task.generate(config.split, config.size, config.steps, seed=config.seed)
    problems.sort(key=lambda problem: problem.difficulty)  # rows of like length share a batch
    opening = task.strategies[config.force].OPENING if config.force else ""
    modes = [("sampled", config.samples, config.temperature)] + [("greedy", 1, 0.0)] * config.greedy
    parts.mkdir(exist_ok=True)
    ask: Sampler | None = None
    for first in range(0, len(problems), CHUNK):
        place = parts / f"{first:06d}.parquet"
        part = problems[first : first + CHUNK]
        if not place.exists():
            ask = ask or sampler()
            rows: list[dict[str, Any]] = []
            for mode, samples, temperature in modes:
                replies = ask(part, opening, samples, temperature, config.seed * 1_000_003 + first)
                for k, answer in enumerate(replies):
                    problem = part[k // samples]
                    text = f"{opening} {answer.text.lstrip()}" if opening else answer.text.lstrip()
                    score = task.verify(problem, text)
                    row = rollout_row(problem, config.checkpoint, k % samples, text, answer, score)
                    rows.append(row | {"mode": mode, "seed": config.seed})
            write_rollouts(place, rows)
        if report is not None:
            report(first + len(part), len(problems), {})
    return pl.concat(pl.read_parquet(place, glob=False) for place in sorted(parts.glob("*.parquet")))


class Native:
    """The small model in its own engine."""

    def __init__(self, folder: Path, config: RolloutConfig) -> None:
        self.model, self.tokenizer = load_model(folder)
        self.config, self.folder = config, folder

    @property
    def limit(self) -> int:
        """Most tokens of a response."""
        return self.config.max_new or token_limit(make_task(self.config.task), self.config.steps[1])

    def __call__(
        self, problems: Any, opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        start = encode(self.tokenizer, opening) if opening else []
        limit = self.config.max_new or self.limit - len(start)
        generations = generate(
            self.model,
            [encode(self.tokenizer, problem.prompt) + start for problem in problems],
            samples=samples,
            max_new=limit,
            temperature=temperature,
            generator=torch.Generator().manual_seed(seed),
            named=str(self.folder),
        )
        return [
            Answer(
                self.tokenizer.decode(generation.ids, skip_special_tokens=True),
                len(generation.ids),
                generation.finish_reason,
            )
            for generation in generations
        ]
