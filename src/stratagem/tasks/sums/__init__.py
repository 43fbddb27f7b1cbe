"""Sums of digits, of which the last digit is asked: a small task whose three strategies are different computations."""

from stratagem.tasks.sums.sums import Sums

__all__ = ["Sums"]
