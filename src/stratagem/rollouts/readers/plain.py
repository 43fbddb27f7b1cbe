"""JSON lines, CSV and Parquet with columns that name themselves, or that the user names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from stratagem.rollouts.readers.row import ReadOptions, Row

NAME = "plain"


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether the columns of a response are there."""
    return False


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one record."""
    yield from ()
