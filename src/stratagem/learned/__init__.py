"""Strategies that a model learns from responses labelled by hand: features, fit, what to ask next, measured error."""
