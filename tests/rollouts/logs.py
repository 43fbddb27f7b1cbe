"""Plain logs for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.rollouts.log import read_rollouts
from stratagem.rollouts.readers.row import ReadOptions


def record(i: int = 0, **more: Any) -> dict[str, Any]:
    return {"prompt": f"question {i // 2}", "completion": f"text {i}", "score": float(i % 2), **more}


def write_lines(path: Path, records: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(fields) + "\n" for fields in records))
    return path


def rows(paths: Any, **options: Any) -> pl.DataFrame:
    return read_rollouts(paths, ReadOptions(**options)).read()
