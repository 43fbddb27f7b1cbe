"""Pass rates of prompts from few samples, and the chance that a group of samples has signal.

A prompt has `n` samples, `right` of them right. Over the prompts of a stratum pass rates follow a Beta distribution,
fitted by maximum marginal likelihood (empirical Bayes; Casella 1985, Skellam's beta-binomial of 1948); each prompt's
posterior is Beta(alpha + right, beta + n - right). A group of G samples has signal where some are right and some wrong,
with chance 1 - p^G - (1 - p)^G at pass rate p; its mean under the posterior is a ratio of beta functions, and not the
chance at the mean pass rate.

Shapes: arrays have one entry a prompt, or one a different (stratum, n, right); all functions work entry by entry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import betainc, betaincc, betaincinv, betaln, expit

from stratagem.records import StratagemError

Floats = NDArray[np.float64]
Source = Literal["stratum", "pool", "mean"]

MIN_FITTED = 20  # prompts with two samples or more, for a spread of their own
PRECISION = (0.01, 10_000.0)  # bounds of alpha + beta: beyond them the data do not tell values apart
UNINFORMED = 1.0  # alpha + beta where no prompt has two samples: Jeffreys' weight of one sample


@dataclass(frozen=True, slots=True)
class Prior:
    """Beta(alpha, beta), how pass rates are spread.

    Attributes:
        source: ``stratum``, fitted to the stratum; ``pool``, its mean is the stratum's and its spread that of all
            strata together; ``mean``, its mean is fitted and its spread is no finding, since nobody has two samples.
    """

    alpha: float
    beta: float
    source: Source

    @property
    def mean(self) -> float:
        return self.alpha / (self.alpha + self.beta)

    @property
    def precision(self) -> float:
        return self.alpha + self.beta


def fit(n: Floats, right: Floats, times: Floats | None = None, precision: float | None = None) -> Prior:
    """The Beta distribution under which the counts are most likely.

    Half a right and half a wrong sample, each of a prompt of its own, are added, so that a stratum without a wrong
    sample still has a mean below 1.

    Args:
        n, right: of each prompt, or of each kind of prompts; samples, and right ones among them.
        times: how many prompts are of a kind; one each by default.
        precision: alpha + beta where it is known from elsewhere; then the mean alone is fitted.
    """
    seen = n > 0
    times_k = (np.ones_like(n) if times is None else times)[seen]
    n_k, right_k = n[seen], right[seen]

    def unlikely(place: Floats) -> float:
        nu = np.exp(place[1]) if precision is None else precision
        mean = expit(place[0])
        alpha, beta = mean * nu, expit(-place[0]) * nu
        said = betaln(right_k + alpha, n_k - right_k + beta) - betaln(alpha, beta)
        return -float(times_k @ said + 0.5 * np.log(mean) + 0.5 * np.log(expit(-place[0])))

    ends = [(-14.0, 14.0), (np.log(PRECISION[0]), np.log(PRECISION[1]))]
    places = [np.array([0.0, start]) for start in (0.0, 3.0)] if precision is None else [np.zeros(1)]
    tries = [
        minimize(unlikely, place, method="L-BFGS-B", bounds=ends[: len(place)], options={"ftol": 1e-13})
        for place in places
    ]
    best = min(tries, key=lambda result: result.fun).x
    nu = float(np.exp(best[1])) if precision is None else precision
    return Prior(float(expit(best[0])) * nu, float(expit(-best[0])) * nu, "stratum")


def priors(
    stratum: NDArray[np.int64], n: Floats, right: Floats, times: Floats, strata: int
) -> tuple[Prior, ...]:
    """A prior a stratum. Where fewer than `MIN_FITTED` prompts have two samples or more, the spread is the pool's.

    Args:
        stratum: of each kind of prompts, its number below `strata`.
        n, right, times: as of `fit`.
    """
    several = n >= 2
    pooled = fit(n, right, times)
    if times[several].sum() < MIN_FITTED:
        pooled = fit(n, right, times, precision=UNINFORMED)
        shared: Source = "mean"
    else:
        shared = "pool"
    made: list[Prior] = []
    for number in range(strata):
        own = stratum == number
        if times[own & several].sum() >= MIN_FITTED:
            made.append(fit(n[own], right[own], times[own]))
        elif times[own & (n > 0)].sum() >= 1:
            alone = fit(n[own], right[own], times[own], precision=pooled.precision)
            made.append(Prior(alone.alpha, alone.beta, shared))
        else:
            made.append(Prior(pooled.alpha, pooled.beta, shared))
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Posterior:
    """Beta(alpha, beta) a prompt."""

    alpha: Floats
    beta: Floats

    def mean(self) -> Floats:
        return self.alpha / (self.alpha + self.beta)

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """The ends of an interval that holds the pass rate with probability `level`.

        Equal tails; where the density is highest at 0 or at 1 and at that end alone, as with no sample right or all,
        the interval begins or ends there (it is the narrowest then), since a pass rate of 0 or 1 is what is likely.
        """
        tail = (1 - level) / 2
        at_0, at_1 = (self.alpha <= 1) & (self.beta > 1), (self.beta <= 1) & (self.alpha > 1)
        low = betaincinv(self.alpha, self.beta, np.where(at_1, 1 - level, tail))
        high = betaincinv(self.alpha, self.beta, np.where(at_0, level, 1 - tail))
        return np.where(at_0, 0.0, low), np.where(at_1, 1.0, high)

    def moment(self, rights: int, wrongs: int) -> Floats:
        """The mean of p^rights (1 - p)^wrongs."""
        return np.exp(betaln(self.alpha + rights, self.beta + wrongs) - betaln(self.alpha, self.beta))

    def signal(self, group: int) -> Floats:
        """The chance that a group of so many samples holds right and wrong ones."""
        return np.maximum(1 - self.moment(group, 0) - self.moment(0, group), 0.0)

    def signal_variance(self, group: int) -> Floats:
        """The posterior variance of that chance, which hangs on the pass rate."""
        mean = self.signal(group)
        squares = 1 + self.moment(2 * group, 0) + self.moment(0, 2 * group) + 2 * self.moment(group, group)
        squares -= 2 * self.moment(group, 0) + 2 * self.moment(0, group)
        return np.maximum(squares - mean**2, 0.0)

    def below(self, rate: float) -> Floats:
        """The probability that the pass rate is below `rate`."""
        return betainc(self.alpha, self.beta, rate)

    def above(self, rate: float) -> Floats:
        return betaincc(self.alpha, self.beta, rate)


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
    return float(brentq(lambda p: 1 - p**group - (1 - p) ** group - min_signal, 0.0, 0.5, xtol=1e-14))
