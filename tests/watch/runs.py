"""Made-up runs as our tools and TRL write them, line by line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

KINDS, STEPS, STRATEGIES = ("evaluation", "inversion"), (2, 3), ("forward", "backward")


def cells(rng: np.random.Generator, update: int, drift: float = 0.0) -> list[list[Any]]:
    """Counts of one update. With `drift`, the share of the suited strategy grows; how well each does stays."""
    rows = []
    for kind in KINDS:
        for steps in STEPS:
            n = 8 * int(rng.integers(4, 9))
            suited = rng.binomial(n, min(0.95, 0.5 + drift * update))
            for strategy in STRATEGIES:
                fits = (strategy == "forward") == (kind == "evaluation")
                m = int(suited if fits else n - suited)
                if m:
                    rows.append([kind, steps, strategy, m, int(rng.binomial(m, 0.9 if fits else 0.1))])
    return rows


def line(update: int, rng: np.random.Generator, drift: float = 0.0, **more: Any) -> bytes:
    made = cells(rng, update, drift)
    n, right = (sum(cell[i] for cell in made) for i in (3, 4))
    scalars = {"reward": right / n, "no_signal": 0.25, "kl": 1e-4 * update, "entropy": 0.1, "length": 20.5}
    return json.dumps({"update": update, **scalars, "cells": made, "seconds": 0.5, **more}).encode() + b"\n"


def lines(updates: int, drift: float = 0.0, seed: int = 0) -> list[bytes]:
    rng = np.random.default_rng(seed)
    return [line(update, rng, drift) for update in range(updates)]


def stage(folder: Path, content: bytes = b"", stage: str = "rl", **settings: Any) -> Path:
    """A stage's folder; returns its log."""
    folder.mkdir(parents=True)
    given = {"updates": 40, "steps": [2, 3], **settings}
    (folder / "config.json").write_text(json.dumps({"stage": stage, "settings": given}))
    (folder / "metrics.jsonl").write_bytes(content)
    return folder / "metrics.jsonl"


def completions(
    folder: Path, step: int, rng: np.random.Generator, drift: float = 0.0, **more: list[Any]
) -> None:
    """A file as TRL 1.16 writes it with the callback Live; the same 16 problems at every step."""
    rows: dict[str, list[Any]] = {name: [] for name in ("group", "kind", "problem_id", "steps", "strategy")}
    rewards: list[float] = []
    for problem in range(16):
        kind = KINDS[problem % 2]
        for _ in range(4):
            strategy = STRATEGIES[int(rng.random() < 0.5 - drift * step) ^ (problem % 2)]
            fits = (strategy == "forward") == (kind == "evaluation")
            rewards.append(float(rng.random() < (0.9 if fits else 0.1)))
            for name, value in zip(
                rows, (f"{step}-{problem}", kind, f"p{problem}", 2 + problem // 8, strategy), strict=True
            ):
                rows[name].append(value)
    n = len(rewards)
    table = {"step": [step] * n, "prompt": ["p"] * n, "completion": ["c"] * n, "right": rewards}
    (folder / "completions").mkdir(parents=True, exist_ok=True)
    pl.DataFrame({**table, **more, **rows, "advantage": [0.0] * n}).write_parquet(
        folder / "completions" / f"completions_{step:05d}.parquet"
    )


def trainer_state(folder: Path, steps: int, total: int) -> None:
    """A checkpoint's trainer_state.json with what Live logged."""
    history: list[dict[str, Any]] = []
    for step in range(1, steps + 1):
        entry: dict[str, Any] = {"step": step, "loss": 0.1, "reward": 0.5, "kl": 0.01 * step, "entropy": 0.3}
        entry |= {"stratagem/share/forward": 0.5 + 0.01 * step, "stratagem/share/backward": 0.5 - 0.01 * step}
        entry |= {"stratagem/accuracy/forward": 0.8, "stratagem/accuracy/backward": 0.2}
        if step >= 2:
            for term, value in (
                ("gain", 0.05),
                ("selection", 0.04),
                ("improvement", 0.01),
                ("new_strategy", 0.0),
            ):
                entry |= {f"stratagem/{term}": value}
                entry |= {f"stratagem/{term}/low": value - 0.01, f"stratagem/{term}/high": value + 0.01}
        history += [entry, {"step": step, "eval_loss": 1.0}]
    place = folder / f"checkpoint-{steps}"
    place.mkdir(parents=True)
    state = {"global_step": steps, "max_steps": total, "log_history": history}
    (place / "trainer_state.json").write_text(json.dumps(state))
