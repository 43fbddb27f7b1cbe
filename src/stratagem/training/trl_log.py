"""What a TRL run writes down: a line an update, of the same shape as the native engine's."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from stratagem.integrations.trl import Live
from stratagem.records import Report
from stratagem.workspace import write_bytes

METRICS = "metrics.jsonl"


class Log(TrainerCallback):
    """Writes ``metrics.jsonl``, a line an update, and reports progress. A resumed run cuts off what was written later.

    Args:
        metrics: a line from the trainer's own log of an update.
        inner: optimizer steps of one update.
    """

    def __init__(
        self,
        work: Path,
        updates: int,
        metrics: Callable[[dict[str, Any]], dict[str, Any]],
        report: Report | None,
        inner: int = 1,
    ) -> None:
        self.path, self.updates, self.metrics, self.report = work / METRICS, updates, metrics, report
        self.inner = inner
        self._first: dict[str, Any] = {}
        self._begun = time.perf_counter()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.is_world_process_zero:
            lines = self.path.read_bytes().splitlines(keepends=True) if self.path.exists() else []
            write_bytes(self.path, b"".join(lines[: state.global_step // self.inner]))
        self._begun = time.perf_counter()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
        if "loss" not in logs or not state.is_world_process_zero:
            return
        # With several steps on the same rollouts the first one tells of them, the last one of the step.
        self._first = self._first or logs
        if state.global_step % self.inner:
            return
        number, now = state.global_step // self.inner - 1, time.perf_counter()
        line = {"update": number, **self.metrics(self._first | {"grad_norm": logs.get("grad_norm")})}
        line["seconds"] = round(now - self._begun, 3)
        self._first, self._begun = {}, now
        with open(self.path, "ab") as file:
            file.write(json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        if self.report is not None:
            self.report(number + 1, self.updates, line)


def rounded(value: Any, digits: int = 6) -> float | None:
    return None if value is None or not math.isfinite(float(value)) else round(float(value), digits)


def sft_metrics(logs: dict[str, Any]) -> dict[str, Any]:
    """A line of SFT."""
    names = {"loss": "loss", "grad_norm": "grad_norm", "mean_token_accuracy": "accuracy"}
    metrics = {ours: rounded(logs[theirs]) for theirs, ours in names.items() if theirs in logs}
    return {"epoch": max(0, math.ceil(logs.get("epoch", 0) - 1e-6) - 1), **metrics}


def grpo_metrics(live: Live) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """A line of RL, with the counts of its cells and the live measures of `live`."""

    def metrics(logs: dict[str, Any]) -> dict[str, Any]:
        cells: dict[tuple[str, int, str], list[int]] = {}
        for response in live.responses:
            cell = cells.setdefault(
                (response.stratum[0], int(response.stratum[1]), response.strategy), [0, 0]
            )
            cell[0] += 1
            cell[1] += int(response.score or 0)
        return {
            "reward": rounded(logs.get("reward")),
            "no_signal": rounded(live.latest.get("no_signal")),
            "kl": rounded(logs.get("kl", 0.0)),
            "entropy": rounded(logs.get("entropy")),
            "grad_norm": rounded(logs.get("grad_norm")),
            "length": rounded(logs.get("completions/mean_length"), 3),
            "tokens": rounded(logs.get("num_tokens"), 0),  # of prompts and completions since the start
            "truncated": round(float(logs.get("completions/clipped_ratio") or 0) * len(live.responses)),
            "cells": [[*cell, *counts] for cell, counts in sorted(cells.items())],
            "live": {name: rounded(value) for name, value in live.latest.items()},
            "own_time": rounded(logs.get("stratagem/own_time")),
        }

    return metrics
