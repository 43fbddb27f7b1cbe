"""A made-up pool for docs/curation.md: prompts of two sources, and how often a model solves them before and after RL.

    python examples/curation_world.py

writes pool.jsonl, before.jsonl and after.jsonl (8 samples a prompt) and evaluation.jsonl into the current folder. Sums
are solved more often than puzzles; most prompts are solved always or never. RL adds 2.5 to the log odds of every prompt
that is solved at times.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(1)
rate = np.concatenate([rng.beta(0.5, 0.3, 400), rng.beta(0.3, 0.8, 200)])
odds = np.log(np.clip(rate, 1e-9, 1 - 1e-9) / (1 - np.clip(rate, 1e-9, 1 - 1e-9)))
later = np.where(rate > 1e-3, 1 / (1 + np.exp(-odds - 2.5)), rate)
pool = [
    {"prompt": f"What is {3 * i} + {7 * i}?" if i < 400 else f"How many squares has a board of {i} by {i}?"}
    | {
        "source": "sums" if i < 400 else "puzzles",
        "answer": 10 * i if i < 400 else i * (i + 1) * (2 * i + 1) // 6,
    }
    for i in range(600)
]


def write(name: str, rows: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))


write("pool.jsonl", [*pool, pool[7]])  # one prompt is there twice
write("evaluation.jsonl", [{"question": row["prompt"].upper()} for row in pool[20:25]])
for name, chances in (("before", rate), ("after", later)):
    graded = (rng.random((600, 8)) < chances[:, None]).astype(int)
    rows = zip(pool, graded.tolist(), strict=True)
    write(f"{name}.jsonl", [{"prompt": row["prompt"], "rewards": rewards} for row, rewards in rows])
