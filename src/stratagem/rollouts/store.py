"""The rollout table as Parquet: one row a response."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import ROLLOUT_SCHEMA, Label, Problem
from stratagem.workspace import write_bytes

LAB_SCHEMA = ROLLOUT_SCHEMA | {
    "error": pl.String(),
    "mode": pl.String(),
    "seed": pl.Int32(),
    "group": pl.Int32(),
    "update": pl.Int32(),
}


def rollout_row(
    problem: Problem,
    checkpoint: str,
    sample: int,
    completion: str,
    generation: Any,
    score: float,
    label: Label | None = None,
) -> dict[str, Any]:
    """One row of the table. `generation` has `ids` and `finish_reason`; its length counts tokens.

    Without a label the strategy is null: `label` fills it in.
    """
    return {
        "problem_id": problem.id,
        "kind": problem.kind,
        "difficulty": problem.difficulty,
        "checkpoint": checkpoint,
        "sample": sample,
        "prompt": problem.prompt,
        "completion": completion,
        "score": score,
        "strategy": label.strategy if label else None,
        "evidence": label.evidence() if label else None,
        "finish_reason": generation.finish_reason,
        "length": len(generation.ids),
        "error": label.error if label else None,
    }


def frame(rows: Iterable[dict[str, Any]]) -> pl.DataFrame:
    """Rows as a table; the lab's extra columns appear where any row has them."""
    rows = list(rows)
    names = [name for name in LAB_SCHEMA if name in ROLLOUT_SCHEMA or any(name in row for row in rows)]
    return pl.DataFrame(rows, schema={name: LAB_SCHEMA[name] for name in names})


def write_rollouts(
    path: Path, rows: Iterable[dict[str, Any]] | pl.DataFrame, metadata: dict[str, str] | None = None
) -> None:
    """Write rows as a table (`write_table`)."""
    write_table(path, rows if isinstance(rows, pl.DataFrame) else frame(rows), metadata)


def write_table(path: Path, table: pl.DataFrame, metadata: dict[str, str] | None = None) -> None:
    """Write Parquet that is whole or absent.

    Raises:
        StratagemError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", metadata=metadata)
    write_bytes(path, buffer.getvalue())
