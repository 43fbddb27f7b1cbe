"""verl's `rollout_data_dir` and `validation_data_dir`: {step}.jsonl, of both of its trainers.

Read off verl 0.9.0, trainer/ppo/ray_trainer.py (v0) and trainer/ppo/v1/trainer_base.py, `_dump_generations`: input,
output, gts, score, step, and what the reward function adds (acc, pred, …; NumPy values as text). v1 adds uid =
{uid of the prompt}_{session}_{output}, of which only the last output of a session was scored.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from stratagem.rollouts.readers import naming, plain
from stratagem.rollouts.readers.row import SESSION, ReadOptions, Row

NAME = "verl"
_OWN = ("input", "output", "score", "step")
# What a tool said inside an output, as it stands once the special tokens are gone.
_TOOL = re.compile(r"(?:^|\n)(?:user|tool)\n<tool_response>.*?</tool_response>\s*\nassistant\n", re.DOTALL)
_UID = re.compile(r"(.+)_(\d+)_(\d+)")


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether the columns are those that verl writes."""
    return all(name in record for name in _OWN) and isinstance(record["output"], str)


def plan(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> ReadOptions:
    """verl's own names; further rewards by their names."""
    columns = {"prompt": "input", "completion": "output", "checkpoint": "step"}
    if any(record.get("problem_id") is not None for record in records):
        # As `integrations.verl` writes it; verl's own uid is another one at every step.
        columns["id"] = "problem_id"
    columns |= options.columns
    settled = naming.plan(records, replace(options, columns=columns))
    columns.pop("score", None)
    return replace(settled, columns=columns)


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one record, without what tools said in it."""
    for row in plain.rows(record, options):
        uid = record.get("uid")
        parts = _UID.fullmatch(uid) if isinstance(uid, str) else None
        if parts:
            row["id"] = parts[1] if "id" not in options.columns else row.get("id")
            row["sample"], row["session"] = int(parts[2]), f"{parts[1]}_{parts[2]}"
        completion = row.get("completion")
        if completion is not None and "<tool_response>" in completion:
            turns = _TOOL.split(completion)
            row["completion"] = turns[-1] if options.turns == "last" else "\n\n".join(turns)
        yield row


def frame(table: pl.DataFrame, options: ReadOptions) -> pl.DataFrame | None:
    """The same as `rows`, where no tool spoke."""
    table = table.with_columns(
        _numbers(table[name]) for name in options.scores if table.schema.get(name) == pl.String
    )
    made = plain.frame(table, options)
    if made is None or made["completion"].str.contains("<tool_response>", literal=True).any():
        return None
    if "uid" not in table.columns:
        return made
    parts = table.select(pl.col("uid").cast(pl.String).str.extract_groups(f"^{_UID.pattern}$")).unnest("uid")
    sample = parts["2"].cast(pl.Int32, strict=False)
    if sample.null_count():
        return None
    session = parts.select(pl.concat_str("1", "2", separator="_"))["1"]
    made = made if "id" in options.columns else made.with_columns(parts["1"].alias("id"))
    return made.with_columns(sample.alias("sample"), session.alias(SESSION))


def _numbers(texts: pl.Series) -> pl.Series:
    """Numbers that verl wrote as text; the texts themselves where one is no number."""
    values = texts.replace({"True": "1", "False": "0"}).cast(pl.Float64, strict=False)
    return values if values.null_count() == texts.null_count() else texts
