"""What a user has to know of how a log was read, in lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from stratagem.result import LeftOut
from stratagem.rollouts.log import Log


def reading_notes(name: str, log: Log) -> list[str]:
    """How columns were chosen, and what the log holds twice."""
    return [*(f"{name}: {note}" for note in log.notes), *repeats_notes(name, log)]


def repeats_notes(name: str, log: Log) -> list[str]:
    """What the log holds twice."""
    said = f"{name}: {log.repeated} rows repeat responses that the log holds already; they were read once"
    return [said] if log.repeated else []


def unread_notes(name: str, unparsed: int, responses: int) -> list[str]:
    """What to do where the labels find no answer in most responses."""
    if unparsed <= responses / 2:
        return []
    return [
        f"{name}: no answer was found in {unparsed / responses:.0%} of the responses; say where it stands in [parts] "
        "of the rules (docs/rules.md)"
    ]


def pooled(name: str, checkpoints: Sequence[str]) -> list[str]:
    """A note where a log that is taken as one holds several checkpoints."""
    if len(checkpoints) < 2:
        return []
    some = ", ".join(checkpoints if len(checkpoints) <= 4 else [*checkpoints[:3], "…", checkpoints[-1]])
    return [
        f"{name}: its responses are of {len(checkpoints)} steps ({some}) and are taken together; "
        "`stratagem diagnose LOG --checkpoint step` tells them apart"
    ]


def ordered(checkpoints: Iterable[str]) -> list[str]:
    """Names of checkpoints in their order: numbers by size, other names as they are."""

    def key(name: str) -> tuple[int, float, str]:
        try:
            return 0, float(name), name
        except ValueError:
            return 1, 0.0, name

    return sorted(checkpoints, key=key)


def examples(log: Log) -> tuple[LeftOut, ...]:
    """The first records that gave no response, without their texts."""
    return tuple(LeftOut(str(record.file), record.row, record.reason) for record in log.examples)


def reasons(log: Log) -> str:
    """What was left out and why, for the end of a message."""
    parts = ", ".join(f"{n} x {reason}" for reason, n in log.left_out.items())
    return f" (left out: {parts})" if parts else ""
