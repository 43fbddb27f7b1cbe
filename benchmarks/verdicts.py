"""How often the verdict's advice is the right one: simulated situations whose right advice is known.

    python benchmarks/verdicts.py --runs 20
    python benchmarks/verdicts.py --drawn 200

Each situation (`situations.py`) has 1,000 problems of two difficulties with 8 responses before and after, from stated
shares, accuracies and lengths. The right advice is written beside them. Prints for every situation how many runs get
it, and what the others get. With `--drawn`, so many situations are drawn at random instead (`drawn_situations.py`),
each with parameters of its own, the kinds in turn.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator

import numpy as np
import polars as pl
from drawn_situations import KINDS, drawn
from situations import BY, SITUATIONS, Situation, simulate

from stratagem.decomposition.decompose import decompose_pairs
from stratagem.decomposition.headroom import Headroom, headroom_by_problem, headroom_of_pairs
from stratagem.records import StratagemError
from stratagem.stats.pairs import Pairs, pair
from stratagem.verdict.facts import facts_from
from stratagem.verdict.rules import verdict


def advice(situation: Situation, problems: int, samples: int, rng: np.random.Generator) -> str:
    before, after = simulate(situation, problems, samples, rng)
    pairs = pair(before, after, BY)
    split = decompose_pairs(pairs, rng=rng, draws=300, stratified=False)
    rooms = (
        headroom_of_pairs(pairs, "before", before, rng=rng, draws=200, stratified=False),
        headroom_of_pairs(pairs, "after", after, rng=rng, draws=200, stratified=False),
    )
    differ = bool(split.by_problem.disagrees)
    if differ:
        rooms = [_by_problem(pairs, table, rng) for table in (before, after)]
    facts = facts_from(
        split, pairs, headrooms=(rooms[0], rooms[1]), rooms_by_problem=differ, stratified=False
    )
    return verdict(facts).action


def _by_problem(pairs: Pairs, counts: pl.DataFrame, rng: np.random.Generator) -> Headroom | None:
    try:
        return headroom_by_problem(pairs, counts, rng=rng, draws=200)
    except StratagemError:
        return None


def situations(
    number: int, runs: int, seed: int
) -> Iterator[tuple[str, list[Situation], list[np.random.SeedSequence]]]:
    """Kinds of situation by name, with their situations and a seed for each.

    Args:
        number: situations to be drawn; 0 for those that are written down, each so many `runs`.
    """
    if not number:
        for i, situation in enumerate(SITUATIONS):
            yield situation.name, [situation] * runs, np.random.SeedSequence([seed, i]).spawn(runs)
        return
    children = np.random.SeedSequence([seed, len(SITUATIONS)]).spawn(2 * number)
    for i, kind in enumerate(KINDS):
        mine = range(i, number, len(KINDS))
        drawn_here = [drawn(kind, np.random.default_rng(children[2 * j])) for j in mine]
        yield kind.name, drawn_here, [children[2 * j + 1] for j in mine]


def main() -> None:
    parser = argparse.ArgumentParser(description="How often the verdict's advice is right.")
    parser.add_argument("--runs", type=int, default=20, help="of every situation")
    parser.add_argument(
        "--drawn", type=int, default=0, help="situations drawn at random, in place of those written down"
    )
    parser.add_argument("--problems", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=8, help="responses a problem, an even number")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    print("| situation | right advice | right | other advice |\n|---|---|---:|---|")
    total = tried = 0
    for name, each, seeds in situations(args.drawn, args.runs, args.seed):
        wanted = each[0].right
        given = Counter(
            advice(situation, args.problems, args.samples, np.random.default_rng(seed))
            for situation, seed in zip(each, seeds, strict=True)
        )
        right = sum(given[action] for action in wanted)
        total, tried = total + right, tried + len(each)
        others = ", ".join(f"{action} {n}" for action, n in given.most_common() if action not in wanted)
        print(f"| {name} | {' or '.join(wanted)} | {right} of {len(each)} | {others} |", flush=True)
    print(f"\n{total} of {tried} right")


if __name__ == "__main__":
    main()
