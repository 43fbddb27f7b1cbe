"""The whole labelled table of a diagnosis as one Parquet file, written in a stream, and a sample of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stratagem.records import StratagemError
from stratagem.report.sample import sample_for_browser
from stratagem.workspace import aside_of

COLUMNS: dict[str, Any] = {
    "side": pl.Int32,
    "checkpoint": pl.String,
    "problem_id": pl.String,
    "sample": pl.Int32,
    "prompt": pl.String,
    "completion": pl.String,
    "score": pl.Float64,
    "strategy": pl.String,
    "evidence": pl.String,
    "behaviours": pl.List(pl.String),
    "finish_reason": pl.String,
    "length": pl.Int32,
}
TEXTS = ("prompt", "completion", "evidence")


class TableWriter:
    """Writes labelled batches aside until `finish` gives the file its name; what is unfinished leaves nothing.

    Args:
        path: the file.
        by: further columns that are kept, with their types.
        texts: whether prompts and completions are.
    """

    def __init__(self, path: Path, by: Mapping[str, Any], texts: bool = True) -> None:
        self.path, self.aside = path, aside_of(path)
        columns = {n: t for n, t in COLUMNS.items() if texts or n not in TEXTS}
        self.schema: dict[str, Any] = columns | dict(by)
        self.rows = 0
        self._writer: Any = None

    def __enter__(self) -> TableWriter:
        return self

    def keeper(self, side: int) -> Callable[[pl.DataFrame], None]:
        """A function that takes the batches of one side."""

        def keep(batch: pl.DataFrame) -> None:
            given = {"side": pl.lit(side, pl.Int32)}
            columns = [
                given.get(name, pl.col(name) if name in batch.columns else pl.lit(None))
                .cast(dtype)
                .alias(name)
                for name, dtype in self.schema.items()
            ]
            arrow = batch.select(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
            try:
                if self._writer is None:
                    self._writer = pq.ParquetWriter(
                        self.aside, arrow.schema, compression="zstd", compression_level=1
                    )
                self._writer.write_table(arrow)
            except OSError as error:
                raise StratagemError(f"{self.path}: cannot be written ({error.strerror})") from None
            self.rows += batch.height

        return keep

    def finish(self) -> None:
        """Give the file its name; nothing is written after."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            os.replace(self.aside, self.path)

    def __exit__(self, *_: object) -> None:
        if self._writer is not None:
            self._writer.close()
        self.aside.unlink(missing_ok=True)


def without_texts(path: Path, keys: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Every row of a labelled table, numbered (`row`), with what rows are chosen by.

    Args:
        keys: for each side, problem_id and the key that the sides share, which takes its place.
    """
    names = ["side", "checkpoint", "problem_id", "strategy", "score"]
    rows = pl.read_parquet(path, columns=names, glob=False).with_row_index("row")
    common = pl.concat(
        [table.select("problem_id", "key", side=pl.lit(i, pl.Int32)) for i, table in enumerate(keys)]
    )
    rows = rows.join(common, on=["side", "problem_id"], how="left", maintain_order="left")
    return rows.with_columns(problem_id=pl.coalesce("key", "problem_id")).drop("key")


def sample_rows(rows: pl.DataFrame, size: int, rng: np.random.Generator) -> NDArray[np.integer]:
    """The numbers of a stratified sample of the rows, ascending."""
    return np.sort(sample_for_browser(rows, size, rng)["row"].to_numpy())


def read_rows(path: Path, rows: NDArray[np.integer]) -> pl.DataFrame:
    """Rows of a Parquet file, by their ascending numbers; a row group is in memory at a time."""
    parts: list[pl.DataFrame] = []
    with pq.ParquetFile(path) as file:
        start = 0
        for i in range(file.num_row_groups):
            stop = start + file.metadata.row_group(i).num_rows
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if inside.size:
                parts.append(pl.DataFrame(file.read_row_group(i).take(inside - start)))
            start = stop
    return pl.concat(parts) if parts else pl.read_parquet(path, n_rows=0, glob=False)
