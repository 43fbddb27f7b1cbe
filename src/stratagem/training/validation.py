"""Cross-entropy of a model on demonstrations of held-out problems: what SFT lowers, where it has not been."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import torch
import torch.nn.functional as F
from torch import Tensor

from stratagem.models.folder import fingerprint, load_model, model_folder
from stratagem.models.transformer import Transformer
from stratagem.models.vocabulary import EOS_ID, encode
from stratagem.records import Report
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import ValidationConfig, stage
from stratagem.tasks import make_task
from stratagem.training.packing import Part, pack

TABLE = "losses.parquet"


def validate(config: ValidationConfig, out: Path, model: Path, report: Report | None = None) -> Path:
    """Write ``out/losses.parquet``: problem_id, kind, difficulty, tokens of the response, and their nats together.

    Returns at once when done.
    """
    source = model_folder(model)
    folder = stage("validation", config, out, model=fingerprint(source))
    if folder.done:
        return out
    task = make_task(config.task)
    problems = task.generate("eval", config.size, config.steps, seed=config.seed)
    policy, tokenizer = load_model(source)
    texts = task.demonstrations(problems, config.strategy, config.seed)
    rows = [
        (encode(tokenizer, problem.prompt), [*encode(tokenizer, text), EOS_ID])
        for problem, text in zip(problems, texts, strict=True)
    ]
    nats, done = torch.zeros(len(rows)), 0
    with folder.open() as work:
        for part in pack(rows):
            with torch.no_grad():
                nats[part.members] = nats_of(policy, part)
            done += len(part.members)
            if report is not None:
                report(done, len(rows), {})
        table = pl.DataFrame(
            {
                "problem_id": [problem.id for problem in problems],
                "kind": [problem.kind for problem in problems],
                "difficulty": [problem.difficulty for problem in problems],
                "tokens": [len(response) for _, response in rows],
                "nats": nats.double().numpy(),
            }
        )
        write_rollouts(work / TABLE, table)
    return out


def nats_of(model: Transformer, part: Part) -> Tensor:
    """Cross-entropy of each member's response, summed over its tokens."""
    real = part.real_BR
    hidden = model.hidden_after(part.prompts_PT, part.lengths_P, part.owner_B, part.ids_BR, real)
    losses_M = F.cross_entropy(model.logits(hidden), part.targets_BR[real], reduction="none")
    losses_BR = torch.zeros(real.shape, dtype=losses_M.dtype).masked_scatter(real, losses_M)
    return losses_BR.sum(1)[part.which]
