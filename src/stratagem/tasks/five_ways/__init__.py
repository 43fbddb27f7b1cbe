"""Chains in GF(p) with five strategies."""

from stratagem.tasks.five_ways.five_ways import FiveWays

__all__ = ["FiveWays"]
