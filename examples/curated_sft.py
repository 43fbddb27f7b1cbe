"""The sets of examples/curated-sft.toml: a pool of demonstrations with skewed strategies, and four subsets of equal
size.

    python examples/curated_sft.py

writes, in the folder `pool`, pool.jsonl (32,768 lists of digits: 90% by mental arithmetic, 8% by a tally, 2% by a
running total) and, by `stratagem curate demonstrations`, a subset that covers the strategies (curated/chosen.jsonl)
with its random control (curated/control.jsonl), one in which the task writes what is missing (written/chosen.jsonl),
and one of a third of the problems, each in all three ways (several.jsonl).
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from stratagem.records import Problem
from stratagem.tasks import make_task

SIZE, POOL = 4096, 32_768
SHARES = {"mental": 90, "tally": 8, "running": 2}
task, rng, folder = make_task("sums"), random.Random(0), Path("pool")
problems = task.generate("sft", POOL, (5, 9))


def write(name: str, rows: Sequence[tuple[Problem, str]]) -> None:
    lines = [
        {"prompt": problem.prompt, "completion": task.strategies[way].demonstrate(task, problem.data)}
        for problem, way in rows
    ]
    (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines))


folder.mkdir(exist_ok=True)
write("pool.jsonl", [(p, rng.choices(list(SHARES), list(SHARES.values()))[0]) for p in problems])
third = problems[: -(-SIZE // 3)]
write("several.jsonl", [(problem, way) for problem in third for way in SHARES][:SIZE])
for name, more in (("curated", []), ("written", ["--write"])):
    words = ["curate", "demonstrations", folder / "pool.jsonl", "--size", SIZE, "--out", folder / name, *more]
    subprocess.run([sys.executable, "-m", "stratagem", *map(str, words)], check=True)
