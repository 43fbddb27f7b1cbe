"""What subcommands share: words read and checked, a progress bar, where messages go."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Iterable, Iterator
from typing import TypeVar

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

from stratagem import records
from stratagem.limits import check_numbers
from stratagem.records import StratagemError

T = TypeVar("T")


def read(options: type[T], name: str, words: list[str], text: str) -> T:
    """Options from the words of a command line.

    Raises:
        StratagemError: a word that is no option or no value of one, or a number outside its limits.
    """
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            values = tyro.cli(
                options,
                prog=f"stratagem {name}",
                args=words,
                description=f"{text}\n\n{(options.__doc__ or '').strip()}",
                config=(tyro.conf.OmitArgPrefixes, tyro.conf.FlagCreatePairsOff),
            )
    except SystemExit as end:
        if not end.code:
            raise
        raise StratagemError(f"{first_sentence(said.getvalue())} (stratagem {name} --help)") from None
    check_numbers(values)
    return values


def first_sentence(box: str) -> str:
    """What a box of tyro's says, without its frame and its advice, in one line. Where standard output is not in UTF-8
    the box has no frame, and lines of hyphens."""
    parts: list[list[str]] = [[]]
    for line in box.splitlines()[1:]:  # the first one is its title
        text = line.strip("│╰╯ ")
        if text and set(text) <= {"─", "-"}:
            parts.append([])
        else:
            parts[-1].append(text)
    said = [" ".join(" ".join(part).split()) for part in parts if any(part)]
    text = said[0] if said else "not understood"
    if len(said) > 1 and said[1].startswith("Perhaps you meant:"):
        text += f"; {said[1][0].lower()}{said[1][1:]}"
    return text.rstrip(".")


class Terminal(Console):
    """Standard output. Where its reader, such as `head`, has seen enough, Rich would end with the exit code of a
    condition that holds."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """Messages and bars go to standard error, so that standard output holds results alone."""
    return Console(stderr=True)


def warn(warnings: Iterable[str]) -> None:
    """A line each, whatever marks are in it."""
    for warning in warnings:
        console().print(warning, style="yellow", highlight=False, markup=False, soft_wrap=True)


@contextlib.contextmanager
def bars() -> Iterator[records.Progress]:
    """A function that shows progress: (what, done, total, metrics); one bar for each `what`."""
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

    def show(what: str, done: int, total: int, metrics: records.Metrics) -> None:
        note = " ".join(
            f"{name} {value:.3f}" for name, value in metrics.items() if name in ("loss", "reward")
        )
        if what not in tasks:
            tasks[what] = progress.add_task(what, total=total, note="")
        progress.update(tasks[what], completed=done, total=total, note=note, visible=done < total)

    with progress:
        yield show
