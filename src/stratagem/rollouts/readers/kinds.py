"""Files that are no logs, by their first bytes, each with what to do; and texts that are not UTF-8."""

from __future__ import annotations

from collections.abc import Sequence

_EXPORT = "export the table as CSV, JSON lines or Parquet"
_NEVER_RUN = "reading one runs code; write the records as JSON lines or Parquet"
_MAGIC: dict[bytes, str] = {
    b"version https://git-lfs": "is a pointer of Git LFS in place of the file; run `git lfs pull`",
    b"SQLite format 3": f"is a SQLite database; {_EXPORT}",
    b"\xd0\xcf\x11\xe0": f"is an Excel file; {_EXPORT}",
    b"\x80\x02": f"is a pickle; {_NEVER_RUN}",
    b"\x80\x03": f"is a pickle; {_NEVER_RUN}",
    b"\x80\x04": f"is a pickle; {_NEVER_RUN}",
    b"\x80\x05": f"is a pickle; {_NEVER_RUN}",
    b"\x93NUMPY": "is a NumPy array; write the records as JSON lines or Parquet",
    b"\x89HDF": f"is an HDF5 file; {_EXPORT}",
    b"Obj\x01": f"is an Avro file; {_EXPORT}",
    b"ORC": f"is an ORC file; {_EXPORT}",
    b"FEA1": "is a Feather file of version 1; write it anew as version 2 or Parquet",
    b"%PDF": "is a PDF",
}
_DUCKDB = b"DUCK"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_LEAST_BYTES = 2  # that are no UTF-8: a single one may be damage


def refused(head: bytes) -> str | None:
    """What a file is and what to do, where its first bytes say that it is no log."""
    if head[8:12] == _DUCKDB:
        return f"is a DuckDB database; {_EXPORT}"
    return next((what for magic, what in _MAGIC.items() if head.startswith(magic)), None)


def refused_archive(names: Sequence[str]) -> str | None:
    """The same for a zip archive, by the names in it."""
    if "[Content_Types].xml" in names:
        return f"is an Excel file; {_EXPORT}"
    if any(name.endswith("data.pkl") for name in names):
        return f"is a file of torch, which holds a pickle; {_NEVER_RUN}"
    return None


def encoding(head: bytes) -> str | None:
    """The encoding of a text that is not UTF-8; None where it may be.

    UTF-16 has its mark. What has several bytes that are no UTF-8 and not one letter that is, in a text that starts with
    names as CSV does, was written on Windows.
    """
    if head.startswith(_UTF16):
        return "utf-16"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")) or head.isascii():
        return None
    text = head[:-4].decode(errors="replace")
    broken = text.count("\ufffd")
    letters = sum(not char.isascii() for char in text) - broken
    if broken < _LEAST_BYTES or letters:
        return None
    try:
        head.decode("cp1252")
    except UnicodeDecodeError:
        return None
    return "cp1252"
