"""Options of the commands that read logs: how a log is read, and which responses are correct."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from stratagem.label_error.quality import LabelQuality, validate
from stratagem.label_error.sheet import read_sheet
from stratagem.labelling.rules import RuleSet, check_rules, read_rules
from stratagem.learned.labels import LearnedLabels
from stratagem.learned.sheet import is_learned
from stratagem.records import StratagemError
from stratagem.rollouts.readers.row import ReadOptions

JUDGE = "judge:"  # before the file of a rubric


@dataclass(frozen=True)
class Right:
    """Which responses are correct; asked for where a log leaves it open."""

    score: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="the column that says which responses are correct, within 0-1",
            help_behavior_hint="",
        ),
    ] = None
    correct: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="a condition that says which responses are correct, such as 'score > 0'",
            help_behavior_hint="",
        ),
    ] = None


Checkpoint = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="COLUMN",
        help="the column of a single log that holds its checkpoints",
        help_behavior_hint="",
    ),
]


@dataclass(frozen=True)
class Reading:
    """How a log is read."""

    columns: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="OURS=THEIRS",
            help="what columns are called in the logs, such as completion=response",
            help_behavior_hint="",
        ),
    ] = ()
    turns: Annotated[
        str,
        tyro.conf.arg(
            metavar="TURNS",
            help="which assistant turns count as the completion: last or all (default: last)",
            help_behavior_hint="",
        ),
    ] = "last"
    where: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="which responses of the logs are read, such as \"split = 'eval' AND step < 100\" (default: all; where "
            "a column 'split' tells training from evaluations, those of training)",
            help_behavior_hint="",
        ),
    ] = None
    strict: Annotated[bool, tyro.conf.arg(help="refuse a log with a broken line", help_behavior_hint="")] = (
        False
    )

    def options(self) -> ReadOptions:
        """
        Raises:
            StratagemError: no such turns, or a column without its name in the log.
        """
        if self.turns not in ("last", "all"):
            raise StratagemError(f"--turns {self.turns}: must be last or all")
        pairs = [word.partition("=") for word in self.columns]
        for ours, sign, theirs in pairs:
            if not (ours and sign and theirs):
                raise StratagemError(
                    f"--columns {ours}: write our name=the log's name, such as completion=response"
                )
        columns = {ours: theirs for ours, _, theirs in pairs}
        return ReadOptions(turns=self.turns, columns=columns, strict=self.strict)


def listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def columns_or_none(text: str | None) -> tuple[str, ...] | None:
    """None where nothing is said, no columns for the word ``none``, else those listed."""
    if text is None:
        return None
    return () if text == "none" else tuple(listed(text))


def paths(text: str) -> list[str]:
    """The paths of one log: a path that exists, as it is; else several joined by commas."""
    return [text] if Path(text).exists() else listed(text) or [text]


def checked_rules(source: str) -> RuleSet:
    """How to label responses: rules, a function, or what a sheet of `annotate` teaches (a name that ends in .csv).

    Raises:
        StratagemError: a rule gets one of its own examples wrong, or too few labels to learn from; or a judge is named,
            which labels whole logs (`judged.labeller`).
    """
    if source.startswith(JUDGE):
        raise StratagemError(
            f"--strategies {source}: a judge labels logs: `stratagem label LOG` or `stratagem diagnose BEFORE AFTER`"
        )
    if Path(source).suffix.lower() == ".csv":
        return LearnedLabels.read(Path(source)).rules
    rules = read_rules(source)
    for failure in check_rules(rules):
        raise StratagemError(f"--strategies {source}: {failure}")
    return rules


def hand_labels(sheet: Path, level: float) -> LabelQuality | LearnedLabels:
    """What a sheet of hand labels says: of the labels in it, or, where it comes from `annotate`, what it teaches.

    Raises:
        StratagemError: names the file, the row and the field; or too few labels to learn from.
    """
    if is_learned(sheet):
        return LearnedLabels.read(sheet)
    return validate(read_sheet(sheet, partial=True), level=level)
