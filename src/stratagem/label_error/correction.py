"""Undo the error of a recogniser: what the decomposition would be with the true strategies.

Source: Buonaccorsi 2010, Measurement Error, section 2.4 (matrix method); everything else is `decompose`.
Suffixes: p problems, g strata, d draws; co: checkpoint, outcome (0 wrong, 1 right); s strategies.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import special

from stratagem.decomposition.account import account
from stratagem.decomposition.contrast import paired_gain
from stratagem.decomposition.counterfactuals import ACCURACIES, Totals, counterfactuals, matrix
from stratagem.decomposition.leading import lead_sentence, terms_of
from stratagem.decomposition.parts import Account
from stratagem.label_error.calibration import Calibration
from stratagem.label_error.confusion import OUTCOMES, Confusion
from stratagem.label_error.unmixing import by_outcome, clip_shares, sums_of, unmix
from stratagem.records import SIDES, Estimate, StratagemError, part_of
from stratagem.stats.pairs import Floats, Pairs, pair
from stratagem.stats.resampling import drawn, freedom, pool_of, steps

WORST_CONDITION = 10.0
# A corrected share may be below 0 by chance; at this level, over all shares together, it is not by chance.
MISFIT = 0.05
# Of all problems: those in strata of one problem, whose labels may stay as they are. One problem holds too few
# responses to solve for shares.
MOST_ALONE = 0.05


class Corrected(Account, frozen=True, kw_only=True):
    """A gain with its parts as they would be without label error, which does not touch the gain itself.

    Attributes:
        condition: the largest condition number of a confusion matrix; 1 is a recogniser without error, and where labels
            were learned, so that no matrix is inverted.
        moved: part of all responses whose estimated share was below 0 by chance, and was set to 0.
        alone: part of all problems that lie in strata of one problem; their labels were taken as they are.
    """

    condition: float
    moved: float
    alone: float

    def __str__(self) -> str:
        lines = [f"corrected for label error; {self.level:.0%} intervals, in points"]
        for name in ("gain", "selection", "improvement", "new_strategy"):
            term: Estimate = getattr(self, name)
            ends = "" if math.isnan(term.low) else f"({100 * term.low:+z.1f} to {100 * term.high:+z.1f})"
            lines.append(f"{name.replace('_', ' '):<14} {100 * term.value:+z6.1f}  {ends}".rstrip())
        lines.append(lead_sentence(terms_of(self)))
        if self.moved > 0.0005:
            lines.append(f"{self.moved:.1%} of responses had an estimated share below 0, set to 0")
        return "\n".join(lines)


class Correction(Corrected, frozen=True, kw_only=True, eq=False):
    """`Corrected` with its cells: by..., strategy, share_before, share_after, accuracy_before, accuracy_after."""

    cells: pl.DataFrame

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready, without the table; NaN becomes null."""
        return part_of(self, Corrected).as_dict()


def decompose_corrected(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    confusion: Confusion | Calibration,
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    stratified: bool = True,
) -> Correction:
    """Select, then improve, with the counts of true strategies in place of those of labels.

    In every stratum, at either checkpoint, the shares of (outcome, label) are solved for those of (outcome, true
    strategy). Every draw resamples the problems and draws a confusion matrix, so that intervals carry both errors;
    they are taken as independent. An estimated share below 0 by chance is set to 0, as is that of a strategy that
    no hand label finds at this checkpoint and outcome; the others of the outcome are scaled, so that accuracies
    and the gain stay as observed.

    Args:
        before, after, by, rng, draws, level, stratified: as `decompose`.
        confusion: P(label | true strategy), from `LabelQuality.confusion`, or P(true strategy | label) of learned
            labels, with which nothing is solved for. It is taken to be the same in all strata.

    Raises:
        StratagemError: as `decompose`; the labels hardly tell strategies apart; a share is below 0 by more than
            chance, or above 0 by more than chance where no hand label finds the strategy; more than 5% of the
            problems lie in strata of one problem.
    """
    pairs = pair(before, after, by)
    return correct_pairs(pairs, confusion, rng=rng, draws=draws, level=level, stratified=stratified)


def correct_pairs(
    pairs: Pairs,
    confusion: Confusion | Calibration,
    *,
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    stratified: bool = True,
) -> Correction:
    """`decompose_corrected` for problems that are paired already."""
    solved = isinstance(confusion, Confusion)
    alone_g = (pairs.sizes_g == 1) & (len(pairs.ids) > 1) & solved
    alone = float(alone_g.sum()) / len(pairs.ids)
    if alone > MOST_ALONE:
        row = ", ".join(f"{k} = {v!r}" for k, v in pairs.strata.row(-1, named=True).items())
        raise StratagemError(
            f"{alone:.0%} of the problems lie in strata of one problem ({row}), too few to correct their labels: use "
            "fewer columns for strata"
        )
    if missing := sorted(set(pairs.strategies) - set(confusion.names)):
        raise StratagemError(
            f"hand labels know no strategy {missing[0]!r}: draw the sheet from the logs that are compared"
        )
    names, width, m = confusion.names, len(confusion.names), len(pairs.ids)
    data_pk = _widen(pairs, names)
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    seen_gcos = by_outcome(np.add.reduceat(data_pk, starts, axis=0), width)
    number_g = pairs.sizes_g.astype(np.float64)
    size_b = [int(size) for size in pairs.sizes_g]
    # A generator of its own: with a known error the bootstrap is that of `decompose`, draw for draw.
    other_rng = rng.spawn(1)[0]
    blocks: list[Floats] = []  # the shares of labels that each draw sees, stratum by stratum
    whole_dcos = np.zeros((draws, *seen_gcos.shape[1:]))
    number_db, weight_b = drawn(rng, size_b, draws if m > 1 else 0, stratified)
    for b, size in enumerate(size_b if m > 1 else []):
        seen_dk = np.empty((draws, data_pk.shape[1]))
        for part, count_dp in steps(rng, number_db[:, b], size):
            seen_dk[part] = count_dp @ data_pk[starts[b] : starts[b] + size]
        blocks.append(by_outcome(seen_dk, width))
        whole_dcos += weight_b[b] * blocks[b]
    if isinstance(confusion, Confusion):
        moved_dcos = _moved(whole_dcos, seen_gcos.sum(axis=0) / m)
        rate, drawn_rate, absent_cos = _matrices(confusion, other_rng, moved_dcos)
        condition = _condition(rate, names)
        raw_gcos = np.where(alone_g[:, None, None, None], seen_gcos, unmix(seen_gcos, rate))
        inverse_d = np.linalg.inv(drawn_rate)
    else:
        rate, condition, absent_cos = None, 1.0, np.zeros((2, 2, width), dtype=np.bool_)
        raw_gcos = np.matmul(seen_gcos[..., None, :], confusion.table)[..., 0, :]
        inverse_d = confusion.draws(other_rng, draws)
    absent_gcos = absent_cos & ~alone_g[:, None, None, None]

    total_dl = np.full((draws, len(ACCURACIES)), np.nan if m < 2 else 0.0)
    # The last row is that of all strata together.
    mean_hcos = np.concatenate([raw_gcos / number_g[:, None, None, None], raw_gcos.sum(0, keepdims=True) / m])
    se_hcos = np.zeros_like(mean_hcos)
    if draws and m > 1:
        whole_dcos[:] = 0.0
        for b, found_dcos in enumerate(blocks):
            if not alone_g[b]:
                found_dcos = np.matmul(found_dcos[..., None, :], inverse_d)[..., 0, :]
            number_d = number_db[:, b].astype(np.float64)
            accuracies_dl = counterfactuals(
                sums_of(clip_shares(found_dcos, absent_gcos[b])), number_d, width
            ).accuracies_l
            total_dl += (weight_b[b] * number_d)[:, None] * accuracies_dl
            whole_dcos += weight_b[b] * found_dcos
            some = number_d > 0
            se_hcos[b] = (found_dcos[some] / number_d[some, None, None, None]).std(axis=0)
        se_hcos[-1] = whole_dcos.std(axis=0)
    if rate is not None:
        _check(mean_hcos, se_hcos, rate, absent_cos, names, pairs)

    true_gcos = clip_shares(raw_gcos, absent_gcos)
    sum_gk = sums_of(true_gcos)
    point = counterfactuals(sum_gk, number_g, width)
    free = freedom(pool_of(pairs.sizes_g, stratified), m)
    totals = Totals(pairs.sizes_g / m @ point.accuracies_l, total_dl, level, m, free)
    both = account(totals, paired_gain(pairs, level, stratified), level)
    return Correction(
        **msgspec.structs.asdict(both),
        condition=condition,
        moved=float(np.maximum(true_gcos - raw_gcos, 0.0)[true_gcos == 0].sum() / (2 * m)),
        alone=alone,
        cells=_cells(sum_gk / number_g[:, None], names, pairs),
    )


def _widen(pairs: Pairs, names: tuple[str, ...]) -> Floats:
    """The data matrix with a column for every name."""
    narrow = matrix(pairs, None).reshape(len(pairs.ids), 4, len(pairs.strategies))
    wide = np.zeros((len(pairs.ids), 4, len(names)))
    wide[:, :, [names.index(name) for name in pairs.strategies]] = narrow
    return wide.reshape(len(pairs.ids), -1)


def _moved(whole_dcos: Floats, seen_cos: Floats) -> Floats:
    """How much more of each label, by checkpoint and outcome, a draw sees than the data do.

    1 where either sees none: nothing of that label is solved for, and its part of the matrix has to be something.
    """
    some = (seen_cos > 0) & (whole_dcos > 0)
    return np.divide(whole_dcos, seen_cos, out=np.ones_like(whole_dcos), where=some)


def _matrices(
    confusion: Confusion, rng: np.random.Generator, moved_dcos: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """P(label | true) (2 x 2 x s x s), its draws, and which strategies no hand label finds (2 x 2 x s).

    Such a strategy gets a row of no error: what is solved for it is what the errors of the others leave over of its
    label.
    """
    present = confusion.count > 0
    none = np.eye(len(confusion.names))
    drawn_rate = np.where(present[..., None], confusion.draws(rng, len(moved_dcos), moved_dcos), none)
    rate = np.where(present[..., None], confusion.rate, none)
    shape = (2, 2, *none.shape)
    return (
        np.broadcast_to(rate, shape),
        np.broadcast_to(drawn_rate, (len(moved_dcos), *shape)),
        np.broadcast_to(~present, shape[:-1]),
    )


def _condition(rate: Floats, names: Sequence[str]) -> float:
    """The largest condition number; refused above 10, naming the two strategies that are distinguished worst."""
    conditions = np.array([[np.linalg.cond(matrix) for matrix in line] for line in rate])
    worst = float(conditions.max())
    if worst < WORST_CONDITION:
        return worst
    bad = rate[np.unravel_index(int(conditions.argmax()), conditions.shape)]
    apart = np.abs(bad[:, None, :] - bad[None, :, :]).sum(-1) + 9 * np.eye(len(names))
    i, j = divmod(int(apart.argmin()), len(names))
    raise StratagemError(
        f"the recogniser hardly tells {names[i]!r} and {names[j]!r} apart (condition number {worst:.3g}, not below "
        f"{WORST_CONDITION:.0f}): labels not corrected; merge them or fix their rules"
    )


def _check(
    mean_hcos: Floats,
    se_hcos: Floats,
    rate: Floats,
    absent_cos: NDArray[np.bool_],
    names: Sequence[str],
    pairs: Pairs,
) -> None:
    """Refuse shares below 0, and shares of absent strategies, that chance does not explain, in a stratum or in all.

    The bootstrap shows no variance of a label that was never given. So the standard error is at least that of
    labels given independently with the probabilities that the clipped shares lead to.
    """
    starts = np.concatenate([[0], np.cumsum(pairs.sizes_g)[:-1]])
    per_gc = np.stack(
        [np.add.reduceat(1 / side.n_p, starts) for side in (pairs.before, pairs.after)], axis=-1
    )
    per_hc = np.concatenate(
        [per_gc / pairs.sizes_g[:, None] ** 2, per_gc.sum(0, keepdims=True) / len(pairs.ids) ** 2]
    )
    fitted = np.matmul(clip_shares(mean_hcos, absent_cos)[..., None, :], rate)
    least = np.matmul(fitted, np.linalg.inv(rate) ** 2)[..., 0, :] * per_hc[..., None, None]
    se_hcos = np.maximum(se_hcos, np.sqrt(least))
    # What no hand label finds has to be 0 in all; anywhere else, and in single strata, shares have to be above 0.
    tests = np.where(absent_cos, max(1, absent_cos.sum()), mean_hcos.size)
    off = np.where(absent_cos, np.abs(mean_hcos), -mean_hcos) + special.ndtri(MISFIT / tests) * se_hcos
    off[:-1, absent_cos] = -1.0
    if off.max() <= 1e-9:
        return
    g, c, o, s = map(int, np.unravel_index(int(off.argmax()), off.shape))
    every = g == len(pairs.sizes_g) or not pairs.strata.width
    stratum = () if every else pairs.strata.row(g, named=True).items()
    where = ", ".join([SIDES[c], OUTCOMES[o], *(f"{k} = {v!r}" for k, v in stratum)])
    share, error = f"{mean_hcos[g, c, o, s]:.3f}", f"standard error {se_hcos[g, c, o, s]:.3f}"
    if mean_hcos[g, c, o, s] > 0:
        raise StratagemError(
            f"no hand-labelled response is truly {names[s]!r} ({where}), but a part of {share} ({error}) is labelled "
            "so and no error explains it: label more, or let the error be the same everywhere (split=())"
        )
    raise StratagemError(
        f"the corrected share of {names[s]!r} is {share} ({where}; {error}), outside [0, 1]: the hand labels do not "
        "fit these responses; label some of these very logs, or use fewer strata"
    )


def _cells(mean_gk: Floats, names: Sequence[str], pairs: Pairs) -> pl.DataFrame:
    shape = (len(mean_gk), len(names))
    share0, right0, share1, right1 = mean_gk.reshape(shape[0], 4, shape[1]).transpose(1, 0, 2)
    stratum, strategy = (axis.ravel() for axis in np.indices(shape))

    def rate(right: Floats, share: Floats) -> Floats:
        return np.divide(right, share, out=np.full_like(right, np.nan), where=share > 0).ravel()

    table = pl.DataFrame(
        {
            "strategy": np.array(names)[strategy],
            "share_before": share0.ravel(),
            "share_after": share1.ravel(),
            "accuracy_before": rate(right0, share0),
            "accuracy_after": rate(right1, share1),
        }
    ).with_columns(pl.selectors.float().fill_nan(None))
    if pairs.by:
        table = pl.concat([pairs.strata[stratum], table], how="horizontal")
    return table.filter((pl.col("share_before") > 0) | (pl.col("share_after") > 0)).sort(
        [*pairs.by, "strategy"]
    )
