"""Chains of additions and multiplications in GF(p), the task of the study."""

from stratagem.tasks.finite_field.field import FiniteField

__all__ = ["FiniteField"]
