"""Supervised fine-tuning on demonstrations, native: cross-entropy on the response, nothing on the prompt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from stratagem.models.folder import SHIPPED, fingerprint, load_model, model_folder, save_model
from stratagem.models.vocabulary import EOS_ID, PAD_ID, encode
from stratagem.settings import SFTConfig
from stratagem.strategies import demonstrations
from stratagem.tasks.finite_field import FiniteField
from stratagem.training import loop
from stratagem.workspace import Stage, write_json

VERSION = 2
IGNORE = -100


def train(
    config: SFTConfig,
    out: Path,
    model: Path = SHIPPED,
    report: loop.Report = loop.quiet,
    precision: str = "fp32",
) -> Path:
    """Train and write ``out/model``; resumes, or returns at once when done."""
    folder = model_folder(model)
    task = FiniteField(config.p)
    problems = task.generate("sft", config.size, config.steps, seed=config.seed)
    stage = Stage(
        "sft", VERSION, asdict(config) | {"model": fingerprint(folder), "precision": precision}, out
    )
    if stage.done:
        return out
    policy, tokenizer = load_model(folder)
    loop.set_precision((policy,), precision)
    texts = demonstrations(task, problems, config.strategy, config.seed)
    rows = [
        (encode(tokenizer, problem.prompt), [*encode(tokenizer, text), EOS_ID])
        for problem, text in zip(problems, texts, strict=True)
    ]
    optimizer = loop.optimizer_for(policy, config.lr, config.weight_decay, tune=config.tune)
    per_epoch = -(-len(rows) // config.batch)
    updates = config.epochs * per_epoch

    def update(number: int, step: Callable[[], float]) -> dict[str, Any]:
        epoch, index = divmod(number, per_epoch)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(rows))
        chosen = [rows[i] for i in order[index * config.batch : (index + 1) * config.batch]]
        ids_BT, targets_BT = pad(chosen)
        learnt = targets_BT != IGNORE
        logits = policy.logits(policy.hidden(ids_BT)[learnt])
        loss = F.cross_entropy(logits, targets_BT[learnt])
        loss.backward()
        return {"epoch": epoch, "loss": round(loss.item(), 6), "grad_norm": round(step(), 6)}

    with stage.open() as work:
        rate = loop.linear(config.lr, updates, warmup=min(50, updates // 10))
        loop.run(work, policy, optimizer, updates, update, rate, save_every=200, report=report)
        save_model(policy, work / "model")
        write_json(work / "trained_on.json", [problem.id for problem in problems])
    return out


def pad(rows: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    """Inputs and next-token targets, BT, padded on the right; a target is IGNORE outside the response."""
    width = max(len(prompt) + len(response) for prompt, response in rows) - 1
    ids = torch.full((len(rows), width), PAD_ID)
    targets = torch.full((len(rows), width), IGNORE)
    for i, (prompt, response) in enumerate(rows):
        whole = torch.tensor(prompt + response)
        ids[i, : len(whole) - 1] = whole[:-1]
        targets[i, len(prompt) - 1 : len(whole) - 1] = whole[len(prompt) :]
    return ids, targets
