"""What is new in a folder that grows, each piece once: changed files, and whole lines at the end of a file.

A file is told by its inode, so that one with another name, as after a rotation of logs, is the same file.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

MARK = 256  # bytes before the place reached, by which a file that was cut and has grown again is recognised
CHUNK = 16 << 20
Stamp = tuple[int, int]  # size in bytes, time of the last change in ns
Identity = tuple[int, int]  # device and inode


def stamp(path: Path) -> Stamp:
    """A file's size and time, which tell whether it has changed; zeros where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class Changes:
    """The files of a folder that are new or have changed since the last look; the files themselves are not opened.

    Attributes:
        stamps: size and time of each file that was there.
        files: which file has a name, of the names that were there at the last look.
    """

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.stamps: dict[str, Stamp] = {}
        self.files: dict[str, Identity] = {}

    def look(self, folder: Path) -> list[Path]:
        """Those that end with `suffix`, by name; none where there is no folder."""
        try:
            with os.scandir(folder) as entries:
                stats = {entry.name: entry.stat() for entry in entries if entry.name.endswith(self.suffix)}
        except OSError:
            return []
        stamps = {name: (status.st_size, status.st_mtime_ns) for name, status in stats.items()}
        self.files = {name: (status.st_dev, status.st_ino) for name, status in stats.items()}
        changed = sorted(name for name, new in stamps.items() if self.stamps.get(name) != new)
        self.stamps |= stamps
        return [folder / name for name in changed]


class Tail:
    """The whole lines of a growing file, each once.

    A file that was cut off, replaced or taken away is read from its start again. Where the one before lies beside it
    under another name, it was rotated: its last lines come first, and nothing is void.

    Attributes:
        file: the one that was read last.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._mark = b""
        self._stamp: Stamp | None = None
        self.file: Identity | None = None

    def read(self, path: Path) -> tuple[bool, bytes]:
        """What was added: whether all that came before is void, and the new lines. A begun line waits for its end."""
        void, rotated = False, b""
        parts: list[bytes] = []
        before = stamp(path)  # what is written from here on shows at the next look
        if before == self._stamp:
            return False, b""
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                if not self._goes_on(file):
                    rest = self._rest_of_rotated(path, (status.st_dev, status.st_ino))
                    void, rotated = rest is None, rest or b""
                    self._offset, self._mark = 0, b""
                    file.seek(0)
                self.file = status.st_dev, status.st_ino
                while chunk := file.read(CHUNK):
                    parts.append(chunk)
        except OSError:  # not there, or just renamed: what was read stays until there is something else
            return False, b""
        added = b"".join(parts)
        self._stamp = before
        lines = added[: added.rfind(b"\n") + 1]
        self._offset += len(lines)
        self._mark = (self._mark + lines)[-MARK:]
        return void, rotated + lines

    def has_read(self, path: Path, file: Identity) -> bool:
        """Whether a name is one of the file that was read: it is that file, and holds what was read."""
        if self.file != file:
            return False
        try:
            with open(path, "rb") as opened:
                return self._goes_on(opened)
        except OSError:
            return False

    def _goes_on(self, file: BinaryIO) -> bool:
        """Whether a file has what was read at the place where it was; then it stands behind that."""
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, self._offset - len(self._mark)))
        return size >= self._offset and file.read(len(self._mark)) == self._mark

    def _rest_of_rotated(self, path: Path, now: Identity) -> bytes | None:
        """The last whole lines of the file that was read before, where it has another name now; None where not."""
        if self.file is None or self.file == now:
            return None
        with os.scandir(path.parent) as entries:
            names = [entry.path for entry in entries if (entry.stat().st_dev, entry.inode()) == self.file]
        for name in names:
            with open(name, "rb") as file:
                if self._goes_on(file):
                    rest = file.read()
                    return rest[: rest.rfind(b"\n") + 1]
        return None
