"""The charts that a study's file asks for, as numbers with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

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
    numbers = source.by_update(name, 0)[0]
    parts = np.array_split(np.arange(len(numbers)), min(POINTS, len(numbers)))
    values = [source.by_update(name, replicate)[1] for replicate in range(source.replicates)]
    estimates = [
        within(
            mean_estimate(values[0][part])
            if len(values) == 1
            else t_interval([whole[part].mean() for whole in values]),
            0.0,
            1.0,
        )
        for part in parts
    ]
    return Line(name.arm, tuple(int(numbers[part].mean()) for part in parts), tuple(estimates))
