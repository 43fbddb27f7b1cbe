"""How fast lines of JSON become batches: against pandas on the same file in one run, and over sizes.

    pip install pandas
    python benchmarks/reading.py [--rows 200000] [--repeats 5] [--sizes 10000 100000 1000000]

A row is a response of 1,000 characters, 16 to a problem. Each repeat reads with both, one after the other; the ratio is
that of the medians. `batches` gives checked, typed columns with ids and scores; pandas gives a frame of what it found.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stratagem.rollouts.log import read_rollouts


def write(path: Path, rows: int, nested: bool) -> None:
    """A log of `rows` responses; `nested`: prompts as messages and an object of metadata."""
    rng = random.Random(7)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(2, 9))) for _ in range(4_000)]
    texts = [" ".join(rng.choices(words, k=180))[:990] + "\n\\boxed{7}" for _ in range(2_000)]
    with path.open("w") as file:
        for i in range(rows):
            question = f"What is {i // 16} plus 5? " + texts[i // 16 % 2_000][:100]
            row = {
                "problem_id": f"p{i // 16}",
                "prompt": [{"role": "user", "content": question}] if nested else question,
                "completion": texts[i * 7 % 2_000],
                "score": float(i % 3 == 0),
                "sample": i % 16,
                "level": i // 16 % 5,
            }
            if nested:
                row["metadata"] = {"source": "synthetic", "difficulty": i % 5}
            file.write(json.dumps(row) + "\n")


def ours(path: Path) -> int:
    return sum(batch.height for batch in read_rollouts(path).batches())


def theirs(path: Path) -> int:
    import pandas

    return len(pandas.read_json(path, lines=True))


def seconds(read: Callable[[Path], int], path: Path, rows: int) -> float:
    start = time.perf_counter()
    assert read(path) == rows
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "log.jsonl")
        for nested in (False, True):
            write(path, options.rows, nested)
            times = [
                (seconds(ours, path, options.rows), seconds(theirs, path, options.rows))
                for _ in range(options.repeats)
            ]
            mine, other = (statistics.median(column) for column in zip(*times, strict=True))
            print(
                f"{'messages' if nested else 'text    '} {options.rows:,} rows, {path.stat().st_size / 1e6:.0f} MB: "
                f"stratagem {mine:.2f} s, pandas {other:.2f} s, ratio {other / mine:.1f}"
            )
        for rows in options.sizes:
            write(path, rows, nested=False)
            mine = statistics.median(seconds(ours, path, rows) for _ in range(3))
            print(f"{rows:>9,} rows: {mine:.2f} s, {mine / rows * 1e6:.1f} microseconds a row")


if __name__ == "__main__":
    main()
