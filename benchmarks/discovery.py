"""How well `stratagem discover` finds strategies: adjusted Rand index on problems that were held out.

    python benchmarks/discovery.py                  # masked logs of the lab, strategies and seeds
    python benchmarks/discovery.py --none           # logs of one strategy: none should be proposed
    python benchmarks/discovery.py --data FOLDER    # real rollouts: what is proposed, and what it follows
    python benchmarks/discovery.py --lab runs/before --without forward,backward   # rollouts of a trained model

Half of the problems are held out; proposals are fitted to the other half, and label the responses to those held out.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from tests.discovery import worlds  # noqa: E402

from stratagem.discovery.discover import discover, group  # noqa: E402
from stratagem.discovery.space import numbered  # noqa: E402
from stratagem.discovery.stability import rand_index  # noqa: E402

MIXES = [
    ("finite_field", ("forward", "backward")),
    ("sums", ("running", "tally")),
    ("sums", ("mental", "running", "tally")),
    ("five_ways", ("forward", "algebraic")),
    ("five_ways", ("forward", "backward", "algebraic")),
    ("five_ways", ("forward", "meet", "guess")),
    ("five_ways", ("backward", "meet", "algebraic")),
    ("composition", ("forward", "backward")),
]
ALONE = [
    ("finite_field", "forward"),
    ("finite_field", "backward"),
    ("sums", "mental"),
    ("sums", "running"),
    ("sums", "tally"),
    *(("five_ways", name) for name in ("forward", "backward", "meet", "guess", "algebraic")),
    *(("composition", name) for name in ("suited", "forward", "backward")),
]


def steps_of(task: str) -> tuple[int, int]:
    return (2, 4) if task == "composition" else (3, 7)


def show_mixes(seeds: int, problems: int, samples: int, verbose: bool) -> None:
    for task, strategies in MIXES:
        indices: list[float] = []
        numbers: list[int] = []
        start = time.process_time()
        for seed in range(seeds):
            table = worlds.lab(task, strategies, seed, problems, samples, steps_of(task))
            held = worlds.held_out(table, seed)
            grouping, trials = group(table.filter(~held), seed)
            rest = table.filter(held)
            truth = numbered(rest["truth"].to_list())
            indices.append(0.0 if grouping is None else rand_index(truth, grouping.label(rest)))
            numbers.append(0 if grouping is None else grouping.clusters.groups)
            for each in trials if verbose else ():
                fitted = numbered(table.filter(~held)["truth"].to_list())
                print(
                    f"    {len(each.clusters.centre_kd)} clusters, {each.clusters.groups} proposals: index "
                    f"{rand_index(fitted, each.group_r):.2f}, agreement {each.agreement:.3f}, "
                    f"valley {each.valley:.2f}, least {each.least:.3f}, "
                    f"spread {each.spread:.4f}, together {each.together:.2f} {each.reason}"
                )
        print(
            f"{task} {' '.join(strategies)}: index {np.mean(indices):.2f} (least {min(indices):.2f}), proposals "
            f"{numbers}; {(time.process_time() - start) / seeds:.0f} s each",
            flush=True,
        )


def show_alone(seeds: int, problems: int, samples: int) -> None:
    none = 0
    for task, strategy in ALONE:
        numbers: list[int] = []
        for seed in range(seeds):
            table = worlds.lab(task, (strategy,), seed, problems, samples, steps_of(task))
            numbers.append(len(discover(table, ["before", "after"][: table["side"].n_unique()]).proposals))
        none += numbers.count(0)
        print(f"{task} {strategy}: proposals {numbers}", flush=True)
    print(f"none proposed in {none} of {seeds * len(ALONE)} logs of one strategy")


def show_data(folder: Path) -> None:
    tables = [
        pl.read_parquet(folder / f"{name}.parquet").with_columns(side=pl.lit(str(side)), key="prompt_id")
        for side, name in enumerate(("before", "after_algorithmic"))
    ]
    discovery = discover(pl.concat(tables), ["before", "after"], ["dataset"])
    print(f"{len(discovery.proposals)} proposals, agreement {discovery.agreement:.2f}")
    for proposal in discovery.proposals:
        shares = ", ".join(f"{side.share:.1%}" for side in proposal.sides)
        phrases = "; ".join(phrase.text for phrase in proposal.phrases)
        print(f"{proposal.name}: {shares}; follows {proposal.follows}; marks {proposal.marks}; {phrases}")


def show_lab(folder: Path, without: list[str], seeds: int) -> None:
    """Sampled responses that `stratagem label` has named, without some words."""
    table = pl.read_parquet(folder / "labelled.parquet", glob=False).filter(mode="sampled")
    words = pl.element().filter(~pl.element().is_in(without))
    text = pl.col("completion").str.split(" ").list.eval(words).list.join(" ")
    table = table.with_columns(completion=text, key="problem_id", side=pl.lit("0"))
    print(dict(table["strategy"].value_counts(sort=True).iter_rows()))
    for seed in range(seeds):
        held = worlds.held_out(table, seed)
        grouping, _ = group(table.filter(~held), seed)
        rest = table.filter(held)
        if grouping is None:
            print(f"seed {seed}: none")
            continue
        index = rand_index(numbered(rest["strategy"].to_list()), grouping.label(rest))
        print(f"seed {seed}: {grouping.clusters.groups} proposals, index {index:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--problems", type=int, default=200)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--none", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--lab", type=Path, help="a rollout that `stratagem label` has labelled")
    parser.add_argument("--without", default="", metavar="WORD,…", help="words taken out of --lab's texts")
    given = parser.parse_args()
    if given.data is not None:
        show_data(given.data)
    elif given.lab is not None:
        show_lab(given.lab, given.without.split(","), given.seeds)
    elif given.none:
        show_alone(given.seeds, given.problems, given.samples)
    else:
        show_mixes(given.seeds, given.problems, given.samples, given.verbose)


if __name__ == "__main__":
    main()
