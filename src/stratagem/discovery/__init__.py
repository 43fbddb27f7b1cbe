"""Candidate strategies that nobody has named yet: ways of writing that recur within problems, for a person to name."""
