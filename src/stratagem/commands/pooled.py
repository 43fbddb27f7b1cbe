"""Responses of logs, sampled for a person or a method that looks at texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from stratagem.annotate.pool import MOST, Responses, read_pool
from stratagem.commands.options import Reading, Right, columns_or_none, paths
from stratagem.diagnosis.match import distinct_names
from stratagem.diagnosis.side import Look
from stratagem.records import Metrics


def sampled(
    logs: Sequence[str],
    checkpoint: str | None,
    by: str | None,
    right: Right,
    reading: Reading,
    seed: int,
    show: Callable[[str, int, int, Metrics], None],
    most: int = MOST,
) -> Responses:
    """At most `most` responses of each log, or of the first and the last checkpoint of one log.

    Raises:
        StratagemError: as `read_pool`.
    """
    look = Look(
        checkpoint=checkpoint,
        by=columns_or_none(by),
        score=right.score,
        correct=right.correct,
        where=reading.where,
        read=reading.options(),
    )
    sources = [paths(log) for log in logs]
    names = distinct_names([list(source) for source in sources])
    return read_pool(
        sources, look, names, seed, most, progress=lambda name, rows: show(f"read {name}", rows, 0, {})
    )
