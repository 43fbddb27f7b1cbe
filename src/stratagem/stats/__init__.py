"""Counts of rollouts, the same problems before and after, and intervals."""
