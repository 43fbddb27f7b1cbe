"""Splices: responses whose opening one model chose and another goes on from. Selection and improvement by experiment.

An opening is the first token, which says the strategy and holds no state and no answer. With Y_ij the accuracy where
model i opens and model j goes on (0 before RL, 1 after it), the change of openings is worth Y_10 - Y_00 and the change
of what follows Y_11 - Y_10. Y_00 and Y_11 are placebos: they have to be what each model shows by itself.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch

from stratagem.decomposition.decompose import decompose
from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.vocabulary import encode
from stratagem.records import Estimate, Progress, Result, StratagemError
from stratagem.sampling.answer import Answer
from stratagem.sampling.native import generate
from stratagem.sampling.rollout import TABLE, Native, rollout, write_answers
from stratagem.settings import RolloutConfig
from stratagem.stats.uncertainty import mean_estimate, within
from stratagem.tasks.table import label_table
from stratagem.workspace import CONFIG

SIDES = ("before", "after")
DRAWS, SEED = 2_000, 2606  # of the bootstrap behind the split by accounting


class Spliced(Result, frozen=True):
    """What splices of two models show, in fractions.

    Attributes:
        observed: accuracy of each model by itself: ``before``, ``after``.
        spliced: accuracy by who opens and who goes on: ``before before``, ``before after``, ``after before`` and
            ``after after``.
        placebos: of each model, spliced with itself less by itself.
        selection, improvement: by experiment: what other openings and what another continuation are worth.
        accounted_selection, accounted_improvement: of what each model gave by itself, select then improve.
        surprise: nats of the openings under the model that goes on, by the same names as `spliced`.
    """

    observed: dict[str, Estimate]
    spliced: dict[str, Estimate]
    placebos: dict[str, Estimate]
    selection: Estimate
    improvement: Estimate
    accounted_selection: Estimate
    accounted_improvement: Estimate
    surprise: dict[str, float]


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
    tables: dict[str, pl.DataFrame] = {}
    for side, folder in folders.items():
        place = rollout(config, out / side, folder, partial(progress, side))
        tables[side] = pl.read_parquet(place / TABLE, glob=False)
    for opener in SIDES:
        for other in SIDES:
            name = f"{opener} {other}"
            source = {"model": fingerprint(folders[other]), "opener": fingerprint(folders[opener])}
            make = partial(Splicing, folders[opener], folders[other], config)
            place = write_answers(config, out / name.replace(" ", "_"), source, make, partial(progress, name))
            tables[name] = pl.read_parquet(place / TABLE, glob=False)
    each = {
        name: table.group_by("problem_id").agg(pl.col("score").mean()).sort("problem_id")["score"].to_numpy()
        for name, table in tables.items()
    }

    def less(after: str, before: str) -> Estimate:
        return mean_estimate(each[after] - each[before])

    labelled = {side: label_table(tables[side]) for side in SIDES}
    split = decompose(*labelled.values(), rng=np.random.default_rng(SEED), draws=DRAWS)
    names = [name for name in tables if name not in SIDES]
    right = {name: within(mean_estimate(values), 0.0, 1.0) for name, values in each.items()}
    return Spliced(
        observed={side: right[side] for side in SIDES},
        spliced={name: right[name] for name in names},
        placebos={side: less(f"{side} {side}", side) for side in SIDES},
        selection=less("after before", "before before"),
        improvement=less("after after", "after before"),
        accounted_selection=split.selection,
        accounted_improvement=split.improvement,
        surprise={
            name: surprise(folders[name.split()[1]], tables[name], config.temperature) for name in names
        },
    )


def surprise(folder: Path, table: pl.DataFrame, temperature: float) -> float:
    """Mean negative log-probability of the responses' first tokens under a model, in nats."""
    model, tokenizer = load_model(folder)
    nats: list[float] = []
    with torch.inference_mode():
        for (prompt,), rows in table.group_by("prompt", maintain_order=True):
            logits = model.logits(model.hidden(torch.tensor([encode(tokenizer, str(prompt))])))[0, -1]
            logps = (logits / temperature).log_softmax(-1)
            firsts = [encode(tokenizer, text)[:1] for text in rows["completion"]]
            nats += [-float(logps[first[0]]) for first in firsts if first]
    return float(np.mean(nats)) if nats else float("nan")
