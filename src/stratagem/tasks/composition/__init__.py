"""Chains carried into chains."""

from stratagem.tasks.composition.composition import Composition

__all__ = ["Composition"]
