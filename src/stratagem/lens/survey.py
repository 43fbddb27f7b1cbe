"""What logs hold, before anything is made of them; and pass@k, which needs no strategies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from stratagem.lens.compare import attempts
from stratagem.lens.match import distinct_names, facts_differ
from stratagem.lens.side import Look, Side, examples, open_side, read_side
from stratagem.mechanisms.passk import problem_counts
from stratagem.records import StratagemError, finite
from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.problems import join, local_keys
from stratagem.rollouts.readers.row import ReadOptions

Counting = Callable[[int, int], None]


def survey(paths: Sequence[str | Path], options: ReadOptions, progress: Counting) -> dict[str, Any]:
    """What was found in a log: format, files, rows, problems, samples a problem, columns, scores, what is left out.

    Raises:
        StratagemError: nothing there that can be read.
    """
    log = read_rollouts(paths, options)
    rows, sizes, columns, keyed = 0, [], {}, True
    held: dict[str, tuple[float, float]] = {}
    reasons = {"length": 0, "stop": 0}
    for batch in log.batches():
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
            sizes.append(local_keys(batch).group_by("problem_id", "checkpoint").len())
        except StratagemError:
            keyed = False
        progress(rows, 0)
    samples = (
        pl.concat(sizes).group_by("problem_id", "checkpoint").agg(pl.col("len").sum()) if sizes else None
    )
    return {
        "files": [str(path) for path in log.files],
        "format": log.format,
        "rows": rows,
        "problems": samples["problem_id"].n_unique() if samples is not None and keyed else None,
        "checkpoints": samples["checkpoint"].drop_nulls().n_unique() if samples is not None else 0,
        "samples": None
        if samples is None
        else {name: float(getattr(samples["len"], name)()) for name in ("min", "median", "max")},
        "scores": {name: list(ends) for name, ends in held.items()},
        "finish_reasons": reasons,
        "columns": columns,
        "facts": {key: sorted(values) for key, values in log.facts.items()},
        "left_out": dict(log.left_out),
        "left_out_examples": examples(log),
        "skipped": [{"file": name, "reason": reason} for name, reason in log.skipped],
    }


def differences(surveys: Sequence[Mapping[str, Any]]) -> list[str]:
    """What differs between logs and might pass for an effect of training."""
    names = distinct_names([one["files"] for one in surveys])
    found = facts_differ(names, [one["facts"] for one in surveys])
    if len({tuple(sorted(one["scores"])) for one in surveys}) > 1:
        columns = (", ".join(one["scores"]) or "none" for one in surveys)
        told = "; ".join(f"{name}: {value}" for name, value in zip(names, columns, strict=True))
        found.append(f"score columns differ: {told}")
    return found


def attempts_of(
    logs: Sequence[Sequence[str | Path]],
    look: Look,
    ks: Sequence[int] | None,
    level: float,
    progress: Callable[[str, int, int, dict[str, Any]], None],
) -> dict[str, Any]:
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
        sides.append(read_side(open_side(paths, look, name), (), lambda _: None, report))
    if len(sides) == 2:
        keys = join([side.problems for side in sides], look.join).keys
        tables = [
            side.counts.join(key, on="problem_id").with_columns(problem_id=pl.col("key")).drop("key")
            for side, key in zip(sides, keys, strict=True)
        ]
    else:
        tables = [sides[0].counts]
    counts = [problem_counts(table) for table in tables]
    both = counts[0] if len(counts) == 1 else counts[0].join(counts[1], on="problem_id", suffix="_after")
    rows = attempts(both, level, ks)
    left = [table.height - both.height for table in counts]
    found: dict[str, Any] = finite(
        {"logs": [side.about for side in sides], "problems": both.height, "left_out": left, "passk": rows}
    )
    return found
