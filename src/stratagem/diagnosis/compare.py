"""Two sides compared: everything that counts alone can say, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from stratagem.decomposition.behaviours import BehaviourChange, compare_behaviours
from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.headroom import Headroom, headroom
from stratagem.decomposition.result import Decomposition
from stratagem.decomposition.robustness import Change, robustness
from stratagem.diagnosis.columns import parts
from stratagem.diagnosis.side import COUNTED, Side
from stratagem.label_error.correction import decompose_corrected
from stratagem.label_error.quality import LabelQuality
from stratagem.label_error.sensitivity import sensitivity
from stratagem.records import StratagemError
from stratagem.stats.min_sample import LEAST, settled
from stratagem.stats.passk import passk_difference, passk_mean, problem_counts
from stratagem.verdict.facts import Facts, facts_from
from stratagem.verdict.rules import verdict
from stratagem.verdict.unpaired import behaviours_unpaired, facts_unpaired

# What counts without texts cannot say.
UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("selection", "improvement", "new_strategy", "reverse", "symmetric", "threefold")),
    **dict.fromkeys(("mix", "routing", "simultaneous", "lead", "unsupported_share", "order_dependent")),
    **{name: [] for name in ("strategies", "cells", "robustness")},
}
LEVELS = ("share_before", "share_after", "accuracy_before", "accuracy_after")


def compare(
    before: Side,
    after: Side,
    by: Sequence[str],
    *,
    paired: bool = True,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    labels: LabelQuality | None = None,
) -> dict[str, Any]:
    """The gain between two sides with its parts, headroom, pass@k, behaviours, robustness and verdict.

    Args:
        before, after: sides whose problems have common keys.
        by: strata.
        paired: whether the problems are the same. Else strata are compared; robustness, label error and the
            difference of pass@k stay open.
        labels: what hand labels say of these sides' labels.
        draws, level, seed: of the bootstrap. Problems are resampled over all strata, whose sizes nobody chose.
    """
    found = decompose(
        before.counts,
        after.counts,
        by=by,
        rng=np.random.default_rng([seed, 0]),
        draws=draws,
        level=level,
        stratified=False,
        paired=paired,
    )
    if found.problems < LEAST:
        found = replace(settled(found), verdict="undecided", order_dependent=False)
    labelled = not counted(before, after)
    rooms, facts, behaviours, changes = (
        same_problems(found, before, after, draws, seed, labelled)
        if paired
        else other_problems(found, before, after, draws, seed, labelled)
    )
    ends = pl.col(r"^.*_(low|high|se)$")
    strata = found.strata.with_columns(pl.when(pl.col("problems") >= LEAST).then(ends))
    result: dict[str, Any] = {
        "before": before.name,
        "after": after.name,
        **{name: value for name, value in found.as_dict().items() if name != "verdict"},
        "lead": found.verdict,
        "headroom": {
            name: None if one is None else one.as_dict()
            for name, one in zip(("before", "after"), rooms, strict=True)
        },
        "strategies": strategies(found),
        "strata": strata.to_dicts(),
        "cells": found.cells.to_dicts(),
        "behaviours": [settled(one).as_dict() for one in behaviours],
        "passk": common_attempts(before.counts, after.counts, level) if paired else [],
        "label_error": label_error(
            before, after, by, labels, paired=paired, draws=draws, level=level, seed=seed
        )
        if labelled and found.problems >= LEAST
        else None,
        "robustness": [change.as_dict() for change in changes],
        "verdict": verdict(facts).as_dict(),
    }
    if labelled:
        return result
    plain = strata.select(pl.exclude(r"^(selection|improvement|new_strategy).*$"))
    return result | UNKNOWN | {"strata": plain.to_dicts()}


Looked = tuple[tuple[Headroom | None, Headroom | None], Facts, Sequence[BehaviourChange], Sequence[Change]]


def same_problems(
    found: Decomposition, before: Side, after: Side, draws: int, seed: int, labelled: bool
) -> Looked:
    """Headroom, facts, behaviours and other groupings of the strategies, over the problems of both sides."""
    level, by = found.level, found.by
    sides = (before.counts, after.counts), (after.counts, before.counts)
    common = [
        one.join(other.select("problem_id").unique(), on="problem_id", how="semi") for one, other in sides
    ]
    rooms = room(common[0], by, draws, level, seed), room(common[1], by, draws, level, seed)
    behaviours: Sequence[BehaviourChange] = ()
    if before.behaviours is not None and after.behaviours is not None:
        behaviours = compare_behaviours(before.behaviours, after.behaviours, level=level, stratified=False)
    changes: Sequence[Change] = ()
    if found.problems >= LEAST:
        fine = [side.counts if side.fine is None else side.fine for side in (before, after)]
        named = [name for name in fine[0].columns if name not in before.counts.columns and parts(fine, name)]
        changes = robustness(fine[0], fine[1], by, refine=named, level=level, stratified=False)
    facts = facts_from(
        found,
        before.counts,
        after.counts,
        headrooms=rooms,
        length_unit=after.about["length_unit"],
        behaviours=behaviours,
        changes=changes,
        labelled=labelled,
        stratified=False,
    )
    return rooms, facts, behaviours, changes


def other_problems(
    found: Decomposition, before: Side, after: Side, draws: int, seed: int, labelled: bool
) -> Looked:
    """The same where the problems differ; other groupings are not tried."""
    level, by = found.level, found.by
    rooms = room(before.counts, by, draws, level, seed), room(after.counts, by, draws, level, seed)
    rng, few = np.random.default_rng([seed, 5]), min(draws, 500)
    behaviours: Sequence[BehaviourChange] = ()
    if before.behaviours is not None and after.behaviours is not None:
        behaviours = behaviours_unpaired(
            before.behaviours,
            after.behaviours,
            (before.counts, after.counts),
            by=by,
            rng=rng,
            draws=few,
            level=level,
        )
    facts = facts_unpaired(
        found,
        before.counts,
        after.counts,
        rng=rng,
        draws=few,
        headrooms=rooms,
        behaviours=behaviours,
        labelled=labelled,
    )
    return rooms, facts, behaviours, ()


def counted(before: Side, after: Side) -> bool:
    """Whether the sides are counts without texts, so that nothing is known of strategies."""
    return {*before.counts["strategy"], *after.counts["strategy"]} == {COUNTED}


def label_error(
    before: Side,
    after: Side,
    by: Sequence[str],
    labels: LabelQuality | None,
    *,
    paired: bool,
    draws: int,
    level: float,
    seed: int,
) -> dict[str, Any]:
    """How large a label error would change the answer; with hand labels, how large it is and the terms without it."""
    found: dict[str, Any] = {}
    if paired:
        doubt = sensitivity(before.counts, after.counts, by=by, level=level, stratified=False)
        found["sensitivity"] = doubt.as_dict()
    if labels is None:
        return found
    found |= labels.as_dict()
    if not paired:
        return found | {"refused": "the problems before are not those after"}
    try:
        pair = (None, None) if len(labels.sides) == 1 else (str(before.number), str(after.number))
        corrected = decompose_corrected(
            before.counts,
            after.counts,
            labels.confusion(*pair),
            by=by,
            rng=np.random.default_rng([seed, 4]),
            draws=draws,
            level=level,
            stratified=False,
        )
    except StratagemError as error:
        return found | {"refused": str(error)}
    return found | {"corrected": corrected.as_dict()}


def room(counts: pl.DataFrame, by: Sequence[str], draws: int, level: float, seed: int) -> Headroom | None:
    """Headroom, or None where a problem has too few responses for it."""
    try:
        rng = np.random.default_rng([seed, 3])
        return settled(
            headroom(counts, by=by, rng=rng, draws=min(draws, 1000), level=level, stratified=False)
        )
    except StratagemError:
        return None


def strategies(found: Decomposition) -> list[dict[str, Any]]:
    """Each strategy over all strata: shares and accuracies with their intervals, responses, contributions."""
    rows: list[dict[str, Any]] = []
    for row in found.strategies.iter_rows(named=True):
        estimates = {
            name: {
                "value": row.pop(name),
                **{end: row.pop(f"{name}_{end}") for end in ("low", "high", "se")},
            }
            for name in LEVELS
        }
        rows.append({"strategy": row.pop("strategy"), **estimates, **row})
    return rows


def attempts(both: pl.DataFrame, level: float, ks: Sequence[int] | None = None) -> list[dict[str, Any]]:
    """pass@k before and after, and the difference, for every k.

    Args:
        both: a row a problem, with c, n and, where there are two sides, c_after, n_after.
        ks: numbers of attempts; powers of two, as far as every problem has responses, by default.
    """
    sizes = [name for name in ("n", "n_after") if name in both.columns]
    fewest = min(int(both[name].min() or 0) for name in sizes)  # type: ignore[arg-type]
    found: list[dict[str, Any]] = []
    for k in ks if ks is not None else [2**i for i in range(fewest.bit_length())]:
        row: dict[str, Any] = {"k": k}
        for name, title in zip(sizes, ("before", "after"), strict=False):
            right, n = both[name.replace("n", "c", 1)].to_numpy(), both[name].to_numpy()
            row[title] = settled(passk_mean(right, n, k, level=level)).as_dict()
        if len(sizes) == 2:
            c, n, c_after, n_after = (both[name].to_numpy() for name in ("c", "n", "c_after", "n_after"))
            row["difference"] = settled(passk_difference(c, n, c_after, n_after, k, level=level)).as_dict()
        found.append(row)
    return found


def common_attempts(before: pl.DataFrame, after: pl.DataFrame, level: float) -> list[dict[str, Any]]:
    """`attempts` over the problems of both; nothing where scores are fractions, so that right is not known."""
    try:
        both = problem_counts(before).join(problem_counts(after), on="problem_id", suffix="_after")
    except StratagemError:
        return []
    return attempts(both, level)
