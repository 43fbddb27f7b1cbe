"""Logs whose strategies are known: demonstrations by the writers of a task, without the words that name them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from stratagem.tasks import make_task

WORDS = [
    *("so", "now", "the", "value", "that", "we", "need", "is", "then", "given", "by"),
    *("this", "step", "and", "hence", "therefore", "also", "next", "after", "which"),
]
SHARES = {2: ((0.6, 0.4), (0.3, 0.7)), 3: ((0.5, 0.3, 0.2), (0.3, 0.3, 0.4))}


def spoilt(text: str, rng: np.random.Generator) -> str:
    """A demonstration with a wrong word, words left out, or words twice."""
    words = text.split()
    place = int(rng.integers(1, max(2, len(words) - 4)))
    match rng.integers(3):
        case 0:
            like = [word for word in words if word[0] == words[place][0]]
            words[place] = like[int(rng.integers(len(like)))]
        case 1:
            del words[place : place + 2]
        case _:
            words[place:place] = words[place : place + 2]
    return " ".join(words)


def lab(
    task: str,
    strategies: Sequence[str],
    seed: int,
    problems: int = 150,
    samples: int = 4,
    steps: tuple[int, int] = (3, 7),
    wrong: float = 0.3,
) -> pl.DataFrame:
    """Two sides of `problems` with `samples` responses each; `truth` is the strategy that wrote them.

    Every word that opens a strategy of the task is taken out, wherever it stands.
    """
    rng, made = np.random.default_rng(seed), make_task(task)
    shares = SHARES.get(len(strategies), ((1.0,), (1.0,)))
    openings = {strategy.OPENING for strategy in made.strategies.values()}
    rows = []
    for side, share in enumerate(shares):
        for problem in made.generate("eval", problems, steps, seed=seed):
            for sample in range(samples):
                name = strategies[int(rng.choice(len(strategies), p=share))]
                text = made.strategies[name].demonstrate(made, problem.data)
                right = rng.random() > wrong
                text = text if right else spoilt(text, rng)
                rows.append(
                    {
                        "side": str(side),
                        "key": problem.id,
                        "sample": sample,
                        "kind": problem.kind,
                        "prompt": problem.prompt,
                        "completion": " ".join(word for word in text.split() if word not in openings),
                        "score": float(right),
                        "truth": name,
                    }
                )
    return pl.DataFrame(rows)


def written(texts: Sequence[Sequence[str]], **columns: Sequence[object]) -> pl.DataFrame:
    """A log of one side: the responses of each problem, with columns of one value a problem."""
    return pl.DataFrame(
        [
            {
                "side": "0",
                "key": str(p),
                "prompt": f"Question {p}?",
                "completion": text,
                "score": float(k % 2),
            }
            | {name: values[p] for name, values in columns.items()}
            for p, responses in enumerate(texts)
            for k, text in enumerate(responses)
        ]
    )


def chatter(rng: np.random.Generator, words: Sequence[str] = WORDS, least: int = 20, most: int = 40) -> str:
    """Words at random."""
    return " ".join(rng.choice(words, size=int(rng.integers(least, most))))


def held_out(table: pl.DataFrame, seed: int) -> pl.Expr:
    """True for a random half of the problems."""
    keys = table["key"].unique(maintain_order=True).to_list()
    return pl.col("key").is_in(np.random.default_rng([seed, 7]).permutation(keys)[: len(keys) // 2].tolist())
