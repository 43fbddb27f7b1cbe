"""The sides of a comparison brought together: the same problems under the same keys, in the same strata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from stratagem.lens.side import Side
from stratagem.mechanisms.contrast import LEAST
from stratagem.mechanisms.counts import MEASURES, merge
from stratagem.records import UNPARSED
from stratagem.rollouts.problems import Join

MOST_CHECKPOINTS = 12  # of one log; more are joined into as many runs of neighbours
FEW_PROBLEMS = 10  # a stratum's, on average; columns that make smaller ones are not taken by default


def rekey(side: Side, keys: pl.DataFrame) -> Side:
    """The side with the problems' common keys as their ids; problems without a key keep their own."""

    def moved(table: pl.DataFrame) -> pl.DataFrame:
        joined = table.join(keys, on="problem_id", how="left", maintain_order="left")
        return joined.with_columns(problem_id=pl.coalesce("key", "problem_id")).drop("key")

    return replace(
        side,
        counts=merge([moved(side.counts)]),
        behaviours=None if side.behaviours is None else merge([moved(side.behaviours)]),
    )


def own_keys(side: Side) -> pl.DataFrame:
    """Keys that no other side has, for sides whose problems are not the same whatever their ids."""
    key = pl.lit(f"{side.number}\x1f") + pl.col("problem_id")
    return side.problems.select("problem_id", key=key).unique()


def by_checkpoint(side: Side) -> list[Side]:
    """The checkpoints of one log as sides, in their order; runs of neighbours where there are many."""
    values = ordered(side.counts["checkpoint"].unique().drop_nulls().to_list())
    size = -(-len(values) // MOST_CHECKPOINTS)
    found: list[Side] = []
    for start in range(0, len(values), size):
        chosen = values[start : start + size]
        name = chosen[0] if len(chosen) == 1 else f"{chosen[0]}-{chosen[-1]}"
        inside = pl.col("checkpoint").is_in(chosen)
        behaviours = side.behaviours
        found.append(
            replace(
                side,
                name=name,
                counts=merge([side.counts.filter(inside).with_columns(checkpoint=pl.lit(name))]),
                behaviours=None
                if behaviours is None
                else merge([behaviours.filter(inside).with_columns(checkpoint=pl.lit(name))]),
            )
        )
    return found


def ordered(values: Sequence[str]) -> list[str]:
    """Names of checkpoints in their order: numbers by size, other names as they are."""

    def key(value: str) -> tuple[int, float, str]:
        try:
            return 0, float(value), value
        except ValueError:
            return 1, 0.0, value

    return sorted(values, key=key)


def usable_strata(sides: Sequence[Side], by: Sequence[str]) -> tuple[str, ...]:
    """Of columns that nobody named, those that describe a problem alike everywhere and make strata of some size."""
    kept: list[str] = []
    for name in by:
        trial = list(dict.fromkeys(["problem_id", *kept, name]))
        homes = pl.concat([side.counts.select(trial) for side in sides]).unique()
        one_home = homes["problem_id"].n_unique() == homes.height
        if one_home and homes.height >= FEW_PROBLEMS * homes.select(*kept, name).n_unique():
            kept.append(name)
    return tuple(kept)


def in_strata(side: Side, by: Sequence[str]) -> Side:
    """The side with counts by these strata alone."""
    keys = dict.fromkeys(["checkpoint", "problem_id", *by, "strategy", "half", *MEASURES])
    return replace(side, counts=merge([side.counts.select(list(keys))]))


def comparable(before: Side, after: Side, by: Sequence[str], most: bool = False) -> bool | None:
    """Whether two sides are compared problem by problem (True), by strata (False), or not at all (None).

    Args:
        most: problem by problem only where half of either side's problems or more are those of the other, as
            checkpoints of one log, which may repeat a few.
    """
    sides = [set(side.counts["problem_id"]) for side in (before, after)]
    common = len(sides[0] & sides[1])
    if common and (not most or 2 * common >= max(map(len, sides))):
        return True
    homes = [
        side.counts.select("problem_id", *(name for name in by if name != "problem_id")).unique()
        for side in (before, after)
    ]
    large = [
        set(home.group_by(by).agg(pl.len().alias("_n")).filter(pl.col("_n") >= LEAST).select(by).rows())
        if by
        else {()}
        for home in homes
    ]
    return False if large[0] & large[1] else None


def facts_differ(names: Sequence[str], facts: Sequence[Mapping[str, Sequence[str]]]) -> list[str]:
    """What logs say differently of how they were sampled, such as the temperature; the model may differ.

    Args:
        names: of the logs.
        facts: of each log, all values of a fact.
    """
    found: list[str] = []
    for fact in sorted(set().union(*facts) - {"model"}):
        values = [", ".join(one.get(fact, ["not stated"])) for one in facts]
        if len(set(values)) > 1:
            told = "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            found.append(f"{fact} differs: {told}")
    return found


def differences(sides: Sequence[Side]) -> list[str]:
    """What differs between sides and might pass for an effect of training."""
    found = facts_differ([side.name for side in sides], [side.about["facts"] for side in sides])
    if len({side.about["score"] for side in sides}) > 1:
        found.append("scores differ: " + "; ".join(f"{side.name}: {side.about['score']}" for side in sides))
    units = {side.about["length_unit"] for side in sides}
    if len(units) > 1:
        found.append(
            "lengths are in tokens on one side and in characters on the other, and cannot be compared"
        )
    for side in sides:
        unparsed = side.counts.filter(strategy=UNPARSED)["n"].sum()
        if side.rules is not None and unparsed > side.about["responses"] / 2:
            found.append(
                f"{side.name}: no answer was found in {unparsed / side.about['responses']:.0%} of the responses; "
                "say where it stands in [parts] of the rules (docs/rules.md)"
            )
        lost = sum(side.about["left_out"].values())
        if lost > 0.02 * (lost + side.about["responses"]):
            found.append(
                f"{side.name}: {lost} of {lost + side.about['responses']} responses could not be used"
            )
    return found


def changed_prompts(sides: Sequence[Side], matched: Join) -> list[str]:
    """A note where problems are the same but their prompts' text is not."""
    tables = [
        side.problems.join(keys, on="problem_id").select("key", "by_prompt").unique("key")
        for side, keys in zip(sides, matched.keys, strict=True)
    ]
    both = tables[0].join(tables[-1], on="key", suffix="_after").drop_nulls()
    changed = both.filter(pl.col("by_prompt") != pl.col("by_prompt_after")).height
    return (
        [f"the prompt's text differs for {changed} of {both.height} problems (template or system prompt)"]
        if changed
        else []
    )


def distinct_names(sources: Sequence[Sequence[str | Path]]) -> list[str]:
    """What to call the sides: the shortest ends of their paths that differ."""
    parts = [Path(paths[0]).absolute().parts for paths in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return [str(Path(name).with_suffix("")) if Path(name).suffix in KNOWN else name for name in names]
    return [f"{'/'.join(part[-1:])} ({number})" for number, part in enumerate(parts, start=1)]


KNOWN = {".jsonl", ".json", ".parquet", ".csv", ".tsv", ".eval", ".gz", ".zst"}
