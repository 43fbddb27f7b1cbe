"""Two sides compared: everything that counts alone can say."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.behaviours import BehaviourChange, compare_behaviours
from stratagem.decomposition.decompose import decompose, decompose_pairs
from stratagem.decomposition.flips import flips_of
from stratagem.decomposition.headroom import (
    Headroom,
    HeadroomTable,
    headroom,
    headroom_by_problem,
    headroom_of_pairs,
)
from stratagem.decomposition.result import Decomposed, Decomposition
from stratagem.decomposition.robustness import Regrouping, regroupings
from stratagem.decomposition.support import unsupported
from stratagem.diagnosis.columns import parts
from stratagem.diagnosis.side import COUNTED, Side
from stratagem.label_error.calibration import Calibration
from stratagem.label_error.confusion import Confusion
from stratagem.label_error.correction import Corrected, correct_pairs
from stratagem.label_error.quality import LabelQuality
from stratagem.label_error.result import Quality
from stratagem.label_error.sensitivity import sensitivity_of
from stratagem.learned.labels import LearnedLabels
from stratagem.records import Estimate, StratagemError, part_of
from stratagem.result import (
    OF_STRATEGIES,
    Attempts,
    AttemptsTogether,
    Cell,
    Comparison,
    Headrooms,
    LabelError,
    StrategyChange,
    StratumGain,
)
from stratagem.stats.min_sample import MIN_PROBLEMS, drop_small_intervals
from stratagem.stats.pairs import Pairs, pair
from stratagem.stats.passk import passk_difference, passk_mean, passk_together
from stratagem.verdict.facts import Facts, facts_from
from stratagem.verdict.rules import verdict
from stratagem.verdict.unpaired import behaviours_unpaired, facts_unpaired

RATES = ("share_before", "share_after", "accuracy_before", "accuracy_after")
TERMS = ("gain", "selection", "improvement", "new_strategy")


def compare(
    before: Side,
    after: Side,
    by: Sequence[str],
    *,
    paired: bool = True,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    labels: LabelQuality | LearnedLabels | None = None,
) -> Comparison:
    """The gain between two sides with its parts, headroom, pass@k, behaviours, robustness and verdict.

    Args:
        before, after: sides whose problems have common keys.
        by: strata.
        paired: whether the problems are the same. Else strata are compared; robustness, label error and the
            difference of pass@k stay open.
        labels: what hand labels say of these sides' labels.
        draws, level, seed: of the bootstrap. Problems are resampled over all strata, whose sizes nobody chose.
    """
    pairs = pair(before.counts, after.counts, by) if paired else None
    rng = np.random.default_rng([seed, 0])
    split = (
        decompose(before.counts, after.counts, by=by, rng=rng, draws=draws, level=level, paired=False)
        if pairs is None
        else decompose_pairs(pairs, rng=rng, draws=draws, level=level, stratified=False)
    )
    if split.problems < MIN_PROBLEMS:
        split = drop_small_intervals(split)
        if split.lead is not None:
            split = msgspec.structs.replace(split, lead="undecided", order_dependent=False)
    labelled = not counted(before, after)
    headrooms, facts, behaviours, changes = (
        other_problems(split, before, after, draws, seed, labelled)
        if pairs is None
        else same_problems(split, pairs, before, after, draws, seed, labelled)
    )
    result = Comparison(
        before=before.name,
        after=after.name,
        **msgspec.structs.asdict(part_of(split, Decomposed)),
        headroom=Headrooms() if split.lead is None else headrooms,
        strategies=strategies(split),
        strata=strata(split),
        cells=cells(split),
        unsupported=() if pairs is None or split.lead is None else unsupported(pairs, alpha=1 - level),
        behaviours=tuple(map(drop_small_intervals, behaviours)),
        passk=() if pairs is None else paired_attempts(pairs, level),
        flips=None if pairs is None else flips_of(pairs, level=level),
        label_error=label_error(
            before, after, pairs, labels, doubted=split.lead is not None, draws=draws, level=level, seed=seed
        )
        if labelled and split.problems >= MIN_PROBLEMS
        else None,
        robustness=tuple(changes),
        verdict=verdict(facts),
    )
    return result if labelled else without_strategies(result)


def without_strategies(result: Comparison) -> Comparison:
    """The comparison of counts without texts: what rests on strategies is undefined."""
    defaults = Comparison(before="", after="")
    undefined = {name: getattr(defaults, name) for name in OF_STRATEGIES}
    strata = [
        StratumGain(
            stratum=row.stratum,
            problems=row.problems,
            accuracy_before=row.accuracy_before,
            accuracy_after=row.accuracy_after,
            gain=row.gain,
        )
        for row in result.strata
    ]
    flips = result.flips and msgspec.structs.replace(result.flips, transitions=())
    return msgspec.structs.replace(result, **undefined, strata=tuple(strata), flips=flips)


Beside = tuple[Headrooms, Facts, Sequence[BehaviourChange], Sequence[Regrouping]]


def same_problems(
    split: Decomposition, pairs: Pairs, before: Side, after: Side, draws: int, seed: int, labelled: bool
) -> Beside:
    """Headroom, facts, behaviours and other groupings of the strategies, over the problems of both sides."""
    level = split.level
    options = {"draws": min(draws, 1000), "level": level, "stratified": False}
    headrooms = Headrooms(
        possible(lambda rng: headroom_of_pairs(pairs, "before", before.counts, rng=rng, **options), seed),
        possible(lambda rng: headroom_of_pairs(pairs, "after", after.counts, rng=rng, **options), seed),
    )
    behaviours: Sequence[BehaviourChange] = ()
    if before.behaviours is not None and after.behaviours is not None:
        behaviours = compare_behaviours(before.behaviours, after.behaviours, level=level, stratified=False)
    changes: Sequence[Regrouping] = ()
    if split.problems >= MIN_PROBLEMS and split.lead is not None:
        fine = [side.counts if side.fine is None else side.fine for side in (before, after)]
        named = [name for name in fine[0].columns if name not in before.counts.columns and parts(fine, name)]
        changes = regroupings(pairs, (fine[0], fine[1]), refine=named, level=level, stratified=False)
    rooms = headrooms.before, headrooms.after
    differ = bool(split.by_problem.disagrees)
    if differ:
        # By stratum it would be of strategies that are best for nobody; with few responses there is none.
        mine = {"draws": options["draws"], "level": level}
        rooms = (
            possible(lambda rng: headroom_by_problem(pairs, before.counts, rng=rng, **mine), seed),
            possible(lambda rng: headroom_by_problem(pairs, after.counts, rng=rng, **mine), seed),
        )
    facts = facts_from(
        split,
        pairs,
        headrooms=rooms if split.lead is not None else (None, None),
        rooms_by_problem=differ,
        length_unit=after.about.length_unit,
        behaviours=behaviours,
        changes=changes,
        labelled=labelled,
        stratified=False,
    )
    return headrooms, facts, behaviours, changes


def other_problems(
    split: Decomposition, before: Side, after: Side, draws: int, seed: int, labelled: bool
) -> Beside:
    """The same where the problems differ; other groupings are not tried."""
    level, by = split.level, split.by
    options = {"by": by, "draws": min(draws, 1000), "level": level, "stratified": False}
    headrooms = Headrooms(
        *(
            possible(lambda rng, side=side: headroom(side.counts, rng=rng, **options), seed)
            for side in (before, after)
        )
    )
    rng, fewer = np.random.default_rng([seed, 5]), min(draws, 500)
    behaviours: Sequence[BehaviourChange] = ()
    if before.behaviours is not None and after.behaviours is not None:
        behaviours = behaviours_unpaired(
            before.behaviours,
            after.behaviours,
            (before.counts, after.counts),
            by=by,
            rng=rng,
            draws=fewer,
            level=level,
        )
    facts = facts_unpaired(
        split,
        before.counts,
        after.counts,
        rng=rng,
        draws=fewer,
        headrooms=(headrooms.before, headrooms.after) if split.lead is not None else (None, None),
        behaviours=behaviours,
        labelled=labelled,
    )
    return headrooms, facts, behaviours, ()


def counted(before: Side, after: Side) -> bool:
    """Whether the sides are counts without texts, so that nothing is known of strategies."""
    return {*before.counts["strategy"], *after.counts["strategy"]} == {COUNTED}


def label_error(
    before: Side,
    after: Side,
    pairs: Pairs | None,
    labels: LabelQuality | LearnedLabels | None,
    *,
    doubted: bool,
    draws: int,
    level: float,
    seed: int,
) -> LabelError:
    """How large a label error would change the answer; with hand labels, how large it is and the terms without it.

    Args:
        pairs: None where the problems differ.
        doubted: whether there is a split for an error of the labels to change.
    """
    doubt = None
    if pairs is not None and doubted:
        doubt = sensitivity_of(pairs, level=level, stratified=False)
    if labels is None:
        return LabelError(sensitivity=doubt)
    quality: Quality | None = None
    try:
        measured, confusion = error_of(labels, before, after, level)
        quality = measured.result()
        if pairs is None:
            raise StratagemError("the problems before are not those after")
        rng = np.random.default_rng([seed, 4])
        correction = correct_pairs(pairs, confusion(), rng=rng, draws=draws, level=level, stratified=False)
    except StratagemError as error:
        return LabelError(sensitivity=doubt, quality=quality, refused=str(error))
    return LabelError(sensitivity=doubt, quality=quality, corrected=part_of(correction, Corrected))


def error_of(
    labels: LabelQuality | LearnedLabels, before: Side, after: Side, level: float
) -> tuple[LabelQuality, Callable[[], Confusion | Calibration]]:
    """How good the labels of two sides are, and their error, which may be refused.

    Raises:
        StratagemError: the sheet of learned labels holds no random response of these sides.
    """
    sides = (str(before.number), str(after.number))
    if isinstance(labels, LearnedLabels):
        counts = [before.counts, after.counts]
        # Checkpoints of one log are the sheet's two sides where it was made of checkpoints, else one side.
        if sides[0] == sides[1] and labels.sides == {"0", "1"}:
            sides = ("0", "1")
        elif sides[0] == sides[1]:
            counts, sides = (
                [pl.concat([table.select("strategy", "n", "right") for table in counts])],
                sides[:1],
            )
        quality, confusion = labels.measured(counts, sides, level)
        return quality, lambda: confusion
    names = (None, None) if len(labels.sides) == 1 else sides
    return labels, lambda: labels.confusion(*names)


def possible(headroom_of: Callable[[np.random.Generator], HeadroomTable], seed: int) -> Headroom | None:
    """Headroom, or None where a problem has too few responses for it."""
    try:
        return drop_small_intervals(part_of(headroom_of(np.random.default_rng([seed, 3])), Headroom))
    except StratagemError:
        return None


def strategies(split: Decomposition) -> tuple[StrategyChange, ...]:
    """Each strategy over all strata."""
    rows: list[StrategyChange] = []
    for row in split.strategies.iter_rows(named=True):
        rates = {name: estimate(row, name, row[f"{name}_n"]) for name in RATES}
        others = {name: row[name] for name in StrategyChange.__struct_fields__ if name not in rates}
        rows.append(StrategyChange(**rates, **others))
    return tuple(rows)


def strata(split: Decomposition) -> tuple[StratumGain, ...]:
    """Each stratum; no interval is made of fewer than `MIN_PROBLEMS` problems."""
    rows: list[StratumGain] = []
    for row in split.strata.iter_rows(named=True):
        terms = {name: drop_small_intervals(estimate(row, name, row["problems"])) for name in TERMS}
        others = {name: row[name] for name in ("problems", "accuracy_before", "accuracy_after")}
        rows.append(StratumGain(stratum={name: row[name] for name in split.by}, **terms, **others))
    return tuple(rows)


def cells(split: Decomposition) -> tuple[Cell, ...]:
    """Each strategy in each stratum."""
    names = [name for name in Cell.__struct_fields__ if name != "stratum"]
    return tuple(
        Cell(stratum={name: row[name] for name in split.by}, **{name: row[name] for name in names})
        for row in split.cells.iter_rows(named=True)
    )


def estimate(row: dict[str, Any], name: str, n: int) -> Estimate:
    """A number of a table with its interval; null becomes NaN."""
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row[f"{name}_se"], n)


def attempts(
    sides: Sequence[tuple[NDArray[Any], NDArray[Any]]], level: float, ks: Sequence[int] | None = None
) -> tuple[Attempts, ...]:
    """pass@k before and after, and the difference, for every k, each with intervals for itself and over all k.

    Args:
        sides: right and all responses of every problem, the same problems in the same order, of one side or two.
        ks: numbers of attempts; powers of two, as far as every problem has responses, by default.
    """
    fewest = min(int(n.min(initial=np.iinfo(np.int64).max)) for _, n in sides)
    wanted = ks if ks is not None else [2**i for i in range(fewest.bit_length())]
    families = [[side] for side in sides] + ([list(sides)] if len(sides) == 2 else [])
    bands = [passk_together(family, wanted, level=level) for family in families] if wanted else []
    rows: list[Attempts] = []
    for i, k in enumerate(wanted):
        means = [passk_mean(right, n, k, level=level) for right, n in sides]
        if len(sides) == 2:
            means.append(passk_difference(*sides[0], *sides[1], k, level=level))
        together = AttemptsTogether(*(band[i] for band in bands))
        rows.append(drop_small_intervals(Attempts(k, *means, together=together)))
    return tuple(rows)


def paired_attempts(pairs: Pairs, level: float) -> tuple[Attempts, ...]:
    """`attempts` over the problems of both; nothing where scores are fractions, so that right is not known."""
    before, after = pairs.before.counts, pairs.after.counts
    if before is None or after is None:
        return ()
    order = np.argsort(np.array(pairs.ids))
    return attempts([(right[order], n[order]) for right, n in (before, after)], level)
