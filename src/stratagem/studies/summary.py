"""From labelled rollouts of a study's arms to `summary.json`: table, gains, claims and the answer in a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any, TypeVar

import msgspec
import numpy as np
import polars as pl
from numpy.typing import NDArray

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.result import Decomposed
from stratagem.decomposition.splices import PAIRS, Spliced, by_experiment
from stratagem.diagnosis.compare import cells, strata
from stratagem.records import ALL, UNDEFINED, Estimate, StratagemError
from stratagem.report.format import signed
from stratagem.stats.uncertainty import mean_estimate, t_interval, within
from stratagem.studies.arm import Arm
from stratagem.studies.claims import judge
from stratagem.studies.curves import drawn
from stratagem.studies.paths import paths
from stratagem.studies.quantities import ENDS, Name, Quantity, Vector
from stratagem.studies.study import Study
from stratagem.study_result import ArmGain, ArmResult, Cells, Forced, Summary

BY = ("kind", "difficulty")
DRAWS = 2000
SEED = 2606  # of the bootstrap, with the replicate's number
Result = dict[str, Any]
R = TypeVar("R", ArmGain, Spliced)


class Results:
    """The labelled responses of a study's arms, and the quantities that they give (`quantities.Source`).

    Args:
        rollouts: labelled, with mode, seed (the replicate) and evaluation; `checkpoint` names the arm.
        probes: forced responses, with `forced` and seed.
        curves: training responses counted: cell (the arm), seed, update, kind, strategy, n, right.
        losses: cross-entropies of demonstrations: cell, seed, problem_id, kind, loss.
        splices: problems of splices: cell (the arm), seed, pair, problem_id, kind, accuracy, surprise.
    """

    def __init__(
        self,
        study: Study,
        rollouts: pl.DataFrame,
        probes: pl.DataFrame,
        curves: pl.DataFrame,
        losses: pl.DataFrame,
        splices: pl.DataFrame,
    ) -> None:
        self.study, self.rollouts, self.probes = study, rollouts, probes
        self.curves, self.losses, self.splices = curves, losses, splices
        self.seeds: list[int] = sorted(rollouts["seed"].unique())
        self.sampled = rollouts.filter(pl.col("mode") == "sampled")

    @property
    def replicates(self) -> int:
        return len(self.seeds)

    @property
    def chance(self) -> float:
        return self.study.asked.chance

    # -- measures of problems ------------------------------------------------------------------------------

    @cached_property
    def _accuracies(self) -> pl.DataFrame:
        """Each problem's accuracy by replicate, evaluation and arm, from the sampled responses."""
        return accuracy_table(self.sampled)

    def problems(self, name: Name, replicate: int) -> Vector:
        seed, on = self.seeds[replicate], name.on or self.study.main
        match name.what:
            case "accuracy":
                table = self._accuracies.filter(seed=seed, arm=name.arm, evaluation=on)
            case "share":
                uses = (pl.col("strategy") == name.strategy).cast(pl.Float64).alias("score")
                table = accuracy_table(
                    self.sampled.filter(seed=seed, checkpoint=name.arm, evaluation=on).with_columns(uses)
                )
            case "spliced":
                table = self.splices.filter(seed=seed, cell=name.arm, pair=name.pair)
            case "loss":
                table = self.losses.filter(seed=seed, cell=name.arm).rename({"loss": "accuracy"})
            case _:
                rows = self.probes.filter(seed=seed, checkpoint=name.arm, forced=name.strategy)
                if rows.is_empty():
                    raise StratagemError(f"{name.arm!r} was not probed with {name.strategy!r}")
                table = accuracy_table(rows.with_columns(evaluation=pl.lit(on)))
        table = table if name.kind == ALL else table.filter(kind=name.kind)
        return table.sort("problem_id")["accuracy"].to_numpy()

    def by_update(self, name: Name, replicate: int) -> tuple[NDArray[np.int64], Vector]:
        """The numbers of an arm's updates, and a measure of the responses of each."""
        counts = self.curves.filter(cell=name.arm, seed=self.seeds[replicate])
        counts = counts if name.kind == ALL else counts.filter(kind=name.kind)
        part = pl.col("right") if name.strategy is None else pl.col("n").filter(strategy=name.strategy)
        shares = counts.group_by("update").agg(share=part.sum() / pl.col("n").sum()).sort("update")
        return shares["update"].to_numpy(), shares["share"].to_numpy()

    def updates(self, name: Name, replicate: int) -> Vector:
        numbers, shares = self.by_update(name, replicate)
        width = max(1, round(len(numbers) / 10))
        return shares[:width] if name.at == ENDS[0] else shares[-width:]

    def cells(self, rollouts: pl.DataFrame, evaluation: str) -> Cells:
        """pass@1 of each arm by column of the table; fractions with 95% intervals."""
        table = accuracy_table(rollouts.filter(evaluation=evaluation))

        def estimate(arm: str, kind: str) -> Estimate:
            rows = table.filter(arm=arm) if kind == ALL else table.filter(arm=arm, kind=kind)
            values = [rows.filter(seed=seed).sort("problem_id")["accuracy"] for seed in self.seeds]
            if len(values) == 1:
                return within(mean_estimate(values[0].to_numpy()), 0.0, 1.0)
            return within(t_interval([part.to_numpy().mean() for part in values]), 0.0, 1.0)

        return {arm: {kind: estimate(arm, kind) for kind in self.study.columns} for arm in self.study.tree}

    @property
    def by_replicate(self) -> dict[str, dict[str, tuple[float, ...]]]:
        """pass@1 of each arm and replicate in the first evaluation, by column of the table."""

        def values(arm: str, kind: str) -> tuple[float, ...]:
            name = Name("accuracy", arm, kind=kind)
            return tuple(float(self.problems(name, replicate).mean()) for replicate in range(self.replicates))

        return {arm: {kind: values(arm, kind) for kind in self.study.columns} for arm in self.study.tree}

    # -- gains ---------------------------------------------------------------------------------------------

    @cached_property
    def gains_by_replicate(self) -> dict[str, list[ArmGain]]:
        """The gain of every arm over the one that it starts from, replicate by replicate."""
        return {
            arm.name: [self.gain(arm, seed) for seed in self.seeds]
            for arm in self.study.tree.values()
            if arm.start is not None
        }

    @cached_property
    def gains(self) -> dict[str, ArmGain]:
        return {arm: over_replicates(parts) for arm, parts in self.gains_by_replicate.items()}

    def gain(self, arm: Arm, seed: int) -> ArmGain:
        """The decomposition of one run, one replicate, over the first evaluation."""
        assert arm.start is not None
        sampled = self.sampled.filter(seed=seed, evaluation=self.study.main)
        before, after = (sampled.filter(checkpoint=name) for name in (arm.start.name, arm.name))
        # A strategy that neither model ever chose has no place in the split.
        chosen = pl.concat([before["strategy"], after["strategy"]]).unique().implode()
        forced = self.probes.filter(
            pl.col("seed") == seed, pl.col("checkpoint") == arm.name, pl.col("forced").is_in(chosen)
        )
        split = decompose(
            before,
            after,
            by=BY,
            rng=np.random.default_rng([SEED, seed]),
            draws=DRAWS,
            forced=forced_counts(forced) if len(forced) else None,
        )
        parts = {name: getattr(split, name) for name in Decomposed.__struct_fields__}
        return ArmGain(**parts, gap=split.gap, strata=strata(split), cells=cells(split))

    def by_experiment(self, arm: Arm, replicate: int) -> Spliced:
        """The split of an arm's gain by experiment, beside the one by accounting."""
        seed, gain = self.seeds[replicate], self.gains_by_replicate[arm.name][replicate]
        alone = self._accuracies.filter(seed=seed, evaluation=self.study.main)
        spliced = self.splices.filter(seed=seed, cell=arm.name)
        measured = {side: alone.filter(arm=each.name) for side, each in arm.sides.items()}
        measured |= {pair: spliced.filter(pair=pair) for pair in PAIRS}
        return by_experiment(
            {name: table.sort("problem_id") for name, table in measured.items()},
            (gain.selection, gain.improvement),
        )

    def term(self, name: Name, replicate: int | None) -> Estimate:
        gain = self.gains[name.arm] if replicate is None else self.gains_by_replicate[name.arm][replicate]
        return getattr(gain, name.what)

    # -- all of it -----------------------------------------------------------------------------------------

    def summarise(self, **about: Any) -> Summary:
        """The study's summary, with what is said of it beside its results."""
        study = self.study
        greedy = self.rollouts.filter(pl.col("mode") == "greedy")
        table = self.cells(self.sampled, study.main)
        others = list(study.evaluations)[1:]
        return Summary(
            title=study.title,
            question=study.question,
            answer=answer(study, table, self.gains),
            task=study.task,
            chance=self.chance,
            columns=tuple(study.columns),
            arms=tuple(msgspec.convert(arm.as_dict(), ArmResult) for arm in study.tree.values()),
            cells=table,
            greedy=self.cells(greedy, study.main) if len(greedy) else {},
            by_replicate=self.by_replicate,
            others={name: self.cells(self.sampled, name) for name in others},
            gains=self.gains,
            splices={
                name: over_replicates(
                    [self.by_experiment(study.tree[name], i) for i in range(self.replicates)]
                )
                for name in study.splices
            },
            forced=forced_table(self.probes),
            losses={
                arm: Quantity.of(Name("loss", arm)).estimate(self)
                for arm in self.losses["cell"].unique(maintain_order=True)
            },
            claims=judge(study.claims, self),
            curves=tuple(drawn(curve, list(study.evaluations), self) for curve in study.curves),
            paths=paths(self.curves, BY),
            seeds=tuple(self.seeds),
            **about,
        )


def accuracy_table(rollouts: pl.DataFrame) -> pl.DataFrame:
    """Each problem's accuracy by seed, evaluation and arm: seed, evaluation, arm, kind, problem_id, accuracy."""
    keys = ["seed", "evaluation", pl.col("checkpoint").alias("arm"), "kind", "problem_id"]
    return rollouts.group_by(keys).agg(pl.col("score").mean().alias("accuracy")).sort("seed", "problem_id")


def forced_counts(probes: pl.DataFrame) -> pl.DataFrame:
    """Forced responses as counts; `probes` has the rollout columns and `forced`, the strategy opened with."""
    return probes.group_by("problem_id", *BY, pl.col("forced").alias("strategy")).agg(
        pl.len().alias("n"), pl.col("score").sum().alias("right")
    )


def over_replicates(results: Sequence[R]) -> R:
    """One result from the same one of several replicates: numbers are averaged, and estimates get t intervals."""
    first = results[0]
    if len(results) == 1:
        return first
    return msgspec.convert(merged([result.as_dict() for result in results]), type(first))


def merged(values: Sequence[Any]) -> Any:
    """One value of JSON from several. Where only bounds exist, the bounds are averaged; a lead that differs is open."""
    first = values[0]
    if isinstance(first, dict):
        if "value" in first and "se" in first:
            return over_estimates(values)
        return {name: merged([value.get(name) for value in values]) for name in first}
    if isinstance(first, list):
        if first and isinstance(first[0], dict):
            return merged_rows(values)
        entries = [entry for value in values for entry in value]
        return list(dict.fromkeys(entries))
    if isinstance(first, bool):
        return any(values)
    if all(value == first for value in values):
        return first
    if isinstance(first, str):
        return "undecided"
    numbers = [value for value in values if isinstance(value, int | float)]
    mean = float(np.mean(numbers)) if numbers else None
    return round(mean) if mean is not None and all(isinstance(value, int) for value in numbers) else mean


def over_estimates(values: Sequence[Result]) -> Result:
    known = [value["value"] for value in values]
    if None not in known:
        return t_interval(known).as_dict()
    ends = [value["bounds"] if value.get("bounds") else [value["value"]] * 2 for value in values]
    if any(end is None for pair in ends for end in pair):
        return UNDEFINED.as_dict()
    low, high = (float(np.mean([pair[i] for pair in ends])) for i in (0, 1))
    return UNDEFINED.as_dict() | {"low": low, "high": high, "n": len(values), "bounds": [low, high]}


def merged_rows(tables: Sequence[list[Result]]) -> list[Result]:
    """Tables of several replicates as one: rows of the same stratum and strategy are merged."""
    grouped: dict[tuple[Any, ...], list[Result]] = {}
    for row in (row for table in tables for row in table):
        grouped.setdefault((*row["stratum"].values(), row.get("strategy")), []).append(row)
    joined: list[Result] = []
    for rows in grouped.values():
        same = {name: rows[0][name] for name in ("stratum", "strategy") if name in rows[0]}
        joined.append(merged(rows) | same if len(rows) > 1 else rows[0])
    return joined


def forced_table(probes: pl.DataFrame) -> dict[str, dict[str, dict[str, Forced]]]:
    """Accuracy under each forced strategy, by arm and kind: what a model can do, whatever it chooses."""
    rows = probes.group_by("checkpoint", "forced", "kind").agg(
        pl.col("score").mean().alias("value"),
        (pl.col("strategy") == pl.col("forced")).mean().alias("followed"),
        pl.len().alias("n"),
    )
    table: dict[str, dict[str, dict[str, Forced]]] = {}
    for row in rows.sort("checkpoint", "forced", "kind").to_dicts():
        place = table.setdefault(row["checkpoint"], {}).setdefault(row["forced"], {})
        place[row["kind"]] = Forced(row["value"], row["followed"], row["n"])
    return table


# -- the answer in a sentence ------------------------------------------------------------------------------

NAMED = re.compile(r"\{([^{}]+)\}")


def answer(study: Study, cells: Cells, gains: dict[str, ArmGain]) -> str:
    """The study's sentence with numbers in the places of its arms; without one, what happened to the arm that gained
    most."""

    def level(arm: str) -> float:
        return 100 * cells[arm][ALL].value

    def shown(match: re.Match[str]) -> str:
        name = match[1]
        if name not in cells:
            return match[0]
        value = f"{level(name):.0f}%"
        return f"{value} ({parts(gains[name])})" if name in gains else value

    if study.answer:
        return NAMED.sub(shown, study.answer)
    if not gains:
        best = max(cells, key=level)
        return f"{best} is best, at {level(best):.0f}%."
    most = max(gains, key=lambda arm: gains[arm].gain.value)
    start = study.tree[most].start
    assert start is not None
    return (
        f"{most} took {start.name} from {level(start.name):.0f}% to "
        f"{level(most):.0f}% ({parts(gains[most])})."
    )


def parts(gain: ArmGain) -> str:
    """Selection and improvement in words."""
    selected, improved = gain.selection.value, gain.improvement.value
    way = "worse" if improved < 0 else "better"
    return f"{signed(selected)} points by selecting a strategy, {signed(improved)} by executing it {way}"
