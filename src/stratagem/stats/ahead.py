"""The next of a series is made while the last is worked on: reading takes one core, labelling another."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Thing = TypeVar("Thing")


def ahead(series: Iterator[Thing]) -> Iterator[Thing]:
    """The same things in the same order, of which one at most is made before it is asked for, in a thread.

    Raises:
        Exception: what the series raises, in its turn.
    """
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, series, None)
        while (thing := coming.result()) is not None:
            coming = thread.submit(next, series, None)
            yield thing
