"""A file's bytes, unpacked as they are read, and its lines in blocks, with a limit on what either may take."""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import os
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import pyarrow as pa

from stratagem.records import StratagemError
from stratagem.rollouts.readers.row import BadRecord

HEAD = 65_536
CHUNK = 1 << 18  # small enough for a core's cache: twice as fast as parts of 1 MB
MAX_LINE = 64 << 20
MAX_DOCUMENT = 1 << 30  # of what is read as one piece
# Text packs 3 to 50 times. What unpacks to more than RATIO times its size, beyond FREE bytes, is no log.
RATIO = 200
FREE = 256 << 20
LIFT = "STRATAGEM_LIMITS"  # an environment variable: "off" lifts the limits on what a file may hold

Parts: TypeAlias = Iterator[bytes | BadRecord]
Unpacker: TypeAlias = Callable[[BinaryIO], Parts]
_MAGIC = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\x00": "xz",
    b"(\xb5/\xfd": "zstd",
    b"PK\x03\x04": "zip",
}


def packing(head: bytes) -> str | None:
    """The compression of a file, from its first bytes."""
    return next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)


def limit(reached: bool, what: str) -> None:
    """See that a limit on what a file may hold is not reached, or has been lifted.

    Raises:
        StratagemError: it is; `what` names the file and the limit.
    """
    if reached and os.environ.get(LIFT) != "off":
        raise StratagemError(f"{what}; if this is a log all the same, set {LIFT}=off")


def limit_unpacked(name: str, unpacked: int, packed: int) -> None:
    """See that what has come out of a file is in proportion to what has been read of it, both in bytes.

    Raises:
        StratagemError: it is not.
    """
    limit(
        unpacked > FREE and unpacked > RATIO * max(packed, 1),
        f"{name}: unpacks to more than {RATIO} times its size",
    )


def chunks(path: Path) -> Parts:
    """The bytes of a file, unpacked if it is gzip, bz2, xz or zstd; `BadRecord` last where it breaks off.

    Raises:
        StratagemError: not to be read, or it unpacks without end.
    """
    try:
        with path.open("rb") as file:
            head = file.read(8)
            file.seek(0)
            how = packing(head)
            unpack = _UNPACKERS.get(how or "")
            if unpack is None:
                while chunk := file.read(CHUNK):
                    yield chunk
            else:
                yield from _limited(unpack(file), str(path), file.tell)
    except OSError as error:
        raise StratagemError(f"{path}: cannot be read ({error.strerror or error})") from None


def zipped(path: Path) -> zipfile.ZipFile:
    """A zip archive, which stays open for a while: its list may be long, and each of its files needs it.

    Raises:
        BadZipFile, OSError, NotImplementedError, ValueError: not a readable archive.
    """
    status = path.stat()
    return _zipped(path, status.st_ino, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4)
def _zipped(path: Path, *_version: int) -> zipfile.ZipFile:
    return zipfile.ZipFile(path)


def member(path: Path, info: zipfile.ZipInfo) -> Parts:
    """The bytes of one file in a zip archive; `BadRecord` last where it breaks off."""

    def read() -> Parts:
        try:
            with zipped(path).open(info) as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, ValueError):
            yield BadRecord("file: breaks off, or its packing is damaged")
        except (RuntimeError, NotImplementedError) as error:  # a password, a rare packing
            raise StratagemError(f"{path}: {info.filename}: {str(error).splitlines()[0]}") from None

    return _limited(read(), f"{path}/{info.filename}", lambda: info.compress_size)


def _limited(parts: Parts, name: str, packed: Callable[[], int]) -> Parts:
    """The parts, as long as they are in proportion to the bytes that were `packed` so far."""
    total = 0
    for part in parts:
        if isinstance(part, bytes):
            total += len(part)
            limit_unpacked(name, total, packed())
        yield part


def _zlib_pieces(decompressor: Any, data: bytes) -> Iterator[bytes]:
    part = b""
    while data or len(part) == CHUNK:
        part = decompressor.decompress(data, CHUNK)
        yield part
        data = decompressor.unconsumed_tail


def _bounded_pieces(
    decompressor: bz2.BZ2Decompressor | lzma.LZMADecompressor, data: bytes
) -> Iterator[bytes]:
    yield decompressor.decompress(data, CHUNK)
    while not decompressor.needs_input and not decompressor.eof:
        yield decompressor.decompress(b"", CHUNK)


def _incremental(make: Callable[[], Any], pieces: Callable[[Any, bytes], Iterator[bytes]]) -> Unpacker:
    """An unpacker for formats whose files may be several streams one after another."""

    def unpack(file: BinaryIO) -> Parts:
        decompressor, data, inside = make(), b"", False
        try:
            while data := data or file.read(HEAD):
                inside = True
                yield from pieces(decompressor, data)
                data = b""
                if decompressor.eof:
                    # xz and tape blocks are padded with zeros.
                    data = decompressor.unused_data.lstrip(b"\x00")
                    decompressor, inside = make(), False
        except (zlib.error, lzma.LZMAError, OSError, EOFError, ValueError):
            yield BadRecord("file: its packing is damaged")
            return
        if inside:
            yield BadRecord("file: breaks off, its packing has no end")

    return unpack


def _zstd(file: BinaryIO) -> Parts:
    try:
        with pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd") as stream:
            while chunk := stream.read(HEAD):
                yield chunk
    except (OSError, pa.ArrowException):
        yield BadRecord("file: breaks off, or its packing is damaged")


_UNPACKERS: dict[str, Unpacker] = {
    "gzip": _incremental(lambda: zlib.decompressobj(wbits=31), _zlib_pieces),
    "bz2": _incremental(bz2.BZ2Decompressor, _bounded_pieces),
    "xz": _incremental(lzma.LZMADecompressor, _bounded_pieces),
    "zstd": _zstd,
}


def recoded(parts: Callable[[], Parts], encoding: str) -> Parts:
    """The parts of a text in another encoding, in UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    for part in parts():
        yield part if isinstance(part, BadRecord) else decoder.decode(part).encode(errors="replace")
    yield decoder.decode(b"", final=True).encode(errors="replace")


def raw_head(path: Path, size: int = 8) -> bytes:
    """The first bytes of a file as they stand, by default enough to tell its packing.

    Raises:
        StratagemError: not to be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise StratagemError(f"{path}: cannot be read ({error.strerror or error})") from None


def gather(parts: Parts, size: int) -> bytes:
    """The first bytes of what comes, unpacked."""
    gathered = b""
    for part in parts:
        if isinstance(part, BadRecord) or len(gathered) >= size:
            break
        gathered += part
    return gathered[:size]


def all_bytes(parts: Parts, name: str) -> bytes:
    """Everything.

    Raises:
        StratagemError: more than `MAX_DOCUMENT` bytes, or damaged.
    """
    buffer = io.BytesIO()
    for part in parts:
        if isinstance(part, BadRecord):
            raise StratagemError(f"{name}: {part}")
        if buffer.tell() + len(part) > MAX_DOCUMENT:
            raise StratagemError(
                f"{name}: more than {MAX_DOCUMENT >> 20} MB as one piece; write it as lines of JSON"
            )
        buffer.write(part)
    return buffer.getvalue()


def blocks(parts: Parts) -> Iterator[bytes | BadRecord]:
    """The whole lines of each part of a file, without the last one's end.

    A line longer than `MAX_LINE` is not kept: `BadRecord` stands in its place. One that says that the file breaks off
    stands last.
    """
    too_long = BadRecord(f"line: longer than {MAX_LINE >> 20} MB")
    dropping, broken, first = False, None, True
    begun: list[bytes] = []  # the parts of a line that has not come to its end
    size = 0  # of these, in bytes
    for part in parts:
        if isinstance(part, BadRecord):
            broken = part
            break
        if first:
            part, first = part.removeprefix(b"\xef\xbb\xbf"), False
        if dropping:
            end = part.find(b"\n")
            if end < 0:
                continue
            yield too_long
            dropping, part = False, part[end + 1 :]
        end = part.rfind(b"\n")
        if end >= 0:
            yield b"".join([*begun, memoryview(part)[:end]])
            begun, size, part = [], 0, part[end + 1 :]
        if part:
            begun.append(part)
            size += len(part)
        if size > MAX_LINE:
            begun, size, dropping = [], 0, True
    if begun:
        yield b"".join(begun)
    if dropping:
        yield too_long
    if broken:
        yield broken
