"""How fast rules label: MB a second, the share of each rule, and the same rules by Python's `re` in the same run.

    python benchmarks/labelling.py --rows 1000000

The responses are those of ../shared/data/algebra-rl of 700 to 1,400 characters where that folder is there, else
the rules' own examples joined to such lengths; drawn with replacement. They are labelled in batches of 50,000,
as the lens does it. Both ways have to agree on every row of the sample that Python labels.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import polars as pl

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.labelling import reference  # noqa: E402

from stratagem.labelling.attempts import attempts  # noqa: E402
from stratagem.labelling.calculation import outline  # noqa: E402
from stratagem.labelling.patterns import ascii_classes, merged  # noqa: E402
from stratagem.labelling.rules import RuleSet, label_frame, read_rules  # noqa: E402

BATCH = 50_000
DATA = ROOT.parent / "shared" / "data" / "algebra-rl"


def responses(rules: RuleSet, rng: random.Random) -> list[str]:
    """Different responses of about 1,000 characters."""
    if DATA.is_dir():
        texts = pl.concat(
            pl.read_parquet(path, columns=["completion"]) for path in sorted(DATA.glob("*.parquet"))
        )
        return texts["completion"].unique(maintain_order=True).to_list()
    pieces = [
        t for rule in rules.strategies + rules.behaviours for t in rule.examples + rule.counter_examples
    ]
    composed: list[str] = []
    for _ in range(2_000):
        words = "".join(rng.choice(pieces) + "\n" for _ in range(30))[: rng.randint(650, 1300)]
        composed.append(f"<think>{words}</think>\n<answer>{rng.randint(0, 99)}</answer>")
    return composed


def batches(texts: list[str], rows: int, rng: random.Random) -> Iterator[pl.DataFrame]:
    while rows > 0:
        yield pl.DataFrame({"completion": rng.choices(texts, k=min(BATCH, rows))})
        rows -= BATCH


def megabytes(texts: pl.Series) -> float:
    return float(texts.str.len_bytes().sum()) / 1e6


def timed(texts: list[str], rows: int, rules: RuleSet, evidence: bool) -> tuple[float, float, float]:
    """Seconds, processor seconds and MB of labelling so many rows."""
    wall = processor = size = 0.0
    for batch in batches(texts, rows, random.Random(0)):
        size += megabytes(batch["completion"])
        begin, begin_processor = time.perf_counter(), time.process_time()
        label_frame(batch, rules, evidence=evidence)
        wall += time.perf_counter() - begin
        processor += time.process_time() - begin_processor
    return wall, processor, size


def shares(sample: pl.Series, rules: RuleSet) -> list[tuple[str, float]]:
    """Processor seconds for each rule's patterns on its own, over whole responses; the answer's in their order."""

    def find_answers() -> None:
        left = sample
        for pattern in map(ascii_classes, rules.parts.answer):
            left = left.filter(left.str.extract_all(pattern).list.len() == 0)

    def seconds(work: Callable[[], object]) -> float:
        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            work()
            best = min(best, time.process_time() - begin)
        return best

    def search(patterns: tuple[str, ...]) -> None:
        for pattern in patterns:
            sample.str.contains(pattern)

    timings = [("the answer", seconds(find_answers))]
    if any(rule.part == "last attempt" for rule in rules.strategies):
        cut = sample.to_frame("text").lazy().select(attempts(pl.col("text"), rules.parts.turns))
        timings.append(("attempts", seconds(cut.collect)))
    if any(rule.calculation for rule in rules.strategies):
        timings.append(("outlines", seconds(partial(outline, sample))))
    for rule in rules.strategies + rules.behaviours:
        if rule.part != "answer":
            patterns = merged(rule.any) + tuple(map(ascii_classes, rule.all)) + merged(rule.none)
            timings.append((rule.name, seconds(partial(search, patterns))))
    return sorted(timings, key=lambda pair: -pair[1])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rules", default="math")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--peer-rows", type=int, default=3_000, help="rows that Python's re labels")
    options = parser.parse_args()
    rules = read_rules(options.rules)
    rng = random.Random(1)
    every = responses(rules, rng)
    texts = [text for text in every if 700 <= len(text) <= 1_400]
    print(f"{options.rules}: {options.rows} of {len(texts)} responses, {pl.thread_pool_size()} threads")
    label_frame(pl.DataFrame({"completion": texts[:1000]}), rules)  # compiles the patterns

    speeds: dict[bool, float] = {}
    for evidence in (False, True):
        wall, processor, size = timed(texts, options.rows, rules, evidence)
        speeds[evidence] = size / wall
        print(
            f"{'with' if evidence else 'without'} evidence: {wall:.1f} s, {size / wall:.0f} MB/s, "
            f"{size / processor:.0f} MB/s a core, {1e6 * wall / options.rows:.1f} s a million "
            f"(mean {1e6 * size / options.rows:.0f} bytes)"
        )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.2f} GB")

    sample = rng.choices(texts, k=options.peer_rows)
    frame = pl.DataFrame({"completion": sample})
    for text in sample[:10]:
        reference.label(text, rules)
    begin = time.perf_counter()
    by_python = [reference.label(text, rules) for text in sample]
    peer = megabytes(frame["completion"]) / (time.perf_counter() - begin)
    ours = list(label_frame(frame, rules, evidence=False).select("strategy", "behaviours").iter_rows())
    assert ours == by_python, "the two ways disagree"
    print(
        f"Python's re, row by row, one core: {peer:.1f} MB/s; ratio {speeds[False] / peer:.1f}; labels agree"
    )

    timings = shares(pl.Series(rng.choices(texts, k=10_000)), rules)
    whole = sum(seconds for _, seconds in timings)
    print(
        "share of time, each on its own: "
        + ", ".join(f"{name} {100 * s / whole:.0f}%" for name, s in timings)
    )


if __name__ == "__main__":
    main()
