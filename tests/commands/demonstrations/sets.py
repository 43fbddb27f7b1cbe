"""Sets of demonstrations with known strategies, and what the command says of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from stratagem.curation.demonstrations.result import DemonstrationCuration, decode
from stratagem.tasks import make_task

Curate = Callable[..., tuple[str, str]]

SHARES = {"by_parts": 0.9, "in_one": 0.08, "by_trial": 0.02}


RULES = """
[strategies.by_parts]
description = "adds up parts"
any = ['part by part']
[strategies.in_one]
description = "one expression"
any = ['at once']
[strategies.by_trial]
description = "tries numbers"
any = ['let me try']
[strategies.drawn]
description = "draws it"
any = ['a sketch']
"""


SAID = {"by_parts": "part by part", "in_one": "at once", "by_trial": "let me try"}


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def world(seed: int = 0, problems: int = 400, traces: int = 2) -> list[dict[str, Any]]:
    """Demonstrations whose strategy, type and difficulty are known: harder problems are shown in_one more often."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for number in range(problems):
        level = int(rng.integers(1, 6))
        kind = "sums" if number % 4 else "puzzles"
        share = np.array(list(SHARES.values())) * [1, level, 1]
        for _ in range(traces):
            way = str(rng.choice(list(SHARES), p=share / share.sum()))
            words = " ".join(f"w{i}" for i in rng.integers(0, 3000, 40))
            made.append(
                {
                    "prompt": f"Problem {number}: how many are {number} and {level}?",
                    "completion": f"I go {SAID[way]}: {words}. So {number + level}.",
                    "source": kind,
                    "difficulty": level,
                    "grade": round(float(rng.random()), 3),
                    "way": way,
                }
            )
    return made


def result(out: str) -> DemonstrationCuration:
    return decode(out.encode())


def conversations(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "system", "content": "Think."},
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"]},
            ]
        }
        for row in rows
    ]


SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "chat prompt and completion": lambda row: {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    },
    "ShareGPT": lambda row: {
        "conversations": [
            {"from": "human", "value": row["prompt"]},
            {"from": "gpt", "value": row["completion"]},
        ]
    },
    "Alpaca": lambda row: {
        "instruction": "Answer.",
        "input": row["prompt"],
        "output": row["completion"],
    },
    "question and answer": lambda row: {"question": row["prompt"], "answer": row["completion"]},
    "messages": lambda row: conversations([row])[0],
}


def lab(strategies: str = "running", size: int = 60) -> list[dict[str, Any]]:
    task = make_task("sums")
    problems = task.generate("sft", size, (3, 5))
    texts = task.demonstrations(problems, strategies)
    return [
        {"problem_id": problem.id, "prompt": problem.prompt, "completion": text}
        for problem, text in zip(problems, texts, strict=True)
    ]
