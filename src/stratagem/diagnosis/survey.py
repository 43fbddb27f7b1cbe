"""What logs hold, before anything is made of them; and pass@k, which needs no strategies."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.diagnosis.compare import attempts
from stratagem.diagnosis.match import distinct_names, facts_differ, prompts_differ
from stratagem.diagnosis.notes import examples, pooled, repeats_notes
from stratagem.diagnosis.side import Look, Side, open_side, read_side, spread
from stratagem.records import Progress, StratagemError
from stratagem.result import AttemptsOfLogs, Groups, Surveyed, Unread
from stratagem.rollouts.correctness import choose
from stratagem.rollouts.log import Log, read_rollouts
from stratagem.rollouts.problems import ids_doubt, join, local_keys, problem_rows
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.rollouts.readers.unfold import ITEMS
from stratagem.rollouts.rows import Rows, rows_of
from stratagem.stats.passk import problem_counts

Counting = Callable[[int, int], None]
GROUPS = (
    "group",
    "group_id",
    "group_index",
    "group_idx",
)  # what logs call the group that a response was drawn in


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found in a log; `prompts` has its problems as `problem_rows` gives them.

    `notes` say which rows were not taken.
    """

    about: Surveyed
    prompts: pl.DataFrame
    notes: tuple[str, ...] = ()


def survey(
    paths: Sequence[str | Path], options: ReadOptions, progress: Counting, where: str | None = None
) -> Survey:
    """What was found in a log: format, files, rows, problems, samples a problem, groups, columns, scores, what is
    left out.

    Args:
        where: a condition on the rows that are taken (`rollouts.rows`).

    Raises:
        StratagemError: nothing there that can be read.
    """
    log = read_rollouts(paths, options)
    chosen: Rows | None = None
    rows, sizes, columns, keyed = 0, [], {}, True
    prompts: list[pl.DataFrame] = []
    groups: list[pl.DataFrame] = []
    grouping = next((name for name in GROUPS if name in log.schema), None)
    held: dict[str, tuple[float, float]] = {}
    reasons = {"length": 0, "stop": 0}
    first: pl.DataFrame | None = None
    for batch in log.batches():
        chosen = chosen or rows_of(log, batch, where, str(paths[0]))
        batch = chosen.of(batch)
        first = batch if first is None else first
        rows += batch.height
        columns |= {
            name: str(dtype)
            for name, dtype in batch.schema.items()
            if batch[name].null_count() < batch.height
        }
        for name in log.score_names:
            values = batch[name].drop_nulls().drop_nans()
            if values.len():
                low, high = held.get(name, (np.inf, -np.inf))
                held[name] = min(low, float(values.min())), max(high, float(values.max()))  # type: ignore[arg-type]
        if "finish_reason" in batch.columns:
            for reason in reasons:
                reasons[reason] += int((batch["finish_reason"] == reason).sum())
        try:
            batch = local_keys(batch)
            sizes.append(batch.group_by("problem_id", "checkpoint").len())
            prompts.append(problem_rows(batch, ()))
            if grouping is not None:
                groups.append(batch.drop_nulls(grouping).group_by("problem_id", "checkpoint", grouping).len())
        except StratagemError:
            keyed = False
        progress(rows, 0)
    samples = (
        pl.concat(sizes).group_by("problem_id", "checkpoint").agg(pl.col("len").sum()) if sizes else None
    )
    about = Surveyed(
        taken=taken(log, first),
        files=tuple(str(path) for path in log.files),
        format=log.format,
        rows=rows,
        problems=samples["problem_id"].n_unique() if samples is not None and keyed else None,
        checkpoints=samples["checkpoint"].drop_nulls().n_unique() if samples is not None else 0,
        samples=None if samples is None else spread(samples["len"]),
        groups=_groups(groups, grouping),
        scores=held,
        finish_reasons=reasons,
        columns=columns,
        facts={key: tuple(sorted(values)) for key, values in log.facts.items()},
        repeated=log.repeated,
        left_out=dict(log.left_out),
        left_out_examples=examples(log),
        skipped=tuple(Unread(name, reason) for name, reason in log.skipped),
    )
    name = str(paths[0])
    notes = [*(chosen.notes() if chosen is not None else ()), *repeats_notes(name, log)]
    asked = pl.concat(prompts).unique() if prompts else pl.DataFrame()
    if prompts and (doubt := ids_doubt(asked)):
        notes.append(f"{name}: {doubt}; say what a problem is with --join COLUMN,… or --join prompt")
    return Survey(about, asked, tuple(notes))


def taken(log: Log, first: pl.DataFrame | None) -> dict[str, str]:
    """What is taken as prompt, response, grade and problem of a log, and why, each in a sentence.

    Args:
        first: the log's first rows.
    """
    columns, options = log.options.columns, log.options
    said = {
        "records": _records(log),
        "prompt": f"column {columns['prompt']!r}" if "prompt" in columns else log.taken.get("prompt", "none"),
        "response": f"column {columns['completion']!r}"
        if "completion" in columns
        else log.taken.get("response", "none"),
    }
    if options.why:
        said["response"] += f": {options.why}"
    if "reasoning" in columns:
        said["response"] += f", after the reasoning of column {columns['reasoning']!r}"
    if "messages" in columns and "prompt" not in columns:
        said["prompt"] = f"what stands before the model's first turn in column {columns['messages']!r}"
    if "messages" in columns and "completion" not in columns:
        said["response"] = f"the model's last turn in column {columns['messages']!r}"
    if log.counts_only:
        said["response"] = "none: counts of attempts"
    try:
        if first is None or log.counts_only:
            said["grade"] = "counts of right responses"
        else:
            said["grade"] = choose(log.score_names, first, where="").text
    except StratagemError as error:
        said["grade"] = f"open{error}"
    if "id" in columns:
        said["problem"] = f"column {columns['id']!r}"
    else:
        no_id = "; ".join(log.notes) or "no column is an id"
        said["problem"] = log.taken.get("problem", f"the prompt; {no_id}")
    return said


def _records(log: Log) -> str:
    shape = log.options.shape
    if shape is None:
        return "one response each"
    if shape.harness:
        return f"as {shape.harness} writes them"
    if shape.lists:
        return f"several responses each, in the lists {', '.join(shape.lists)}"
    if ITEMS in shape.path:
        inside = ".".join(name for name in shape.path if name != ITEMS)
        return f"responses by names or numbers{f' in {inside}' if inside else ''}"
    return f"several responses each, in {'.'.join(shape.path)}"


def _uneven(about: Surveyed) -> str | None:
    """A note where problems have very different numbers of samples, so that some weigh little more than chance."""
    samples = about.samples
    if samples is None or samples.max < 2 * max(samples.min, 1):
        return None
    return (
        f"{about.files[0]}: samples a problem run from {samples.min} to {samples.max}; see whether rows "
        "are missing, or ids stand for several problems"
    )


def _groups(tables: Sequence[pl.DataFrame], column: str | None) -> Groups | None:
    """How many groups a log has and how large they are; None where no column tells."""
    if column is None or not sum(table.height for table in tables):
        return None
    sizes = pl.concat(tables).group_by("problem_id", "checkpoint", column).agg(pl.col("len").sum())["len"]
    return Groups(column, sizes.len(), spread(sizes))


def differences(surveys: Sequence[Survey]) -> list[str]:
    """What differs between logs and might pass for an effect of training."""
    abouts = [surveyed.about for surveyed in surveys]
    names = distinct_names([about.files for about in abouts])
    notes = facts_differ(names, [about.facts for about in abouts])
    notes += [note for note in map(_uneven, abouts) if note is not None]
    if len({tuple(sorted(about.scores)) for about in abouts}) > 1:
        columns = (", ".join(about.scores) or "none" for about in abouts)
        stated = "; ".join(f"{name}: {value}" for name, value in zip(names, columns, strict=True))
        notes.append(f"score columns differ: {stated}")
    # As `diagnose` joins problems: by id, and by the prompt without its trimmings where there is none.
    key = pl.when("has_id").then("problem_id").otherwise("by_normalised").alias("key")
    tables = [surveyed.prompts.with_columns(key) for surveyed in surveys if not surveyed.prompts.is_empty()]
    if len(tables) == len(surveys):
        notes += prompts_differ(names, tables)
    return notes


def attempts_of(
    logs: Sequence[Sequence[str | Path]],
    look: Look,
    ks: Sequence[int] | None,
    level: float,
    progress: Progress,
) -> AttemptsOfLogs:
    """pass@k of one log, or of two over their common problems with the difference.

    Args:
        ks: numbers of attempts; powers of two, as far as all problems have responses, by default.

    Raises:
        StratagemError: as `read_side`; scores are fractions; a problem has fewer responses than every k.
    """
    sides: list[Side] = []
    for paths in logs:
        name = str(paths[0])
        report = lambda done, total, name=name: progress(f"read {name}", done, total, {})  # noqa: E731
        sides.append(read_side(open_side(paths, look, name), {}, lambda _: None, report))
    if len(sides) == 2:
        keys = join([side.problems for side in sides], look.join).keys
        tables = [
            side.counts.join(key, on="problem_id").with_columns(problem_id=pl.col("key")).drop("key")
            for side, key in zip(sides, keys, strict=True)
        ]
    else:
        tables = [sides[0].counts]
    counts = [problem_counts(table, side.name) for side, table in zip(sides, tables, strict=True)]
    both = counts[0] if len(counts) == 1 else counts[0].join(counts[1], on="problem_id", suffix="_after")
    columns = [("c", "n"), ("c_after", "n_after")][: len(counts)]
    rows = attempts([(both[c].to_numpy(), both[n].to_numpy()) for c, n in columns], level, ks)
    left = [table.height - both.height for table in counts]
    notes = [
        note
        for side in sides
        for note in (*side.notes, *side.reading, *pooled(side.name, side.about.checkpoints))
    ]
    return AttemptsOfLogs(
        logs=tuple(side.about for side in sides),
        problems=both.height,
        left_out=tuple(left),
        passk=rows,
        warnings=tuple(notes),
    )
