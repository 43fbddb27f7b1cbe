"""Pools with a lump of prompts that are never right and a lump that always are: whether intervals of pass rates hold,
and whether they would hold better under a prior of three parts.

    python benchmarks/lumps.py pools [--draws 10]
    python benchmarks/lumps.py counts COUNTS.jsonl [--draws 5]

Beside the prior that ships (Beta distributions that the counts allow) stands a candidate: a lump near 0, a lump near 1
and a Beta distribution between, weights and Beta by EM on the counts. `pools` are of 1,000 prompts with known pass
rates. A row has the share of prompts whose 95% interval holds: all, those of a pass rate of 0, of pass rates up to .1,
.5, .9 and below 1, and of 1; then the share of groups of 8 with signal, in the quarter with most as it is and as
expected, and in all. `counts` are real ones (as of curation.py), chosen by few samples and judged by the others; the
intervals are those for how many of the others are right.
"""

from __future__ import annotations

import argparse
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import betaln

from curation import GROUP, ends_of, groups_with_signal, predicted, profiled, rates_of, signal
from stratagem.curation.passrates import Floats, Posterior

LUMPS = np.array([[0.25, 60.0], [60.0, 0.25]])
STEPS = 60
WORLDS = ("lumps", "soft lumps", "flat ends", "U-shaped", "one hump", "two humps", "logit-normal")
EDGES = (0.0, 0.1, 0.5, 0.9, 1.0)


def marginal(n: Floats, right: Floats, parts: Floats) -> Floats:
    """Log marginal likelihood of counts, a row each, under Beta distributions, a column each."""
    alpha, beta = parts.T
    return betaln(alpha + right[:, None], beta + (n - right)[:, None]) - betaln(alpha, beta)


def of_three_parts(n: Floats, right: Floats) -> tuple[Posterior, NDArray[np.int64]]:
    """The candidate's posterior of each kind of counts, and which kind each prompt is of."""
    kinds, kind, times = np.unique(np.stack([n, right], 1), axis=0, return_inverse=True, return_counts=True)
    n_k, right_k = kinds.T
    share, between = np.array([0.2, 0.2, 0.6]), np.ones(2)

    def responsible() -> tuple[Floats, Floats]:
        parts = np.vstack([LUMPS, between])
        said = marginal(n_k, right_k, parts) + np.log(share)
        weight = np.exp(said - said.max(axis=1, keepdims=True))
        return parts, weight / weight.sum(axis=1, keepdims=True)

    for step in range(STEPS):
        weight = times[:, None] * responsible()[1]
        share = np.maximum(weight.sum(axis=0) / times.sum(), 1e-9)

        def unlikely(x: Floats, own: Floats = weight[:, 2]) -> float:
            return float(0.02 * (x**2).sum() - own @ marginal(n_k, right_k, np.exp(x)[None])[:, 0])

        fitted = minimize(unlikely, np.log(between), method="L-BFGS-B", bounds=[(-4, 7)] * 2).x
        moved, between = np.abs(fitted - np.log(between)).max(), np.exp(fitted)
        if moved < 1e-3 and step > 10:
            break
    parts, weight = responsible()
    alpha, beta = parts[:, 0] + right_k[:, None], parts[:, 1] + (n_k - right_k)[:, None]
    return Posterior(alpha, beta, weight), kind.ravel()


def rates(world: str, size: int, rng: np.random.Generator) -> Floats:
    ways = rng.random(size)
    match world:
        case "lumps":
            return np.select([ways < 0.35, ways < 0.6], [0.0, 1.0], rng.beta(2, 2, size))
        case "soft lumps":
            lumps = [rng.beta(0.3, 40, size), rng.beta(40, 0.3, size)]
            return np.select([ways < 0.35, ways < 0.6], lumps, rng.beta(2, 3, size))
        case _:
            return rates_of(world, size, rng)


def by_rate(held: NDArray[np.bool_], rate: Floats) -> list[float]:
    """The share held: of all, where the rate is 0, between the edges, and where it is 1."""
    inside = (rate > 0) & (rate < 1)
    bins = [inside & (rate > low) & (rate <= high) for low, high in pairwise(EDGES)]
    groups = [rate == 0, *bins, rate == 1]
    return [held.mean(), *(held[own].mean() if own.any() else np.nan for own in groups)]


def show(name: str, told: dict[str, list[list[float]]]) -> None:
    for prior, rows in told.items():
        row = 100 * np.ma.masked_invalid(np.array(rows)).mean(axis=0).filled(np.nan)
        print(f"{name:16} {prior:12}" + "".join(f"{number:7.1f}" for number in row), flush=True)


def judged(held: NDArray[np.bool_], rate: Floats, truth: Floats, said: Floats, tie: Any) -> list[float]:
    best = np.lexsort((tie, -said))[: len(said) // 4]
    return [*by_rate(held, rate), truth[best].mean(), said[best].mean(), truth.mean(), said.mean()]


def on_pools(draws: int) -> None:
    for world in WORLDS:
        for samples in (8, 16):
            rng = np.random.default_rng(0)
            told: dict[str, list[list[float]]] = {"Beta": [], "three parts": []}
            for _ in range(draws):
                rate = rates(world, 1000, rng)
                n = np.full(1000, float(samples))
                right = rng.binomial(samples, rate).astype(float)
                known, tie = profiled(n, right, np.zeros(1000, np.int64)), rng.permutation(1000)
                posterior, kind = of_three_parts(n, right)
                low, high = (ends[kind] for ends in posterior.interval())
                sides = {
                    "Beta": (known.low, known.high, known.signal),
                    "three parts": (low, high, posterior.signal(GROUP)[kind]),
                }
                for prior, (start, end, said) in sides.items():
                    held = (start <= rate) & (rate <= end)
                    told[prior].append(judged(held, rate, signal(rate), said, tie))
            show(f"{world} {samples}", told)


def on_counts(path: Path, draws: int) -> None:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    total, all_right = (np.array([row[name] for row in rows]) for name in ("n", "c"))
    home = np.zeros(len(rows), np.int64)
    for samples in (4, 8, 16):
        rng = np.random.default_rng(0)
        told: dict[str, list[list[float]]] = {"Beta": [], "three parts": []}
        for _ in range(draws):
            n = np.full(len(rows), float(samples))
            right = rng.hypergeometric(all_right, total - all_right, samples).astype(float)
            others, rest = total - n, all_right - right
            known, tie = profiled(n, right, home), rng.permutation(len(rows))
            posterior, kind = of_three_parts(n, right)
            low, high = (ends[kind] for ends in ends_of(int(others[0]), posterior))
            sides = {
                "Beta": (*predicted(int(others[0]), known, home), known.signal),
                "three parts": (low, high, posterior.signal(GROUP)[kind]),
            }
            for prior, (start, end, said) in sides.items():
                held = (start <= rest) & (rest <= end)
                told[prior].append(judged(held, rest / others, groups_with_signal(others, rest), said, tie))
        show(f"{samples} samples", told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("pools", "counts"))
    parser.add_argument("counts", type=Path, nargs="?")
    parser.add_argument("--draws", type=int, default=10)
    given = parser.parse_args()
    heads = ("all", "0", "to .1", "to .5", "to .9", "< 1", "1", "best", "said", "all", "said")
    print(f"{'held and signal, %':29}" + "".join(f"{head:>7}" for head in heads))
    if given.what == "pools":
        on_pools(given.draws)
    else:
        on_counts(given.counts, given.draws)


if __name__ == "__main__":
    main()
