"""Rows of a pool written in what trainers read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from stratagem.curation.held import Form, Held, Record, Rows
from stratagem.records import StratagemError
from stratagem.workspace import reported

SUFFIX: Mapping[Form, str] = {"jsonl": ".jsonl", "parquet": ".parquet", "csv": ".csv", "dataset": ""}


class Kept(Protocol):
    """Rows with the name by which users know them, such as a `Pool`."""

    @property
    def name(self) -> str: ...

    @property
    def rows(self) -> Held: ...


def write_rows(
    pool: Kept,
    rows: Rows,
    folder: Path,
    stem: str,
    form: Form,
    added: Mapping[str, Sequence[float]] | None = None,
) -> str:
    """Write rows of a pool with all their columns, in this order, and return the name of the file or folder.

    Args:
        rows: numbers from 0.
        added: further columns, a value a row.

    Raises:
        StratagemError: a column of that name is there, or this form cannot hold the rows.
    """
    added = added or {}
    path = folder / f"{stem}{SUFFIX[form]}"
    names = set(pool.rows.records([0])[0]) if len(pool.rows) else set[str]()
    for column in added:
        if column in names:
            raise StratagemError(
                f"{pool.name}: has a column {column!r} already, in which weights would be written: rename it"
            )
    with reported(path):
        _write(pool.rows, rows, path, form, added)
    return path.name


def _write(held: Held, rows: Rows, path: Path, form: Form, added: Mapping[str, Sequence[float]]) -> None:
    if form == "jsonl":
        lines = held.lines(rows)
        if added:
            beside = [dict(zip(added, values, strict=True)) for values in zip(*added.values(), strict=True)]
            lines = [_with_fields(line, more) for line, more in zip(lines, beside, strict=True)]
        with open(path, "wb") as file:
            file.writelines(line + b"\n" for line in lines)
    elif form == "csv":
        path.write_bytes(_csv(held.records(rows.tolist()), added))
    else:
        table = held.table(rows)
        for column, values in added.items():
            table = _with_column(table, column, values)
        if form == "parquet":
            pq.write_table(table, path, compression="zstd")
        else:
            _save_dataset(table, path)


def _with_fields(line: bytes, more: Mapping[str, float]) -> bytes:
    """A line of JSON with further fields at its end; all before them stays as it is, whatever is in it."""
    return line.rstrip()[:-1] + b", " + msgspec.json.encode(more)[1:]


def _with_column(table: pa.Table, name: str, values: Sequence[float]) -> pa.Table:
    """The table with a column more; what `datasets` says of the types of its columns no longer holds for all."""
    metadata = {key: text for key, text in (table.schema.metadata or {}).items() if key != b"huggingface"}
    return table.append_column(name, pa.array(values, pa.float64())).replace_schema_metadata(metadata)


def _save_dataset(table: pa.Table, path: Path) -> None:
    try:
        import datasets  # pyright: ignore[reportMissingImports]
    except ModuleNotFoundError:
        raise StratagemError(
            "--format dataset: needs datasets: pip install datasets, or take parquet"
        ) from None
    shown = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        datasets.Dataset(table).save_to_disk(str(path))
    finally:
        if shown:
            datasets.enable_progress_bars()


def _csv(records: Sequence[Record], added: Mapping[str, Sequence[float]]) -> bytes:
    text = io.StringIO()
    names = list(dict.fromkeys(name for record in records for name in record))
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*names, *added])
    for place, record in enumerate(records):
        values = [record.get(name) for name in names]
        if nested := [
            name for name, value in zip(names, values, strict=True) if isinstance(value, list | dict)
        ]:
            raise StratagemError(f"--format csv: {nested[0]!r} holds lists or objects; take jsonl or parquet")
        writer.writerow(
            ["" if value is None else value for value in values]
            + [column[place] for column in added.values()]
        )
    return text.getvalue().encode()
