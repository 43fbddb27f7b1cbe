"""Situations of a comparison whose right advice is known, and responses that are drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.stats.pairs import Floats

NAMES = ("A", "B", "N", "unparsed")
BY = ("difficulty",)
Row = tuple[float, ...]


@dataclass(frozen=True)
class Situation:
    """Shares and accuracies of the strategies `names`, before and after, on easy problems.

    Attributes:
        right: the actions that are right.
        harder: taken from every accuracy on hard problems, before and after.
        hidden: half of the problems, of both difficulties, have A and B the other way round: a type without a name.
        spread: how much a problem's ease varies. length: mean length before and after; `tied`: only a problem whose
            answers grow gets better.
        marks: the chance that a right and that a wrong response is labelled A and not B, before and after, whatever
            the strategy: a label that moves alone. Shares do not count then, and accuracies are those of all responses.
    """

    name: str
    right: tuple[str, ...]
    share: tuple[Row, Row]
    accuracy: tuple[Row, Row]
    harder: tuple[float, float] = (0.0, 0.0)
    hidden: bool = False
    spread: float = 0.3
    length: tuple[float, float] = (100.0, 100.0)
    tied: bool = False
    marks: tuple[tuple[float, float], tuple[float, float]] | None = None
    names: tuple[str, ...] = NAMES


SAME = ((0.5, 0.5, 0, 0), (0.5, 0.5, 0, 0))
EVEN = (0.5, 0.5, 0, 0)
GO = ("continue RL on this mix",)
SITUATIONS = (
    Situation(
        "unread answers 30% to 2%",
        ("fix the format first",),
        ((0.35, 0.35, 0, 0.3), (0.49, 0.49, 0, 0.02)),
        ((0.6, 0.6, 0, 0), (0.6, 0.6, 0, 0)),
    ),
    Situation(
        "unread answers 10% to 1%",
        ("fix the format first",),
        ((0.45, 0.45, 0, 0.1), (0.495, 0.495, 0, 0.01)),
        ((0.6, 0.6, 0, 0), (0.6, 0.6, 0, 0)),
    ),
    Situation(
        "gain by longer answers",
        ("compare at one token budget",),
        SAME,
        ((0.4, 0.4, 0, 0), (0.6, 0.6, 0, 0)),
        length=(100, 160),
        tied=True,
    ),
    Situation(
        "zero signal", ("lower the RL difficulty",), SAME, ((0.01, 0.01, 0, 0), (0.04, 0.04, 0, 0)), spread=0
    ),
    Situation(
        "saturated", ("raise the RL difficulty",), SAME, ((0.9, 0.9, 0, 0), (0.99, 0.99, 0, 0)), spread=0
    ),
    Situation(
        "new strategies lead",
        ("probe the new strategies",),
        (EVEN, (0.3, 0.3, 0.4, 0)),
        ((0.4, 0.4, 0, 0), (0.42, 0.42, 0.8, 0)),
    ),
    Situation(
        "execution worse", ("go back to an earlier checkpoint",), SAME, ((0.6, 0.6, 0, 0), (0.5, 0.5, 0, 0))
    ),
    Situation("choice worse", ("rebalance the RL mix",), (EVEN, (0.85, 0.15, 0, 0)), ((0.3, 0.7, 0, 0),) * 2),
    Situation("selection left", GO, (EVEN, (0.25, 0.75, 0, 0)), ((0.3, 0.8, 0, 0),) * 2),
    Situation("execution with room", GO, (EVEN, (0.48, 0.52, 0, 0)), ((0.3, 0.4, 0, 0), (0.42, 0.52, 0, 0))),
    Situation("nothing changed", ("change the RL data",), SAME, ((0.45, 0.55, 0, 0),) * 2),
    Situation(
        "selection exhausted, hard problems weak",
        ("raise the RL difficulty",),
        (EVEN, (0.02, 0.98, 0, 0)),
        ((0.4, 0.95, 0, 0),) * 2,
        harder=(0.35, 0.35),
    ),
    Situation("execution +20, strategies equal", GO, SAME, ((0.3, 0.3, 0, 0), (0.5, 0.5, 0, 0))),
    Situation(
        "selection = improvement = +5.8",
        GO,
        (EVEN, (0.355, 0.645, 0, 0)),
        ((0.3, 0.7, 0, 0), (0.358, 0.758, 0, 0)),
    ),
    Situation(
        "selection +5.9, improvement +8",
        GO,
        (EVEN, (0.3525, 0.6475, 0, 0)),
        ((0.3, 0.7, 0, 0), (0.38, 0.78, 0, 0)),
    ),
    Situation(
        "hidden types, routing alone",
        ("collect more samples",),
        (EVEN, (0.9, 0.1, 0, 0)),
        ((0.85, 0.1, 0, 0),) * 2,
        hidden=True,
        spread=0,
    ),
)


def simulate(
    situation: Situation, problems: int, samples: int, rng: np.random.Generator
) -> list[pl.DataFrame]:
    """Counts by half, before and after; a problem's ease is shared by both."""
    hard, other = np.arange(problems) % 2, np.arange(problems) // 2 % 2
    ease = np.clip(rng.normal(0, 1, problems), -2, 2) * situation.spread / 2
    grows = rng.random(problems) < 0.7
    tables: list[pl.DataFrame] = []
    for side in (0, 1):
        share, rate = (
            np.tile(np.array(rows[side], dtype=float), (problems, 1))
            for rows in (situation.share, situation.accuracy)
        )
        length = np.full(problems, situation.length[0])
        if side:
            length = np.where(grows, situation.length[1], situation.length[0])
        if side and situation.tied:
            rate[~grows] = situation.accuracy[0]
        if situation.hidden:
            swap = other == 1
            share[swap, :2], rate[swap, :2] = share[swap, 1::-1], rate[swap, 1::-1]
        rate = np.maximum(rate - situation.harder[side] * hard[:, None], 0)
        rate = rate + ease[:, None] * np.minimum(rate, 1 - rate)
        if situation.marks is not None:
            share, rate = _marked(rate[:, :1], *situation.marks[side])
        for half in (0, 1):
            n = rng.multinomial(samples // 2, share)
            right = rng.binomial(n, rate)
            p, s = np.nonzero(n)
            columns = {
                "problem_id": p.astype(str),
                "difficulty": hard[p],
                "strategy": np.array(situation.names)[s],
                "half": np.full(p.size, half),
                "side": np.full(p.size, side),
                "n": n[p, s],
                "right": right[p, s].astype(float),
                "length": length[p] * n[p, s],
            }
            tables.append(pl.DataFrame(columns))
    whole = pl.concat(tables)
    return [whole.filter(pl.col("side") == side).drop("side") for side in (0, 1)]


def _marked(rate: Floats, right: float, wrong: float) -> tuple[Floats, Floats]:
    """Shares and accuracies of A and B where the label is a matter of the outcome (problems x 2)."""
    share = np.hstack([rate * right + (1 - rate) * wrong, rate * (1 - right) + (1 - rate) * (1 - wrong)])
    return share, rate * np.array([[right, 1 - right]]) / share
