"""The whole labelled table of a diagnosis as one Parquet file, written in a stream, and a sample of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stratagem.records import StratagemError, content_id
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
GROUP_ROWS = 2_048  # of the file's row groups: those of a few responses are found without unpacking the rest
MOST_ROWS = 1_000_000  # of which responses are chosen whose texts are read: some 100 MB
LEAST_ROWS = 64  # of a problem that is among them, on a side at a checkpoint
# A number in [0, 1) a row; those of rows in a row are spread evenly (multiples of the golden ratio, Knuth 1973, 6.4).
EVENLY = (pl.col("row").cast(pl.UInt64) * 2_654_435_769 % 2**32) / 2**32


class TableWriter:
    """Writes labelled batches aside until `finish` gives the file its name; what is unfinished leaves nothing.

    A batch is written by a thread while the next one is read and labelled.

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
        self._thread = ThreadPoolExecutor(1)
        self._last: Future[None] | None = None  # of the batches given, which may not be written yet

    def __enter__(self) -> TableWriter:
        return self

    def keeper(self, side: int) -> Callable[[pl.DataFrame], None]:
        """A function that takes the batches of one side."""

        def keep(batch: pl.DataFrame) -> None:
            self._wait()
            self._last = self._thread.submit(self._write, side, batch)
            self.rows += batch.height

        return keep

    def _write(self, side: int, batch: pl.DataFrame) -> None:
        given = {"side": pl.lit(side, pl.Int32)}
        columns = [
            given.get(name, pl.col(name) if name in batch.columns else pl.lit(None)).cast(dtype).alias(name)
            for name, dtype in self.schema.items()
        ]
        arrow = batch.select(columns).to_arrow(compat_level=pl.CompatLevel.oldest())
        try:
            if self._writer is None:
                self._writer = pq.ParquetWriter(
                    self.aside, arrow.schema, compression="zstd", compression_level=1
                )
            self._writer.write_table(arrow, row_group_size=GROUP_ROWS)
        except OSError as error:
            raise StratagemError(f"{self.path}: cannot be written ({error.strerror})") from None

    def _wait(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def finish(self) -> None:
        """Give the file its name; nothing is written after.

        Raises:
            StratagemError: it could not be written.
        """
        self._wait()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
            os.replace(self.aside, self.path)

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
        if self._writer is not None:
            self._writer.close()
        self.aside.unlink(missing_ok=True)


def without_texts(
    path: Path, keys: Sequence[pl.DataFrame], ends: tuple[pl.Expr, pl.Expr] | None, seed: int
) -> tuple[pl.DataFrame, str | None]:
    """Rows of a labelled table, numbered (`row`), with what responses are chosen by, texts as numbers; and what there
    is to say of a table of which they are a part.

    Of a table of more than `MOST_ROWS` they are those of a part of the problems, by a hash of their ids, whatever
    their order, and of a problem with very many responses a part.

    Args:
        keys: for each side, problem_id and the key that the sides share, which takes its place.
        ends: which rows are before and which after, by the columns `side` and `checkpoint`: problems of both come
            first.
    """
    common = pl.concat(
        [table.select("problem_id", "key", side=pl.lit(i, pl.Int32)) for i, table in enumerate(keys)]
    )
    table = pl.scan_parquet(path, glob=False).select("side", "checkpoint", "problem_id", "strategy", "score")
    rows = table.with_row_index("row").with_columns(pl.col(pl.String).cast(pl.Categorical()))
    rows = rows.join(common.lazy(), on=["side", "problem_id"], how="left")
    rows = rows.with_columns(problem_id=pl.coalesce("key", "problem_id")).drop("key")
    total = pq.read_metadata(path).num_rows
    if total <= MOST_ROWS:
        return rows.sort("row").collect(engine="streaming"), None
    of = ["problem_id", "side", "checkpoint"]
    sizes = rows.group_by(of).len().collect(engine="streaming")
    most = max(LEAST_ROWS, MOST_ROWS // sizes.height)
    both = pl.lit(True) if ends is None else ends[0].any() & ends[1].any()
    kept = pl.min_horizontal("len", most).sum()
    problems = sizes.group_by("problem_id").agg(both=both, kept=kept)
    hashes = [content_id(seed, name) for name in problems["problem_id"]]
    problems = problems.with_columns(hash=pl.Series(hashes, dtype=pl.String))
    problems = problems.sort("both", "hash", descending=[True, False])
    chosen = problems.filter(pl.col("kept").cum_sum() - pl.col("kept") < MOST_ROWS)
    part = sizes.join(chosen, on="problem_id", how="semi").lazy()
    rows = rows.join(part, on=of, nulls_equal=True).filter(EVENLY * pl.col("len") <= most).drop("len")
    rows = rows.sort("row").collect(engine="streaming")
    note = (
        f"the responses of the page and those that the visible shift rests on are chosen from {rows.height:,} of "
        f"{total:,}, of {chosen.height:,} of the {problems.height:,} problems, by a hash of their ids"
    )
    return rows, note


def read_rows(path: Path, rows: NDArray[np.integer]) -> pl.DataFrame:
    """Rows of a Parquet file, by their ascending numbers; a row group is in memory at a time."""
    parts: list[pl.DataFrame] = []
    with pq.ParquetFile(path) as file:
        start = 0
        for i in range(file.num_row_groups):
            stop = start + file.metadata.row_group(i).num_rows
            inside = rows[np.searchsorted(rows, start) : np.searchsorted(rows, stop)]
            if inside.size:
                # Of a NumPy array pyarrow asks whether it is one of pandas, which it imports for that.
                places = pl.Series(inside - start).to_arrow()
                parts.append(pl.DataFrame(file.read_row_group(i).take(places)))
            start = stop
    return pl.concat(parts) if parts else pl.read_parquet(path, n_rows=0, glob=False)
