"""How large would the label error have to be to change the verdict? For logs without hand labels, from counts.

An error is a way in which true strategies may differ from labels, of a size e between 0 and a limit. In a stratum,
at a checkpoint, responses move only among strategies that it shows there, and keep their outcome:

    undone  the recogniser gave e of the responses of every strategy another name, evenly (P(label | true)); its
            error is undone. A share that would fall below 0 is set to 0, as in `correction`.
    random  e of the labels of every strategy are wrong, the truth being any other, evenly (P(true | label)).
    pair    e of the responses labelled a are truly b: before, after or both; right, wrong or both.

An even error that is undone makes differences between strategies larger, labels wrong at random make them smaller;
the pairs are the worst case of an error that favours one strategy at one checkpoint. What is not looked at: two
pairs at once, errors that differ between strata, and strategies that a checkpoint never shows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.counterfactuals import ACCURACIES, counterfactuals, matrix
from stratagem.decomposition.delta_method import terms
from stratagem.decomposition.parts import Lead
from stratagem.label_error.confusion import OUTCOMES
from stratagem.label_error.unmixing import by_outcome, clip_shares, sums_of
from stratagem.records import SIDES, TRUNCATED, Estimate, Result
from stratagem.stats.pairs import Floats, Pairs, pair

STEP, HALVINGS = 0.01, 10
AT_ONCE = 2**20  # numbers in an array
BOTH = (0, 1)
OPEN = "Which of selection and improvement is larger is undecided"


class LabelChange(Result, frozen=True):
    """One way to err, and the size from which on it changes the answer (None: not up to the limit).

    `lead_at`: the other of selection and improvement is larger in size. `zero_at`: the interval of selection
    includes 0. `share` is the part of the checkpoint's responses that carry the label at all (1 for even errors).
    """

    kind: Literal["undone", "random", "pair"]
    side: str | None
    outcome: str | None
    label: str | None
    truth: str | None
    share: float
    lead_at: float | None
    zero_at: float | None
    text: str

    @property
    def at(self) -> float | None:
        return min((size for size in (self.lead_at, self.zero_at) if size is not None), default=None)


class Sensitivity(Result, frozen=True):
    """What label error would take to change the answer.

    Attributes:
        lead: the larger one of selection and improvement in size as the labels stand, if the interval of the
            difference excludes 0. Where it does not, there is none to change: `lead_at` is None everywhere.
        selection: as the labels stand, with its interval in closed form. Where it includes 0 already, `zero_at`
            is None everywhere.
        tried: the number of errors that were looked at.
        sentence: the smallest error that changes the answer, in words.
        changes: the two even errors, then the pairs that change the answer, worst first.
    """

    lead: Lead
    selection: Estimate
    limit: float
    tried: int
    sentence: str
    changes: tuple[LabelChange, ...]

    @property
    def worst(self) -> LabelChange | None:
        """The error that needs the smallest size."""
        return _worst(self.changes)

    def __str__(self) -> str:
        lines = [self.sentence, "", f"{'lead':>6} {'zero':>6}  if"]
        for change in self.changes:
            ends = (f"{'-' if x is None else percent(x):>6}" for x in (change.lead_at, change.zero_at))
            lines.append(f"{' '.join(ends)}  {change.text}")
        return "\n".join(lines)


def _worst(changes: Sequence[LabelChange]) -> LabelChange | None:
    sizes = [(change.at, i) for i, change in enumerate(changes) if change.at is not None]
    return changes[min(sizes)[1]] if sizes else None


class _Way(NamedTuple):
    """An error of a kind; for a pair, the numbers of label and truth, and which checkpoints and outcomes."""

    kind: Literal["undone", "random", "pair"]
    label: int = -1
    truth: int = -1
    sides: tuple[int, ...] = BOTH
    outcomes: tuple[int, ...] = BOTH


def sensitivity(
    before: pl.DataFrame | pl.LazyFrame,
    after: pl.DataFrame | pl.LazyFrame,
    *,
    by: Sequence[str] = ("kind", "difficulty"),
    limit: float = 0.3,
    level: float = 0.95,
    stratified: bool = True,
    fixed: Collection[str] = (TRUNCATED,),
    most: int = 8,
    keep: int = 10,
) -> Sensitivity:
    """The smallest label errors that change which part of a gain leads, or open the interval of selection.

    Args:
        before, after, by, level, stratified: as `decompose`.
        limit: the largest size of an error.
        fixed: strategies whose labels cannot err, as the log itself says what is truncated.
        most: pairs are tried among that many of the most frequent strategies.
        keep: how many pairs are returned at most; for these alone `zero_at` is sought.

    Returns:
        Sizes to 0.001. They are sought on a grid of 1 % and by bisection inside the first step that changes the
        answer; for `zero_at` by bisection up to where selection is smallest, checked at three points below.
    """
    return sensitivity_of(
        pair(before, after, by),
        limit=limit,
        level=level,
        stratified=stratified,
        fixed=fixed,
        most=most,
        keep=keep,
    )


def sensitivity_of(
    pairs: Pairs,
    *,
    limit: float = 0.3,
    level: float = 0.95,
    stratified: bool = True,
    fixed: Collection[str] = (TRUNCATED,),
    most: int = 8,
    keep: int = 10,
) -> Sensitivity:
    """`sensitivity` for problems that are paired already."""
    names = pairs.strategies
    if not STEP <= limit < 0.5:
        raise ValueError(f"limit is {limit}: it has to lie between {STEP} and 0.5")
    grid = np.asarray(np.arange(1, round(limit / STEP) + 1) * STEP, dtype=np.float64)
    data = _Data(matrix(pairs, None), pairs.sizes_g, [i for i, n in enumerate(names) if n not in fixed])
    n_p, sizes_g = pairs.before.n_p, pairs.sizes_g
    as_is = terms(data.data_pk, n_p, sizes_g, level=level, stratified=stratified)
    selection, lead = as_is.selection, as_is.lead
    sign = {"selection": 1.0, "improvement": -1.0, "undecided": 0.0}[lead]
    decided = selection.low * selection.high > 0
    reach = (selection.high - selection.low) / 2

    def turns(way: _Way, size_e: Floats) -> NDArray[np.bool_]:
        select, improve = data.totals(way, size_e)
        return sign * (np.abs(select) - np.abs(improve)) < 0

    def opens(way: _Way, size: float) -> bool:
        data_pk = data.problems(way, size)
        choice = terms(data_pk, n_p, sizes_g, level=level, stratified=stratified).selection
        return not choice.low * choice.high > 0

    def change(way: _Way, lead_at: float | None, left_e: Floats) -> LabelChange:
        zero_at = None
        if decided and left_e.min() < 2 * reach:
            zero_at = _search(lambda size: opens(way, size), float(grid[left_e.argmin()]))
        label, truth = (names[s] if s >= 0 else None for s in (way.label, way.truth))
        side = SIDES[way.sides[0]] if len(way.sides) == 1 else None
        outcome = OUTCOMES[way.outcomes[0]] if len(way.outcomes) == 1 else None
        size = min((end for end in (lead_at, zero_at) if end is not None), default=None)
        text = _text(way.kind, size, (side, outcome, label, truth))
        return LabelChange(way.kind, side, outcome, label, truth, data.share(way), lead_at, zero_at, text)

    even: list[LabelChange] = []
    pairwise: list[tuple[float, int, _Way, float | None, Floats]] = []
    for number, way in enumerate(data.ways(most)):
        lead_at = _first(turns(way, grid), grid, lambda e, way=way: bool(turns(way, np.array([e]))[0]))
        left_e = math.copysign(1.0, selection.value) * data.totals(way, grid)[0]
        if way.kind != "pair":
            even.append(change(way, lead_at, left_e))
            continue
        soon = float(grid[np.argmax(left_e < reach)]) if decided and (left_e < reach).any() else math.inf
        pairwise.append((min(soon, lead_at or math.inf), number, way, lead_at, left_e))
    nearest = sorted(pairwise, key=lambda row: row[:2])[:keep]
    worst = [change(way, lead_at, left_e) for _, _, way, lead_at, left_e in nearest]
    worst = sorted((row for row in worst if row.at is not None), key=lambda row: row.at or 0.0)
    changes = (*even, *worst)
    sentence = _sentence(lead, selection, limit, changes)
    return Sensitivity(lead, selection, limit, len(even) + len(pairwise), sentence, changes)


class _Data:
    """Counts as shares by checkpoint, outcome and strategy, of problems (p) and strata (g), and what moves them."""

    def __init__(self, data_pk: Floats, size_g: NDArray[np.int64], free: Sequence[int]) -> None:
        self.data_pk, self.width = data_pk, data_pk.shape[1] // 4
        starts = np.concatenate([[0], np.cumsum(size_g)[:-1]])
        self.weight_g = size_g / size_g.sum()
        self.stratum_p = np.repeat(np.arange(size_g.size), size_g)
        self.mean = by_outcome(np.add.reduceat(data_pk, starts, axis=0) / size_g[:, None], self.width)
        self.used_gcs = (self.mean.sum(axis=2) > 0) & np.isin(np.arange(self.width), free)
        self.accuracies_gl = self._accuracies(self.mean)

    def ways(self, most: int) -> Iterator[_Way]:
        yield _Way("undone")
        yield _Way("random")
        total_s = (self.weight_g[:, None, None] * self.mean.sum(axis=2) * self.used_gcs).sum(axis=(0, 1))
        large = [int(s) for s in np.argsort(-total_s)[:most] if total_s[s] > 0]
        for a in large:
            for b in large:
                if a != b and self._together(a, b).any():
                    for sides in ((0,), (1,), BOTH):
                        for outcomes in (BOTH, (0,), (1,)):
                            yield _Way("pair", a, b, sides, outcomes)

    def share(self, way: _Way) -> float:
        """The part of responses that the error may touch, at the checkpoints it touches."""
        if way.kind != "pair":
            return 1.0
        at = np.ix_(range(len(self.mean)), way.sides, way.outcomes)
        part = (
            self.mean[..., way.label][at].sum(-1) * self._together(way.label, way.truth)[:, way.sides]
        ).sum(-1)
        return float(self.weight_g @ part) / len(way.sides)

    def totals(self, way: _Way, size_e: Floats) -> tuple[Floats, Floats]:
        """Selection and improvement for every size."""
        some = np.arange(len(self.mean))
        if way.kind == "pair":
            some = np.flatnonzero(self._together(way.label, way.truth)[:, way.sides].any(axis=1))
        total_l = self.weight_g @ self.accuracies_gl
        together = max(1, AT_ONCE // max(1, len(some) * 4 * self.width))
        change_el = np.concatenate(
            [
                self.weight_g[some]
                @ (
                    self._accuracies(self._moved(way, size_e[i : i + together], some))
                    - self.accuracies_gl[some]
                )
                for i in range(0, size_e.size, together)
            ]
        )
        accuracy = dict(zip(ACCURACIES, (total_l + change_el).T, strict=True))
        return accuracy["kept"] - accuracy["old"], accuracy["seen"] - accuracy["kept"]

    def problems(self, way: _Way, size: float) -> Floats:
        """The data matrix of problems for an error. Shares set to 0 are so in all problems of the stratum."""
        size_e = np.array([size])
        shares = self._shares(way, size_e, by_outcome(self.data_pk, self.width), self.stratum_p)[0]
        if way.kind == "undone":
            raw = self._shares(way, size_e, self.mean, np.arange(len(self.mean)))[0]
            factor = np.divide(clip_shares(raw), raw, out=np.zeros_like(raw), where=raw > 0)
            shares = shares * factor[self.stratum_p]
        return sums_of(shares)

    def _accuracies(self, mean: Floats) -> Floats:
        return counterfactuals(sums_of(mean), np.ones(mean.shape[:-3]), self.width).accuracies_l

    def _together(self, a: int, b: int) -> NDArray[np.bool_]:
        """Strata and checkpoints that show both (g x c)."""
        return self.used_gcs[..., a] & self.used_gcs[..., b]

    def _moved(self, way: _Way, size_e: Floats, some: NDArray[np.int64]) -> Floats:
        shares = self._shares(way, size_e, self.mean[some], some)
        return clip_shares(shares) if way.kind == "undone" else shares

    def _shares(self, way: _Way, size_e: Floats, shares: Floats, stratum: NDArray[np.int64]) -> Floats:
        """Shares of true strategies for every size (e, …, c, o, s); `stratum` is that of every row."""
        size = size_e[:, None, None, None, None]
        if way.kind == "pair":
            on = np.zeros((2, 2))
            on[np.ix_(way.sides, way.outcomes)] = 1.0
            on = on * self._together(way.label, way.truth)[stratum][..., None]
            flow = size[..., 0] * (shares[..., way.label] * on)
            moved = np.repeat(shares[None], size_e.size, axis=0)
            moved[..., way.label] -= flow
            moved[..., way.truth] += flow
            return moved
        used = self.used_gcs[stratum][:, :, None, :]
        others = np.maximum(used.sum(-1, keepdims=True) - 1, 0)
        each = np.divide(1.0, others, out=np.zeros(others.shape), where=others > 0)
        mine = np.where(used, shares, 0.0)
        rest = each * (mine.sum(-1, keepdims=True) - mine) - (others > 0) * mine
        # `random` moves by size * rest, and `undone` is its inverse: shares shrank towards each other by the scale.
        scale = 1.0 if way.kind == "random" else -1.0 / (1.0 - size * each * (others + 1))
        return np.where(used, mine + size * rest * scale, shares)


def _text(kind: str, size: float | None, where: tuple[str | None, str | None, str | None, str | None]) -> str:
    """An error in words; `where` are side, outcome, label and truth."""
    part = "a part" if size is None else percent(size)
    if kind == "undone":
        return f"the recogniser gave {part} of the responses of every strategy another name, evenly"
    if kind == "random":
        return f"{part} of all labels were wrong, the truth being any other strategy"
    side, outcome, label, truth = where
    outcomes, sides = (f"{outcome} " if outcome else ""), (f" {side}" if side else "")
    return f"{part} of the {outcomes}responses labelled {label!r}{sides} were truly {truth!r}"


def _sentence(lead: Lead, selection: Estimate, limit: float, changes: Sequence[LabelChange]) -> str:
    worst, undecided = _worst(changes), lead == "undecided"
    if worst is None or worst.at is None:
        sure = selection.low * selection.high > 0
        if undecided and not sure:
            return f"{OPEN}, and the interval of selection includes 0: label error has nothing to change."
        none = f"no label error up to {percent(limit)} would"
        if undecided:
            return f"{OPEN}; {none} make the interval of selection include 0."
        open_ = "" if sure else ", and the interval of selection includes 0"
        return f"{none.capitalize()} change the verdict: {lead} leads{open_}."
    way = " in one direction" if worst.kind == "pair" else ""
    zero = "the interval of selection would include 0"
    if undecided:
        return f"{OPEN}; with a label error of {percent(worst.at)}{way}, if {worst.text}, {zero}."
    other = "improvement" if lead == "selection" else "selection"
    what = f"{other} would lead" if worst.at == worst.lead_at else zero
    return f"A label error of {percent(worst.at)}{way} would change the verdict: if {worst.text}, {what}."


def _first(changed_e: NDArray[np.bool_], grid: Floats, changed: Callable[[float], bool]) -> float | None:
    """The size from which on the answer changes, inside the first step of the grid that does."""
    if not changed_e.any():
        return None
    i = int(np.argmax(changed_e))
    return _halve(changed, float(grid[i - 1]) if i else 0.0, float(grid[i]))


def _search(changed: Callable[[float], bool], end: float) -> float | None:
    """The same, where a single look is dear: changes at `end`, and then at none of three points below."""
    if not changed(end):
        return None
    size = _halve(changed, 0.0, end)
    for part in (0.25, 0.5, 0.75):
        if changed(part * size):
            return _halve(changed, 0.0, part * size)
    return size


def _halve(changed: Callable[[float], bool], low: float, high: float) -> float:
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if changed(middle) else (middle, high)
        if high - low < 5e-4:
            break
    return high


def percent(size: float) -> str:
    """`7%`, or `0.7%` where a whole number would say too little."""
    return f"{100 * size:.0f}%" if size >= 0.0195 else f"{100 * size:.1f}%"
