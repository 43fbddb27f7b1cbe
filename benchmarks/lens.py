"""How long a diagnosis takes and how much memory, by the number of rollouts: read, label, count, decompose.

    python benchmarks/lens.py --rollouts 1000000

Writes two logs (JSONL, 1,000 characters a response, 16 responses a problem) of worked mathematics put together from
sentences that the math rules know, and diagnoses them with 10,000 bootstrap draws in a process of its own, whose peak
memory (VmHWM, of Linux) is measured. The parts are timed apart in a second pass over the log before. Run it on a quiet
machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SENTENCES = (
    "We are given the quantities {a} and {b} and have to find their combination.",
    "First, let us multiply {a} by {b}, which gives {c}.",
    "Let x be the unknown number, so that {a}x + {b} = {c}.",
    "Subtracting {b} from both sides gives {a}x = {c}.",
    "There are two cases: the number is even, or it is odd.",
    "Case 1: if x = {a}, then the sum is {c}, which is too large.",
    "Let me check this: {a} + {b} = {c}, as it should be.",
    "Wait, that is not right, since {b} is not a factor of {c}.",
    "We can try all values from 1 to {a} and see which one fits.",
    "Dividing by {a}, we find that the quotient is {b}.",
    "The remaining part of the expression does not depend on it at all, so it may be left as it stands for now.",
    "Substituting u = {a}t + {b} turns the integral into one that is known.",
)


def write_log(path: Path, rollouts: int, right: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pool = []
    for _ in range(2000):
        text = ""
        while len(text) < 960:
            a, b = (int(x) for x in rng.integers(2, 99, 2))
            text += SENTENCES[int(rng.integers(len(SENTENCES)))].format(a=a, b=b, c=a * b) + " "
        pool.append(json.dumps(f"<think>{text[:960]}</think>\n<answer>"))
    chosen, scores = rng.integers(len(pool), size=rollouts), rng.random(rollouts) < right
    with path.open("w") as file:
        for i in range(rollouts):
            text = f'{pool[chosen[i]][:-1]}{i % 997}</answer>"'
            file.write(f'{{"prompt": "problem {i // 16}", "response": {text}, "score": {int(scores[i])}}}\n')


def whole(folder: Path, draws: int) -> None:
    """The diagnosis, in this process; prints seconds and peak memory."""
    from stratagem.commands.lens import diagnose

    start = time.perf_counter()
    words = [str(folder / "before.jsonl"), str(folder / "after.jsonl"), "--strategies", "math"]
    result = diagnose(
        [*words, "--draws", str(draws), "--out", str(folder / "diagnosis")], "benchmark", as_json=True
    )
    seconds = time.perf_counter() - start
    cpu = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
    status = Path("/proc/self/status").read_text()
    peak = int(status.partition("VmHWM:")[2].split()[0]) / 2**20
    gain = result["gain"]["value"]
    print(
        json.dumps(
            {"seconds": round(seconds, 1), "cpu_s": round(cpu, 1), "peak_gib": round(peak, 2), "gain": gain}
        )
    )


def parts(folder: Path) -> dict[str, float]:
    """Seconds of each part over the log before."""
    from stratagem.decomposition.behaviours import count_behaviours
    from stratagem.labelling.rules import label_frame, read_rules
    from stratagem.rollouts.log import read_rollouts
    from stratagem.stats.counts import count

    spent = dict.fromkeys(("read", "label", "count"), 0.0)
    rules = read_rules("math")
    batches = iter(read_rollouts([folder / "before.jsonl"]).batches())
    while True:
        start = time.perf_counter()
        batch = next(batches, None)
        spent["read"] += time.perf_counter() - start
        if batch is None:
            return {name: round(seconds, 1) for name, seconds in spent.items()}
        start = time.perf_counter()
        labelled = label_frame(batch, rules)
        spent["label"] += time.perf_counter() - start
        start = time.perf_counter()
        import polars as pl

        keyed = labelled.with_columns(
            checkpoint=pl.lit("before"),
            problem_id="prompt",
            sample=pl.int_range(pl.len()),
            length=pl.lit(1000),
        )
        count(keyed, ())
        count_behaviours(keyed)
        spent["count"] += time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rollouts", type=int, default=1_000_000)
    parser.add_argument("--draws", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="logs that are there already are used again")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        whole(given.folder, given.draws)
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for name, right, seed in (("before", 0.4, 0), ("after", 0.6, 1)):
            if not (folder / f"{name}.jsonl").exists():
                write_log(folder / f"{name}.jsonl", given.rollouts // 2, right, seed)
        size = sum(path.stat().st_size for path in folder.glob("*.jsonl")) / 1e6
        print(
            f"{given.rollouts} rollouts, {size:.0f} MB, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
        )
        words = [sys.executable, __file__, "--inside", "--folder", str(folder), "--draws", str(given.draws)]
        done = subprocess.run(words, capture_output=True, text=True)
        print("whole", done.stdout.strip() or done.stderr.strip())
        print("parts of half of it, seconds", parts(folder))


if __name__ == "__main__":
    main()
