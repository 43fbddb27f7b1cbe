"""The split of a gain by experiment: splices of two models, whose openings and whose continuations may differ.

With Y_ij the accuracy where model i opens a response and model j goes on (0 before RL, 1 after it), the change of
openings is worth Y_10 - Y_00 and the change of what follows Y_11 - Y_10. Y_00 and Y_11 are placebos: they have to be
what each model shows by itself.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from stratagem.records import SIDES, Estimate, Result
from stratagem.stats.uncertainty import mean_estimate, within

PAIRS = tuple(f"{opener} {other}" for opener in SIDES for other in SIDES)


class Spliced(Result, frozen=True):
    """What splices of two models show, in fractions.

    Attributes:
        observed: accuracy of each model by itself: ``before``, ``after``.
        spliced: accuracy by who opens and who goes on: ``before before``, ``before after``, ``after before`` and
            ``after after``.
        placebos: of each model, spliced with itself less by itself.
        selection, improvement: by experiment: what other openings and what another continuation are worth.
        accounted_selection, accounted_improvement: of what each model gave by itself, select then improve.
        surprise: nats of the openings under the model that goes on, by the same names as `spliced`.
    """

    observed: dict[str, Estimate]
    spliced: dict[str, Estimate]
    placebos: dict[str, Estimate]
    selection: Estimate
    improvement: Estimate
    accounted_selection: Estimate
    accounted_improvement: Estimate
    surprise: dict[str, float]


def by_experiment(measured: Mapping[str, pl.DataFrame], accounted: tuple[Estimate, Estimate]) -> Spliced:
    """The split by experiment, with intervals over problems.

    Args:
        measured: a row a problem, the same ones in one order, by `SIDES` and by `PAIRS`: accuracy, and of pairs
            surprise, the nats of the openings under the model that goes on.
        accounted: selection and improvement of what each model gave by itself.
    """
    each = {name: table["accuracy"].to_numpy() for name, table in measured.items()}

    def less(after: str, before: str) -> Estimate:
        return mean_estimate(each[after] - each[before])

    right = {name: within(mean_estimate(values), 0.0, 1.0) for name, values in each.items()}
    return Spliced(
        observed={side: right[side] for side in SIDES},
        spliced={name: right[name] for name in PAIRS},
        placebos={side: less(f"{side} {side}", side) for side in SIDES},
        selection=less("after before", "before before"),
        improvement=less("after after", "after before"),
        accounted_selection=accounted[0],
        accounted_improvement=accounted[1],
        surprise={name: float(np.nanmean(measured[name]["surprise"].to_numpy())) for name in PAIRS},
    )
