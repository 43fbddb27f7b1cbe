"""The sides of a comparison brought together: the same problems under the same keys, in the same strata."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import polars as pl

from stratagem.diagnosis.columns import coded
from stratagem.diagnosis.notes import ordered, unread_notes
from stratagem.diagnosis.side import Opened, Side
from stratagem.records import UNPARSED, StratagemError
from stratagem.rollouts.problems import Join
from stratagem.stats.counts import MEASURES, merge
from stratagem.stats.min_sample import MIN_PROBLEMS, MIN_STRATUM

MOST_CHECKPOINTS = 12  # of one log; more are joined into as many runs of neighbours
FEW_PROBLEMS = 10  # a stratum's, on average; columns that make smaller ones are not taken by default


def check_labels(opened: Sequence[Opened]) -> None:
    """See that strategies mean the same in all logs.

    Raises:
        StratagemError: they come from different labellers.
    """
    if len({log.labels for log in opened}) < 2:
        return
    labellers = "; ".join(f"{log.name}: {log.labels}" for log in opened)
    if any(log.counted for log in opened):
        fix = "compare logs of counts with `stratagem passk`"
    else:
        fix = "name rules for all with --strategies, or give all a column 'strategy'"
    raise StratagemError(
        f"strategies come from different labellers and cannot be compared ({labellers}): {fix}"
    )


def check_grades(before: Side, after: Side) -> None:
    """See that what is called a grade is no answer: that is the same in all samples of a problem and in both logs.

    Args:
        before, after: sides under common keys.

    Raises:
        StratagemError: every problem of both has one grade in all of its responses, the same on both sides.
    """
    tables = [_totals(side) for side in (before, after)]
    if tables[0].equals(tables[1]):  # one log against itself
        return
    both = tables[0].join(tables[1], on="problem_id", suffix="_after")
    grade, later = pl.col("right") / pl.col("n"), pl.col("right_after") / pl.col("n_after")
    same = both.select(((grade == later) & grade.is_in([0.0, 1.0])).all()).item()
    several = (
        both.height >= MIN_PROBLEMS
        and bool((both["n"] > 1).all())
        and both.select(grade.n_unique()).item() > 1
    )
    if same and several:
        raise StratagemError(
            f"{before.name}, {after.name}: {before.about.score} is the same in all responses to a problem and in "
            "both logs, as an answer would be: name what says which responses are right with --score or --correct"
        )


def rekey(side: Side, keys: pl.DataFrame) -> Side:
    """The side with the problems' common keys as their ids; problems without a key keep their own."""
    if (keys["key"] == keys["problem_id"]).all():
        return side

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
    key = pl.lit(f"{side.number}\x1f") + pl.col("problem_id").cast(pl.String)
    return coded(side.problems.select("problem_id", key=key).unique())


def by_checkpoint(side: Side, window: int | None = None) -> list[Side]:
    """The checkpoints of one log as sides, in their order; runs of neighbours where there are many.

    Args:
        window: so many checkpoints of the start and of the end alone make two sides, fewer where they would overlap.
    """
    runs = checkpoint_runs(side.counts["checkpoint"].unique().drop_nulls().to_list(), window)
    sides: list[Side] = []
    for chosen in runs:
        name = run_name(chosen)
        inside = pl.col("checkpoint").is_in(chosen)
        behaviours = side.behaviours
        sides.append(
            replace(
                side,
                name=name,
                counts=merge([side.counts.filter(inside).with_columns(checkpoint=pl.lit(name))]),
                behaviours=None
                if behaviours is None
                else merge([behaviours.filter(inside).with_columns(checkpoint=pl.lit(name))]),
            )
        )
    return sides


def checkpoint_runs(checkpoints: Iterable[str], window: int | None = None) -> list[list[str]]:
    """Which checkpoints of one log are taken together, in their order.

    Args:
        window: as of `by_checkpoint`.
    """
    values = ordered(checkpoints)
    if window is None or len(values) < 2:
        size = -(-len(values) // MOST_CHECKPOINTS)
        return [values[start : start + size] for start in range(0, len(values), size)]
    size = min(window, len(values) // 2)
    return [values[:size], values[-size:]]


def run_name(checkpoints: Sequence[str]) -> str:
    """What a run of neighbouring checkpoints is called."""
    return checkpoints[0] if len(checkpoints) == 1 else f"{checkpoints[0]}-{checkpoints[-1]}"


def given_twice(sides: Sequence[Side]) -> list[str]:
    """Notes where two sides hold the same responses.

    Args:
        sides: under common keys.
    """
    totals = [_totals(side) for side in sides]
    return [
        f"{sides[a].name} and {sides[b].name} have equally many right responses of the same length for every problem: "
        "was one log given twice?"
        for a, b in combinations(range(len(sides)), 2)
        if totals[a].equals(totals[b])
    ]


def _totals(side: Side) -> pl.DataFrame:
    """How many responses each problem has, how many are right, and how long they are together."""
    measures = pl.col("n", "right", "length").sum()
    return side.counts.group_by("problem_id").agg(measures).sort("problem_id")


def check_several(stages: Sized, column: str | None) -> None:
    """
    Raises:
        StratagemError: the column of checkpoints made a single stage.
    """
    if len(stages) < 2:
        raise StratagemError(f"--checkpoint {column}: holds one value only, so there is nothing to compare")


def usable_strata(tables: Sequence[pl.DataFrame], by: Sequence[str]) -> tuple[str, ...]:
    """Of columns that nobody named, those that describe a problem alike everywhere and make strata of some size.

    Args:
        tables: of each side, with these columns and `problem_id`.
    """
    kept: list[str] = []
    for name in by:
        trial = list(dict.fromkeys(["problem_id", *kept, name]))
        homes = pl.concat([table.select(trial).unique() for table in tables]).unique()
        one_home = homes["problem_id"].n_unique() == homes.height
        if one_home and homes.height >= FEW_PROBLEMS * homes.select(*kept, name).n_unique():
            kept.append(name)
    return tuple(kept)


def in_strata(side: Side, by: Sequence[str], fine: Sequence[str] = ()) -> Side:
    """The side with counts by these strata alone, and, as `fine`, by these refinements too."""
    keys = dict.fromkeys(["checkpoint", "problem_id", *by, "strategy", "half", *MEASURES])
    counts = merge([side.counts.select(list(keys))])
    finer = side.counts.select(*keys, *fine) if fine else None
    return replace(side, counts=counts, fine=finer)


def comparable(before: Side, after: Side, by: Sequence[str], most: bool = False) -> bool | None:
    """Whether two sides are compared problem by problem (True), by strata (False), or not at all (None).

    Args:
        most: problem by problem only where half of either side's problems or more are those of the other, as
            checkpoints of one log, which may repeat a few.
    """
    sides = [set(side.counts["problem_id"].unique()) for side in (before, after)]
    common = len(sides[0] & sides[1])
    if common and (not most or 2 * common >= max(map(len, sides))):
        return True
    homes = [
        side.counts.select("problem_id", *(name for name in by if name != "problem_id")).unique()
        for side in (before, after)
    ]
    large = [
        set(home.group_by(by).agg(pl.len().alias("_n")).filter(pl.col("_n") >= MIN_STRATUM).select(by).rows())
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
    notes: list[str] = []
    for fact in sorted(set().union(*facts) - {"model"}):
        values = [", ".join(log_facts.get(fact, ["not stated"])) for log_facts in facts]
        if len(set(values)) > 1:
            stated = "; ".join(f"{name}: {value}" for name, value in zip(names, values, strict=True))
            notes.append(f"{fact} differs: {stated}")
    return notes


def differences(sides: Sequence[Side]) -> list[str]:
    """What differs between sides and might pass for an effect of training."""
    notes = facts_differ([side.name for side in sides], [side.about.facts for side in sides])
    if len({side.about.score for side in sides}) > 1:
        notes.append("scores differ: " + "; ".join(f"{side.name}: {side.about.score}" for side in sides))
    notes += _all_alike(sides)
    units = {side.about.length_unit for side in sides}
    if len(units) > 1:
        notes.append(
            "lengths are in tokens on one side and in characters on the other, and cannot be compared"
        )
    for side in sides:
        if side.rules is not None:
            unparsed = int(side.counts.filter(strategy=UNPARSED)["n"].sum())
            notes += unread_notes(side.name, unparsed, side.about.responses)
        notes += side.reading
        lost = sum(side.about.left_out.values())
        if lost > 0.02 * (lost + side.about.responses):
            why = ", ".join(f"{count} {reason}" for reason, count in side.about.left_out.items())
            notes.append(
                f"{side.name}: {lost} of {lost + side.about.responses} responses could not be used: {why}"
            )
    return notes


def _all_alike(sides: Sequence[Side]) -> list[str]:
    """A note where a condition holds for all responses or for none: it tells nothing apart."""
    rates = {float(side.counts["right"].sum()) / max(int(side.counts["n"].sum()), 1) for side in sides}
    score = sides[0].about.score
    if not score.startswith("condition ") or rates not in ({0.0}, {1.0}):
        return []
    held = "every response" if rates == {1.0} else "no response"
    return [f"{score} holds for {held} of any log, so that it tells nothing apart"]


def changed_prompts(sides: Sequence[Side], matched: Join) -> list[str]:
    """Notes where problems are the same but their prompts are not."""
    tables = [
        side.problems.join(keys, on="problem_id") for side, keys in zip(sides, matched.keys, strict=True)
    ]
    return prompts_differ([side.name for side in sides], tables)


def prompts_differ(names: Sequence[str], tables: Sequence[pl.DataFrame]) -> list[str]:
    """Notes on prompts that are not those of the first log.

    Args:
        tables: of each log, the key of every problem and the hashes of its prompt and of the prompt's normal form.
    """
    notes: list[str] = []
    plain = [table.select("key", "by_prompt", "by_normalised").unique("key") for table in tables]
    for name, table in zip(names[1:], plain[1:], strict=True):
        both = plain[0].join(table, on="key", suffix="_after").drop_nulls()
        other, text = (
            both.filter(pl.col(column) != pl.col(f"{column}_after")).height
            for column in ("by_normalised", "by_prompt")
        )
        where = f"of the {both.height} problems of both {names[0]} and {name}"
        if other:
            notes.append(f"the prompt is another one for {other} ({other / both.height:.0%}) {where}")
        if text > other:
            notes.append(f"the prompt's text differs for {text - other} {where} (template or system prompt)")
    return notes


def distinct_names(sources: Sequence[Sequence[str | Path]]) -> list[str]:
    """What to call the sides: the shortest ends of their paths that differ."""
    parts = [Path(paths[0]).absolute().parts for paths in sources]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return [str(Path(name).with_suffix("")) if Path(name).suffix in KNOWN else name for name in names]
    return [f"{'/'.join(part[-1:])} ({number})" for number, part in enumerate(parts, start=1)]


KNOWN = {".jsonl", ".json", ".parquet", ".csv", ".tsv", ".eval", ".gz", ".zst"}
