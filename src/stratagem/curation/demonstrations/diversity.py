"""How many strategies demonstrations show: by type of problem, and by problem."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import ndtri

from stratagem.curation.passrates import Floats
from stratagem.records import UNDEFINED, Estimate

Ints = NDArray[np.int64]
AT_ONCE = 2_000_000  # numbers of a matrix of draws


def effective_number(counts: Floats) -> Floats:
    """The number of equally frequent strategies with the same entropy, exp(-sum p log p): the Hill number of order 1.

    Source: Hill 1973, Ecology 54, 427; Jost 2006, Oikos 113, 363.

    Args:
        counts: of each strategy, along the last axis.

    Returns:
        1 where all is one strategy; NaN where there is nothing.
    """
    total = counts.sum(axis=-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        share = counts / total
        terms = np.where(share > 0, share * np.log(share), 0.0)
        return np.where(total[..., 0] > 0, np.exp(-terms.sum(axis=-1)), np.nan)


def estimate(counts: Floats, level: float, draws: int, rng: np.random.Generator) -> Estimate:
    """The effective number of strategies, with its interval over problems.

    Problems are resampled with all of their demonstrations. The interval is normal on the scale of the entropy, around
    the entropy less the bias that the draws show, and cut at 1 and at the number of strategies that there are.

    Args:
        counts: a row a problem, a column a strategy.
    """
    counts = counts[counts.sum(axis=1) > 0]
    if not len(counts):
        return UNDEFINED
    value = float(effective_number(counts.sum(axis=0)))
    # Problems with the same counts are drawn together, so that a million of them cost what their patterns do.
    patterns, times = np.unique(counts, axis=0, return_counts=True)
    entropies: list[Floats] = []
    step = max(1, AT_ONCE // len(patterns))
    for start in range(0, draws, step):
        number = min(step, draws - start)
        drawn = rng.multinomial(len(counts), times / len(counts), size=number)
        entropies.append(np.log(effective_number(drawn @ patterns)))
    entropy = np.concatenate(entropies)
    reach = float(ndtri((1 + level) / 2)) * float(entropy.std())
    middle = 2 * np.log(value) - float(entropy.mean())
    most = float((counts > 0).any(axis=0).sum())
    low, high = (float(np.clip(np.exp(middle + side * reach), 1, most)) for side in (-1, 1))
    return Estimate(value, min(low, value), max(high, value), float(np.exp(entropy).std()), len(counts))


@dataclass(frozen=True, slots=True)
class Shown:
    """Strategies by problem.

    Attributes:
        counts: a row a problem, a column a strategy: how many demonstrations show it.
        kind: of each problem, the type of its first demonstration.
    """

    counts: Floats
    kind: Ints

    @property
    def ways(self) -> Ints:
        """How many strategies each problem is shown in."""
        return (self.counts > 0).sum(axis=1)


def shown(problem: Ints, kind: Ints, strategy: Ints, strategies: int) -> Shown:
    """Count rows by problem and strategy.

    Args:
        strategy: of each row, its number below `strategies`; -1 for rows that do not count.
    """
    table = pl.DataFrame({"problem": problem, "kind": kind, "strategy": strategy})
    table = table.filter(pl.col("strategy") >= 0)
    first = table.group_by("problem", maintain_order=True).agg(pl.col("kind").first())
    place = first.select("problem").with_row_index("place")
    cells = table.join(place, on="problem").group_by("place", "strategy").len()
    counts = np.zeros((first.height, strategies))
    counts[cells["place"].to_numpy(), cells["strategy"].to_numpy()] = cells["len"].to_numpy()
    return Shown(counts, first["kind"].to_numpy().astype(np.int64))
