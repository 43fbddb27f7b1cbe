"""How often the intervals of a decomposition hold the truth: simulated studies with known terms.

    python benchmarks/coverage.py --studies 2000

Every study draws problems in two strata; a problem has its own shares (Dirichlet) and an ease that raises or
lowers its accuracies both before and after; its responses are drawn from them. The truth is the decomposition
of the expected shares and accuracies. Prints, for every setting, how many of the 95% intervals hold the
truth, in percent.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.mechanisms.decompose import decompose
from stratagem.mechanisms.uncertainty import Bounded

NAMES = ("A", "B", "C")
TERMS: tuple[str, ...] = (
    "gain",
    "selection",
    "improvement",
    "new_strategy",
    "reverse_selection",
    "symmetric_selection",
    "together",
)


@dataclass(frozen=True)
class Setting:
    """Shares and accuracies of A, B, C before and after; `concentration` of a problem's own around them.

    `hidden` is the accuracy after of a strategy that is dropped: the truth that bounds have to hold.
    """

    name: str
    problems: int
    samples: int
    share: tuple[tuple[float, ...], tuple[float, ...]]
    accuracy: tuple[tuple[float, ...], tuple[float, ...]]
    concentration: float = 3.0
    hidden: float = 0.2


BALANCED = ((0.5, 0.3, 0.2), (0.3, 0.5, 0.2)), ((0.4, 0.6, 0.3), (0.55, 0.65, 0.3))
DROPPED = ((0.5, 0.3, 0.2), (0.4, 0.6, 0.0)), ((0.4, 0.6, 0.3), (0.55, 0.65, 0.2))
NEW = ((0.6, 0.4, 0.0), (0.4, 0.4, 0.2)), ((0.4, 0.6, 0.0), (0.5, 0.6, 0.7))
RARE = ((0.58, 0.4, 0.02), (0.3, 0.6, 0.10)), ((0.4, 0.6, 0.3), (0.5, 0.65, 0.5))
SETTINGS = (
    Setting("400 problems x 4", 400, 4, *BALANCED),
    Setting("100 problems x 4", 100, 4, *BALANCED),
    Setting("100 problems x 1", 100, 1, *BALANCED),
    Setting("a problem keeps to a strategy", 200, 4, *BALANCED, concentration=0.3),
    Setting("30 problems x 4 (weak)", 30, 4, *BALANCED),
    Setting("rare strategy, 100 x 2 (sparse)", 100, 2, *RARE),
    Setting("new strategy, 200 x 4", 200, 4, *NEW),
    Setting("dropped strategy, 200 x 4", 200, 4, *DROPPED),
    Setting("dropped, after worst (0), 200 x 4", 200, 4, *DROPPED, hidden=0.0),
)
SHIFT = 0.1  # the second stratum is that much harder


def truth(setting: Setting) -> dict[str, float]:
    """The terms at the expected shares and accuracies, by hand, as the mean of two equal strata."""
    total = dict.fromkeys(TERMS, 0.0)
    for shift in (0.0, SHIFT):
        p0, p1 = (np.array(share) for share in setting.share)
        a0, a1 = (np.maximum(np.array(accuracy) - shift, 0.0) for accuracy in setting.accuracy)
        old = p0 > 0
        a1 = np.where((p1 == 0) & old, setting.hidden, a1)
        kept = p1 * old / (p1 * old).sum()
        selection, improvement = ((kept - p0) * old * a0).sum(), (kept * (a1 - a0) * old).sum()
        reverse = ((kept - p0) * old * a1).sum()
        gain = (p1 * a1).sum() - (p0 * a0).sum()
        parts = (
            gain,
            selection,
            improvement,
            gain - selection - improvement,
            reverse,
            (selection + reverse) / 2,
        )
        for name, value in zip(TERMS, parts, strict=False):
            total[name] += value / 2
    return total


def simulate(setting: Setting, rng: np.random.Generator) -> list[pl.DataFrame]:
    """Counts before and after. A problem's ease is shared by both checkpoints."""
    m = setting.problems
    stratum = np.arange(m) % 2
    ease = rng.normal(0, 0.6, m)
    tables = []
    for checkpoint in (0, 1):
        share = np.array(setting.share[checkpoint])
        own = np.zeros((m, len(NAMES)))
        own[:, share > 0] = rng.dirichlet(setting.concentration * share[share > 0], size=m)
        rate = np.maximum(np.array(setting.accuracy[checkpoint]) - SHIFT * stratum[:, None], 0.0)
        # A mean-preserving spread, symmetric in `ease`, which is independent of the choice of strategy.
        rate = rate + np.clip(ease, -1, 1)[:, None] * np.minimum(rate, 1 - rate)
        n = rng.multinomial(setting.samples, own)
        p, s = np.nonzero(n)
        tables.append(
            pl.DataFrame(
                {
                    "problem_id": p,
                    "stratum": stratum[p],
                    "strategy": np.array(NAMES)[s],
                    "n": n[p, s],
                    "right": rng.binomial(n[p, s], rate[p, s]).astype(float),
                }
            )
        )
    return tables


def coverage(setting: Setting, studies: int, draws: int, seed: int) -> dict[str, float]:
    """The part of the studies whose interval holds the truth, term by term."""
    known = truth(setting)
    held = dict.fromkeys(TERMS, 0)
    for child in np.random.SeedSequence(seed).spawn(studies):
        rng = np.random.default_rng(child)
        found = decompose(*simulate(setting, rng), by=("stratum",), rng=rng, draws=draws)
        terms = {name: getattr(found, name) for name in TERMS[:4]}
        terms |= {
            "reverse_selection": found.reverse.selection,
            "symmetric_selection": found.symmetric.selection,
        }
        for name, term in terms.items():
            held[name] += term.low - 1e-9 <= known[name] <= term.high + 1e-9
        family = [(getattr(found.simultaneous, name), known[name]) for name in TERMS[1:4]]
        held["together"] += all(t.low - 1e-9 <= value <= t.high + 1e-9 for t, value in family)
        assert isinstance(found.reverse.selection, Bounded) or setting.share[1][2] > 0
    return {name: count / studies for name, count in held.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description="Coverage of the intervals of a decomposition.")
    parser.add_argument("--studies", type=int, default=2000, help="simulated studies a setting")
    parser.add_argument("--draws", type=int, default=1000, help="bootstrap draws a study")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    titles = [name.replace("_", " ") for name in TERMS]
    print("| setting | " + " | ".join(titles) + " |\n|---|" + "---:|" * len(TERMS), flush=True)
    start = time.monotonic()
    for setting in SETTINGS:
        found = coverage(setting, args.studies, args.draws, args.seed)
        print(
            f"| {setting.name} | " + " | ".join(f"{100 * found[name]:.1f}" for name in TERMS) + " |",
            flush=True,
        )
    error = 100 * np.sqrt(0.95 * 0.05 / args.studies)
    print(
        f"\n{args.studies} studies a setting, {args.draws} draws: Monte Carlo error {error:.1f} points; "
        f"{time.monotonic() - start:.0f} s"
    )


if __name__ == "__main__":
    main()
