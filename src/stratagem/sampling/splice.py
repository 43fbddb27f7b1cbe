"""Splices: responses whose opening one model chose and another goes on from (`decomposition.splices`).

An opening is the first token, which says the strategy and holds no state and no answer.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.splices import PAIRS, Spliced, by_experiment
from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.records import SIDES, Progress, Report, StratagemError
from stratagem.sampling.answer import Answer
from stratagem.sampling.native import generate
from stratagem.sampling.rollout import TABLE, Native, rollout, write_answers
from stratagem.settings import RolloutConfig
from stratagem.tasks.table import label_table
from stratagem.workspace import CONFIG

DRAWS, SEED = 2_000, 2606  # of the bootstrap behind the split by accounting


class Splicing(Native):
    """Openings by one model, the rest by another, within the tokens that one alone would have."""

    def __init__(self, opener: Path, folder: Path, config: RolloutConfig) -> None:
        super().__init__(folder, config)
        self.opener, _ = load_model(opener)
        self.opener_folder = opener

    def __call__(
        self, problems: Any, opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        prompts = [encode(self.tokenizer, problem.prompt) for problem in problems]
        first = generate(
            self.opener,
            prompts,
            samples=samples,
            max_new=1,
            temperature=temperature,
            generator=torch.Generator().manual_seed(seed),
            named=str(self.opener_folder),
        )
        rest = generate(
            self.model,
            [prompts[k // samples] + each.ids for k, each in enumerate(first)],
            max_new=self.limit - 1,
            temperature=temperature,
            generator=torch.Generator().manual_seed(seed + 1),
            named=str(self.folder),
        )
        answers: list[Answer] = []
        for begun, ended in zip(first, rest, strict=True):
            whole = begun.finish_reason == "stop"  # it ended at once: nothing goes on from there
            ids = begun.ids if whole else begun.ids + ended.ids
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            answers.append(Answer(text, len(ids), "stop" if whole else ended.finish_reason))
        return answers


def write_spliced(
    config: RolloutConfig, out: Path, opener: Path, model: Path, report: Report | None = None
) -> Path:
    """Write ``out/rollouts.parquet``: responses that `opener` begins and `model` ends; returns at once when done."""
    folder, first = model_folder(model), model_folder(opener)
    source = {"model": fingerprint(folder), "opener": fingerprint(first)}
    return write_answers(config, out, source, lambda: Splicing(first, folder, config), report)


def splice(config: RolloutConfig, out: Path, models: tuple[Path, Path], progress: Progress) -> Spliced:
    """Sample both models by themselves and in the four splices, in folders under `out`, and compare.

    Args:
        config: of all six; a greedy response is not taken.
        models: before and after.

    Resumes; what is done already is not sampled again.

    Raises:
        StratagemError: a strategy is to be forced, or `out` holds something else.
    """
    if (out / CONFIG).exists():
        raise StratagemError(f"{out}: holds a stage's result; choose another --out")
    if config.force is not None:
        raise StratagemError("--force: in a splice a model opens; `stratagem probe` forces strategies")
    folders: dict[str, Path] = dict(zip(SIDES, map(model_folder, models), strict=True))
    places = {
        side: rollout(config, out / side, folder, partial(progress, side)) for side, folder in folders.items()
    }
    for name in PAIRS:
        opener, other = (folders[side] for side in name.split())
        places[name] = write_spliced(
            config, out / name.replace(" ", "_"), opener, other, partial(progress, name)
        )
    labelled = (label_table(pl.read_parquet(places[side] / TABLE, glob=False)) for side in SIDES)
    split = decompose(*labelled, rng=np.random.default_rng(SEED), draws=DRAWS)
    measured = {side: by_problem(places[side]) for side in SIDES} | {
        name: by_problem(places[name], folders[name.split()[1]], config.temperature) for name in PAIRS
    }
    return by_experiment(measured, (split.selection, split.improvement))


def by_problem(place: Path, model: Path | None = None, temperature: float = 1.0) -> pl.DataFrame:
    """Each problem of a rollout stage by its id: problem_id, kind, accuracy, and surprise where a model is given: the
    mean negative log-probability of its responses' first tokens under the model, in nats."""
    table = pl.read_parquet(place / TABLE, glob=False)
    measured = (
        table.group_by("problem_id", "kind").agg(pl.col("score").mean().alias("accuracy")).sort("problem_id")
    )
    if model is None:
        return measured
    network, tokenizer = load_model(model)
    surprise: dict[Any, float] = {}
    with torch.inference_mode():
        for (problem, prompt), rows in table.group_by("problem_id", "prompt", maintain_order=True):
            logits = network.logits(network.hidden(torch.tensor([encode(tokenizer, str(prompt))])))[0, -1]
            logps = (logits / temperature).log_softmax(-1)
            firsts = [encode(tokenizer, text)[:1] for text in rows["completion"]]
            surprise[problem] = float(np.mean([-float(logps[ids[0]]) for ids in firsts if ids] or [np.nan]))
    return measured.with_columns(surprise=pl.col("problem_id").replace_strict(surprise))
