"""From logs to the answer: what each side did, how the sides differ, what to do next."""

from __future__ import annotations

import contextlib
import itertools
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from stratagem.decomposition.path import path as path_of
from stratagem.diagnosis import match
from stratagem.diagnosis.acting import with_command
from stratagem.diagnosis.columns import refinements
from stratagem.diagnosis.compare import compare
from stratagem.diagnosis.finer import with_finer_rules
from stratagem.diagnosis.notes import pooled
from stratagem.diagnosis.side import Look, Side, open_side, read_side, strata
from stratagem.diagnosis.table import TableWriter, read_rows, without_texts
from stratagem.diagnosis.visible import paired_rows
from stratagem.label_error.quality import LabelQuality
from stratagem.labelling.rules import RuleSet
from stratagem.learned.labels import LearnedLabels
from stratagem.records import Progress, StratagemError, part_of
from stratagem.report.sample import sample_for_browser
from stratagem.result import Compared, Comparison, Findings, StrategyName
from stratagem.rollouts.problems import NONE, join
from stratagem.stats.min_sample import drop_small_intervals
from stratagem.visible.result import VisibleShift
from stratagem.visible.shift import visible_shift


class Diagnosis(Findings, frozen=True, kw_only=True, eq=False):
    """What `diagnosis.json` holds, and what is for Python alone.

    Attributes:
        sample: labelled responses for the report's browser, None without texts.
        rules: that named the strategies, if rules did.
    """

    sample: pl.DataFrame | None
    rules: RuleSet | None

    def as_dict(self) -> dict[str, Any]:
        """What `diagnosis.json` holds, as Python's own types; NaN becomes None."""
        return part_of(self, Findings).as_dict()

    def __str__(self) -> str:
        if self.verdict is None:
            return "no problem in common"
        return f"{self.verdict.sentence}\nNext: {self.verdict.action}."

    def _repr_html_(self) -> str:
        from stratagem.report.diagnosis import render

        return render(self, self.sample)


def diagnose(
    logs: Sequence[str | Path | Sequence[str | Path]],
    look: Look | None = None,
    *,
    names: Sequence[str] | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
    sample: int = 2000,
    texts: bool = True,
    labels: LabelQuality | LearnedLabels | None = None,
    table: Path | None = None,
    progress: Progress | None = None,
) -> Diagnosis:
    """Compare rollouts before and after training.

    Args:
        logs: the log before, then one or more after it; each a file, folder or glob, or several. A single log has
            its checkpoints in the column `look.checkpoint`.
        names: what the sides are called; else their paths' last parts.
        draws, level, seed: of the bootstrap and its intervals.
        sample: how many labelled responses are kept with their texts for the report.
        texts: whether any prompt or completion is kept.
        labels: what hand labels say of the labels (`label_error.quality.validate`), or labels that were learned from
            hand labels, which then name the strategies; the terms are corrected by either.
        table: where the whole labelled table is written as Parquet; nowhere by default.

    Raises:
        StratagemError: a log cannot be read, leaves open what is right, or shares no problem with the others.
    """
    look = look or Look()
    if isinstance(labels, LearnedLabels):
        if look.rules is not None:
            raise StratagemError(
                f"--strategies and {labels.source}: both name strategies; leave out --strategies"
            )
        look = replace(look, rules=labels.rules)
    sources = [[log] if isinstance(log, str | Path) else list(log) for log in logs]
    if len(sources) < 2 and look.checkpoint is None:
        raise StratagemError(
            "one log alone cannot be compared: give BEFORE and AFTER, or --checkpoint COLUMN"
        )
    if len(sources) > 1 and look.checkpoint is not None:
        raise StratagemError("--checkpoint goes with a single log")
    if look.window is not None and look.checkpoint is None:
        raise StratagemError("--window goes with --checkpoint COLUMN")
    if look.window is not None and look.window < 1:
        raise StratagemError(f"--window {look.window}: must be at least 1")
    if names is not None and (len(names) != len(sources) or len(set(names)) < len(names)):
        raise StratagemError(f"--names {','.join(names)}: must be {len(sources)} different names, one a log")
    called = list(match.distinct_names(sources) if names is None else names)
    opened = [open_side(paths, look, name) for name, paths in zip(called, sources, strict=True)]
    match.check_labels(opened)
    by_hand = labels.names if isinstance(labels, LabelQuality) else ()
    opened = with_finer_rules(opened, by_hand, counting(progress))
    looks = [log.look for log in opened]
    look = looks[0] if len({own.by for own in looks}) == 1 else look
    firsts = [log.first for log in opened]
    by = strata(opened, look)
    fine = () if opened[0].counted else refinements(firsts, opened[0].rules, look.refine, tuple(by))
    with contextlib.ExitStack() as stack:
        place = table or Path(stack.enter_context(tempfile.TemporaryDirectory())) / "labelled.parquet"
        kept_by = {name: dtype for name, dtype in by.items() if name != "problem_id"}
        writer = stack.enter_context(TableWriter(place, kept_by, texts))
        sides = [
            read_side(log, by, writer.keeper(number), reading(progress, log.name), number, fine)
            for number, log in enumerate(opened)
        ]
        findings, keys = summarise(
            sides,
            look,
            tuple(by),
            fine,
            draws=draws,
            level=level,
            seed=seed,
            labels=labels,
            progress=progress,
        )
        writer.finish()
        chosen, shift, note = None, None, None
        if texts and writer.rows:
            strata_kept = [name for name in findings.by if name in kept_by]
            ends = _ends(findings, look, len(sides))
            chosen, shift, note = _of_texts(place, keys, sample, ends, strata_kept, seed, level, progress)
    warnings = (*findings.warnings, *([] if note is None else [note]))
    findings = msgspec.structs.replace(findings, visible_shift=shift, warnings=warnings)
    findings = with_command(findings, sources[-1], look)
    return Diagnosis(**msgspec.structs.asdict(findings), sample=chosen, rules=sides[0].rules)


def _of_texts(
    path: Path,
    keys: Sequence[pl.DataFrame],
    sample: int,
    ends: tuple[pl.Expr, pl.Expr] | None,
    by: Sequence[str],
    seed: int,
    level: float,
    progress: Progress | None,
) -> tuple[pl.DataFrame | None, VisibleShift | None, str | None]:
    """What needs texts of the labelled table, which are read once: responses for the browser, and the visible shift;
    and what there is to say of how they were chosen."""
    rows, note = without_texts(path, keys, ends, seed)
    sampled = sample_for_browser(rows, sample, np.random.default_rng([seed, 1]))
    rng = np.random.default_rng([seed, 3])
    paired = rows.clear() if ends is None else paired_rows(rows, ends, rng)
    wanted = np.union1d(sampled["row"], paired["row"])
    texts = read_rows(path, wanted)

    def of(chosen: pl.DataFrame, *columns: str) -> pl.DataFrame:
        """Responses with their texts, by the problems' common keys."""
        places = np.searchsorted(wanted, chosen["row"].to_numpy())
        return texts[places].with_columns(chosen["problem_id"].cast(pl.String), *chosen.select(columns))

    shown = of(sampled) if sample else None
    if ends is None:
        return shown, None, note
    if progress is not None:
        progress("how answers are written", 0, 1, {})
    shift = visible_shift(of(paired, "after"), by=by, rng=rng, level=level)
    if progress is not None:
        progress("how answers are written", 1, 1, {})
    return shown, shift, note


def _ends(findings: Findings, look: Look, sides: int) -> tuple[pl.Expr, pl.Expr] | None:
    """Which rows of the labelled table are the first side and which the last; None where problems are not the same."""
    if not findings.paired or not findings.comparisons or look.window is not None:
        return None
    if look.checkpoint is None:
        return pl.col("side") == 0, pl.col("side") == sides - 1
    whole = findings.comparisons[-1]
    return pl.col("checkpoint") == whole.before, pl.col("checkpoint") == whole.after


def counting(progress: Progress | None) -> Callable[[str, int], None]:
    def report(what: str, rows: int) -> None:
        if progress is not None:
            progress(what, rows, 0, {})

    return report


def reading(progress: Progress | None, name: str) -> Callable[[int, int], None]:
    report = counting(progress)
    return lambda rows, _: report(f"read {name}", rows)


def summarise(
    sides: Sequence[Side],
    look: Look,
    by: tuple[str, ...],
    fine: Sequence[str] = (),
    *,
    draws: int,
    level: float,
    seed: int,
    labels: LabelQuality | LearnedLabels | None = None,
    progress: Progress | None = None,
) -> tuple[Findings, list[pl.DataFrame]]:
    """The findings of sides that were read, and for each the keys of its problems (problem_id, key)."""
    if look.checkpoint is None and look.join == NONE:
        keys, how, notes = [match.own_keys(side) for side in sides], NONE, []
        stages = [match.rekey(side, key) for side, key in zip(sides, keys, strict=True)]
        pairs = list(itertools.combinations(range(len(stages)), 2))
    elif look.checkpoint is None:
        matched = join([side.problems for side in sides], look.join)
        keys, how = list(matched.keys), matched.method
        notes = [*matched.notes, *match.changed_prompts(sides, matched)]
        stages = [match.rekey(side, key) for side, key in zip(sides, keys, strict=True)]
        match.check_grades(stages[0], stages[-1])
        pairs = list(itertools.combinations(range(len(stages)), 2))
    else:
        keys, how, notes = [sides[0].problems.select("problem_id", key="problem_id").unique()], "id", []
        stages = match.by_checkpoint(sides[0], look.window)
        pairs = [(0, len(stages) - 1)]
    match.check_several(stages, look.checkpoint)
    notes = [*notes, *match.given_twice(stages)]
    if look.by is None:
        by = match.usable_strata([stage.counts for stage in stages], by)
    stages = [match.in_strata(stage, by, fine) for stage in stages]
    comparisons: list[Comparison] = []
    for number, (a, b) in enumerate(pairs):
        if progress is not None:
            progress("compare", number, len(pairs), {})
        paired = match.comparable(stages[a], stages[b], by, most=look.checkpoint is not None)
        if paired is not None:
            comparisons.append(
                compare(
                    stages[a],
                    stages[b],
                    by,
                    paired=paired,
                    draws=draws,
                    level=level,
                    seed=seed,
                    labels=labels,
                )
            )
    way = None
    if len(stages) > 2:
        tables = [stage.counts for stage in stages]
        called = [stage.name for stage in stages]
        rng = np.random.default_rng([seed, 2])
        way = drop_small_intervals(
            path_of(
                tables,
                by=by,
                rng=rng,
                draws=min(draws, 1000),
                level=level,
                names=called,
                stratified=False,
            )
        )
    if progress is not None:
        progress("compare", len(pairs), len(pairs), {})
    if look.checkpoint is None:
        notes = [*notes, *(note for side in sides for note in pooled(side.name, side.about.checkpoints))]
    rules = sides[0].rules
    # The whole way, from the first side to the last, stands at the top level too.
    ends = stages[0].name, stages[-1].name
    whole = next((c for c in comparisons if (c.before, c.after) == ends), None)
    top = Compared(by=by, level=level) if whole is None else part_of(whole, Compared)
    findings = Findings(
        **msgspec.structs.asdict(top),
        sides=tuple(side.about for side in sides),
        warnings=(*notes, *(note for side in sides for note in side.notes), *match.differences(sides)),
        join=how,
        strategies_from=sides[0].labels,
        strategy_names=tuple(StrategyName(s.name, s.description) for s in rules.strategies) if rules else (),
        behaviour_names=tuple(b.name for b in rules.behaviours) if rules else (),
        comparisons=tuple(comparisons),
        path=way,
    )
    return findings, keys
