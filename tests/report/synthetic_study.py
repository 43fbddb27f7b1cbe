"""A made-up study in the form of Table 1: plausible numbers in the shape of the report's inputs, no training needed.

`python -m tests.report.synthetic_study page.html` writes a page to look at.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stratagem.study_result import Summary, decode
from stratagem.tasks.finite_field.chain import KINDS
from tests.report.synthetic_responses import CELLS, RUNS, curves, metrics, rollouts

STUDY = {
    "B/SFT": (24.5, 38.9, 11.9),
    "B/RL(2-5)": (18.4, 25.6, 10.1),
    "B/RL(6-9)": (50.8, 96.0, 11.6),
    "F/SFT": (57.0, 10.7, 97.1),
    "F/RL(2-5)": (48.0, 9.3, 91.7),
    "F/RL(6-9)": (58.3, 11.0, 99.3),
    "FB/SFT": (47.0, 27.1, 64.3),
    "FB/RL(2-5)": (60.0, 32.2, 91.5),
    "FB/RL(6-9)": (95.7, 94.1, 97.1),
}
# selection, improvement, new strategy of each run, in points of accuracy
GAINS = {
    "F/RL(2-5)": (0.0, 0.4, 0.0),
    "F/RL(6-9)": (0.2, 2.4, 0.0),
    "B/RL(2-5)": (0.1, -1.9, 0.0),
    "B/RL(6-9)": (0.0, 26.3, 0.0),
    "FB/RL(2-5)": (14.8, -1.2, 0.0),
    "FB/RL(6-9)": (29.6, 18.1, 1.0),
}


@dataclass
class Inputs:
    """The four arguments of `render`."""

    summary: dict[str, Any]
    rollouts: pl.DataFrame
    curves: pl.DataFrame
    metrics: pl.DataFrame

    def all(self) -> tuple[Summary, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        return typed(self.summary), self.rollouts, self.curves, self.metrics


def typed(summary: dict[str, Any]) -> Summary:
    return decode(summary, "summary.json")


def make(
    seed: int = 0, *, problems: int = 48, samples: int = 4, updates: int = 120, seeds: tuple[int, ...] = (0,)
) -> Inputs:
    rng = np.random.default_rng(seed)
    return Inputs(
        summary(rng, list(seeds)),
        rollouts(rng, problems, samples, seeds),
        curves(rng, updates, seeds),
        metrics(rng, updates, seeds),
    )


def estimate(value: float, half: float, n: int = 480) -> dict[str, Any]:
    return {"value": value, "low": value - half, "high": value + half, "se": half / 1.96, "n": n}


def share(value: float) -> dict[str, Any]:
    half = 1.96 * (value * (1 - value) / 300) ** 0.5
    return {"value": value, "low": max(0.0, value - half), "high": min(1.0, value + half), "n": 480}


def summary(rng: np.random.Generator, seeds: list[int]) -> dict[str, Any]:
    columns = ("all", "inversion", "evaluation")
    cells = {
        cell: {
            name: share(float(np.clip(value / 100 + rng.normal(0, 0.02), 0.01, 0.995)))
            for name, value in zip(columns, STUDY[cell], strict=True)
        }
        for cell in CELLS
    }
    arms = [
        {
            "name": cell,
            "stage": "sft" if cell.endswith("SFT") else "rl",
            "label": cell.split("/")[1],
            "start": None if cell.endswith("SFT") else f"{cell.split('/')[0]}/SFT",
            "root": f"{cell.split('/')[0]}/SFT",
        }
        for cell in CELLS
    ]
    return {
        "name": "table1",
        "title": "Table 1",
        "question": "Does RL select or improve?",
        "source": "“Select and Improve”",
        "about": "Models learn F, B or both.",
        "task": "finite_field",
        "columns": list(columns),
        "arms": arms,
        "others": {},
        "figures": ["training", "path", "strata", "errors", "attempts", "traces"],
        "answer": "RL on harder problems did both: FB RL(6-9) gained 48.7 points, 29.6 of them by selecting "
        "the strategy that suits the problem and 18.1 by executing it better.",
        "preset": "quick",
        "seeds": seeds,
        "elapsed_s": 812.0,
        "chance": 1 / 11,
        "cells": cells,
        "study": {cell: dict(zip(columns, values, strict=True)) for cell, values in STUDY.items()},
        "gains": {run: gain(rng, run) for run in RUNS},
        "claims": claims(),
        "losses": {f"{family}/SFT": estimate(0.0858, 0.0004, 512) for family in ("F", "B", "FB")},
        "curves": [
            {
                "title": "Forward in training",
                "along": "updates",
                "lines": [
                    {
                        "name": run,
                        "x": list(range(0, 100, 10)),
                        "y": [estimate(0.5 + place / 25, 0.05, 10) for place in range(10)],
                    }
                    for run in RUNS[-2:]
                ],
            },
            {
                "title": "Accuracy by arm",
                "along": "arms",
                "lines": [
                    {"name": name, "x": CELLS[-3:], "y": [estimate(x, 0.03) for x in (0.47, 0.6, 0.957)]}
                    for name in ("held-out", "longer")
                ],
            },
        ],
        "paths": [
            {
                "arm": run,
                "updates": [12, 24, 36],
                **{
                    term: [estimate(part * GAINS[run][i] / 200, 0.02, 3) for part in range(3)]
                    for i, term in enumerate(("selection", "improvement", "new_strategy"))
                },
            }
            for run in RUNS
        ],
        "shipped": {
            "date": "2026-11-30",
            "command": "stratagem reproduce table1 --replicates 2",
            "preset": "quick",
            "bases": ["one-0", "one-1"],
            "cells": {
                cell: {
                    name: (values["value"] - 0.02, values["value"] + 0.01) for name, values in columns.items()
                }
                if cell != "F/SFT"
                else dict.fromkeys(columns, (0.99, 1.0))
                for cell, columns in cells.items()
            },
        },
        "deviations": [
            {
                "setting": "model",
                "study": "Qwen2.5-1.5B-Instruct, LoRA rank 64",
                "ours": "a transformer of 3.2 million parameters that ships with the package",
                "reason": "a laptop CPU in minutes",
            },
            {"setting": "RL updates", "study": "500-1,000", "ours": "120", "reason": "the quick preset"},
        ],
        "settings": {
            "SFT pairs": 2048,
            "SFT epochs": 20,
            "RL lr": 3e-4,
            "KL beta": 0.05,
            "group": 8,
            "batch": 32,
        },
        "versions": {"stratagem": "0.1.0", "torch": "2.13.0+cpu", "polars": "2.1.0"},
        "evaluation": {"problems": 480, "samples": 8, "temperature": 0.7},
    }


def gain(rng: np.random.Generator, run: str) -> dict[str, Any]:
    selection, improvement, new = (x / 100 for x in GAINS[run])
    total = selection + improvement + new
    before = STUDY[run.split("/")[0] + "/SFT"][0] / 100
    dropped = run == "FB/RL(6-9)"
    hard = range(6, 10)
    strata = []
    for kind in KINDS:
        for steps in hard:
            tilt = (1.4 if kind == "inversion" else 0.6) * (1 + 0.1 * (steps - 7.5))
            s, i, w = (float(x * tilt + rng.normal(0, 0.01)) for x in (selection, improvement, new))
            strata.append(
                {
                    "stratum": {"kind": kind, "difficulty": steps},
                    "problems": 60,
                    "accuracy_before": before,
                    "accuracy_after": before + s + i + w,
                    "gain": estimate(s + i + w, 0.06),
                    "selection": estimate(s, 0.03),
                    "improvement": estimate(i, 0.04),
                    "new_strategy": estimate(w, 0.01),
                }
            )
    cells = [
        {
            "stratum": {"kind": kind, "difficulty": steps},
            "strategy": strategy,
            "share_before": 0.5,
            "share_after": 0.0 if dropped and strategy == "forward" else 0.5,
            "accuracy_before": 0.4,
            "accuracy_after": None if dropped and strategy == "forward" else 0.9,
            "accuracy_forced": None,
            "responses_before": 30,
            "responses_after": 30,
            **dict.fromkeys(("selection", "improvement", "new_strategy", "contribution"), 0.0),
        }
        for kind in KINDS
        for steps in hard
        for strategy in ("forward", "backward")
    ]
    reverse = {
        "selection": estimate(selection + 0.05, 0.03),
        "improvement": estimate(improvement - 0.05, 0.03),
    }
    if dropped:
        reverse["selection"] = {
            "value": None,
            "low": 0.1,
            "high": 0.5,
            "se": None,
            "n": 480,
            "bounds": [0.12, 0.46],
        }
        reverse["improvement"] = {
            "value": None,
            "low": 0.0,
            "high": 0.4,
            "se": None,
            "n": 480,
            "bounds": [0.01, 0.35],
        }
    return {
        "gain": estimate(total, 0.034),
        "selection": estimate(selection, 0.012 + abs(selection) / 12),
        "improvement": estimate(improvement, 0.012 + abs(improvement) / 12),
        "new_strategy": estimate(new, 0.004),
        "reverse": {**reverse, "new_strategy": estimate(new, 0.004)},
        "symmetric": {
            "selection": estimate(selection + 0.02, 0.03),
            "improvement": estimate(improvement - 0.02, 0.03),
            "new_strategy": estimate(new, 0.004),
        },
        "threefold": {
            "selection": estimate(selection, 0.03),
            "improvement": estimate(improvement - 0.03, 0.03),
            "interaction": estimate(0.03, 0.02),
            "new_strategy": estimate(new, 0.004),
        },
        "accuracy_before": before,
        "accuracy_after": before + total,
        "unsupported_share": 0.031 if dropped else 0.0,
        "by": ["kind", "difficulty"],
        "order_dependent": dropped,
        "interventional": False,
        "length_before": 27.9,
        "length_after": 28.4,
        "strata": strata,
        "cells": cells,
    }


def claims() -> list[dict[str, Any]]:
    def part(statement: str, value: float, verdict: str) -> dict[str, Any]:
        return {
            "statement": statement,
            "value": value,
            "low": value - 0.03,
            "high": value + 0.03,
            "verdict": verdict,
        }

    return [
        {
            "id": "1",
            "statement": "Selection: after RL(6-9), FB beats both single-strategy models by a wide margin.",
            "verdict": "upheld",
            "difference": 0.374,
            "low": 0.341,
            "high": 0.407,
            "parts": [
                part("FB - F on All", 0.374, "upheld"),
                part("FB - B on All", 0.449, "upheld"),
                part("F on inversion stays near chance", 0.11, "upheld"),
            ],
        },
        {
            "id": "2",
            "statement": "Improvement needs difficulty: RL(6-9) raises execution; RL(2-5) does not.",
            "verdict": "undecided",
            "difference": 0.263,
            "low": 0.22,
            "high": 0.30,
            "parts": [part("B RL(6-9)", 0.263, "upheld"), part("B RL(2-5)", -0.019, "undecided")],
        },
        {
            "id": "3",
            "statement": "RL on SFT-level problems mainly selects.",
            "verdict": "refuted",
            "difference": None,
            "low": None,
            "high": None,
            "parts": [],
        },
    ]


if __name__ == "__main__":
    from stratagem.report import study

    Path(sys.argv[1]).write_text(study.render(*make().all()), encoding="utf-8")
