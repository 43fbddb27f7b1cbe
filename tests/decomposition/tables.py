"""Small tables to test with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl

SCALE = 10_000


def shares(
    checkpoint: str, share: Mapping[str, float], accuracy: Mapping[str, float], kind: str = "x"
) -> pl.DataFrame:
    """One problem whose responses have exactly these shares and accuracies."""
    rows = [
        ("p", kind, checkpoint, name, part * SCALE, part * SCALE * accuracy.get(name, 0.0))
        for name, part in share.items()
        if part
    ]
    schema = ["problem_id", "kind", "checkpoint", "strategy", "n", "right"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def draw(
    rng: np.random.Generator,
    checkpoint: str,
    problems: Sequence[str],
    share: Mapping[str, float],
    accuracy: Mapping[str, float],
    samples: int = 6,
    spread: float = 2.0,
) -> pl.DataFrame:
    """A rollout table: every problem has its own shares and accuracies around the given ones."""
    names = list(share)
    rows = []
    for i, problem in enumerate(problems):
        own = rng.dirichlet(spread * np.array([share[name] for name in names]) + 1e-3)
        for sample in range(samples):
            name = names[rng.choice(len(names), p=own)]
            rate = accuracy[name]
            score = float(rng.random() < rng.beta(4 * rate + 1e-3, 4 * (1 - rate) + 1e-3))
            rows.append((problem, "ab"[i % 2], i % 4 // 2, checkpoint, sample, name, score, 10 + i % 7))
    schema = ["problem_id", "kind", "difficulty", "checkpoint", "sample", "strategy", "score", "length"]
    return pl.DataFrame(rows, schema=schema, orient="row")


def two(seed: int, problems: int = 60, samples: int = 6) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rollouts before and after: the second uses F more and better; C is dropped, N is new."""
    rng = np.random.default_rng(seed)
    ids = [f"p{i:03d}" for i in range(problems)]
    before = draw(rng, "0", ids, {"F": 0.4, "B": 0.4, "C": 0.2}, {"F": 0.5, "B": 0.4, "C": 0.3}, samples)
    after = draw(rng, "1", ids, {"F": 0.6, "B": 0.3, "N": 0.1}, {"F": 0.7, "B": 0.4, "N": 0.6}, samples)
    return before, after
