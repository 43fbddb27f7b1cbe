"""The terms of a decomposition with standard errors in closed form: for many variants at once, without draws.

A term is a smooth function of a stratum's means. Its gradient there, times a problem's deviation from the means,
is the problem's influence on the term; the variance of the influences gives the standard error (delta method).

Of cells with few responses before, problems do not show how far the old accuracy may be off: its part of the variance
is that of its posterior, as in the bootstrap; of strategies that are new or rare, what the latter reading moves the
terms by (`thin_cells`).

Source: Hampel 1974, JASA 69, 383; for means of clusters Miller 2024, arXiv 2411.00640. Where a strategy is rare
the bootstrap of `decompose` is better: ratios of small means are far from linear, and intervals are not symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stratagem.decomposition.counterfactuals import ACCURACIES, counterfactuals
from stratagem.decomposition.parts import Lead
from stratagem.decomposition.thin_cells import Cells, cells
from stratagem.records import Estimate
from stratagem.stats.pairs import Floats
from stratagem.stats.resampling import pool_of
from stratagem.stats.uncertainty import quantile


class Terms(NamedTuple):
    """The parts of a gain, select first.

    `choice` is selection and new strategy together; `gap` is |selection| - |improvement|, positive where selection
    leads.
    """

    gain: Estimate
    selection: Estimate
    improvement: Estimate
    new_strategy: Estimate
    choice: Estimate
    gap: Estimate

    @property
    def lead(self) -> Lead:
        """`selection`, `improvement` or `undecided`: which is larger in size, if the interval of the gap tells."""
        return "selection" if self.gap.low > 0 else "improvement" if self.gap.high < 0 else "undecided"


def terms(
    data_pk: Floats,
    n_p: Floats,
    size_g: NDArray[np.int64],
    *,
    level: float = 0.95,
    stratified: bool = True,
) -> Terms:
    """The terms of a decomposition with t intervals in closed form.

    Args:
        data_pk: problems, stratum by stratum, x (share before, right before, share after, right after) of every
            strategy, as `counterfactuals.matrix` makes it. Columns of strategies that are to count as one are added up.
        n_p: responses to every problem before.
        size_g: problems of every stratum.
        stratified: as in `decompose`: strata are resampled each by itself, or all problems together.

    Returns:
        NaN intervals where there are fewer problems than two more than strata.
    """
    width = data_pk.shape[1] // 4
    mean_gk = _means(data_pk, size_g)
    known = cells(
        data_pk[:, :width], data_pk[:, width : 2 * width], n_p, size_g, mean_gk[:, 2 * width : 3 * width]
    )
    influence = influences(data_pk, size_g, known)
    signs = [math.copysign(1.0, influence[name][0]) for name in ("selection", "improvement")]
    selection, improvement = influence["selection"], influence["improvement"]
    influence["gap"] = (
        abs(selection[0]) - abs(improvement[0]),
        signs[0] * selection[1] - signs[1] * improvement[1],
    )
    pool_p = pool_of(size_g, stratified)[np.repeat(np.arange(size_g.size), size_g)]
    beside = _of_thin_cells(mean_gk, size_g, known, signs)
    if known.open_gs.any():
        beside_open = _of_open_cells(mean_gk, size_g, known, signs)
        beside = {name: beside.get(name, 0.0) + more for name, more in beside_open.items()}
    return Terms(
        **{
            name: clustered(value, psi_p, pool_p, level, beside.get(name, 0.0))
            for name, (value, psi_p) in influence.items()
        }
    )


def influences(
    data_pk: Floats, size_g: NDArray[np.int64], known: Cells | None = None
) -> dict[str, tuple[float, Floats]]:
    """Every term but the gap, with each problem's influence on it (p); arguments as `terms`.

    Args:
        known: its thin cells, whose old accuracies are taken as given: what they are off by is added by itself.
    """
    m, width = len(data_pk), data_pk.shape[1] // 4
    stratum_p = np.repeat(np.arange(size_g.size), size_g)
    starts = np.concatenate([[0], np.cumsum(size_g)[:-1]])
    mean_gk = _means(data_pk, size_g)
    accuracy = dict(
        zip(ACCURACIES, counterfactuals(mean_gk, np.ones(size_g.size), width).accuracies_l.T, strict=True)
    )
    kept_gk, seen_gk = _gradients(mean_gk, accuracy["kept"], accuracy["seen"], width)
    before_p, now_p = data_pk[:, width : 2 * width].sum(1), data_pk[:, 3 * width :].sum(1)
    old_p = before_p
    if known is not None and known.thin_gs.any():
        kept_gk[:, : 2 * width][np.tile(known.thin_gs, 2)] = 0.0
        given_ps = data_pk[:, :width] * known.rate_gs[stratum_p]
        old_p = np.where(known.thin_gs[stratum_p], given_ps, data_pk[:, width : 2 * width]).sum(1)
    # Its gradient times a stratum's means is 0, so a problem's influence is the accuracy itself plus its row times the
    # gradient. A stratum of one problem is resampled whole; one that leaves all its old strategies has
    # kept = seen = old and no gradient.
    alone_p = np.repeat(size_g == 1, size_g)
    left_p = np.repeat(~seen_gk.any(axis=1), size_g)
    kept_p, seen_p = (
        np.where(
            left_p, old_p, accuracy[name][stratum_p] + ~alone_p * _along(data_pk, grad_gk, starts, size_g)
        )
        for name, grad_gk in (("kept", kept_gk), ("seen", seen_gk))
    )
    old, kept, seen, now = (float(size_g @ accuracy[name]) / m for name in ("old", "kept", "seen", "now"))
    return {
        "gain": (now - old, now_p - before_p),
        "selection": (kept - old, kept_p - old_p),
        "improvement": (seen - kept, seen_p - kept_p),
        "new_strategy": (now - seen, now_p - seen_p),
        "choice": (kept - old + now - seen, kept_p - old_p + now_p - seen_p),
    }


def _means(data_pk: Floats, size_g: NDArray[np.int64]) -> Floats:
    starts = np.concatenate([[0], np.cumsum(size_g)[:-1]])
    return np.add.reduceat(data_pk, starts, axis=0) / size_g[:, None]


def _of_thin_cells(
    mean_gk: Floats, size_g: NDArray[np.int64], known: Cells, signs: Sequence[float]
) -> dict[str, float]:
    """What the accuracies of thin cells before add to the variance of every term.

    Args:
        signs: of selection and improvement.
    """
    width = known.thin_gs.shape[1]
    pi0_gs, pi1_gs = mean_gk[:, :width], mean_gk[:, 2 * width : 3 * width]
    kept_gs = pi1_gs * (pi0_gs > 0)
    stay_gs = kept_gs.sum(axis=1, keepdims=True)
    kept_gs = np.divide(kept_gs, stay_gs, out=np.zeros_like(kept_gs), where=stay_gs > 0)
    shift_gs = np.where(stay_gs > 0, kept_gs - pi0_gs, 0.0)
    variance_gs = (size_g[:, None] / size_g.sum()) ** 2 * known.variance_gs()
    slopes = {"selection": shift_gs, "improvement": kept_gs, "choice": shift_gs}
    slopes["gap"] = signs[0] * shift_gs + signs[1] * kept_gs
    return {name: float((slope_gs**2 * variance_gs).sum()) for name, slope_gs in slopes.items()}


def _of_open_cells(
    mean_gk: Floats, size_g: NDArray[np.int64], known: Cells, signs: Sequence[float]
) -> dict[str, float]:
    """Mean square of what every term moves by where strategies unseen before are rare in every second draw.

    All move linearly with their old accuracy, of mean 1/2 and variance 1/8 (`thin_cells`).
    """
    width = known.open_gs.shape[1]
    what_if = counterfactuals(mean_gk, np.ones(len(mean_gk)), width)
    kept_gs, seen_gs = (what_if.accuracies_l[:, ACCURACIES.index(name), None] for name in ("kept", "seen"))
    pi0_gs, pi1_gs, q1_gs = (mean_gk[:, i * width : (i + 1) * width] for i in (0, 2, 3))
    rare_gs = pi1_gs * known.open_gs
    all_gs = ((pi0_gs > 0) * pi1_gs + rare_gs).sum(axis=1, keepdims=True)
    part_gs = np.divide(rare_gs, all_gs, out=np.zeros_like(rare_gs), where=all_gs > 0)
    part_gs *= size_g[:, None] / size_g.sum()
    beyond_gs = np.divide(q1_gs, pi1_gs, out=np.zeros_like(q1_gs), where=pi1_gs > 0) - seen_gs
    # What a term moves by, and what it moves by with the accuracy.
    selection = np.array([-(part_gs * kept_gs).sum(), part_gs.sum()])
    improvement = np.array([(part_gs * (beyond_gs + kept_gs)).sum(), -part_gs.sum()])
    moves = {
        "selection": selection,
        "improvement": improvement,
        "choice": -improvement,
        "new_strategy": -selection - improvement,
        "gap": signs[0] * selection - signs[1] * improvement,
    }
    return {name: float((x + y / 2) ** 2 + y**2 / 8) / 2 for name, (x, y) in moves.items()}


def clustered(
    value: float, psi_p: Floats, pool_p: NDArray[np.int64], level: float, beside: float = 0.0
) -> Estimate:
    """An estimate with the standard error of a mean of influences over pools of problems, t interval.

    Args:
        psi_p: influences; only their variance inside a pool counts.
        pool_p: the number of every problem's pool, from 0.
        beside: variance that the influences do not have.
    """
    m = psi_p.size
    size_o = np.bincount(pool_p)
    mean_o = np.bincount(pool_p, psi_p) / size_o
    squares_o = np.bincount(pool_p, (psi_p - mean_o[pool_p]) ** 2)
    if m <= size_o.size or size_o.min() < 2:
        return Estimate(value, n=m)
    se = math.sqrt(float((size_o * squares_o / (size_o - 1)).sum()) / m**2 + beside)
    reach = quantile(level, m - size_o.size) * se
    return Estimate(value, value - reach, value + reach, se, m)


def _gradients(mean_gk: Floats, kept_g: Floats, seen_g: Floats, width: int) -> tuple[Floats, Floats]:
    """Derivatives of kept and seen by the stratum's means (g x k); all 0 where no old strategy is used any more."""
    pi0_gs, q0_gs, pi1_gs = (mean_gk[:, i * width : (i + 1) * width] for i in range(3))
    used_gs = pi0_gs > 0
    stay_g = (pi1_gs * used_gs).sum(axis=1)
    scale_gs = np.divide(used_gs, stay_g[:, None], out=np.zeros_like(pi0_gs), where=stay_g[:, None] > 0)
    rate_gs = np.divide(q0_gs, pi0_gs, out=np.zeros_like(q0_gs), where=used_gs)
    per_gs = np.divide(pi1_gs * scale_gs, pi0_gs, out=np.zeros_like(q0_gs), where=used_gs)
    none = np.zeros_like(pi0_gs)
    kept = [-per_gs * rate_gs, per_gs, scale_gs * (rate_gs - kept_g[:, None]), none]
    seen = [none, none, -scale_gs * seen_g[:, None], scale_gs]
    return np.concatenate(kept, axis=1), np.concatenate(seen, axis=1)


def _along(data_pk: Floats, grad_gk: Floats, starts: NDArray[np.int64], size_g: NDArray[np.int64]) -> Floats:
    """Every problem's row times the gradient of its stratum (p)."""
    if size_g.size * 8 > len(data_pk):
        return np.einsum("pk,pk->p", data_pk, np.repeat(grad_gk, size_g, axis=0))
    products = [data_pk[s : s + n] @ grad_k for s, n, grad_k in zip(starts, size_g, grad_gk, strict=True)]
    return np.concatenate(products)
