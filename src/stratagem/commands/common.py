"""What subcommands share: reading options, a progress bar, a place for results."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import tyro
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

T = TypeVar("T")


def read(options: type[T], name: str, words: list[str], text: str) -> T:
    """Options from the words of a command line. A mistake exits with code 2 and says what it is."""
    return tyro.cli(
        options,
        prog=f"stratagem {name}",
        args=words,
        description=f"{text}\n\n{(options.__doc__ or '').strip()}",
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
    )


def console() -> Console:
    """Messages and bars go to standard error, so that standard output holds results alone."""
    return Console(stderr=True)


@contextlib.contextmanager
def bars() -> Iterator[Callable[[str, int, int, dict[str, Any]], None]]:
    """A function that shows progress: (what, done, total, metrics); one bar a thing that is going on."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console(),
        disable=not sys.stderr.isatty(),
    )
    tasks: dict[str, TaskID] = {}

    def show(what: str, done: int, total: int, metrics: dict[str, Any]) -> None:
        note = " ".join(
            f"{name} {value:.3f}" for name, value in metrics.items() if name in ("loss", "reward")
        )
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total, note="")
        progress.update(tasks[what], completed=done, total=total, note=note, visible=done < total)

    with progress:
        yield show
