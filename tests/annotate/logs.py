"""Logs of a made-up world as files, and a session over them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from stratagem.annotate.pool import Responses, read_pool
from stratagem.diagnosis.side import Look
from tests.learned.worlds import log


def write_logs(folder: Path, problems: int = 40, samples: int = 3, seed: int = 0) -> list[Path]:
    rng = np.random.default_rng(seed)
    places = []
    for side, name in enumerate(("before", "after")):
        table = log(rng, side, problems, samples)
        # No log tells of its strategies.
        table.select("problem_id", "sample", "prompt", "completion", "score").write_ndjson(
            folder / f"{name}.jsonl"
        )
        table.select("side", "problem_id", "sample", "true_strategy").write_csv(folder / f"{name}.truth.csv")
        places.append(folder / f"{name}.jsonl")
    return places


def pool(logs: list[Path]) -> Responses:
    return read_pool([[path] for path in logs], Look(), [path.stem for path in logs])


def truth(logs: list[Path], responses: Responses) -> list[str]:
    """The true strategy of every response of a pool."""
    known = pl.concat([pl.read_csv(path.with_suffix(".truth.csv"), infer_schema=False) for path in logs])
    keys = responses.table.select("side", "problem_id", pl.col("sample").cast(pl.String))
    joined = keys.join(known, on=keys.columns, how="left", maintain_order="left")
    return joined["true_strategy"].to_list()
