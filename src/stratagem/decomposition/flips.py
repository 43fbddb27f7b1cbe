"""What became right and what became wrong, and which strategy followed which.

Responses before and after are not the same ones, so that they are taken in pairs: each response before to a problem
with each one after to the same problem, all pairs of a problem equally likely and every problem of the same weight. A
score between 0 and 1 counts as that part right and the rest wrong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from stratagem.records import UNDEFINED, Estimate, Real, Result
from stratagem.stats.min_sample import drop_small_intervals
from stratagem.stats.pairs import Pairs, Side, pair
from stratagem.stats.uncertainty import mean_estimate, within


class Transition(Result, frozen=True, kw_only=True):
    """Pairs whose response before follows one strategy and whose response after another, or the same, as fractions of
    all pairs: how many, and of these the ones that went from right to wrong and from wrong to right."""

    before: str
    after: str
    share: Real
    right_to_wrong: Real
    wrong_to_right: Real


class Flips(Result, frozen=True, kw_only=True):
    """Pairs of responses to the same problem before and after, as fractions of all pairs.

    Attributes:
        right_to_wrong, wrong_to_right: the second less the first is the gain. Clustered standard errors, t intervals.
        right_both, wrong_both: right before and after; wrong before and after.
        better, worse, same: problems whose accuracy rose, fell, stayed.
        transitions: by strategy before and after, those that occur. Their shares sum over `after` to the strategy's
            share before, over `before` to its share after.
    """

    right_to_wrong: Estimate = UNDEFINED
    wrong_to_right: Estimate = UNDEFINED
    right_both: Real
    wrong_both: Real
    better: int
    worse: int
    same: int
    transitions: tuple[Transition, ...] = ()


def flips(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    *,
    by: Sequence[str] = (),
    level: float = 0.95,
) -> Flips:
    """The flips between two checkpoints' rollouts or counts, over the problems that both answered.

    Args:
        by: columns of the strata; problems lie in one each.
        level: of the intervals.

    Raises:
        StratagemError: no problem in common, or a column is missing.
    """
    return flips_of(pair(before, after, by), level=level)


def flips_of(pairs: Pairs, *, level: float = 0.95) -> Flips:
    """The flips of paired problems."""
    problems = len(pairs.ids)
    right0_p, right1_p = (side.right_ps.sum(axis=1) for side in (pairs.before, pairs.after))
    right_ss = (_weights(pairs.before, True).T @ _weights(pairs.after, False)) / problems
    wrong_ss = (_weights(pairs.before, False).T @ _weights(pairs.after, True)) / problems
    share_ss = (pairs.before.share_ps.T @ pairs.after.share_ps) / problems
    change_p = right1_p - right0_p
    rows, columns = np.nonzero(share_ss > 0)
    found = Flips(
        right_to_wrong=within(mean_estimate(right0_p * (1 - right1_p), level=level), 0.0, 1.0),
        wrong_to_right=within(mean_estimate((1 - right0_p) * right1_p, level=level), 0.0, 1.0),
        right_both=float((right0_p * right1_p).mean()),
        wrong_both=float(((1 - right0_p) * (1 - right1_p)).mean()),
        better=int((change_p > 1e-9).sum()),
        worse=int((change_p < -1e-9).sum()),
        same=int((np.abs(change_p) <= 1e-9).sum()),
        transitions=tuple(
            Transition(
                before=pairs.strategies[s],
                after=pairs.strategies[t],
                share=float(share_ss[s, t]),
                right_to_wrong=float(right_ss[s, t]),
                wrong_to_right=float(wrong_ss[s, t]),
            )
            for s, t in zip(rows, columns, strict=True)
        ),
    )
    return drop_small_intervals(found)


def _weights(side: Side, right: bool) -> np.ndarray:
    """Of a problem's responses, the part that follows each strategy and is right, or wrong."""
    return side.right_ps if right else side.share_ps - side.right_ps
