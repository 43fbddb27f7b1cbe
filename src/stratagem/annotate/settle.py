"""How wide the interval of selection is with the labels so far, and how many more would settle its sign."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from stratagem.label_error.calibration import Calibration
from stratagem.label_error.correction import correct_pairs
from stratagem.learned.asking import RANDOM_SHARE
from stratagem.records import Estimate
from stratagem.stats.pairs import Pairs

DRAWS = 400
# Part of the interval's width that the labels may add; below it more of them hardly make it narrower.
LITTLE = 0.25


@dataclass(frozen=True)
class Settling:
    """What is known of selection.

    Attributes:
        selection: with the error of the labels.
        by_responses: half the width that would be left if all labels were right.
        more: labels that are still to give until the interval leaves out 0, or, where it does so already or will not,
            until labels add less than a quarter to its width; 0 where that is so.
        sure: the interval leaves out 0, or would after so many labels.
    """

    selection: Estimate
    by_responses: float
    more: int
    sure: bool

    @property
    def sentence(self) -> str:
        value, low, high = (100 * x for x in (self.selection.value, self.selection.low, self.selection.high))
        text = f"Selection {value:+.1f} points ({low:+.1f} to {high:+.1f})."
        settled = low > 0 or high < 0
        more = "over 1,000 more labels would" if self.more > 1000 else f"about {self.more} more labels would"
        if self.sure and not settled:
            return f"{text} Its sign is open; {more} settle it."
        narrow = f"{more} make it about as narrow as these responses allow"
        rest = narrow if self.more else "more labels would hardly make it narrower"
        sign = (
            "Its sign is settled" if settled else "These responses leave its sign open, whatever the labels"
        )
        return f"{text} {sign}; {rest}."


def settling(pairs: Pairs, error: Calibration, random: int, seed: int = 0) -> Settling:
    """The interval of selection with the error of the labels, and what more labels would make of it.

    The variance that labels add falls as one over the number of random ones; that of responses stays.

    Args:
        random: labelled responses that were asked at random.

    Raises:
        StratagemError: the error cannot be taken out (`correct_pairs`).
    """
    here, without = (
        correct_pairs(
            pairs, each, rng=np.random.default_rng([seed, 4]), draws=DRAWS, stratified=False
        ).selection
        for each in (error, error.as_certain())
    )
    half, least = (here.high - here.low) / 2, (without.high - without.low) / 2
    more, sure = labels_needed(here, half, least, random)
    return Settling(here, least, more, sure)


def labels_needed(selection: Estimate, half: float, least: float, random: int) -> tuple[int, bool]:
    """Labels still to give, rounded up to tens, and whether the sign is or would then be known.

    Args:
        half, least: half the width of the interval with the error of the labels, and without.
        random: random labels so far.
    """
    settled = selection.low > 0 or selection.high < 0
    # The half width that is aimed at: less than the distance from 0, or hardly more than the responses' own.
    for_sign = not settled and abs(selection.value) > least
    aim = abs(selection.value) if for_sign else least * (1 + LITTLE)
    if half <= aim or aim <= least:
        # An interval that is not symmetric may still hold 0.
        return (10 if for_sign else 0), settled or for_sign
    extra = random * ((half**2 - least**2) / (aim**2 - least**2) - 1.0) / RANDOM_SHARE
    return 10 * math.ceil(extra / 10), settled or for_sign


def counts_of(table: pl.DataFrame, labels: list[str]) -> pl.DataFrame:
    """The responses of one log as `pair` and `measured` read them.

    Args:
        table: key, score, completion and the columns of the strata.
    """
    return table.with_columns(
        problem_id="key",
        strategy=pl.Series(labels, dtype=pl.String),
        length=pl.col("completion").str.len_chars(),
        checkpoint=pl.lit("log"),
    )
