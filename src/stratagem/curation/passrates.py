"""Pass rates of prompts from few samples, and the chance that a group of samples has signal.

A prompt has `n` samples, `right` of them right. Over the prompts of a stratum pass rates follow a Beta distribution,
fitted by maximum marginal likelihood (empirical Bayes; Casella 1985, Skellam's beta-binomial of 1948); each prompt's
posterior is Beta(alpha + right, beta + n - right), mixed over all the distributions that the pool's counts allow, since
few counts leave open which it is. A group of G samples has signal where some are right and some wrong, with chance
1 - p^G - (1 - p)^G at pass rate p; its mean under the posterior is a ratio of beta functions, and not the chance at the
mean pass rate.

Shapes: arrays have one entry a prompt, or one a different (stratum, n, right); all functions work entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import betainc, betaincc, betaincinv, betaln, expit, log_expit

from stratagem.records import StratagemError

Floats = NDArray[np.float64]
Source = Literal["stratum", "pool", "mean"]

MIN_FITTED = 20  # prompts with two samples or more, for a spread of their own
PRECISION = (0.01, 10_000.0)  # bounds of alpha + beta: beyond them the data do not tell values apart
UNINFORMED = 1.0  # alpha + beta where no prompt has two samples: Jeffreys' weight of one sample
PLACES = (-14.0, 14.0)  # bounds of the mean's log odds
GRID = (
    (13, 33),
    (13, 17),
    (5, 9),
)  # points along the mean and alpha + beta: twice to see where to look, then nodes
REACH = 8.0  # log likelihood below the best at which a distribution is left out
BISECTIONS = 40


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(alpha, beta), how pass rates are spread, and how sure that is.

    Attributes:
        nodes: such distributions that the counts allow, a row each: alpha, beta and its weight; weights add up to 1.
        source: ``stratum``, fitted to the stratum; ``pool``, its mean is the stratum's and its spread that of all
            strata together; ``mean``, its mean is fitted and its spread is no finding, since nobody has two samples.
    """

    alpha: float
    beta: float
    source: Source
    nodes: Floats

    @property
    def mean(self) -> float:
        return self.alpha / (self.alpha + self.beta)

    @property
    def precision(self) -> float:
        return self.alpha + self.beta


@dataclass(frozen=True, slots=True)
class Counts:
    """Kinds of prompts: samples, right ones among them, and how many prompts are of the kind."""

    n: Floats
    right: Floats
    times: Floats

    def unlikely(self, place: Floats, nu: Floats) -> Floats:
        """Minus the log marginal likelihood of Beta distributions with means expit(place) and alpha + beta nu.

        Half a right and half a wrong sample, each of a prompt of its own, are added, so that a stratum without a wrong
        sample still has a mean below 1.
        """
        place_k, nu_k = place[..., None], nu[..., None]
        alpha, beta = expit(place_k) * nu_k, expit(-place_k) * nu_k
        said = betaln(self.right + alpha, self.n - self.right + beta) - betaln(alpha, beta)
        return -(said @ self.times) - 0.5 * (log_expit(place) + log_expit(-place))


def fit(
    n: Floats,
    right: Floats,
    times: Floats | None = None,
    precision: float | None = None,
    source: Source = "stratum",
) -> Prior:
    """The Beta distribution under which the counts are most likely, and others that they allow.

    Args:
        n, right: of each prompt, or of each kind of prompts; samples, and right ones among them.
        times: how many prompts are of a kind; one each by default.
        precision: alpha + beta where it is known from elsewhere; then the mean alone is fitted.
    """
    seen = n > 0
    counts = Counts(n[seen], right[seen], (np.ones_like(n) if times is None else times)[seen])
    ends = [PLACES, (np.log(PRECISION[0]), np.log(PRECISION[1]))]

    def unlikely(x: Floats) -> float:
        return float(counts.unlikely(x[0], np.array(np.exp(x[1]) if precision is None else precision)))

    starts = [np.array([0.0, start]) for start in (0.0, 3.0)] if precision is None else [np.zeros(1)]
    tries = [
        minimize(unlikely, start, method="L-BFGS-B", bounds=ends[: len(start)], options={"ftol": 1e-13})
        for start in starts
    ]
    best = min(tries, key=lambda result: result.fun)
    nu = float(np.exp(best.x[1])) if precision is None else precision
    place = float(best.x[0])
    nodes = _nodes(counts, place, nu, precision is None)
    return Prior(float(expit(place)) * nu, float(expit(-place)) * nu, source, nodes)


def _nodes(counts: Counts, place: float, nu: float, free: bool) -> Floats:
    """Distributions that the counts allow, on a grid around the likeliest one.

    alpha + beta has the prior under which nu / (nu + n), the weight of the prior beside n samples, is uniform (Daniels
    1999); without one the likelihood of a large nu never falls. `free`: whether nu is open too.
    """
    usual = float((counts.n @ counts.times) / counts.times.sum()) if len(counts.n) else 1.0
    box = np.array([[place - 3.0, place + 3.0], np.log(PRECISION) if free else np.log([nu, nu])])
    for points in GRID:
        box[0] = np.clip(box[0], *PLACES)
        box[1] = np.clip(box[1], np.log(PRECISION[0]), np.log(PRECISION[1]))
        x = np.linspace(box[0, 0], box[0, 1], points[0])
        y = np.linspace(box[1, 0], box[1, 1], points[1] if free else 1)
        place_g, log_nu_g = (axis.ravel() for axis in np.meshgrid(x, y, indexing="ij"))
        log_odds = log_nu_g - np.log(usual)
        said = -counts.unlikely(place_g, np.exp(log_nu_g)) + (
            log_expit(log_odds) + log_expit(-log_odds) if free else 0
        )
        said -= said.max()
        near = said > -REACH
        steps = [np.ptp(axis) / max(len(axis) - 1, 1) for axis in (x, y)]
        box = np.array(
            [
                [axis[near].min() - step, axis[near].max() + step]
                for axis, step in zip((place_g, log_nu_g), steps, strict=True)
            ]
        )
    weight = np.where(said > -REACH, np.exp(said), 0.0)
    kept = weight > 0.002 * weight.sum()
    nu_g = np.exp(log_nu_g[kept])
    alpha, beta = expit(place_g[kept]) * nu_g, expit(-place_g[kept]) * nu_g
    return np.stack([alpha, beta, weight[kept] / weight[kept].sum()], axis=1)


def priors(
    stratum: NDArray[np.int64], n: Floats, right: Floats, times: Floats, strata: int
) -> tuple[Prior, ...]:
    """A prior a stratum. Where fewer than `MIN_FITTED` prompts have two samples or more, the spread is the pool's.

    Args:
        stratum: of each kind of prompts, its number below `strata`.
        n, right, times: as of `fit`.
    """
    several = n >= 2
    known = times[several].sum() >= MIN_FITTED
    shared: Source = "pool" if known else "mean"
    pooled = fit(n, right, times, None if known else UNINFORMED, shared)
    made: list[Prior] = []
    for number in range(strata):
        own = stratum == number
        if times[own & several].sum() >= MIN_FITTED:
            made.append(fit(n[own], right[own], times[own]))
        elif strata > 1 and times[own & (n > 0)].sum() >= 1:
            made.append(fit(n[own], right[own], times[own], pooled.precision, shared))
        else:
            made.append(pooled)
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Posterior:
    """What is known of pass rates: a mixture of Beta(alpha, beta), one for each distribution that the pool allows.

    Shapes: ``(kinds, nodes)``; weights add up to 1 in each row.
    """

    alpha: Floats
    beta: Floats
    weight: Floats

    @classmethod
    def single(cls, alpha: Floats, beta: Floats) -> Posterior:
        """One Beta distribution each."""
        return cls(alpha[:, None], beta[:, None], np.ones((len(alpha), 1)))

    @classmethod
    def after(cls, known: Sequence[Prior], stratum: NDArray[np.int64], n: Floats, right: Floats) -> Posterior:
        """The posterior after `right` of `n` samples, each of a prompt of a stratum."""
        most = max(len(prior.nodes) for prior in known)
        nodes = np.stack(
            [np.pad(p.nodes, ((0, most - len(p.nodes)), (0, 0)), constant_values=0) for p in known]
        )
        # What is padded has the weight 0, and some distribution, so that no function of it is undefined.
        nodes[..., :2][nodes[..., 2] == 0] = 1.0
        alpha, beta, weight = (nodes[stratum, :, i] for i in range(3))
        return cls(alpha + right[:, None], beta + (n - right)[:, None], weight)

    def _mean(self, values: Floats) -> Floats:
        return (self.weight * values).sum(axis=1)

    def mean(self) -> Floats:
        return self._mean(self.alpha / (self.alpha + self.beta))

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """The ends of an interval that holds the pass rate with probability `level`.

        Equal tails; where the density is highest at 0 or at 1 and at that end alone, as with no sample right or all,
        the interval begins or ends there (it is the narrowest then), since a pass rate of 0 or 1 is what is likely.
        """
        tail = (1 - level) / 2
        alpha, beta = self._mean(self.alpha), self._mean(self.beta)
        at_0, at_1 = (alpha <= 1) & (beta > 1), (beta <= 1) & (alpha > 1)
        low = self._quantile(np.where(at_1, 1 - level, tail))
        high = self._quantile(np.where(at_0, level, 1 - tail))
        return np.where(at_0, 0.0, low), np.where(at_1, 1.0, high)

    def _quantile(self, share: Floats) -> Floats:
        """The pass rate below which `share` of the mixture lies: between the quantiles of its parts, by bisection."""
        parts = betaincinv(self.alpha, self.beta, share[:, None])
        used = self.weight > 0
        low = np.where(used, parts, np.inf).min(axis=1)
        high = np.where(used, parts, -np.inf).max(axis=1)
        for _ in range(BISECTIONS if self.alpha.shape[1] > 1 else 0):
            middle = (low + high) / 2
            below = self._mean(betainc(self.alpha, self.beta, middle[:, None])) < share
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return (low + high) / 2

    def moment(self, rights: int, wrongs: int) -> Floats:
        """The mean of p^rights (1 - p)^wrongs, of each part."""
        return np.exp(betaln(self.alpha + rights, self.beta + wrongs) - betaln(self.alpha, self.beta))

    def signals(self, group: int) -> Floats:
        """As `signal`, of each part."""
        return np.maximum(1 - self.moment(group, 0) - self.moment(0, group), 0.0)

    def signal(self, group: int) -> Floats:
        """The chance that a group of so many samples holds right and wrong ones."""
        return self._mean(self.signals(group))

    def signal_variance(self, group: int) -> Floats:
        """The posterior variance of that chance, which hangs on the pass rate; the mean of the parts' own.

        What the parts differ by is the same for all prompts of a stratum, and for the caller to add.
        """
        squares = 1 + self.moment(2 * group, 0) + self.moment(0, 2 * group) + 2 * self.moment(group, group)
        squares -= 2 * self.moment(group, 0) + 2 * self.moment(0, group)
        return self._mean(np.maximum(squares - self.signals(group) ** 2, 0.0))

    def below(self, rate: float) -> Floats:
        """The probability that the pass rate is below `rate`."""
        return self._mean(betainc(self.alpha, self.beta, rate))

    def above(self, rate: float) -> Floats:
        return self._mean(betaincc(self.alpha, self.beta, rate))


def edge(min_signal: float, group: int) -> float:
    """The pass rate p <= 1/2 at which the chance of signal, 1 - p^G - (1 - p)^G, is `min_signal`.

    Below it, and above 1 minus it, a prompt is flat.

    Raises:
        StratagemError: no pass rate has so little signal, or so much.
    """
    most = 1 - 2.0 ** (1 - group)
    if not 0 < min_signal < most:
        raise StratagemError(
            f"--min-signal {min_signal:g}: has to lie between 0 and {most:g}, the most that a group of {group} can have"
        )
    root: Any = brentq(lambda p: 1 - p**group - (1 - p) ** group - min_signal, 0.0, 0.5, xtol=1e-14)
    return float(root)
