"""Two sides compared: everything that counts alone can say, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from stratagem.lens.side import COUNTED, Side
from stratagem.mechanisms.behaviours import BehaviourChange, compare_behaviours
from stratagem.mechanisms.correction import decompose_corrected
from stratagem.mechanisms.decompose import decompose
from stratagem.mechanisms.facts import facts_from
from stratagem.mechanisms.headroom import Headroom, headroom
from stratagem.mechanisms.labels import LabelQuality
from stratagem.mechanisms.passk import passk, passk_difference, problem_counts
from stratagem.mechanisms.result import Decomposition
from stratagem.mechanisms.robustness import robustness
from stratagem.mechanisms.sensitivity import sensitivity
from stratagem.mechanisms.uncertainty import mean_estimate
from stratagem.mechanisms.verdict import verdict
from stratagem.records import StratagemError

# What counts without texts cannot say.
UNKNOWN: dict[str, Any] = {
    **dict.fromkeys(("selection", "improvement", "new_strategy", "reverse", "symmetric", "threefold")),
    **dict.fromkeys(("mix", "routing", "simultaneous", "lead", "unsupported_share", "order_dependent")),
    **{name: [] for name in ("strategies", "cells", "robustness")},
}
CELL_SUMS = ("selection", "improvement", "new_strategy", "contribution")


def compare(
    before: Side,
    after: Side,
    by: Sequence[str],
    *,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    labels: LabelQuality | None = None,
) -> dict[str, Any]:
    """The gain between two sides with its parts, headroom, pass@k, behaviours, robustness and verdict.

    Args:
        before, after: sides whose problems have common keys.
        by: strata.
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
    )
    sides = (before.counts, after.counts), (after.counts, before.counts)
    common = [
        one.join(other.select("problem_id").unique(), on="problem_id", how="semi") for one, other in sides
    ]
    rooms = room(common[0], by, draws, level, seed), room(common[1], by, draws, level, seed)
    behaviours: Sequence[BehaviourChange] = ()
    if before.behaviours is not None and after.behaviours is not None:
        behaviours = compare_behaviours(before.behaviours, after.behaviours, level=level, stratified=False)
    changes = robustness(before.counts, after.counts, by, level=level, stratified=False)
    facts = facts_from(
        found,
        before.counts,
        after.counts,
        headrooms=rooms,
        length_unit=after.about["length_unit"],
        behaviours=behaviours,
        changes=changes,
        labelled=not counted(before, after),
        stratified=False,
    )
    said = verdict(facts)
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
        "strata": found.strata.to_dicts(),
        "cells": found.cells.to_dicts(),
        "behaviours": [one.as_dict() for one in behaviours],
        "passk": common_attempts(before.counts, after.counts, level),
        "label_error": label_error(before, after, by, labels, draws=draws, level=level, seed=seed),
        "robustness": [change.as_dict() for change in changes],
        "verdict": said.as_dict(),
    }
    if counted(before, after):
        plain = found.strata.select(pl.exclude(r"^(selection|improvement|new_strategy).*$"))
        return result | UNKNOWN | {"strata": plain.to_dicts()}
    return result


def counted(before: Side, after: Side) -> bool:
    """Whether the sides are counts without texts, so that nothing is known of strategies."""
    return {*before.counts["strategy"], *after.counts["strategy"]} == {COUNTED}


def label_error(
    before: Side,
    after: Side,
    by: Sequence[str],
    labels: LabelQuality | None,
    *,
    draws: int,
    level: float,
    seed: int,
) -> dict[str, Any] | None:
    """How large a label error would change the answer; and, with hand labels, how large it is and the terms without it.

    None for counts alone, which have no labels.
    """
    if counted(before, after):
        return None
    doubt = sensitivity(before.counts, after.counts, by=by, level=level, stratified=False)
    found: dict[str, Any] = {"sensitivity": doubt.as_dict()}
    if labels is None:
        return found
    found |= labels.as_dict()
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
        return headroom(
            counts, by=by, rng=np.random.default_rng([seed, 3]), draws=min(draws, 1000), level=level
        )
    except StratagemError:
        return None


def strategies(found: Decomposition) -> list[dict[str, Any]]:
    """Each strategy over all strata: shares as means over problems, accuracies within the strategy, contributions."""
    cells = found.cells
    if found.by:
        sizes = found.strata.select(*found.by, weight=pl.col("problems") / found.problems)
        cells = cells.join(sizes, on=list(found.by), nulls_equal=True)
    else:
        cells = cells.with_columns(weight=pl.lit(1.0))
    shares = [
        (pl.col("weight") * pl.col(f"share_{side}")).sum().alias(f"share_{side}")
        for side in ("before", "after")
    ]
    rights = [
        (pl.col("weight") * pl.col(f"share_{side}") * pl.col(f"accuracy_{side}").fill_null(0.0))
        .sum()
        .alias(f"right_{side}")
        for side in ("before", "after")
    ]
    sums = [pl.col(name).sum() for name in ("responses_before", "responses_after", *CELL_SUMS)]
    table = cells.group_by("strategy").agg(*shares, *rights, *sums)
    accuracies = [
        pl.when(pl.col(f"share_{side}") > 0)
        .then(pl.col(f"right_{side}") / pl.col(f"share_{side}"))
        .alias(f"accuracy_{side}")
        for side in ("before", "after")
    ]
    return (
        table.with_columns(*accuracies)
        .drop("right_before", "right_after")
        .sort("share_after", descending=True)
        .to_dicts()
    )


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
            each = passk(both[name.replace("n", "c", 1)].to_numpy(), both[name].to_numpy(), [k])[:, 0]
            row[title] = mean_estimate(each[np.isfinite(each)], level=level).as_dict()
        if len(sizes) == 2:
            c, n, c_after, n_after = (both[name].to_numpy() for name in ("c", "n", "c_after", "n_after"))
            row["difference"] = passk_difference(c, n, c_after, n_after, k, level=level).as_dict()
        found.append(row)
    return found


def common_attempts(before: pl.DataFrame, after: pl.DataFrame, level: float) -> list[dict[str, Any]]:
    """`attempts` over the problems of both; nothing where scores are fractions, so that right is not known."""
    try:
        both = problem_counts(before).join(problem_counts(after), on="problem_id", suffix="_after")
    except StratagemError:
        return []
    return attempts(both, level)
