"""The charts that a study's file asks for, as numbers with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stratagem.records import Estimate
from stratagem.stats.uncertainty import mean_estimate, t_interval, within
from stratagem.studies.form import Curve
from stratagem.studies.quantities import Name, Quantity, Source, Vector
from stratagem.study_result import CurveResult, Line

POINTS = 20  # of a line over updates


class Trained(Source, Protocol):
    def by_update(self, name: Name, replicate: int) -> tuple[NDArray[np.int64], Vector]:
        """The numbers of an arm's updates, and a measure of the responses of each."""
        ...


def drawn(curve: Curve, evaluations: Sequence[str], source: Trained) -> CurveResult:
    """A chart's lines. Intervals are over replicates; with one, over problems, or over the updates of a point."""
    if curve.along == "arms":
        lines = [
            Line(
                on,
                tuple(curve.arms),
                tuple(Quantity.of(curve.name(arm, on)).estimate(source) for arm in curve.arms),
            )
            for on in evaluations
        ]
    else:
        lines = [over_updates(curve.name(arm), source) for arm in curve.arms]
    return CurveResult(curve.title, curve.along, tuple(lines))


def over_updates(name: Name, source: Trained) -> Line:
    """A measure along an arm's updates. Replicates need not have the same ones: a run may end by its budget, and an
    update may have no response that the measure is of. A point is drawn where every replicate has a value."""
    runs = [source.by_update(name, replicate) for replicate in range(source.replicates)]
    every = np.unique(np.concatenate([numbers for numbers, _ in runs]))
    updates: list[int] = []
    estimates: list[Estimate] = []
    for part in np.array_split(every, min(POINTS, len(every))):
        values = [shares[(numbers >= part[0]) & (numbers <= part[-1])] for numbers, shares in runs]
        if all(map(len, values)):
            several = len(values) > 1
            estimate = t_interval([v.mean() for v in values]) if several else mean_estimate(values[0])
            updates.append(int(part.mean()))
            estimates.append(within(estimate, 0.0, 1.0))
    return Line(name.arm, tuple(updates), tuple(estimates))
