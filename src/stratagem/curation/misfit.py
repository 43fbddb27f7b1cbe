"""Whether counts of right samples are those of a Beta distribution of pass rates: if not, expectations may be off."""

from __future__ import annotations

import numpy as np
from scipy.special import betaln, chdtrc, gammaln

from stratagem.curation.passrates import Floats, Prior

LEAST_EXPECTED = 5.0  # prompts of a cell, the usual limit of a chi-square test
SIGNIFICANT = 0.001
DISTANCE = 0.02  # of all prompts, in cells where the distribution does not put them: less matters little


def misfits(prior: Prior, n: Floats, right: Floats, times: Floats) -> bool:
    """Whether the counts of a stratum differ from the prior's, by a chi-square test and by 2% of its prompts or more.

    Args:
        n, right, times: of each kind of prompts, as of `passrates.fit`.
    """
    observed: list[float] = []
    expected: list[float] = []
    for samples in np.unique(n[n >= 2]).astype(int).tolist():
        own = n == samples
        seen = np.bincount(right[own].astype(int), weights=times[own], minlength=samples + 1)
        k = np.arange(samples + 1)
        choices = gammaln(samples + 1) - gammaln(k + 1) - gammaln(samples - k + 1)
        there = betaln(prior.alpha + k, prior.beta + samples - k) - betaln(prior.alpha, prior.beta)
        wanted = seen.sum() * np.exp(choices + there)
        # Neighbouring cells are put together until enough prompts are expected.
        start, sums = 0, np.cumsum(wanted)
        for end in range(1, samples + 2):
            last = end == samples + 1
            if last or sums[end - 1] - (sums[start - 1] if start else 0) >= LEAST_EXPECTED:
                observed.append(float(seen[start:end].sum()))
                expected.append(float(wanted[start:end].sum()))
                start = end
    seen_c, wanted_c = np.array(observed), np.array(expected)
    kept = wanted_c >= LEAST_EXPECTED
    freedom = int(kept.sum()) - 3
    if freedom < 1:
        return False
    chi_square = float(((seen_c - wanted_c)[kept] ** 2 / wanted_c[kept]).sum())
    distance = float(np.abs(seen_c - wanted_c)[kept].sum() / 2 / wanted_c.sum())
    return distance >= DISTANCE and float(chdtrc(freedom, chi_square)) < SIGNIFICANT
