"""The gain of a run since its start: how it is split, and how a log keeps it. Select, then improve, as everywhere.

`split` compares problems. A stage's own log counts responses by type and number of steps and names no problem; of such
counts `split_updates` takes the update, whose groups are whole problems, as the unit of resampling within a stratum:
intervals are as wide as the spread between updates says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.leading import Terms
from stratagem.decomposition.parts import Account, Split, Unparsed
from stratagem.decomposition.path import path
from stratagem.decomposition.unparsed import unparsed_in
from stratagem.records import Estimate, StratagemError
from stratagem.report.format import finite
from stratagem.stats.min_sample import drop_small_intervals
from stratagem.stats.uncertainty import imbens_manski, quantile

TERMS = ("gain", "selection", "improvement", "new_strategy")
OF_EVALUATIONS = ("gain", "choice", "improvement")  # choice: selection and new strategy together
WINDOW = 10  # updates on each side of the comparison, at most
DRAWS = 200
STRATUM = ("kind", "difficulty")
# Beside the terms: those of improving first; which part leads (1 selection, -1 improvement, 0 open); whether that
# depends on the order (1) or not (0).
BESIDE = ("reverse_selection", "reverse_improvement", "lead", "order_dependent")
OF_RIGHT = ("unparsed_of_right_before", "unparsed_of_right_after")
LEADS = {"selection": 1.0, "improvement": -1.0}
# By a term's name its value and interval, fractions; where the data only bound a term, the middle of the bounds. Where
# the labels find no answer in most right responses (`parts.Unparsed`), the gain and OF_RIGHT alone.
Gain = dict[str, tuple[float, float | None, float | None]]


def split(
    start: pl.DataFrame, now: pl.DataFrame, by: Sequence[str], rng: np.random.Generator, draws: int = DRAWS
) -> Gain | None:
    """The gain from one table of counts to another, over the problems of both where these are most, else by strata.

    Args:
        start, now: problem_id, the columns of `by`, strategy, n and right.
        by: what makes a stratum.

    Returns:
        None where the two have nothing in common yet, or a term is undefined.
    """
    try:
        way = path((start, now), by=by, rng=rng, draws=draws, names=("start", "now"))
    except StratagemError:
        return None
    account = way.account
    if not math.isfinite(account.gain.value):
        return None
    if way.unparsed.hides_split:
        return {"gain": _ends(account.gain), **_of_right(way.unparsed)}
    gain: Gain = {name: _ends(term) for name, term in _terms(account).items()}
    return gain | _lead(LEADS.get(account.lead or "", 0.0), bool(account.order_dependent))


def _of_right(unparsed: Unparsed) -> Gain:
    parts = (unparsed.of_right_before, unparsed.of_right_after)
    return {
        name: (part, None, None) for name, part in zip(OF_RIGHT, parts, strict=True) if math.isfinite(part)
    }


def missed(gain: Gain) -> Unparsed | None:
    """Why a gain has no parts; None where it has."""
    if "selection" in gain or not any(name in gain for name in OF_RIGHT):
        return None
    before, after = (gain.get(name, (math.nan, None, None))[0] for name in OF_RIGHT)
    return Unparsed(of_right_before=before, of_right_after=after)


def lead_terms(gain: Gain) -> Terms:
    """What a lead is read from."""
    estimates = {
        name: Estimate(value, math.nan if low is None else low, math.nan if high is None else high)
        for name, (value, low, high) in gain.items()
    }
    lead = gain.get("lead", (0.0, None, None))[0]
    return Terms(
        gain=estimates["gain"],
        selection=estimates["selection"],
        improvement=estimates["improvement"],
        new_strategy=estimates["new_strategy"],
        reverse=Split(
            *(estimates.get(name, estimates[name.removeprefix("reverse_")]) for name in BESIDE[:2])
        ),
        lead=next((name for name, number in LEADS.items() if number == lead), "undecided"),
        order_dependent=gain.get("order_dependent", (0.0, None, None))[0] > 0,
    )


def _terms(account: Account) -> dict[str, Estimate]:
    terms = {name: getattr(account, name) for name in TERMS}
    reverse = account.reverse
    return terms | dict(zip(BESIDE, (reverse.selection, reverse.improvement), strict=False))


def _ends(term: Estimate) -> tuple[float, float | None, float | None]:
    return sum(term.ends) / 2, finite(term.low), finite(term.high)


def _lead(lead: float, depends: bool) -> Gain:
    return {"lead": (lead, None, None), "order_dependent": (float(depends), None, None)}


def split_same_problems(
    start: pl.DataFrame, now: pl.DataFrame, by: Sequence[str], rng: np.random.Generator, draws: int = DRAWS
) -> Gain | None:
    """`OF_EVALUATIONS` from one table of counts to another, over the problems of both, selecting before improving.

    Args:
        start, now, by: as for `split`.

    Returns:
        None where no problem is in both.
    """
    try:
        terms = drop_small_intervals(decompose(start, now, by=by, rng=rng, draws=draws, stratified=False))
    except StratagemError:
        return None
    if terms.unparsed.hides_split:
        return {"gain": _ends(terms.gain), **_of_right(terms.unparsed)}
    return {name: _ends(getattr(terms, name)) for name in OF_EVALUATIONS}


def split_updates(start: pl.DataFrame, now: pl.DataFrame, draws: int = DRAWS) -> Gain | None:
    """The gain from some updates to others, split within each type and number of steps.

    Args:
        start, now: update, kind, difficulty, strategy, n, right. A stratum weighs as the mean of its parts of the
            responses on both sides; one that a side lacks is left out.

    Returns:
        An interval of a term that the data only bound covers both bounds. None where the sides have no stratum in
        common.
    """
    sides = [dict(side.filter(pl.col("n") > 0).group_by(STRATUM)) for side in (start, now)]
    common = sorted(sides[0].keys() & sides[1].keys())
    whole = [pl.concat([side[key] for key in common]) for side in sides if common]
    unparsed = unparsed_in(*whole) if common else Unparsed()
    strata: list[dict[str, Estimate]] = []
    weights: list[float] = []
    df = 0
    enough = True
    totals = [sum(responses(side[key]) for key in common) for side in sides]
    for key in common:
        tables = [by_update(side[key]) for side in sides]
        units = [table["problem_id"].n_unique() for table in tables]
        enough &= min(units) > 1
        df += sum(units) - 2
        rng = np.random.default_rng([units[0], units[1]])
        try:
            account = path(
                tables, by=(), rng=rng, draws=draws, names=("start", "now"), paired=False, always=True
            ).account
        except StratagemError:
            return None
        strata.append(_terms(account))
        weights.append(
            sum(responses(side[key]) / total for side, total in zip(sides, totals, strict=True)) / 2
        )
    if not strata:
        return None
    reach = quantile(0.95, df) if enough and draws else math.nan
    gain = {
        term: combined([stratum[term] for stratum in strata], weights, reach)
        for term in (*TERMS, *BESIDE[:2])
    }
    if unparsed.hides_split:
        return {"gain": gain["gain"], **_of_right(unparsed)}
    return gain | _lead(*_lead_of(gain))


def _lead_of(gain: Gain) -> tuple[float, bool]:
    """Which part leads, and whether improving first says another.

    Of the sizes' difference only the two terms' intervals are known here: its own is at most as wide as both together.
    """
    gap = abs(gain["selection"][0]) - abs(gain["improvement"][0])
    reverse = abs(gain["reverse_selection"][0]) - abs(gain["reverse_improvement"][0])
    both = gain["selection"], gain["improvement"]
    reach = sum(math.nan if low is None or high is None else (high - low) / 2 for _, low, high in both)
    lead = math.copysign(1.0, gap) if abs(gap) > reach else 0.0
    return lead, lead * reverse < 0


def responses(part: pl.DataFrame) -> float:
    return float(part["n"].sum())


def by_update(part: pl.DataFrame) -> pl.DataFrame:
    """The counts of one stratum with the update in the place of the problem."""
    return (
        part.group_by(pl.col("update").cast(pl.String).alias("problem_id"), "strategy")
        .agg(pl.col("n", "right").sum())
        .sort("problem_id", "strategy")
        .with_columns(pl.col("n").cast(pl.Int64))
    )


def combined(
    terms: Sequence[Estimate], weights: Sequence[float], reach: float
) -> tuple[float, float | None, float | None]:
    """A term over all strata, which are independent: weighted values, and the root of the weighted variances."""
    low, high = (float(np.dot(weights, ends)) for ends in zip(*(term.ends for term in terms), strict=True))
    se = math.sqrt(sum((w * term.se) ** 2 for w, term in zip(weights, terms, strict=True)))
    if math.isnan(se) or math.isnan(reach):
        return (low + high) / 2, None, None
    ends = imbens_manski(low, high, se, se) if high - low > 1e-12 else (low - reach * se, low + reach * se)
    return (low + high) / 2, *ends


# -- in a log ----------------------------------------------------------------------------------------------


def as_numbers(gain: Gain) -> dict[str, float]:
    """The gain as numbers by name, as trackers take them: TERM, TERM/low and TERM/high."""
    numbers = {
        name: number
        for term, (value, low, high) in gain.items()
        for name, number in ((term, value), (f"{term}/low", low), (f"{term}/high", high))
    }
    return {name: number for name, number in numbers.items() if number is not None}


def read_gain(numbers: Mapping[str, Any], prefix: str = "") -> Gain | None:
    """What `as_numbers` made, its names with a prefix; None where a term is missing."""
    gain: Gain = {}
    for term in (*TERMS, *BESIDE, *OF_RIGHT):
        name = f"{prefix}{term}"
        value = finite(numbers.get(name))
        if value is not None:
            gain[term] = value, finite(numbers.get(f"{name}/low")), finite(numbers.get(f"{name}/high"))
    whole = all(term in gain for term in TERMS)
    return gain if whole or ("gain" in gain and missed(gain) is not None) else None
