"""Why each prompt of a pool was taken or not, with what is known of it: one row a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from stratagem.curation.choose import Chosen, stages
from stratagem.curation.holdout import Evaluation
from stratagem.curation.passrates import Floats
from stratagem.curation.pool import Pool
from stratagem.curation.profile import Bools, Ints, Profile
from stratagem.curation.settings import Settings

CHOSEN = "chosen"
HELD_OUT, DUPLICATE, UNSEEN = "held out", "duplicate", "no rollouts"
WRONG, RIGHT, FLAT, LESS = "all wrong", "all right", "flat", "less signal"
WHYS = (CHOSEN, HELD_OUT, DUPLICATE, UNSEEN, WRONG, RIGHT, FLAT, LESS)
REGIONS = ("too hard", "frontier", "too easy")
REGIONS_OF_REWARDS = ("flat", "varies", "flat")


@dataclass(frozen=True, slots=True)
class Decided:
    """Of each row of a pool.

    Attributes:
        why: its number in `WHYS`; reason: the same in a sentence with the row's own numbers.
        stage: from 1, the easiest first; 0 for rows that are not chosen, and without stages.
        weight: expected signal over the mean of the chosen; 0 for rows that are not chosen.
    """

    profile: Profile
    stratum: tuple[str, ...]
    home: Ints
    why: Ints
    reason: pl.Series
    control: Bools
    stage: Ints
    weight: Floats
    earlier: Profile | None = None

    def with_earlier(self, earlier: Profile) -> Decided:
        return replace(self, earlier=earlier)

    def count(self, why: str) -> int:
        return int((self.why == WHYS.index(why)).sum())

    def table(self, pool: Pool) -> pl.DataFrame:
        """One row a prompt, in the pool's order. `row` counts from 1."""
        now = self.profile
        names = REGIONS if now.binary else REGIONS_OF_REWARDS
        rates = {"pass_rate": now.mean, "low": now.low, "high": now.high, "signal": now.signal}
        rewards = {"mean_reward": now.mean, "variance": now.signal}
        flat = {"too_hard": now.hard, "too_easy": now.easy} if now.binary else {"flat": now.flat}
        table = pl.DataFrame(
            {
                "row": np.arange(1, len(pool) + 1),
                "id": pool.problems["problem_id"],
                "stratum": pl.Series(self.stratum, dtype=pl.String).gather(self.home),
                "samples": now.n.astype(np.int64),
                **({"right": now.right.astype(np.int64)} if now.binary else {}),
                **(rates if now.binary else rewards),
                **flat,
                "lies": pl.Series(names).gather(now.regions()),
                "decision": pl.Series(WHYS).gather(self.why),
                "reason": self.reason,
                "control": self.control,
                "stage": self.stage,
                "weight": self.weight,
            }
        )
        if self.earlier is None:
            return table.with_columns(pl.col(pl.Float64).fill_nan(None))
        old = self.earlier
        before = {
            "samples_before": old.n.astype(np.int64),
            ("pass_rate_before" if now.binary else "mean_reward_before"): old.mean,
            ("signal_before" if now.binary else "variance_before"): old.signal,
            "lay": pl.Series(names).gather(old.regions()),
        }
        return table.with_columns(pl.Series(name, values) for name, values in before.items()).with_columns(
            pl.col(pl.Float64).fill_nan(None)
        )


def decided(
    pool: Pool,
    now: Profile,
    stratum: tuple[str, ...],
    home: Ints,
    chosen: Chosen,
    settings: Settings,
    twice: Ints,
    held_out: Bools,
    flat: Bools,
    evaluations: Sequence[Evaluation],
) -> Decided:
    """What was decided of every row, and why.

    Args:
        twice: the earlier row with the same prompt; -1 where there is none.
        flat: rows that are surely flat.
    """
    size = len(pool)
    taken = np.zeros(size, bool)
    taken[chosen.rows] = True
    control = np.zeros(size, bool)
    control[chosen.control] = True
    duplicate = (twice >= 0) & (settings.duplicates == "drop")
    unseen = (now.n == 0) & (settings.unseen == "drop")
    hard, easy = flat & (now.hard >= now.easy) & now.binary, flat & (now.hard < now.easy) & now.binary
    # The first that holds, in this order.
    why = np.select(
        [taken, held_out, duplicate, unseen, hard, easy, flat], np.arange(7), default=len(WHYS) - 1
    ).astype(np.int64)
    stage = np.zeros(size, np.int64)
    if settings.curriculum == "stages":
        rng = np.random.default_rng([settings.seed, 2])
        stage[chosen.rows] = stages(now.mean[chosen.rows], settings.stages, rng) + 1
    weight = np.zeros(size)
    mean = now.signal[chosen.rows].mean()
    weight[chosen.rows] = now.signal[chosen.rows] / mean if mean > 0 else 1.0
    reason = _reasons(now, why, twice, settings, evaluations)
    return Decided(now, stratum, home, why, reason, control, stage, weight)


def _reasons(
    now: Profile, why: Ints, twice: Ints, settings: Settings, evaluations: Sequence[Evaluation]
) -> pl.Series:
    percent = lambda name: (100 * pl.col(name)).round(0).cast(pl.Int64).cast(pl.String)  # noqa: E731
    table = pl.DataFrame(
        {
            "why": why,
            "twice": twice + 1,
            "n": now.n.astype(np.int64),
            "right": np.nan_to_num(now.right).astype(np.int64),
            "signal": now.signal,
            "flat": now.flat,
        }
    )
    counts = pl.format("{} of {} right", "right", "n") if now.binary else pl.format("{} samples", "n")
    signal = (
        pl.format("{}% of its groups should have signal", percent("signal"))
        if now.binary
        else pl.format("variance {}", pl.col("signal").round(4))
    )
    seen = pl.format("{}: {}", counts, signal)
    sure = pl.format("{}: flat with a probability of {}%", counts, percent("flat"))
    explored = "kept" if settings.unseen == "keep" else "explored"
    unseen = pl.format(f"no rollouts, {explored}: {{}}, as its stratum leads to expect", signal)
    known = pl.when(pl.col("n") > 0).then(seen).otherwise(unseen)
    names = ", ".join(other.name for other in evaluations)
    texts = {
        CHOSEN: known,
        HELD_OUT: pl.lit(f"also a prompt of {names}"),
        DUPLICATE: pl.format("the same prompt as row {}", "twice"),
        UNSEEN: pl.lit("no rollouts"),
        WRONG: sure,
        RIGHT: sure,
        FLAT: sure,
        LESS: pl.format("{}; others have more", known),
    }
    made = pl.lit(None, pl.String)
    for number, name in enumerate(WHYS):
        made = pl.when(pl.col("why") == number).then(texts[name]).otherwise(made)
    return table.select(made.alias("reason"))["reason"]
