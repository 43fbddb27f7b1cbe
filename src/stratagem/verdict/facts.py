"""The numbers that a verdict is made of, and how they come from a decomposition and its counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from stratagem.decomposition.behaviours import BehaviourChange
from stratagem.decomposition.counterfactuals import matrix
from stratagem.decomposition.delta_method import terms
from stratagem.decomposition.headroom import Headroom
from stratagem.decomposition.leading import Leading, leading
from stratagem.decomposition.one_label import largest
from stratagem.decomposition.parts import ByProblem, Lead, Split, Unparsed
from stratagem.decomposition.result import Decomposition
from stratagem.decomposition.robustness import Regrouping
from stratagem.records import OTHER, TRUNCATED, UNPARSED, Estimate
from stratagem.stats.min_sample import MIN_GROUP, MIN_PROBLEMS, MIN_SHARE, drop_small_intervals
from stratagem.stats.pairs import Floats, Pairs
from stratagem.stats.passk import passk
from stratagem.stats.uncertainty import detectable, mean_estimate, needed_n
from stratagem.verdict.places import Opposed, Place, new_of, opposed_of, places_of

UNREAD = f"{UNPARSED} or {TRUNCATED}"
STEADY = 1.1  # a problem's answers kept their length if the mean rose by less than this factor
GROUP = 8  # responses of a group, if a problem has as many


@dataclass(frozen=True, slots=True)
class Carried:
    """A property of responses, and what of the gain the change of its share carries.

    `part` is what responses that got or lost the property bring at their old accuracies (select first, with the
    property and its absence as the two strategies, new and dropped ones included); `rest` is the gain among
    responses with the property and among those without it. They sum to the gain.
    """

    name: str
    share_before: float
    share_after: float
    accuracy_before: float
    accuracy_after: float
    part: Estimate
    rest: Estimate

    @property
    def grew_from(self) -> float:
        """The share before of what became more common: of the property, or of its absence."""
        return self.share_before if self.share_after > self.share_before else 1 - self.share_before


@dataclass(frozen=True, slots=True)
class Room:
    """Headroom at one checkpoint: for selection and improvement the interval of its bracket, as fractions."""

    selection: tuple[float, float]
    improvement: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Lengths:
    """Mean lengths of answers; `steady`: the gain over problems whose answers did not grow by 10% or more."""

    before: float
    after: float
    unit: str
    difference: Estimate
    steady: Estimate


@dataclass(frozen=True, slots=True)
class Signal:
    """How many problems' groups of `group` responses would be all right or all wrong: no signal for RL."""

    group: int
    right_before: float
    right_after: float
    wrong_before: float
    wrong_after: float


@dataclass(frozen=True, slots=True)
class Level:
    """Accuracy at one difficulty."""

    difficulty: float
    problems: int
    accuracy_before: float
    accuracy_after: float
    gain: Estimate


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a verdict looks at. Accuracies, shares and gains are fractions; None means not known. An estimate from
    a handful of problems has no interval (`min_sample`).

    Attributes:
        gain, selection, improvement, new_strategy: select, then improve.
        gap: |selection| - |improvement|, closed form. reverse: improve, then select.
        new_or_rare: the terms as bounds, over both readings of strategies unseen before: new, or merely rare.
        lead: `selection`, `improvement` or `undecided`, of the decomposition.
        by_problem: the same with every problem as its own stratum.
        problems, samples: that both checkpoints answered; median responses a problem, of the side with fewer.
        chance: the part of the variance of a problem's gain that comes from having few responses.
        by: the columns that make strata. labelled: strategies are known; else the logs are counts alone.
        strategies: with 1% of all responses or more, `other` among them, unread ones not.
        largest: the named strategy that has most on both sides, with its shares before and after.
        other_share: of responses that follow no named strategy, the larger of before and after.
        unread: unparsed and truncated responses as one property. unparsed: the former by themselves; where they hide
            the split, its terms are undefined.
        forms: behaviours of answer form.
        room_before, room_after: headroom, at the level of the strata unless `rooms_by_problem`.
        levels: by difficulty, ascending.
        regrouped: merges and refinements of strategies tried; same lead; the opposite lead.
        places: the strata, where there are several. new: strategies that add something as new ones, most first.
        opposed: parts of which some strata's are above 0 and others' below, with intervals that hold together.
        paired: the problems are the same before and after.
    """

    gain: Estimate
    selection: Estimate
    improvement: Estimate
    new_strategy: Estimate
    gap: Estimate
    lead: Lead | None
    problems: int
    samples: float
    accuracy_before: float
    accuracy_after: float
    by: tuple[str, ...] = ()
    labelled: bool = True
    level: float = 0.95
    order_dependent: bool | None = False
    weak: tuple[str, ...] = ()
    strategies: int = 2
    largest: tuple[str, float, float] | None = None
    other_share: float = 0.0
    unsupported_share: float = 0.0
    chance: float | None = None
    unread: Carried | None = None
    unparsed: Unparsed = field(default_factory=Unparsed)
    forms: tuple[Carried, ...] = ()
    room_before: Room | None = None
    room_after: Room | None = None
    rooms_by_problem: bool = False
    lengths: Lengths | None = None
    signal: Signal | None = None
    levels: tuple[Level, ...] = ()
    regrouped: tuple[int, int, int] | None = None
    opposed: tuple[Opposed, ...] = ()
    places: tuple[Place, ...] = ()
    new: tuple[str, ...] = ()
    paired: bool = True
    reverse: Split = field(default_factory=Split)
    new_or_rare: Split = field(default_factory=Split)
    by_problem: ByProblem = field(default_factory=ByProblem)

    @property
    def has_split(self) -> bool:
        """Whether the gain has parts: strategies are known, and those of most right responses."""
        return self.labelled and not self.unparsed.hides_split

    @property
    def leading(self) -> Leading:
        """Choice (or selection) and improvement at the level that the headline rests on."""
        return leading(self)

    @property
    def problems_for_gain(self) -> int | None:
        """About how many problems like these would tell the gain from 0, if it is as large as it looks.

        A handful does not say how much problems vary: then the number is that of problems with one response each.
        """
        if self.problems >= MIN_PROBLEMS or not self.gain.value:
            return needed_problems(self.gain, self.problems, self.level)
        accuracy = (self.accuracy_before + self.accuracy_after) / 2
        needed = max(needed_n(self.gain.value, accuracy, level=self.level), MIN_PROBLEMS)
        return _round(needed) if needed <= 1000 * MIN_PROBLEMS else None

    @property
    def detectable_gain(self) -> float:
        """The smallest gain that these problems would show with a power of 80%; NaN where the gain has no interval."""
        return detectable(self.gain.se, level=self.level)

    @property
    def problems_for_lead(self) -> int | None:
        """About how many problems like these would tell selection and improvement apart."""
        return needed_problems(self.leading.gap, self.problems, self.level)

    def samples_instead(self, problems: int | None) -> int | None:
        """About how many responses a problem would do the same as that many problems; None where none would."""
        if problems is None or self.chance is None or self.problems < MIN_PROBLEMS:
            return None
        left = self.problems / problems - (1 - self.chance)
        return None if left <= 0 or self.chance <= 0 else _round(self.samples * self.chance / left)


def needed_problems(estimate: Estimate, problems: int, level: float = 0.95, power: float = 0.8) -> int | None:
    """Problems for an interval that excludes 0 with this power: n ((z_level + z_power) se / value)^2.

    Rounded up to two digits. None where the value is 0 or has no standard error, or more than 1000 times the
    problems at hand would be needed.

    Source: Miller 2024, arXiv 2411.00640, section 5, with the standard error at hand for the variance.
    """
    if math.isnan(estimate.se) or abs(estimate.value) < 1e-12:
        return None
    ratio = (detectable(estimate.se, power=power, level=level) / estimate.value) ** 2
    return None if ratio > 1000 else _round(problems * max(ratio, 1.1))


def facts_from(
    split: Decomposition,
    pairs: Pairs,
    *,
    headrooms: tuple[Headroom | None, Headroom | None] = (None, None),
    rooms_by_problem: bool = False,
    length_unit: str = "characters",
    behaviours: Sequence[BehaviourChange] = (),
    changes: Sequence[Regrouping] = (),
    labelled: bool = True,
    stratified: bool = True,
) -> Facts:
    """The facts of one comparison.

    Args:
        split: the decomposition of `pairs`.
        headrooms: before and after. rooms_by_problem: whether they are problem by problem.
        behaviours: as `compare_behaviours` gives them; those whose names begin with `answer` are about the form of
            the answer and not about reasoning.
        changes: as `robustness` gives them.
        labelled: whether the strategies mean anything; not for counts alone.
        stratified: as it was for `decompose`.
    """
    sides = (pairs.before, pairs.after)
    shares = [side.share_ps.mean(axis=0) for side in sides]
    names = list(pairs.strategies)
    unread_s = np.isin(names, [UNPARSED, TRUNCATED])
    usual = (shares[0] + shares[1]) / 2 >= MIN_SHARE
    data_pk = matrix(pairs, None)
    opposite = {change.lead for change in changes} - {split.lead, "undecided"}
    same = sum(change.lead == split.lead for change in changes)
    facts = replace(
        facts_of(split, labelled=labelled, headrooms=headrooms, forms=forms_of(behaviours)),
        gap=terms(data_pk, pairs.before.n_p, pairs.sizes_g, level=split.level, stratified=stratified).gap,
        samples=min(float(np.median(side.n_p)) for side in sides),
        strategies=int((usual & ~unread_s).sum()),
        other_share=max(float(share[names.index(OTHER)]) for share in shares) if OTHER in names else 0.0,
        chance=_chance(pairs),
        unread=_unread(pairs, unread_s, split.level, stratified) if unread_s.any() else None,
        lengths=_lengths(pairs, length_unit, split.level),
        signal=_signal(pairs),
        levels=_levels(pairs, split.level) if "difficulty" in split.by else (),
        regrouped=(len(changes), same, sum(c.lead in opposite for c in changes)) if changes else None,
        by_problem=split.by_problem,
        rooms_by_problem=rooms_by_problem,
    )
    return drop_small_intervals(without_forms(facts))


def without_forms(facts: Facts) -> Facts:
    """Where the labels miss most right answers, what they say of the form of answers is left out too."""
    return facts if facts.has_split or not facts.labelled else replace(facts, unread=None, forms=())


def facts_of(
    split: Decomposition,
    *,
    labelled: bool,
    headrooms: tuple[Headroom | None, Headroom | None],
    forms: tuple[Carried, ...],
) -> Facts:
    """What a decomposition says by itself, whether its problems are the same before and after or not.

    Responses a problem are not known from it: `samples` is 0.
    """
    return Facts(
        gain=split.gain,
        selection=split.selection,
        improvement=split.improvement,
        new_strategy=split.new_strategy,
        gap=split.gap,
        lead=split.lead,
        problems=split.problems,
        samples=0.0,
        accuracy_before=split.accuracy_before,
        accuracy_after=split.accuracy_after,
        by=split.by,
        labelled=labelled,
        level=split.level,
        order_dependent=split.order_dependent,
        weak=split.weak,
        largest=largest(split.strategies.select("strategy", "share_before", "share_after").rows()),
        unsupported_share=split.unsupported_share,
        unparsed=split.unparsed,
        forms=forms,
        room_before=room_of(headrooms[0]),
        room_after=room_of(headrooms[1]),
        opposed=opposed_of(split),
        places=places_of(split),
        new=new_of(split),
        paired=split.paired,
        reverse=split.reverse,
        new_or_rare=split.new_or_rare,
    )


def forms_of(behaviours: Sequence[BehaviourChange]) -> tuple[Carried, ...]:
    """What behaviours of the answer's form carry, by `facts_from`."""
    return tuple(
        Carried(
            b.behaviour,
            b.share_before,
            b.share_after,
            b.accuracy_before,
            b.accuracy_after,
            b.part,
            b.rest,
        )
        for b in behaviours
        if b.behaviour.startswith("answer")
    )


def _unread(pairs: Pairs, unread_s: np.ndarray, level: float, stratified: bool) -> Carried:
    blocks: list[Floats] = []
    for side in (pairs.before, pairs.after):
        for block_ps in (side.share_ps, side.right_ps):
            blocks += [block_ps[:, unread_s].sum(axis=1), block_ps[:, ~unread_s].sum(axis=1)]
    data_pk = np.stack(blocks, axis=1)
    split = terms(data_pk, pairs.before.n_p, pairs.sizes_g, level=level, stratified=stratified)
    share0, right0, share1, right1 = (float(blocks[i].mean()) for i in (0, 2, 4, 6))
    return Carried(
        UNREAD,
        share0,
        share1,
        right0 / share0 if share0 else math.nan,
        right1 / share1 if share1 else math.nan,
        split.choice,
        split.improvement,
    )


def room_of(headroom: Headroom | None) -> Room | None:
    """Headroom as a verdict looks at it; none where it has no interval."""
    if headroom is None or not math.isfinite(headroom.selection.high + headroom.improvement.high):
        return None
    return Room(*((term.low, term.high) for term in (headroom.selection, headroom.improvement)))


def _lengths(pairs: Pairs, unit: str, level: float) -> Lengths | None:
    before_p, after_p = pairs.before.length_p, pairs.after.length_p
    known_p = np.isfinite(before_p) & np.isfinite(after_p)
    if not known_p.all():
        return None
    gain_p = pairs.after.right_ps.sum(axis=1) - pairs.before.right_ps.sum(axis=1)
    return Lengths(
        float(before_p.mean()),
        float(after_p.mean()),
        unit,
        mean_estimate(after_p - before_p, level=level),
        mean_estimate(gain_p[after_p < STEADY * before_p], level=level),
    )


def _signal(pairs: Pairs) -> Signal | None:
    counts = [side.counts for side in (pairs.before, pairs.after)]
    group = int(min(GROUP, *(np.median(side.n_p) for side in (pairs.before, pairs.after))))
    if group < MIN_GROUP or counts[0] is None or counts[1] is None:
        return None
    right, wrong = [], []
    for c_p, n_p in (counts[0], counts[1]):
        right.append(float(np.nanmean(1 - passk(n_p - c_p, n_p, [group]))))
        wrong.append(float(np.nanmean(1 - passk(c_p, n_p, [group]))))
    return Signal(group, right[0], right[1], wrong[0], wrong[1])


def _chance(pairs: Pairs) -> float | None:
    """Sampling variance of a problem's gain, a (1 - a) / (n - 1) on each side, over the variance of the gains."""
    gain_p = pairs.after.right_ps.sum(axis=1) - pairs.before.right_ps.sum(axis=1)
    inside_p = np.zeros_like(gain_p)
    for side in (pairs.before, pairs.after):
        if side.counts is None or side.n_p.min() < 2:
            return None
        a_p = side.right_ps.sum(axis=1)
        inside_p += a_p * (1 - a_p) / (side.n_p - 1)
    between = float(gain_p.var(ddof=1)) if gain_p.size > 1 else 0.0
    return min(1.0, float(inside_p.mean()) / between) if between > 0 else None


def _levels(pairs: Pairs, level: float) -> tuple[Level, ...]:
    if not pairs.strata.schema["difficulty"].is_numeric():
        return ()
    value_p = pairs.strata["difficulty"].cast(pl.Float64).to_numpy()[pairs.stratum_p]
    before_p, after_p = (side.right_ps.sum(axis=1) for side in (pairs.before, pairs.after))
    levels: list[Level] = []
    for value in np.unique(value_p[np.isfinite(value_p)]):
        here = value_p == value
        gain = mean_estimate(after_p[here] - before_p[here], level=level)
        levels.append(
            Level(float(value), gain.n, float(before_p[here].mean()), float(after_p[here].mean()), gain)
        )
    return tuple(levels)


def _round(x: float) -> int:
    """Up to two digits: an estimate of an estimate has no more."""
    size = 10 ** max(0, math.floor(math.log10(x)) - 1)
    return math.ceil(x / size) * size
