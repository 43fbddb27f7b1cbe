"""Supervised fine-tuning on demonstrations, native: cross-entropy on the response, nothing on the prompt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from stratagem.models.folder import fingerprint, load_model, model_folder, save_model, shipped_bases
from stratagem.models.transformer import Transformer
from stratagem.models.vocabulary import EOS_ID, encode
from stratagem.records import Report
from stratagem.settings import SFTConfig, stage
from stratagem.tasks import make_task
from stratagem.training import loop
from stratagem.training.data import demonstrations
from stratagem.training.packing import Part, pack
from stratagem.workspace import write_json


def cross_entropy(model: Transformer, part: Part) -> Tensor:
    """Of the responses' tokens, summed over all members of a part."""
    real = part.real_BR
    hidden = model.hidden_after(part.prompts_PT, part.lengths_P, part.owner_B, part.ids_BR, real)
    losses_M = F.cross_entropy(model.logits(hidden), part.targets_BR[real], reduction="none")
    # Equal demonstrations are one row.
    return losses_M @ part.which.bincount().repeat_interleave(real.sum(1)).to(losses_M.dtype)


def train(config: SFTConfig, out: Path, model: Path | None = None, report: Report = loop.quiet) -> Path:
    """Train `model`, by default the first base that ships for the task, and write ``out/model``.

    Resumes, or returns at once when done.
    """
    task = make_task(config.task)
    base = model_folder(model or shipped_bases(task)[0])
    folder = stage("sft", config, out, model=fingerprint(base))
    if folder.done:
        return out
    problems, texts = demonstrations(config, task)
    policy, tokenizer = load_model(base)
    loop.set_precision((policy,), config.precision)
    rows = [
        (encode(tokenizer, problem.prompt), [*encode(tokenizer, text), EOS_ID])
        for problem, text in zip(problems, texts, strict=True)
    ]
    optimizer = loop.optimizer_for(policy, config.lr, config.weight_decay, tune=config.tune)
    per_epoch = -(-len(rows) // config.batch)

    def update(number: int, step: Callable[[], float]) -> dict[str, Any]:
        epoch, index = divmod(number, per_epoch)
        order = np.random.default_rng([config.seed, epoch]).permutation(len(rows))
        chosen = [rows[i] for i in order[index * config.batch : (index + 1) * config.batch]]
        tokens = sum(len(response) for _, response in chosen)
        loss = 0.0
        for part in pack(chosen):
            share = cross_entropy(policy, part) / tokens
            share.backward()
            loss += share.item()
        return {"epoch": epoch, "loss": round(loss, 6), "grad_norm": round(step(), 6)}

    with folder.open() as work:
        rate = loop.linear(config.lr, config.updates, warmup=min(50, config.updates // 10))
        loop.run(work, policy, optimizer, config.updates, update, rate, save_every=200, report=report)
        save_model(policy, tokenizer, work / "model")
        write_json(work / "trained_on.json", [problem.id for problem in problems])
    return out
