"""One strategy in nearly all responses on both sides: labels that cannot show selection, or nothing to select from."""

from __future__ import annotations

from collections.abc import Iterable

from stratagem.records import OTHER, TRUNCATED, UNPARSED, points

ONE_LABEL = 0.85  # of the responses, on both sides
Shares = tuple[str, float, float]  # a strategy, and its shares before and after


def largest(shares: Iterable[Shares]) -> Shares | None:
    """The named strategy with the largest share, of the side where it is smaller."""
    named = [row for row in shares if row[0] not in (OTHER, UNPARSED, TRUNCATED)]
    return max(named, key=lambda row: min(row[1:]), default=None)


def one_label(strategy: Shares | None, exact: bool = False) -> str:
    """What to say first where the largest strategy has nearly all responses on both sides; else nothing.

    Args:
        exact: the labels know every strategy that a response can follow, as a task's own recogniser does.
    """
    if strategy is None or min(strategy[1:]) < ONE_LABEL - 1e-9:  # a mean of floats may be a hair below
        return ""
    name, before, after = strategy
    if exact:
        return f"There is hardly anything to select from: nearly all responses are {name}."
    return (
        f"These labels cannot show selection: {name} has {points(before)}% of responses before and {points(after)}% "
        "after. Finer rules, learned labels or a judge could."
    )
