"""The recipe of a base model: AdamW on the task's primitives, in a stage of its own.

The model is the mean of the weights that training went through, in which the last AVERAGED updates or so count (Polyak
and Juditsky, SIAM Journal on Control and Optimization 30, 1992): its SFT carries further than that of any single
update's weights, and depends less on where training ends. So training may end where somebody finds the model good.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from stratagem.models.folder import save_model
from stratagem.models.transformer import Shape, Transformer
from stratagem.models.vocabulary import EOS_ID, make_tokenizer, vocabulary
from stratagem.records import Report
from stratagem.samplers import State
from stratagem.settings import BaseConfig, recorded, stage
from stratagem.tasks import make_task
from stratagem.tasks.base import Line
from stratagem.training import loop
from stratagem.training.packing import IGNORE

AVERAGED = 200
Good = Callable[[Transformer, int], bool]


class Average:
    """The mean of a training's weights, in which a weight counts the less the older it is (`loop.Kept`).

    Args:
        good: told of the mean and of how many updates it is of; training ends where it says so.
    """

    def __init__(self, model: Transformer, good: Good | None) -> None:
        self.model, self.good, self.updates = copy.deepcopy(model), good, 0
        self.model.bf16 = False

    def take(self, model: Transformer) -> None:
        self.updates += 1
        share = 1 / min(self.updates, AVERAGED)
        with torch.no_grad():
            for mean, weight in zip(self.model.parameters(), model.parameters(), strict=True):
                mean.lerp_(weight, share)

    def enough(self) -> bool:
        return self.good is not None and self.good(self.model, self.updates)

    def state(self) -> State:
        weights = {name: weight.flatten().tolist() for name, weight in self.model.named_parameters()}
        return {"updates": [self.updates], **weights}

    def restore(self, state: State) -> None:
        self.updates = int(state["updates"][0])
        with torch.no_grad():
            for name, mean in self.model.named_parameters():
                mean.copy_(torch.tensor(state[name]).view_as(mean))


def train(config: BaseConfig, out: Path, report: Report = loop.quiet, good: Good | None = None) -> Path:
    """Train the base and write it as a model folder; resumes, or returns at once when done.

    Args:
        good: asked before each update whether the model is good enough, with how many updates were made; where it
            says so, training ends before `config.updates`.
    """
    folder = stage("base", config, out)
    if folder.done:
        return out
    task = make_task(config.task)
    words = vocabulary(task)
    torch.manual_seed(config.seed)
    model = Transformer(Shape(len(words)))
    loop.set_precision([model], config.precision)
    average = Average(model, good)
    optimizer = loop.optimizer_for(model, config.lr, config.weight_decay, beta2=0.98)
    variant = recorded(config)["primitives"]
    primitives, ids_of = task.primitives, {word: i for i, word in enumerate(words)}
    groups = token_groups(words, {} if primitives is None else primitives.abilities())

    def update(number: int, step: Callable[[], float]) -> dict[str, Any]:
        assert primitives is not None  # without primitives there are no updates
        lines, aims = batch(primitives.lines(number, config.tokens, variant, config.seed), ids_of)
        ids, targets = torch.from_numpy(lines), torch.from_numpy(aims)[:, 1:]
        learnt = targets != IGNORE
        logits = model.logits(model.hidden(ids[:, :-1])[learnt])
        losses = F.cross_entropy(logits, targets[learnt], reduction="none")
        losses.mean().backward()
        parts = {"loss": losses.mean().item(), "length": ids.shape[1], "grad_norm": step()}
        average.take(model)
        for name, members in groups.items():
            chosen = members[targets[learnt]]
            if chosen.any():
                parts[name] = losses[chosen].mean().item()
        return {name: round(value, 6) for name, value in parts.items()}

    with folder.open() as work:
        rate = loop.linear(config.lr, config.horizon, warmup=100)
        loop.run(
            work, model, optimizer, config.updates, update, rate, save_every=200, report=report, kept=average
        )
        save_model(average.model, make_tokenizer(words), work / "model")
    return out


def batch(lines: list[Line], ids_of: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Ids and targets of some lines, both rows x length; a target is IGNORE where nothing is learnt."""
    longest = max(map(len, lines)) + 1
    ids = np.full((len(lines), longest), EOS_ID)
    targets = np.full((len(lines), longest), IGNORE)
    for row, line in enumerate(lines):
        ids[row, : len(line)] = [ids_of[word] for word, _ in line]
        targets[row, : len(line)] = [ids_of[word] if learn else IGNORE for word, learn in line]
    return ids, targets


def token_groups(
    words: Sequence[str], abilities: Mapping[str, Callable[[str], bool]]
) -> dict[str, torch.Tensor]:
    """Which words belong to each ability, as masks over the vocabulary: their losses are logged apart."""
    return {name: torch.tensor([belongs(word) for word in words]) for name, belongs in abilities.items()}
