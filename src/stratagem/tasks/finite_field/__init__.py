"""Chains of additions and multiplications in GF(p), the task of the study."""
