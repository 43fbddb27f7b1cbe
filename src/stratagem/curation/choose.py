"""Which prompts of a pool are taken: those with most expected signal, stratum by stratum, and a random control.

Everything here works on rows of a pool by number, from 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from stratagem.curation.passrates import Floats
from stratagem.curation.profile import Bools, Ints
from stratagem.records import StratagemError


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many prompts, of which strata.

    Attributes:
        size: so many; keep_signal: as few as keep this share of the pool's signal; neither takes all candidates.
        target: of each stratum, the share that it is to have; None keeps those of the pool.
    """

    size: int | None = None
    keep_signal: float | None = None
    target: Floats | None = None


@dataclass(frozen=True, slots=True)
class Chosen:
    """
    Attributes:
        rows: taken, in the pool's order; control: as many of each stratum, drawn at random from all that are eligible.
        moved: places of a stratum that its candidates could not fill and others took.
    """

    rows: Ints
    control: Ints
    moved: Mapping[int, int]


def choose(
    signal: Floats,
    stratum: Ints,
    strata: int,
    eligible: Bools,
    candidate: Bools,
    first: Bools,
    wanted: Wanted,
    rng: np.random.Generator,
    names: Mapping[int, str],
) -> Chosen:
    """Choose rows.

    Args:
        eligible: rows that a random choice could take.
        candidate: those of them that this choice may take; first: those that it takes before all others.
        names: of the strata, for messages.

    Raises:
        StratagemError: no candidate, or no choice of this size meets the target.
    """
    if not candidate.any():
        raise StratagemError(
            "no prompt is left to choose from: all are flat, held out or without rollouts; see --sure, --min-signal "
            "and --unseen"
        )
    there_g = np.bincount(stratum[candidate], minlength=strata)
    pool_g = np.bincount(stratum[eligible], minlength=strata)
    share_g = pool_g / pool_g.sum() if wanted.target is None else wanted.target
    # By signal within a stratum, those of equal signal in random order.
    tie = rng.permutation(len(signal))
    order = np.lexsort((tie, -signal, ~first))
    order = order[candidate[order]]
    ranked = [order[stratum[order] == g] for g in range(strata)]
    moved: dict[int, int] = {}
    if wanted.keep_signal is not None:
        size = _size_for(
            wanted.keep_signal, signal, ranked, there_g, share_g, eligible, wanted.target is not None
        )
        taken_g = allocate(size, share_g, there_g)
    elif wanted.size is not None:
        size = min(wanted.size, int(there_g.sum()))
        taken_g = allocate(size, share_g, there_g)
    elif wanted.target is not None:
        size = most_for(share_g, there_g)
        taken_g = allocate(size, share_g, there_g)
    else:
        size = int(there_g.sum())
        taken_g = there_g
    fair_g = allocate(size, share_g, np.full(strata, size))
    short_g = fair_g - taken_g
    if (wanted.size is not None or wanted.keep_signal is not None) and (short_g > 0).any():
        if wanted.target is not None:
            worst = int(np.argmax(short_g))
            raise StratagemError(
                f"--target: {names[worst]} has {there_g[worst]:,} prompts with signal and needs {fair_g[worst]:,}: "
                f"--size {most_for(share_g, there_g)} would meet the target"
            )
        moved = {g: int(short_g[g]) for g in np.flatnonzero(short_g > 0).tolist()}
    rows = np.sort(np.concatenate([ranked[g][: taken_g[g]] for g in range(strata)]))
    control = np.sort(
        np.concatenate(
            [
                rng.choice(np.flatnonzero(eligible & (stratum == g)), taken_g[g], replace=False)
                for g in range(strata)
            ]
        )
    )
    return Chosen(rows, control, moved)


def allocate(size: int, share_g: Floats, there_g: Ints) -> Ints:
    """Places of each stratum: by its share, by largest remainder, never more than there are; what a stratum cannot
    fill goes to the others in proportion to their shares.

    Returns:
        As many places as `size`, or as there are.
    """
    taken_g = np.zeros(len(share_g), np.int64)
    size = min(size, int(there_g.sum()))
    while (left := size - int(taken_g.sum())) > 0:
        room_g = there_g - taken_g
        open_g = np.where(room_g > 0, share_g, 0.0)
        if open_g.sum() <= 0:  # only strata without a share have prompts left
            break
        ideal_g = left * open_g / open_g.sum()
        give_g = np.floor(ideal_g + 1e-9).astype(np.int64)
        rest = left - int(give_g.sum())
        by_remainder = np.lexsort((np.arange(len(share_g)), -(ideal_g - give_g), open_g <= 0))
        give_g[by_remainder[:rest]] += open_g[by_remainder[:rest]] > 0
        taken_g += np.minimum(give_g, room_g)
    return taken_g


def most_for(share_g: Floats, there_g: Ints) -> int:
    """The largest size at which every stratum can have its share."""
    asked = share_g > 0
    size = int(np.floor((there_g[asked] / share_g[asked]).min() + 1e-9))
    while size > 0 and (allocate(size, share_g, np.full(len(share_g), size)) > there_g).any():
        size -= 1
    if size < 1:
        raise StratagemError("--target: a stratum that is to have a share has no prompt with signal")
    return size


def _size_for(
    keep: float,
    signal: Floats,
    ranked: list[Ints],
    there_g: Ints,
    share_g: Floats,
    eligible: Bools,
    exact: bool,
) -> int:
    """The smallest size whose best prompts hold a share of all signal of the pool."""
    sums = [np.concatenate([[0.0], np.cumsum(signal[rows])]) for rows in ranked]
    goal = keep * float(signal[eligible].sum())
    low, high = 1, most_for(share_g, there_g) if exact else int(there_g.sum())

    def held(size: int) -> float:
        return float(sum(s[k] for s, k in zip(sums, allocate(size, share_g, there_g), strict=True)))

    if held(high) < goal - 1e-9:
        raise StratagemError(
            f"--keep-signal {keep:g}: all {high:,} prompts that may be taken hold {held(high) / (goal / keep):.1%} of "
            "the pool's signal: ask for less, or drop fewer (--sure, --unseen explore)"
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if held(middle) >= goal - 1e-9 else (middle + 1, high)
    return low


def stages(rate: Floats, parts: int, rng: np.random.Generator) -> Ints:
    """A stage for each of some prompts, from 0, the easiest first, of sizes that differ by one at most."""
    order = np.lexsort((rng.permutation(len(rate)), -rate))
    made = np.empty(len(rate), np.int64)
    for number, rows in enumerate(np.array_split(order, parts)):
        made[rows] = number
    return made
