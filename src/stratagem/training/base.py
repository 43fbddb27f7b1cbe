"""The recipe of a base model: AdamW on the task's primitives, in a stage of its own."""

from __future__ import annotations

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
from stratagem.settings import BaseConfig, recorded, stage
from stratagem.tasks import make_task
from stratagem.tasks.base import Line
from stratagem.training import loop
from stratagem.training.packing import IGNORE


def train(config: BaseConfig, out: Path, report: Report = loop.quiet) -> Path:
    """Train the base and write it as a model folder; resumes, or returns at once when done."""
    folder = stage("base", config, out)
    if folder.done:
        return out
    task = make_task(config.task)
    words = vocabulary(task)
    torch.manual_seed(config.seed)
    model = Transformer(Shape(len(words)))
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
        for name, members in groups.items():
            chosen = members[targets[learnt]]
            if chosen.any():
                parts[name] = losses[chosen].mean().item()
        return {name: round(value, 6) for name, value in parts.items()}

    with folder.open() as work:
        rate = loop.linear(config.lr, config.updates, warmup=100)
        loop.run(work, model, optimizer, config.updates, update, rate, save_every=200, report=report)
        save_model(model, make_tokenizer(words), work / "model")
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
