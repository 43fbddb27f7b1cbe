"""What is new in a folder that grows, each piece once: changed files, and whole lines at the end of a file."""

from __future__ import annotations

import os
from pathlib import Path

MARK = 256  # bytes before the place reached, by which a file that was cut and has grown again is recognised
CHUNK = 16 << 20
Stamp = tuple[int, int]  # size in bytes, time of the last change in ns


def stamp(path: Path) -> Stamp:
    """A file's size and time, which tell whether it has changed; zeros where it is gone."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


class Changes:
    """The files of a folder that are new or have changed since the last look; the files themselves are not opened."""

    def __init__(self, suffix: str) -> None:
        self.suffix = suffix
        self.stamps: dict[str, Stamp] = {}

    def look(self, folder: Path) -> list[Path]:
        """Those that end with `suffix`, by name; none where there is no folder."""
        try:
            with os.scandir(folder) as entries:
                stats = {entry.name: entry.stat() for entry in entries if entry.name.endswith(self.suffix)}
        except OSError:
            return []
        stamps = {name: (status.st_size, status.st_mtime_ns) for name, status in stats.items()}
        changed = sorted(name for name, new in stamps.items() if self.stamps.get(name) != new)
        self.stamps |= stamps
        return [folder / name for name in changed]


class Tail:
    """The whole lines of a growing file, each once.

    A file that was cut off, replaced or taken away is read from its start again.
    """

    def __init__(self) -> None:
        self._offset = 0
        self._mark = b""
        self._stamp: Stamp | None = None

    def read(self, path: Path) -> tuple[bool, bytes]:
        """What was added: whether all that came before is void, and the new lines. A begun line waits for its end."""
        void = False
        parts: list[bytes] = []
        before = stamp(path)  # what is written from here on shows at the next look
        if before == self._stamp:
            return False, b""
        try:
            with open(path, "rb") as file:
                size = file.seek(0, 2)
                file.seek(max(0, self._offset - len(self._mark)))
                if size < self._offset or file.read(len(self._mark)) != self._mark:
                    void, self._offset, self._mark = True, 0, b""
                    file.seek(0)
                while chunk := file.read(CHUNK):
                    parts.append(chunk)
        except OSError:  # not there, or just renamed: what was read stays until there is something else
            return False, b""
        added = b"".join(parts)
        self._stamp = before
        lines = added[: added.rfind(b"\n") + 1]
        self._offset += len(lines)
        self._mark = (self._mark + lines)[-MARK:]
        return void, lines
