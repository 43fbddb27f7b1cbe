"""Some records of a log, and a log as what gives them: what every kind of file is read as."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.readers.row import BadRecord

Record: TypeAlias = dict[str, Any] | BadRecord | None
NO_LIMIT = 1 << 62
MAX_KEYS = 10_000  # of a record, or columns of a table


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some records in a row, as a table where the file's kind allows, and as Python when asked.

    `numbers` are their lines or rows in the file, from 1. None among the records is an empty line.
    """

    numbers: Sequence[int]
    records: Callable[[], Sequence[Record]]
    table: pl.DataFrame | None = None


def chunk_of(start: int, records: Sequence[Record]) -> Chunk:
    """Records that stand one after the other, the first with the number `start`."""
    return python_chunk(range(start, start + len(records)), records)


def python_chunk(numbers: Sequence[int], records: Sequence[Record]) -> Chunk:
    """Records with these numbers."""
    return Chunk(numbers, lambda: records)


@dataclass(frozen=True, slots=True)
class Source:
    """One log: a file, or a file in a zip archive.

    `read` gives its chunks from the start each time; with `at_most`, no more than so many records. Of lines of JSON
    it gives tables where the `tabulator` can make them. `note` is what there is to say of how it is read.
    """

    name: str
    path: Path
    kind: str
    read: Callable[..., Iterator[Chunk]]
    note: str = ""


def check_names(source: str, names: Sequence[str]) -> None:
    """
    Raises:
        StratagemError: there are too many columns, or two of one name.
    """
    if len(names) > MAX_KEYS:
        raise StratagemError(
            f"{source}: {len(names):,} columns, {MAX_KEYS:,} are read: write those that are needed"
        )
    if len(set(names)) < len(names):
        twice = Counter(names).most_common(1)[0][0]
        raise StratagemError(f"{source}: two columns are called {twice!r}")
