"""The made-up comparison of two checkpoints that all scenarios vary, and what several of them share."""

from __future__ import annotations

from typing import Any

import msgspec

from stratagem.decomposition.parts import ByProblem, InTwo
from stratagem.records import Estimate
from stratagem.verdict.facts import Facts


def est(value: float, reach: float, n: int = 400) -> Estimate:
    return Estimate(value, round(value - reach, 9), round(value + reach, 9), reach / 1.96, n)


BASE = Facts(
    gain=est(0.12, 0.03),
    selection=est(0.09, 0.02),
    improvement=est(0.03, 0.02),
    new_strategy=est(0, 0),
    gap=est(0.06, 0.03),
    lead="selection",
    problems=400,
    samples=8.0,
    accuracy_before=0.4,
    accuracy_after=0.52,
    by=("kind", "difficulty"),
)
UND: dict[str, Any] = {
    "gain": est(0.01, 0.03),
    "selection": est(0.008, 0.02),
    "improvement": est(0.002, 0.02),
    "gap": est(0.006, 0.03),
    "lead": "undecided",
    "accuracy_after": 0.41,
}
IMP: dict[str, Any] = {
    "selection": est(0.01, 0.02),
    "improvement": est(0.11, 0.03),
    "gap": est(-0.1, 0.04),
    "lead": "improvement",
}
LEADS = ByProblem(
    choice=est(0.01, 0.03),
    improvement=est(0.11, 0.03),
    gap=est(-0.1, 0.04),
    reverse=InTwo(est(0.01, 0.03), est(0.11, 0.03)),
    difference=est(0.08, 0.1),
    lead="improvement",
    order_dependent=False,
    disagrees=False,
    with_2=400,
    with_4=400,
    leads=True,
)
DIFFER = msgspec.structs.replace(
    LEADS,
    choice=est(-0.09, 0.03),
    improvement=est(0.01, 0.03),
    gap=est(0.08, 0.04),
    lead="choice",
    disagrees=True,
)

# By name: what differs from BASE, the action, the sentence and the reason.
Scenarios = dict[str, tuple[dict[str, Any], str, str, str]]
