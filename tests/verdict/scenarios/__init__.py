"""Comparisons of two checkpoints, made up, with the verdict that each should get."""

from tests.verdict.scenarios.base import BASE, est
from tests.verdict.scenarios.measurement import OF_MEASUREMENT
from tests.verdict.scenarios.parts import OF_PARTS

__all__ = ["BASE", "SCENARIOS", "est"]

SCENARIOS = OF_PARTS | OF_MEASUREMENT
