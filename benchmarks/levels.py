"""How often the intervals of the split by problem hold the truth, and how often the levels are said to disagree.

    python benchmarks/levels.py --studies 200 --problems 300,3000

Worlds with known terms, all problems in one stratum, two strategies: problems of hidden types, of continuous
difficulty, and problems that are alike, where only one strategy is executed better. Prints for every world, number of
problems and of responses a problem: of the 95% intervals of choice and improvement those that hold the truth, the
mean width of the latter and the error of its value (root mean square, in points), the error of improvement by stratum,
and the studies in which the levels disagree, in percent.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import polars as pl
from scipy.special import expit

from stratagem.decomposition.by_problem import by_problem
from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.delta_method import terms
from stratagem.stats.pairs import Floats, Pairs, Side

SAMPLES = (2, 4, 8, 16)
# Shares and accuracies of every problem, before and after: share, share, accuracy, accuracy.
World = Callable[[np.random.Generator, int], tuple[Floats, Floats, Floats, Floats]]
Types = tuple[tuple[float, float], ...]


def types(share0: Types, share1: Types, rate0: Types, rate1: Types) -> World:
    """Hidden types of problem, equally many of each."""
    tables = [np.array(table) for table in (share0, share1, rate0, rate1)]

    def world(rng: np.random.Generator, problems: int) -> tuple[Floats, Floats, Floats, Floats]:
        kind = np.arange(problems) % len(share0)
        before, after, rate_before, rate_after = (table[kind] for table in tables)
        return before, after, rate_before, rate_after

    return world


def alike(share0: float, share1: float, rate0: tuple[float, float], rate1: tuple[float, float]) -> World:
    return types(((share0, 1 - share0),), ((share1, 1 - share1),), (rate0,), (rate1,))


def continuous(rng: np.random.Generator, problems: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Hard problems are sent to the careful strategy."""
    z = rng.normal(0, 1.3, problems)
    rate = np.stack([expit(1.2 - 2.2 * z), expit(0.3 - 0.6 * z)], axis=1)
    second = 0.05 + 0.9 * expit(2.5 * z)
    return np.full((problems, 2), 0.5), np.stack([1 - second, second], axis=1), rate, rate


def ease(rng: np.random.Generator, problems: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Problems differ in ease alone, the same for both strategies and checkpoints."""
    shift = np.clip(rng.normal(0, 0.6, problems), -1, 1)[:, None]
    rates = [
        rate + shift * np.minimum(rate, 1 - rate) for rate in (np.array([0.4, 0.6]), np.array([0.45, 0.66]))
    ]
    share0, share1 = (np.tile(share, (problems, 1)) for share in ((0.5, 0.5), (0.3, 0.7)))
    return share0, share1, rates[0], rates[1]


ACCURACIES: Types = ((0.85, 0.1), (0.15, 0.8))
WORLDS: dict[str, World] = {
    "hidden types, routing alone": types(((0.5, 0.5),) * 2, ((0.9, 0.1), (0.1, 0.9)), ACCURACIES, ACCURACIES),
    "hidden types, both": types(
        ((0.6, 0.4), (0.4, 0.6)), ((0.85, 0.15), (0.2, 0.8)), ACCURACIES, ((0.95, 0.1), (0.15, 0.95))
    ),
    "continuous difficulty": continuous,
    "ease alone (control)": ease,
    "better where share is gained": alike(0.7, 0.3, (0.5, 0.5), (0.5, 0.7)),
    "better where share is lost": alike(0.7, 0.3, (0.5, 0.5), (0.7, 0.5)),
    "better where gained, 10% before": alike(0.9, 0.5, (0.4, 0.6), (0.4, 0.8)),
}


def side(rng: np.random.Generator, share: Floats, rate: Floats, samples: int) -> Side:
    n = rng.multinomial(samples, share)
    ones = np.ones(len(n))
    return Side(n / samples, rng.binomial(n, rate) / samples, ones, samples * ones)


def row(world: World, problems: int, samples: int, studies: int, seed: int) -> list[float]:
    held, disagree = np.zeros(2), 0
    widths, errors, by_stratum = [], [], []
    for child in np.random.SeedSequence([seed, problems, samples]).spawn(studies):
        rng = np.random.default_rng(child)
        share0, share1, rate0, rate1 = world(rng, problems)
        choice = float(((share1 - share0) * rate0).sum(axis=1).mean())
        improvement = float((share1 * (rate1 - rate0)).sum(axis=1).mean())
        sides = side(rng, share0, rate0, samples), side(rng, share1, rate1, samples)
        ids = tuple(map(str, range(problems)))
        pairs = Pairs(ids, ("A", "B"), pl.DataFrame(), np.array([problems]), *sides, 0, 0)
        split = by_problem(pairs, stratified=False)
        for i, (term, truth) in enumerate(((split.choice, choice), (split.improvement, improvement))):
            held[i] += term.low <= truth <= term.high
        widths.append(split.improvement.high - split.improvement.low)
        errors.append(split.improvement.value - improvement)
        stratum = terms(
            matrix(pairs, None), pairs.before.n_p, pairs.sizes_g, stratified=False
        ).improvement.value
        by_stratum.append(stratum - improvement)
        disagree += bool(split.disagrees)
    roots = [float(np.sqrt(np.mean(np.square(error)))) for error in (errors, by_stratum)]
    shares = [*(held / studies), float(np.mean(widths)), *roots, disagree / studies]
    return [100 * float(x) for x in shares]


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the split by problem.")
    parser.add_argument("--studies", type=int, default=200, help="simulated studies a row")
    parser.add_argument("--problems", default="300,3000", help="numbers of problems, joined by commas")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    start = time.monotonic()
    columns = ("choice", "improvement", "width", "error", "error by stratum", "disagree")
    print(f"| world | problems | responses | {' | '.join(columns)} |\n|---|{'---:|' * (2 + len(columns))}")
    for name, world in WORLDS.items():
        for problems in map(int, args.problems.split(",")):
            for samples in SAMPLES:
                numbers = row(world, problems, samples, args.studies, args.seed)
                cells = " | ".join(f"{x:.1f}" for x in numbers)
                print(f"| {name} | {problems} | {samples} | {cells} |", flush=True)
    error = 100 * np.sqrt(0.95 * 0.05 / args.studies)
    print(
        f"\n{args.studies} studies a row: Monte Carlo error {error:.1f} points; {time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
