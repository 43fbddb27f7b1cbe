"""Folders and files that one process holds, and that others may remove or give another name at any moment."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import stat
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO

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


@contextlib.contextmanager
def written_aside(new: Callable[[], Path]) -> Generator[BinaryIO]:
    """A file with a name from `new`, held while it is written, which is to be given its own name before the block ends.
    Where the block ends with an exception it is removed; what a kill leaves goes with `sweep_files`."""
    for _ in range(1_000):
        with open(path := new(), "xb") as file:
            with contextlib.suppress(
                OSError
            ):  # a file system without locks: nobody can take it for a leftover there
                fcntl.flock(file, fcntl.LOCK_EX)
            if not is_at(file.fileno(), path):
                continue  # swept by another process between the two steps
            try:
                yield file
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink()
                raise
            return
    raise OSError("other processes remove what is written")


def sweep_files(folder: Path, left: re.Pattern[str], name: str) -> None:
    """Remove the files beside `name` that processes which were killed left: those of its pattern that nobody holds.

    Args:
        left: matches what such files are called, and gives the name that they were to have.
    """
    with contextlib.suppress(OSError):  # a folder that may not be listed
        for path in [
            folder / other for other in names(folder) if (of := left.fullmatch(other)) and of[1] == name
        ]:
            _remove_unheld(path)


def _remove_unheld(path: Path) -> None:
    with contextlib.suppress(OSError):  # held, gone, or another user's
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW)  # to write, since NFS locks no other
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_at(descriptor, path):
                path.unlink()
        finally:
            os.close(descriptor)


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
