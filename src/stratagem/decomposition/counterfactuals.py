"""What-if accuracies of strata, their totals, and the bootstrap of both.

    old     A_00  the old choice of strategies, the old execution: the accuracy before
    kept    A_10  the new choice, the old execution
    swapped A_01  the old choice, the new execution: only bounded where a strategy was dropped
    seen    A_11  the new choice, the new execution, both among strategies that were used before
    now           the accuracy after, strategies that were unused before included
    before        the accuracy before as it was seen; draws of `old` have accuracies of thin cells (`thin_cells`)
    rare_low, rare_high  A_10 if strategies unseen before were merely rare, and right there never or always
    unsupported   no accuracy: the share of responses whose strategy only one of the two checkpoints used

Every term of a decomposition is a difference of two of them. Axes: p problems, s strategies, g strata, d
bootstrap draws, k columns of the data matrix, l accuracies; `...` is g, p or d.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from stratagem.decomposition.thin_cells import Cells
from stratagem.records import Estimate
from stratagem.stats.pairs import Floats, Pairs
from stratagem.stats.resampling import drawn, sums
from stratagem.stats.uncertainty import bounded, middle_part, percentile, widened

ACCURACIES: tuple[str, ...] = (
    "old",
    "kept",
    "swapped_low",
    "swapped_high",
    "seen",
    "now",
    "before",
    "rare_low",
    "rare_high",
    "unsupported",
)


class Counterfactuals(NamedTuple):
    """What-if accuracies (..., l) in the order of ACCURACIES, and what the change of choice is made of (..., s).

    `used_s` marks strategies used before, `shift_s` is the change of choice among them, `rate_s` their old
    accuracy, 0 where unused.
    """

    accuracies_l: Floats
    used_s: NDArray[np.bool_]
    shift_s: Floats
    rate_s: Floats


@dataclass(frozen=True, slots=True)
class Replicates:
    """Bootstrap draws of the totals: accuracies (d x l) and the mix part of selection (d).

    `stratum_g43` holds low, high and standard error of every stratum's (gain, selection, improvement, new
    strategy), NaN for strata of one problem.
    """

    total_dl: Floats
    mix_d: Floats
    stratum_g43: Floats


class Totals:
    """Terms as signed sums of the accuracies' totals; `swapped` opens into its bounds, a minus sign turns them.

    `n` problems leave `free` degrees of freedom: `level` is where draws have quantiles of intervals of the level asked.
    """

    def __init__(self, total_l: Floats, total_dl: Floats, level: float, n: int, free: float) -> None:
        self.total: dict[str, float] = dict(zip(ACCURACIES, total_l.tolist(), strict=True))
        self.draw: dict[str, Floats] = dict(zip(ACCURACIES, total_dl.T, strict=True))
        self.level, self.n = widened(level, free), n

    def draws(self, **signs: float) -> Floats:
        return np.sum([sign * self.draw[name] for name, sign in signs.items()], axis=0)

    def point(self, plus: str, minus: str) -> Estimate:
        return self.sum_of((plus, minus))

    def sum_of(self, *pairs: tuple[str, str]) -> Estimate:
        """A sum of differences, each (plus, minus).

        Its interval holds it: where a thin cell was all right or all wrong, draws lie on one side of it alone.
        """
        value = sum(self.total[plus] - self.total[minus] for plus, minus in pairs)
        draws = np.sum([self.draw[plus] - self.draw[minus] for plus, minus in pairs], axis=0)
        drawn = percentile(value, draws, level=self.level, n=self.n)
        return msgspec.structs.replace(drawn, low=min(drawn.low, value), high=max(drawn.high, value))

    def term(self, swapped: float, **signs: float) -> Estimate:
        ends = ("swapped_low", "swapped_high") if swapped > 0 else ("swapped_high", "swapped_low")
        value = [
            sum(s * self.total[name] for name, s in signs.items()) + swapped * self.total[end] for end in ends
        ]
        low_d, high_d = (self.draws(**signs, **{end: swapped}) for end in ends)
        return bounded((value[0], value[1]), low_d, high_d, level=self.level, n=self.n)


def matrix(pairs: Pairs, forced: tuple[Floats, Floats] | None) -> Floats:
    """Problems x columns: share and right before, the same after, accuracy and presence under forcing."""
    sides = [pairs.before.share_ps, pairs.before.right_ps, pairs.after.share_ps, pairs.after.right_ps]
    return np.ascontiguousarray(np.concatenate([*sides, *(forced or ())], axis=1))


def counterfactuals(
    sum_k: Floats,
    number: Floats,
    strategies: int,
    drawn_s: Floats | None = None,
    open_s: NDArray[np.bool_] | np.bool_ = np.False_,
) -> Counterfactuals:
    """What-if accuracies of strata from the sums of the data matrix over their problems.

    Args:
        sum_k: (..., k); `number`: the problems summed, (...). Where it is 0, all accuracies are 0.
        drawn_s: old accuracies that stand in for those of the sums (..., s), NaN where none does. These strategies
            count as used before, whatever was drawn (`thin_cells`).
        open_s: strategies that were not seen before, even where `drawn_s` has their accuracies.

    A stratum that leaves all its old strategies has kept = swapped = seen = old: its whole gain is new
    strategy. A dropped strategy takes its accuracy from forced responses if there are any, else it is 0 in
    swapped_low and 1 in swapped_high. `unsupported` is the part of all responses, before and after alike,
    whose strategy was used by only one of the two.
    """
    blocks = [sum_k[..., i : i + strategies] for i in range(0, sum_k.shape[-1], strategies)]
    per = (1.0 / np.maximum(number, 1e-300))[..., None]
    pi0_s, q0_s, pi1_s, q1_s = (block * per for block in blocks[:4])
    used_s, still_s, before = pi0_s > 0, pi1_s > 0, q0_s.sum(-1)
    if drawn_s is not None:
        given_s = np.isfinite(drawn_s)
        used_s, q0_s = used_s | given_s, np.where(given_s, pi0_s * drawn_s, q0_s)
    old, now = q0_s.sum(-1), q1_s.sum(-1)
    old_choice_s = pi1_s * used_s
    stay, fresh = old_choice_s.sum(-1), (pi1_s * ~used_s).sum(-1)
    lives = stay > 0
    scale = np.divide(1.0, stay, out=np.zeros_like(stay), where=lives)
    rate_s = np.divide(q0_s, pi0_s, out=np.zeros_like(q0_s), where=pi0_s > 0)
    if drawn_s is not None:
        rate_s = np.where(np.isfinite(drawn_s), drawn_s, rate_s)
    choice_s = old_choice_s * scale[..., None]
    rare, unseen = (old_choice_s * rate_s * ~open_s).sum(-1), (pi1_s * (~used_s | open_s)).sum(-1)
    lost_s = pi0_s * ~still_s
    known = (pi0_s * np.divide(q1_s, pi1_s, out=np.zeros_like(q1_s), where=still_s)).sum(-1)
    low_s, high_s = np.zeros_like(lost_s), lost_s
    if len(blocks) > 4:
        probed_s = blocks[5] > 0
        forced_s = lost_s * np.divide(blocks[4], blocks[5], out=np.zeros_like(lost_s), where=probed_s)
        low_s, high_s = np.where(probed_s, forced_s, low_s), np.where(probed_s, forced_s, high_s)
    accuracies = (
        old,
        np.where(lives, (choice_s * rate_s).sum(-1), old),
        np.where(lives, known + low_s.sum(-1), old),
        np.where(lives, known + high_s.sum(-1), old),
        # Without new strategies `seen` is `now` to the last bit: no rounding may look like a new one.
        np.where(lives, np.where(fresh > 0, (q1_s * used_s).sum(-1) * scale, now), old),
        now,
        before,
        rare,
        rare + unseen,
        (fresh + lost_s.sum(-1)) / 2,
    )
    used_s &= lives[..., None]
    return Counterfactuals(
        np.stack(accuracies, axis=-1), used_s, np.where(used_s, choice_s - pi0_s, 0.0), rate_s * used_s
    )


def mix(weight_s: Floats, shift_s: Floats, rate_s: Floats) -> Floats:
    """The part of selection that shows in the strata's mean shift and mean accuracy; the rest is routing.

    Args: sums over strata, each weighted: of 1, of shift and of rate where the strategy was used before,
    (..., s).
    """
    return np.divide(shift_s * rate_s, weight_s, out=np.zeros_like(weight_s), where=weight_s > 0).sum(-1)


def bootstrap(
    data_pk: Floats,
    size_g: NDArray[np.int64],
    strategies: int,
    *,
    cells: Cells,
    rng: np.random.Generator,
    draws: int,
    stratified: bool,
    level: float,
) -> Replicates:
    """Resample problems and recompute the totals, the accuracies of thin cells before from their posterior.

    Strata of one problem are handled together: their accuracies do not depend on the draw, only their weight does.
    """
    several = int((size_g > 1).sum())
    size_b = [int(size) for size in size_g[:several]]
    if several < size_g.size:
        size_b.append(size_g.size - several)
    total_dl = np.zeros((draws, len(ACCURACIES)))
    sums_d3s = np.zeros((draws, 3, strategies))
    stratum_g43 = np.full((size_g.size, 4, 3), np.nan)
    if len(data_pk) < 2 or not draws:
        return Replicates(np.full_like(total_dl, np.nan), np.full(draws, np.nan), stratum_g43)
    posterior = rng.spawn(1)[0]
    number_db, weight_b = drawn(rng, size_b, draws, stratified)
    start = 0
    for b, size in enumerate(size_b):
        block_pk = data_pk[start : start + size]
        start += size
        if b == several:
            each = counterfactuals(block_pk, np.ones(size), strategies)
            shape_p = np.concatenate(
                [each.accuracies_l, each.used_s.astype(float), each.shift_s, each.rate_s], 1
            )
            sum_dx = weight_b[b] * sums(rng, number_db[:, b], shape_p)
            total_dl += sum_dx[:, : len(ACCURACIES)]
            sums_d3s += sum_dx[:, len(ACCURACIES) :].reshape(-1, 3, strategies)
            continue
        number_d = number_db[:, b].astype(np.float64)
        drawn_ds = cells.draws(posterior, b, draws)
        sum_dk = sums(rng, number_db[:, b], block_pk)
        what_if = counterfactuals(sum_dk, number_d, strategies, drawn_ds, cells.open_gs[b])
        weight_d = weight_b[b] * number_d
        total_dl += weight_d[:, None] * what_if.accuracies_l
        sums_d3s += weight_d[:, None, None] * np.stack(
            [what_if.used_s, what_if.shift_s, what_if.rate_s], axis=1
        )
        stratum_g43[b] = stratum_ends(what_if.accuracies_l[number_d > 0], level, size)
    return Replicates(total_dl, mix(sums_d3s[:, 0], sums_d3s[:, 1], sums_d3s[:, 2]), stratum_g43)


def stratum_ends(accuracies_dl: Floats, level: float, problems: int) -> Floats:
    """Low, high and standard error of the gain, selection, improvement and new strategy (4 x 3) of a stratum of so many
    problems, from draws."""
    before, old, kept, seen, now = (
        accuracies_dl[:, ACCURACIES.index(name)] for name in ("before", "old", "kept", "seen", "now")
    )
    terms_d4 = np.stack([now - before, kept - old, seen - kept, now - seen], axis=1)
    if len(terms_d4) < 2:
        return np.full((4, 3), np.nan)
    return np.stack(
        [*middle_part(terms_d4, widened(level, problems - 1)), terms_d4.std(axis=0, ddof=1)], axis=1
    )
