"""The files in zip and tar archives."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError
from stratagem.rollouts.readers import kinds, streams
from stratagem.rollouts.readers.files import natural
from stratagem.rollouts.readers.row import BadRecord

Member = tuple[str, Callable[[], streams.Parts]]
_HIDDEN = ("__MACOSX/", ".")
MAX_FILES = 10_000  # in an archive


def members(path: Path) -> tuple[list[Member], BadRecord | None] | None:
    """The files in an archive, by name, each with what gives its bytes, and what to say where it breaks off; None if
    the file is no archive.

    Raises:
        StratagemError: not a readable archive, or one that holds something else than logs.
    """
    if streams.packing(streams.raw_head(path)) == "zip":
        return _zipped(path), None
    head = streams.gather(streams.chunks(path), 512)
    return _tarred(path) if head[257:262] == b"ustar" else None


def _zipped(path: Path) -> list[Member]:
    try:
        inside = [info for info in streams.zipped(path).infolist() if not info.is_dir() and info.file_size]
    except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
        raise StratagemError(f"{path}: not a readable zip archive ({error})") from None
    if (what := kinds.refused_archive([info.filename for info in inside])) is not None:
        raise StratagemError(f"{path}: {what}")
    inside = [info for info in inside if not info.filename.startswith(_HIDDEN)]
    _limit_files(path, len(inside))
    return [
        (info.filename, partial(streams.member, path, info))
        for info in sorted(inside, key=lambda info: natural(Path(info.filename)))
    ]


def _tarred(path: Path) -> tuple[list[Member], BadRecord | None]:
    names: list[str] = []
    parts = PartsFile(streams.chunks(path))
    try:
        with io.BufferedReader(parts, streams.CHUNK) as file, _opened(file) as archive:
            for member in archive:
                if member.isfile() and member.size and not Path(member.name).name.startswith(_HIDDEN):
                    names.append(member.name)
                    _limit_files(path, len(names))
            while file.read(streams.CHUNK):
                pass
            # Blocks of zeros end an archive. Where it breaks off between two files, the library says nothing of it.
            whole = parts.broken is None and not parts.tail.strip(b"\x00")
    except (tarfile.TarError, OSError, EOFError) as error:
        if not names:
            raise StratagemError(f"{path}: not a readable tar archive ({error})") from None
        whole = False
    logs = [
        (name, partial(_member, path, name)) for name in sorted(names, key=lambda name: natural(Path(name)))
    ]
    return logs, None if whole else BadRecord("archive: breaks off; files may be missing from its end")


def _limit_files(path: Path, files: int) -> None:
    streams.limit(files > MAX_FILES, f"{path}: more than {MAX_FILES:,} files in one archive")


def _opened(file: io.BufferedReader[PartsFile]) -> tarfile.TarFile:
    return tarfile.open(fileobj=file, mode="r|")


def _member(path: Path, name: str) -> Iterator[bytes | BadRecord]:
    """The bytes of one file of a tar archive, which is read from its start; `BadRecord` last where it breaks off."""
    try:
        parts = PartsFile(streams.chunks(path))
        with io.BufferedReader(parts, streams.CHUNK) as file, _opened(file) as archive:
            for member in archive:
                if member.name == name and (file := archive.extractfile(member)) is not None:
                    while chunk := file.read(streams.CHUNK):
                        yield chunk
                    return
    except (tarfile.TarError, OSError, EOFError):
        yield BadRecord("file: breaks off, or its packing is damaged")


class PartsFile(io.RawIOBase):
    """Parts of a file as a file to read. `broken` says where it breaks off; `tail` is the end of what was read, as
    long as a block of a tar archive."""

    def __init__(self, parts: streams.Parts) -> None:
        self.parts, self.left = parts, b""
        self.broken: BadRecord | None = None
        self.tail = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.left:
            part = next(self.parts, b"")
            if isinstance(part, BadRecord):
                self.broken = part
                return 0
            if not part:
                return 0
            self.left = part
        size = min(len(buffer), len(self.left))
        buffer[:size] = self.left[:size]
        self.tail = (self.tail + self.left[max(0, size - tarfile.BLOCKSIZE) : size])[-tarfile.BLOCKSIZE :]
        self.left = self.left[size:]
        return size
