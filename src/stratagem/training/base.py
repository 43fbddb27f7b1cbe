"""The recipe of the base model: AdamW on primitives (see `primitives`), in a stage of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from stratagem.models import primitives
from stratagem.models.folder import save_model
from stratagem.models.transformer import Shape, Transformer
from stratagem.models.vocabulary import words
from stratagem.settings import BaseConfig
from stratagem.training import loop
from stratagem.workspace import Stage

VERSION = 5


def train(config: BaseConfig, out: Path, report: loop.Report = loop.quiet) -> Path:
    """Train the base and write it as a model folder; resumes, or returns at once when done."""
    stage = Stage("base", VERSION, asdict(config), out)
    if stage.done:
        return out
    torch.manual_seed(config.seed)
    model = Transformer(Shape(len(words())))
    optimizer = loop.optimizer_for(model, config.lr, config.weight_decay, beta2=0.98)
    both = config.directions == "both"
    directions = (primitives.FORWARD, primitives.BACKWARD) if both else (primitives.FORWARD,)
    groups = token_groups()

    def update(number: int, step: Callable[[], float]) -> dict[str, Any]:
        lines, aims = primitives.batch(number, config.tokens, directions, config.seed)
        ids, targets = torch.from_numpy(lines), torch.from_numpy(aims)[:, 1:]
        learnt = targets != primitives.IGNORE
        logits = model.logits(model.hidden(ids[:, :-1])[learnt])
        losses = F.cross_entropy(logits, targets[learnt], reduction="none")
        losses.mean().backward()
        parts = {"loss": losses.mean().item(), "length": ids.shape[1], "grad_norm": step()}
        for name, members in groups.items():
            chosen = members[targets[learnt]]
            if chosen.any():
                parts[name] = losses[chosen].mean().item()
        return {name: round(value, 6) for name, value in parts.items()}

    with stage.open() as work:
        rate = loop.linear(config.lr, config.updates, warmup=100)
        loop.run(work, model, optimizer, config.updates, update, rate, save_every=200, report=report)
        save_model(model, work / "model")
    return out


def token_groups() -> dict[str, torch.Tensor]:
    """Which words belong to each ability, as masks over the vocabulary: their losses are logged apart."""

    def mask(test: Any) -> torch.Tensor:
        return torch.tensor([bool(test(word)) for word in words()])

    return {
        "direction": mask(lambda w: w in (primitives.FORWARD, primitives.BACKWARD)),
        "label": mask(lambda w: w[0] == "#"),
        "operation": mask(lambda w: w[0] in "+-*/"),
        "state": mask(lambda w: w[0] in "ef" and w[1:].isdigit()),
        "stop": mask(lambda w: w == ";"),
    }
