"""Where a checkpoint uses a strategy and the other does not: what its absence does and does not say."""

from __future__ import annotations

from typing import Literal

import numpy as np

from stratagem.records import Result, Stratum
from stratagem.stats.pairs import Pairs


class Unsupported(Result, frozen=True):
    """A strategy that only one of two checkpoints used in a stratum. "Unused here" is not "unable".

    Attributes:
        side: `new` was not used before, `dropped` is not used after.
        share: mean over the stratum's problems, at the checkpoint that uses it.
        bound: how large the share may still be at the other.
        weight: the stratum's part of all problems. The sum of weight * share / 2 is `unsupported_share`.
    """

    stratum: Stratum
    strategy: str
    side: Literal["new", "dropped"]
    share: float
    bound: float
    weight: float
    problems: int


def zero_bound(n: int, alpha: float = 0.05) -> float:
    """The upper limit of a share of which none was seen in n independent units: 1 - alpha^(1/n).

    About 3 / n at alpha = 0.05. Responses to one problem are not independent: n counts problems. 1 for n = 0.
    """
    return 1.0 if n == 0 else 1.0 - alpha ** (1.0 / n)


def unsupported(pairs: Pairs, *, alpha: float = 0.05) -> tuple[Unsupported, ...]:
    """Strategies that only one checkpoint used, stratum by stratum, those of the most responses first.

    Args:
        alpha: one minus the level of the bound.
    """
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    share0_gs, share1_gs = (
        np.add.reduceat(side.share_ps, starts, axis=0) / pairs.sizes_g[:, None]
        for side in (pairs.before, pairs.after)
    )
    strata = pairs.strata.to_dicts() or [{}]
    rows = [
        Unsupported(
            stratum=strata[g],
            strategy=pairs.strategies[s],
            side="dropped" if share0_gs[g, s] > 0 else "new",
            share=float(share0_gs[g, s] + share1_gs[g, s]),
            bound=zero_bound(int(pairs.sizes_g[g]), alpha),
            weight=float(pairs.sizes_g[g] / len(pairs.ids)),
            problems=int(pairs.sizes_g[g]),
        )
        for g, s in np.argwhere((share0_gs > 0) != (share1_gs > 0))
    ]
    return tuple(sorted(rows, key=lambda row: -row.weight * row.share))
