"""Right responses in which the labels find no answer: where these are most, a gain has no split that means anything."""

from __future__ import annotations

import math
from collections.abc import Sequence

import polars as pl

from stratagem.decomposition.parts import Account, Unparsed
from stratagem.records import UNPARSED
from stratagem.stats.pairs import Floats


def unparsed_of(
    strategies: Sequence[str], before: tuple[Floats, Floats], after: tuple[Floats, Floats]
) -> Unparsed:
    """Of both sides.

    Args:
        before, after: by strategy the share of responses that use it, and the share that does so and is right.
    """
    if UNPARSED not in strategies:
        return Unparsed()
    place = list(strategies).index(UNPARSED)
    (share0, right0), (share1, right1) = before, after
    return Unparsed(
        share_before=float(share0[place]),
        share_after=float(share1[place]),
        right_before=_part(right0[place], share0[place]),
        right_after=_part(right1[place], share1[place]),
        of_right_before=_part(right0[place], right0.sum()),
        of_right_after=_part(right1[place], right1.sum()),
    )


def unparsed_in(before: pl.DataFrame, after: pl.DataFrame) -> Unparsed:
    """The same of two tables of counts (strategy, n, right), every response alike."""
    tables = [table.group_by("strategy").agg(pl.col("n", "right").sum()) for table in (before, after)]
    names = sorted({*tables[0]["strategy"], *tables[1]["strategy"]})
    sides: list[tuple[Floats, Floats]] = []
    for table in tables:
        every = pl.DataFrame({"strategy": names}, schema={"strategy": table.schema["strategy"]})
        whole = every.join(table, on="strategy", how="left", maintain_order="left")
        n_s, right_s = (whole[name].fill_null(0).cast(pl.Float64).to_numpy() for name in ("n", "right"))
        total = max(float(n_s.sum()), 1.0)
        sides.append((n_s / total, right_s / total))
    return unparsed_of(names, sides[0], sides[1])


def gain_alone(account: Account) -> Account:
    """The account without its split."""
    return Account(gain=account.gain, problems=account.problems, level=account.level)


def _part(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else math.nan
