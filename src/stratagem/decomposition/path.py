"""The gain over a sequence of checkpoints: when did selection happen, when improvement.

Neighbours are compared with the symmetric split (the mean of both orders). The steps' terms sum to the gain
from first to last, but the sum of the selections along the path differs in general from the selection between
the endpoints, by the signed area between path and chord: both are returned.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.account import account
from stratagem.decomposition.counterfactuals import ACCURACIES, Totals, counterfactuals
from stratagem.decomposition.delta_method import clustered
from stratagem.decomposition.drawing import forest, text_row
from stratagem.decomposition.parts import Account, Unparsed
from stratagem.decomposition.result import split_rows
from stratagem.decomposition.thin_cells import Cells, cells
from stratagem.decomposition.unparsed import gain_alone, unparsed_of
from stratagem.records import UNDEFINED, Estimate, Result, StratagemError
from stratagem.stats.counts import tally
from stratagem.stats.pairs import Floats, arrange, side, strata_of
from stratagem.stats.resampling import drawn, freedom, pool_of, sums


class Step(Result, frozen=True):
    """What lies between two checkpoints: symmetric terms, which sum to the gain."""

    before: str
    after: str
    gain: Estimate
    selection: Estimate = UNDEFINED
    improvement: Estimate = UNDEFINED
    new_strategy: Estimate = UNDEFINED


class Path(Result, frozen=True):
    """Steps between neighbouring checkpoints, their sum, and the first against the last: `endpoints` as the mean of
    both orders, `account` select first, as `decompose` has it.

    `paired`: all checkpoints answered the same `problems`; else `problems` counts each checkpoint's, the
    strata are compared, and their weights are the mean of their parts over the checkpoints. `left_out`
    counts, for every checkpoint, the problems that are not compared. `weak` says why intervals may be too
    narrow. `unparsed`: as in `Decomposed`, of the first checkpoint and the last. Between checkpoints whose right
    responses the labels mostly miss, only the gain is known.
    """

    steps: tuple[Step, ...]
    along: Step
    endpoints: Step
    paired: bool
    problems: tuple[int, ...]
    left_out: tuple[int, ...]
    weak: tuple[str, ...]
    account: Account = Account()
    unparsed: Unparsed = Unparsed()

    def __str__(self) -> str:
        lines = [
            f"{' -> '.join(map(str, self.problems))} problems, {'paired' if self.paired else 'by strata'}; in points"
        ]
        for title, step in (
            *((f"{s.before} -> {s.after}", s) for s in self.steps),
            ("first to last", self.endpoints),
        ):
            lines += ["", title, text_row("  gain", step.gain)]
            lines += [text_row(f"  {name}", term) for name, term in split_rows(step)]
        return "\n".join([*lines, *(f"weak: {reason}" for reason in self.weak)])

    def _repr_html_(self) -> str:
        rows = [
            (f"{name}, {step.before} to {step.after}", term)
            for step in (*self.steps, self.endpoints)
            for name, term in split_rows(step)[:2]
        ]
        return forest(rows, "step by step, the first against the last below; in points", str(self))


def path(
    tables: Sequence[pl.DataFrame | pl.LazyFrame],
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    rng: np.random.Generator,
    draws: int = 2000,
    level: float = 0.95,
    names: Sequence[str] | None = None,
    paired: bool | None = None,
    stratified: bool = True,
    always: bool = False,
) -> Path:
    """Decompose the way from the first checkpoint to the last.

    Args:
        tables: rollouts or counts, one table a checkpoint, in order; at least two.
        by: strata.
        names: of the checkpoints; else their numbers.
        paired: join on problem_id and keep the problems that all checkpoints answered; else compare strata.
            By default paired where these are at least half of every checkpoint's problems.
        always: split the gain even where the labels miss most right responses.
        stratified: as in `decompose.decompose`: problems are resampled within strata, or, where they are paired, over
            all.

    Raises:
        StratagemError: fewer than two tables, nothing in common, or as `counts.count`.
    """
    if len(tables) < 2:
        raise StratagemError("a path needs two checkpoints or more")
    labels = [str(name) for name in (names or range(len(tables)))]
    counts = [tally(table, by, label) for table, label in zip(tables, labels, strict=True)]
    homes = [strata_of(table, by, label) for table, label in zip(counts, labels, strict=True)]
    common = set.intersection(*(set(home["problem_id"].to_list()) for home in homes))
    if paired is None:
        paired = all(2 * len(common) >= home.height for home in homes)
    if paired:
        kept = [home.filter(pl.col("problem_id").is_in(list(common))) for home in homes]
        if any(not home.sort("problem_id").equals(kept[0].sort("problem_id")) for home in kept):
            raise StratagemError("a problem lies in different strata at different checkpoints")
    elif by:
        kept = [
            reduce(
                lambda kept_so_far, other: kept_so_far.join(other, on=list(by), how="semi", nulls_equal=True),
                homes,
                h,
            )
            for h in homes
        ]
    else:
        kept = homes
    if kept[0].is_empty():
        raise StratagemError("the checkpoints have no problem and no stratum in common")
    strategies = sorted(set().union(*(table["strategy"].unique().to_list() for table in counts)))
    data = _data(counts, kept, by, strategies)
    stratified = stratified or not paired
    total_tl, total_tdl = _totals(data, paired, rng, draws, stratified)
    n = min(home.height for home in kept)
    sizes_g = data[0].size_g
    pool_g = pool_of(sizes_g, stratified)

    def gain(a: int, b: int, ends: Totals) -> Estimate:
        value = ends.point("now", "before")
        if not paired:
            return value
        # The closed form, as `decompose` has it.
        right_p, pool_p = _right(data[b]) - _right(data[a]), np.repeat(pool_g, sizes_g)
        return clustered(value.value, right_p, pool_p, level)

    def totals(total_l: Floats, total_dl: Floats) -> Totals:
        return Totals(total_l, total_dl, level, n, freedom(pool_g, n))

    used = [_used(checkpoint, data) for checkpoint in data]
    unparsed = unparsed_of(strategies, used[0], used[-1])
    hidden = [
        not always and x.hides_split
        for x in (unparsed_of(strategies, *ends) for ends in (*itertools.pairwise(used), (used[0], used[-1])))
    ]

    def step(a: int, b: int, total_l: Floats, total_dl: Floats, hides: bool) -> Step:
        ends = totals(total_l, total_dl)
        if hides:
            return Step(labels[a], labels[b], gain(a, b, ends))
        return Step(
            labels[a],
            labels[b],
            gain(a, b, ends),
            ends.term(kept=0.5, old=-0.5, seen=0.5, swapped=-0.5),
            ends.term(seen=0.5, kept=-0.5, swapped=0.5, old=-0.5),
            ends.point("now", "seen"),
        )

    last = len(labels) - 1
    whole = totals(total_tl[last], total_tdl[last])
    fewest = min(int(checkpoint.size_g.min()) for checkpoint in data)
    split = account(whole, gain(0, last, whole), level)
    return Path(
        steps=tuple(step(t, t + 1, total_tl[t], total_tdl[t], hidden[t]) for t in range(last)),
        along=step(0, last, total_tl[:last].sum(0), total_tdl[:last].sum(0), any(hidden[:last])),
        endpoints=step(0, last, total_tl[last], total_tdl[last], hidden[last]),
        account=gain_alone(split) if hidden[last] else split,
        unparsed=unparsed,
        paired=paired,
        problems=tuple(home.height for home in kept),
        left_out=tuple(home.height - stay.height for home, stay in zip(homes, kept, strict=True)),
        weak=(f"a stratum has only {fewest} problems",) if not paired and fewest < 5 else (),
    )


class Checkpoint(NamedTuple):
    """Share and right (problems x 2 strategies), responses to every problem, and the sizes of strata."""

    data_pk: Floats
    n_p: Floats
    size_g: NDArray[np.int64]

    def cells(self, after: Checkpoint) -> Cells:
        """What is known of the accuracies here, for what the later checkpoint makes of them."""
        width = self.data_pk.shape[1] // 2
        starts = np.concatenate([[0], np.cumsum(after.size_g)[:-1]])
        after_gs = np.add.reduceat(after.data_pk[:, :width], starts, axis=0) / after.size_g[:, None]
        return cells(self.data_pk[:, :width], self.data_pk[:, width:], self.n_p, self.size_g, after_gs)


def _used(checkpoint: Checkpoint, data: Sequence[Checkpoint]) -> tuple[Floats, Floats]:
    """By strategy the share of responses that use it, and the share that does so and is right, as the gain weighs
    strata."""
    weight_g = np.mean([other.size_g / other.size_g.sum() for other in data], axis=0)
    both_k = np.repeat(weight_g / checkpoint.size_g, checkpoint.size_g) @ checkpoint.data_pk
    half = len(both_k) // 2
    return both_k[:half], both_k[half:]


def _right(checkpoint: Checkpoint) -> Floats:
    """The accuracy of every problem."""
    data_pk = checkpoint.data_pk
    return data_pk[:, data_pk.shape[1] // 2 :].sum(axis=1)


def _data(
    counts: list[pl.DataFrame], kept: list[pl.DataFrame], by: Sequence[str], strategies: Sequence[str]
) -> list[Checkpoint]:
    """Share and right (problems x 2 strategies) of every checkpoint, and the sizes of its strata."""
    checkpoints: list[Checkpoint] = []
    for table, home in zip(counts, kept, strict=True):
        if by:
            ordered = home.sort([*by, "problem_id"])
            size_g = (
                ordered.group_by(list(by), maintain_order=True).agg(pl.len())["len"].cast(pl.Int64).to_numpy()
            )
            ids = ordered["problem_id"].to_list()
        else:
            ids, _, size_g = arrange(home, by)
        part = side(table, ids, strategies)
        data_pk = np.concatenate([part.share_ps, part.right_ps], axis=1)
        checkpoints.append(Checkpoint(data_pk, part.n_p, size_g))
    return checkpoints


def _totals(
    data: list[Checkpoint], paired: bool, rng: np.random.Generator, draws: int, stratified: bool
) -> tuple[Floats, Floats]:
    """What-if accuracies of every step and, last, of the endpoints: estimates (t x l) and draws (t x d x l)."""
    between = [(t, t + 1) for t in range(len(data) - 1)] + [(0, len(data) - 1)]
    width = data[0].data_pk.shape[1] // 2
    weight_g = np.mean([x.size_g / x.size_g.sum() for x in data], axis=0)
    total_tl, total_tdl = (
        np.zeros((len(between), len(ACCURACIES))),
        np.zeros((len(between), draws, len(ACCURACIES))),
    )
    sizes_g = data[0].size_g
    posterior = rng.spawn(1)[0]
    blind = not draws or (paired and sizes_g.sum() < 2)
    number_dg, share_g = drawn(rng, sizes_g.tolist(), 0 if blind else draws, stratified)
    starts = [np.concatenate([[0], np.cumsum(checkpoint.size_g)]) for checkpoint in data]
    known = [data[a].cells(data[b]) for a, b in between]
    for g in range(sizes_g.size):
        blocks = [
            checkpoint.data_pk[start[g] : start[g + 1]]
            for checkpoint, start in zip(data, starts, strict=True)
        ]
        means = [block.mean(axis=0) for block in blocks]
        for i, (a, b) in enumerate(between):
            total_tl[i] += weight_g[g] * _accuracies(means[a], means[b], np.array(1.0), width)
        if blind:
            continue
        drawn_tds = [step.draws(posterior, g, draws) for step in known]
        if paired:
            # The same draws for all checkpoints, so that problems stay paired.
            number_d = number_dg[:, g].astype(np.float64)
            together_dk = sums(rng, number_dg[:, g], np.concatenate(blocks, axis=1))
            sum_dk = np.split(together_dk, len(blocks), axis=1)
            for i, (a, b) in enumerate(between):
                accuracies_dl = _accuracies(
                    sum_dk[a], sum_dk[b], number_d, width, drawn_tds[i], known[i].open_gs[g]
                )
                total_tdl[i] += (share_g[g] * number_d)[:, None] * accuracies_dl
            continue
        means_d = []
        for block in blocks:
            taken = max(len(block) - 1, 1)
            number_d = np.full(draws, taken, dtype=np.int64)
            means_d.append(sums(rng, number_d, block) / taken)
        for i, (a, b) in enumerate(between):
            drawn_ds, open_s = drawn_tds[i], known[i].open_gs[g]
            accuracies_dl = _accuracies(means_d[a], means_d[b], np.ones(draws), width, drawn_ds, open_s)
            total_tdl[i] += weight_g[g] * accuracies_dl
    return total_tl, total_tdl if not blind else np.full_like(total_tdl, np.nan)


def _accuracies(
    before_k: Floats,
    after_k: Floats,
    number: Floats,
    width: int,
    drawn_s: Floats | None = None,
    open_s: NDArray[np.bool_] | np.bool_ = np.False_,
) -> Floats:
    both_k = np.concatenate([before_k, after_k], axis=-1)
    return counterfactuals(both_k, number, width, drawn_s, open_s).accuracies_l
