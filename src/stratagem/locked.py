"""Folders that one process holds, and that others may remove or give another name at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
from collections.abc import Callable, Generator
from pathlib import Path

from stratagem.records import StratagemError

LOCK = ".lock"


@contextlib.contextmanager
def held(work: Path, make: Callable[[], object], said: str) -> Generator[None]:
    """The folder `work`, made by `make`, locked against other processes until the block ends.

    Whoever held it before may remove it, or give it another name, between any two steps here: then it is made anew.

    Raises:
        StratagemError: another process holds it, which is `said`.
    """
    for _ in range(1_000):
        make()
        with contextlib.ExitStack() as stack:
            try:
                lock = stack.enter_context(open(work / LOCK, "a"))
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StratagemError(said) from None
            if is_at(lock.fileno(), work / LOCK):
                yield
                return
    raise StratagemError(said)


def is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    with contextlib.suppress(OSError):
        return os.path.samestat(os.fstat(descriptor), os.stat(path))
    return False


def sweep(work: Path, last: str = "") -> None:
    """Remove a folder that is `held`, its lock last: what another process makes in its place from then on stays."""
    with contextlib.suppress(OSError):
        empty(work, last)
        (work / LOCK).unlink()
        work.rmdir()


def empty(work: Path, last: str = "") -> None:
    """Remove all that is in a folder but its lock; last, the file that tells what the folder is."""
    for left in (work / name for name in sorted(names(work) - {LOCK}, key=last.__eq__)):
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def names(folder: Path) -> set[str]:
    """What is in a folder; nothing where there is none, or no longer."""
    try:
        return {path.name for path in folder.iterdir()}
    except (FileNotFoundError, NotADirectoryError):
        return set()


def is_folder(path: Path) -> bool | None:
    """Whether a path is a folder; None where there is nothing."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError:
        return None
