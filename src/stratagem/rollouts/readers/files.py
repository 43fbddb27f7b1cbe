"""Which files a user means: files, folders and globs, in natural order, each file once."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stratagem.records import StratagemError

LEAST_COPIED = 4_096  # bytes
_DIGITS = re.compile(r"(\d+)")
_STEP = re.compile(
    r"(?:^|[/_.-])(?:global[_-]?step|checkpoint|step|iter(?:ation)?|epoch)[_.-]?(\d+)(?=[/._-]|$)"
)
_BARE_STEP = re.compile(r"(?:^|/)(\d+)\.[a-z.]+$")


@dataclass(frozen=True, slots=True)
class Found:
    """A file to read. `named` is True where the user named it, False where a folder or a glob did."""

    path: Path
    named: bool


def step_of(name: str) -> str | None:
    """The training step that the name of a file, or of the folders above it, speaks of."""
    steps = _STEP.findall(name.lower())
    bare = _BARE_STEP.search(name.lower())
    return str(int(bare[1])) if bare else str(int(steps[-1])) if steps else None


def find(paths: Sequence[str | Path]) -> list[Found]:
    """The files that `paths` name, in the order given, within a folder or glob in natural order (2 before 10).

    Hidden files and folders inside a folder are passed over; a link to a folder is followed once. A table of
    `stratagem rollout` is passed over too where `stratagem label` has written the same responses beside it, with their
    strategies.

    Raises:
        StratagemError: nothing there, a loop of links, not to be read, or neither a file nor a folder.
    """
    by_inode: dict[tuple[int, int], Found] = {}
    for given in paths:
        here = [Path(given)]
        listed = _exists(here[0])
        if not listed:
            here = [Path(name) for name in glob.glob(str(given), recursive=True)] if _is_glob(given) else []
            if not here:
                what = "no file matches" if _is_glob(given) else "no such file or folder"
                raise StratagemError(f"{given}: {what}")
        for path in sorted(here, key=natural):
            inside = _is_folder(path)
            files = sorted(_walk(path), key=natural) if inside else [path]
            labelled = {file.parent for file in files if file.name == "labelled.parquet"}
            files = [file for file in files if file.name != "rollouts.parquet" or file.parent not in labelled]
            statuses = [(file, _status(file)) for file in files]
            regular = [(file, status) for file, status in statuses if stat.S_ISREG(status.st_mode)]
            if inside and not regular:
                raise StratagemError(f"{path}: a folder without files")
            if not regular:
                raise StratagemError(f"{path}: not a file or folder (a pipe or device cannot be read twice)")
            for file, status in regular:
                by_inode.setdefault((status.st_dev, status.st_ino), Found(file, listed and not inside))
    return list(by_inode.values())


def files_again(paths: Sequence[Path]) -> dict[Path, Path]:
    """Files with the content of one before them, which a merge or a download left twice, each with that one.

    Small files and files of different steps may well be alike.
    """
    sizes: dict[tuple[int, str | None], list[Path]] = {}
    for path in paths:
        if (size := _status(path).st_size) >= LEAST_COPIED:
            sizes.setdefault((size, step_of(path.as_posix())), []).append(path)
    first: dict[bytes, Path] = {}
    again: dict[Path, Path] = {}
    for path in (path for group in sizes.values() if len(group) > 1 for path in group):
        try:
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "blake2b").digest()
        except OSError as error:
            raise _unreadable(path, error) from None
        if first.setdefault(content, path) != path:
            again[path] = first[content]
    return again


def natural(path: Path) -> list[tuple[int, int | str]]:
    """A key that sorts numbers in names by value."""
    parts = _DIGITS.split(path.as_posix())
    return [(0, int(part)) if part.isdecimal() and part.isascii() else (1, part) for part in parts if part]


def _is_glob(path: str | Path) -> bool:
    return glob.has_magic(str(path))


def _exists(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return True


def _status(path: Path) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        raise _unreadable(path, error) from None


def _is_folder(path: Path) -> bool:
    return stat.S_ISDIR(_status(path).st_mode)


def _unreadable(path: Path, error: OSError | ValueError) -> StratagemError:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StratagemError(f"{path}: cannot be read ({said})")


def _walk(folder: Path) -> Iterator[Path]:
    """Every file below a folder. Links that lead nowhere or in a loop are passed over."""
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        status = _status(here)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            raise _unreadable(here, error) from None
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                mode = entry.stat().st_mode
            except OSError:
                continue
            if stat.S_ISDIR(mode):
                waiting.append(Path(entry.path))
            else:
                yield Path(entry.path)
