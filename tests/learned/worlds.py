"""Made-up logs whose strategies are known, written so that some responses look like another strategy."""

from __future__ import annotations

import numpy as np
import polars as pl

STYLES = {
    "table": "we list every case in a table and read off the row that fits",
    "equation": "let the unknown be x then solve the equation by moving terms across",
    "guess": "try a value check whether it works and adjust until the condition holds",
}
NAMES = tuple(STYLES)
FILLER = (
    *("so", "now", "the", "value", "that", "we", "need", "is", "then"),
    *("given", "by", "this", "step", "and", "hence", "therefore", "also", "next"),
)
SHARES = np.array([[0.5, 0.3, 0.2], [0.2, 0.6, 0.2]])
ACCURACY = np.array([[0.3, 0.7, 0.5], [0.4, 0.8, 0.5]])


def log(
    rng: np.random.Generator, side: int, problems: int, samples: int, clear: tuple[float, float] = (0.25, 0.4)
) -> pl.DataFrame:
    """A log of one side with the true strategy of every response.

    Args:
        clear: the chance of each word to be of the strategy's own style, of a wrong response and of a right one: the
            error of a model differs between them.
    """
    ease = rng.normal(0, 0.1, problems)
    rows = []
    for problem in range(problems):
        for sample in range(samples):
            s = int(rng.choice(3, p=SHARES[side]))
            right = bool(rng.random() < np.clip(ACCURACY[side, s] + ease[problem], 0, 1))
            own = STYLES[NAMES[s]].split()
            words = [
                rng.choice(own) if rng.random() < clear[right] else rng.choice(FILLER)
                for _ in range(int(rng.integers(10, 25)))
            ]
            if rng.random() < 0.1:  # begins as another would
                words = STYLES[NAMES[int(rng.integers(3))]].split()[:6] + words
            rows.append(
                {
                    "side": str(side),
                    "problem_id": str(problem),
                    "sample": sample,
                    "prompt": f"What is the value number {problem}?",
                    "completion": " ".join(words),
                    "score": float(right),
                    "true_strategy": NAMES[s],
                    "checkpoint": "ab"[side],
                    "length": len(words),
                }
            )
    return pl.DataFrame(rows)


def truth() -> tuple[float, float]:
    """Selection and improvement of an endless log."""
    moved = SHARES[1] - SHARES[0]
    return float(moved @ ACCURACY[0]), float(SHARES[1] @ (ACCURACY[1] - ACCURACY[0]))
