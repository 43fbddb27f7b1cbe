"""What a change of features is worth, at the rate at which they went with being right within problems before.

Within a problem, before: score = a_problem + b.z, by least squares in each stratum. The shift is the mean over problems
of b.(mean z after - mean z before). Nothing is shrunk: a penalty, or a slope along a direction that is fitted
elsewhere, loses what lies across that direction (in simulation half of the shift at 100 problems). Draws of problems
repeat the fit, and so carry its error.
Suffixes: r responses, p problems, g strata, d draws, f features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stratagem.stats.pairs import Floats

FREE = 40  # responses beyond the first of a problem that a feature takes for a slope in a stratum of its own


class Moments(NamedTuple):
    """Problems, as all that the fit needs of them.

    Attributes:
        cross_pff: sums of products of features, each less its problem's mean before.
        with_score_pf: of features and scores.
        change_pf: mean after - mean before.
        stratum_p: numbers from 0; strata of few responses share one.
    """

    cross_pff: Floats
    with_score_pf: Floats
    change_pf: Floats
    stratum_p: NDArray[np.int64]


def sums(x_r: Floats, home_r: NDArray[np.int64], problems: int) -> Floats:
    """The sum of each problem's rows, whatever follows the first axis; 0 where it has none.

    Args:
        home_r: the number of each row's problem, in ascending order.
    """
    summed = np.zeros((problems, *x_r.shape[1:]))
    if len(home_r):
        starts = np.flatnonzero(np.concatenate([[True], home_r[1:] != home_r[:-1]]))
        summed[home_r[starts]] = np.add.reduceat(x_r, starts, axis=0)
    return summed


def means(x_r: Floats, home_r: NDArray[np.int64], problems: int) -> Floats:
    """The mean of each problem's rows, as `sums`."""
    size_p = np.maximum(np.bincount(home_r, minlength=problems), 1)
    return (sums(x_r, home_r, problems).T / size_p).T


def moments(
    z_rf: Floats,
    score_r: Floats,
    home_r: NDArray[np.int64],
    after_r: NDArray[np.bool_],
    stratum_p: NDArray[np.int64],
) -> Moments:
    """Features in units of their spread within problems before, as moments; those without any spread are 0.

    Args:
        home_r: the number of each response's problem, in ascending order.
        after_r: whether a response is of the side after.
    """
    problems = len(stratum_p)
    before = ~after_r
    home_b = home_r[before]
    centred_bf = z_rf[before] - means(z_rf[before], home_b, problems)[home_b]
    free = max(len(home_b) - len(np.unique(home_b)), 1)
    spread_f = np.sqrt((centred_bf**2).sum(axis=0) / free)
    scale_f = np.divide(1.0, spread_f, out=np.zeros_like(spread_f), where=spread_f > 1e-9)
    centred_bf, z_rf = centred_bf * scale_f, z_rf * scale_f
    off_b = score_r[before] - means(score_r[before], home_b, problems)[home_b]
    cross_pff = sums(centred_bf[:, :, None] * centred_bf[:, None, :], home_b, problems)
    with_score_pf = sums(centred_bf * off_b[:, None], home_b, problems)
    change_pf = means(z_rf[after_r], home_r[after_r], problems) - means(z_rf[before], home_b, problems)
    free_g = np.bincount(stratum_p, np.maximum(np.bincount(home_b, minlength=problems) - 1, 0))
    shared_g = free_g < FREE * z_rf.shape[1]
    stratum_p = np.where(shared_g[stratum_p], len(free_g), stratum_p)
    return Moments(cross_pff, with_score_pf, change_pf, stratum_p)


def shifts(data: Moments, weight_dp: Floats, columns: Sequence[NDArray[np.int64]]) -> tuple[Floats, Floats]:
    """The shift under each weighting of the problems, and the parts of groups of features.

    Args:
        weight_dp: how often each problem counts.
        columns: the features of each group.

    Returns:
        The shift by draw, and by draw and group: they sum to it where the groups hold all features.
    """
    moved_df = np.zeros((len(weight_dp), data.change_pf.shape[1]))
    for g in np.unique(data.stratum_p):
        here_p = data.stratum_p == g
        slope_df = _slope(data, weight_dp[:, here_p], here_p)
        moved_df += slope_df * (weight_dp[:, here_p] @ data.change_pf[here_p])
    moved_df /= weight_dp.sum(axis=1)[:, None]
    return moved_df.sum(axis=1), np.stack([moved_df[:, group].sum(axis=1) for group in columns], axis=1)


def _slope(data: Moments, weight_dp: Floats, chosen_p: NDArray[np.bool_]) -> Floats:
    """Least squares by draw over some problems; 0 for features without spread."""
    features = data.change_pf.shape[1]
    cross_dff = weight_dp @ data.cross_pff[chosen_p].reshape(-1, features**2)
    cross_dff = cross_dff.reshape(-1, features, features)
    least = 1e-9 * (1 + np.trace(cross_dff, axis1=1, axis2=2))[:, None, None] * np.eye(features)
    score_df = weight_dp @ data.with_score_pf[chosen_p]
    return np.linalg.solve(cross_dff + least, score_df[:, :, None])[:, :, 0]
