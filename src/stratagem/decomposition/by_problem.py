"""The gain split problem by problem: `choice`, which is selection and new strategies together, and `improvement`.

Split by stratum, the composition of a stratum passes for execution where its problems differ: if hard problems move
to one strategy and easy ones to another, a strategy's accuracy changes although no problem is executed differently.
With every problem as its own stratum this cannot happen.

Its price is few responses. A strategy that a problem did not show before has no old accuracy there. Left out, as the
split has it, its execution counts as choice, which leans towards the other order of counting. So everything is
computed a second time with the stratum's old accuracy in that place: the truth where problems of a stratum are alike,
and off where they differ. Intervals reach over both, which draw together as responses become many.
Suffixes: p problems, s strategies, g strata.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.delta_method import clustered, influences
from stratagem.decomposition.parts import ByProblem, ChoiceLead, InTwo
from stratagem.records import Estimate
from stratagem.stats.min_sample import MIN_PROBLEMS, drop_small_intervals
from stratagem.stats.pairs import Floats, Pairs, Side
from stratagem.stats.resampling import pool_of

ENOUGH = 0.9  # of the problems, which have to have so many responses on both sides
SPLIT, HEADLINE = 2, 4  # responses a problem on both sides: for the split, and for the headline to rest on it
DIFFERENT = 0.02  # of accuracy, from which a difference of the levels is more than small


class _InTwo(NamedTuple):
    """Influences of the problems on choice and improvement, whose means are the terms themselves."""

    choice_p: Floats
    improvement_p: Floats


def by_problem(pairs: Pairs, *, level: float = 0.95, stratified: bool = True) -> ByProblem:
    """The split by problem, and whether the split by stratum disagrees with it.

    Args:
        stratified: as in `decompose.decompose`; intervals are t intervals in closed form.

    Returns:
        The counts of problems alone where fewer than 90% have two responses or more on both sides; no interval from
        fewer than 6 problems.
    """
    problems = len(pairs.ids)
    fewest_p = np.minimum(pairs.before.n_p, pairs.after.n_p)
    enough = {n: int((fewest_p >= n).sum()) for n in (SPLIT, HEADLINE)}
    if enough[SPLIT] < ENOUGH * problems:
        return ByProblem(with_2=enough[SPLIT], with_4=enough[HEADLINE])
    pool_p = pool_of(pairs.sizes_g, stratified)[pairs.stratum_p]

    def estimate(psi_p: Floats) -> Estimate:
        return drop_small_intervals(clustered(float(psi_p.mean()), psi_p, pool_p, level))

    first = [_split(pairs, pairs.before, pairs.after, borrow) for borrow in (False, True)]
    # Improving first is selecting first on the way back, with its signs turned.
    back = [_split(pairs, pairs.after, pairs.before, borrow) for borrow in (False, True)]
    reverse = [_InTwo(-split.choice_p, -split.improvement_p) for split in back]
    gaps = [estimate(_gap(split)) for split in first]
    lead = _lead(gaps)
    sign = {"choice": 1, "improvement": -1, "undecided": 0}[lead]
    value, psi_p = influences(matrix(pairs, None), pairs.sizes_g)["improvement"]
    by_stratum_p = psi_p - psi_p.mean() + value
    differences = [estimate(split.improvement_p - by_stratum_p) for split in first]
    disagrees = _different(differences)
    # Where problems of a stratum differ, what its accuracies say of a problem is no argument against a lead.
    contrary = [sign * float(_gap(split).mean()) < -1e-12 for split in reverse]
    return ByProblem(
        choice=_over(*(estimate(split.choice_p) for split in first)),
        improvement=_over(*(estimate(split.improvement_p) for split in first)),
        gap=_over(*gaps),
        reverse=InTwo(
            _over(*(estimate(split.choice_p) for split in reverse)),
            _over(*(estimate(split.improvement_p) for split in reverse)),
        ),
        difference=_over(*differences),
        lead=lead,
        order_dependent=contrary[0] if disagrees else any(contrary),
        disagrees=disagrees,
        leads=enough[HEADLINE] >= ENOUGH * problems and problems >= MIN_PROBLEMS,
        with_2=enough[SPLIT],
        with_4=enough[HEADLINE],
    )


def _split(pairs: Pairs, before: Side, after: Side, borrow: bool) -> _InTwo:
    """Choice and improvement from `before` to `after`.

    Args:
        borrow: whether a strategy that a problem does not show before has its stratum's accuracy there.
    """
    used_ps = before.share_ps > 0
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    share_gs = np.add.reduceat(before.share_ps, starts, axis=0)
    right_gs = np.add.reduceat(before.right_ps, starts, axis=0)
    rate_gs = np.divide(right_gs, share_gs, out=np.zeros_like(right_gs), where=share_gs > 0)
    rate_ps = np.divide(before.right_ps, before.share_ps, out=np.zeros_like(before.right_ps), where=used_ps)
    known_ps = used_ps
    if borrow:
        known_ps = (share_gs > 0)[pairs.stratum_p]
        rate_ps = np.where(used_ps, rate_ps, rate_gs[pairs.stratum_p])
    stay_p = (after.share_ps * known_ps).sum(axis=1)
    scale_p = np.divide(1.0, stay_p, out=np.zeros_like(stay_p), where=stay_p > 0)
    improvement_p = ((after.right_ps - after.share_ps * rate_ps) * known_ps).sum(axis=1) * scale_p
    gain_p = after.right_ps.sum(axis=1) - before.right_ps.sum(axis=1)
    if borrow:
        # A borrowed accuracy is an estimate itself, to which all problems of the stratum contribute.
        borrowed_ps = after.share_ps * (known_ps & ~used_ps) * scale_p[:, None]
        weight_gs = np.add.reduceat(borrowed_ps, starts, axis=0)
        weight_gs = np.divide(weight_gs, share_gs, out=np.zeros_like(weight_gs), where=share_gs > 0)
        off_ps = before.right_ps - rate_gs[pairs.stratum_p] * before.share_ps
        improvement_p = improvement_p - (weight_gs[pairs.stratum_p] * off_ps).sum(axis=1)
    return _InTwo(gain_p - improvement_p, improvement_p)


def _gap(split: _InTwo) -> Floats:
    """Influences on |choice| - |improvement|."""
    choice, improvement = (np.copysign(1.0, part_p.mean()) for part_p in split)
    return choice * split.choice_p - improvement * split.improvement_p


def _over(plain: Estimate, borrowed: Estimate) -> Estimate:
    """The plain estimate, with an interval that reaches over both."""
    low, high = min(plain.low, borrowed.low), max(plain.high, borrowed.high)
    return Estimate(plain.value, low, high, max(plain.se, borrowed.se), plain.n)


def _lead(gaps: list[Estimate]) -> ChoiceLead:
    if all(gap.low > 0 for gap in gaps):
        return "choice"
    return "improvement" if all(gap.high < 0 for gap in gaps) else "undecided"


def _different(differences: list[Estimate]) -> bool:
    """Whether every difference is more than small, significant, and of one direction."""
    low, high = (f(x.value for x in differences) for f in (min, max))
    return (low > DIFFERENT or high < -DIFFERENT) and all(abs(x.value) > 1.96 * x.se for x in differences)
