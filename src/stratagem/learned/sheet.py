"""The sheet that labels are written into as they are given: one row a label, at once on disk.

It is a sheet of hand labels as `label_error.sheet` reads it, with two columns more: `asked`, why this response was
asked (`random` or `chosen`), and `text_id`, made of prompt and completion. A row without a strategy was skipped.
"""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.label_error.sheet import as_spreadsheet_text, outcome, read_sheet, seals
from stratagem.learned.asking import CHOSEN, RANDOM
from stratagem.records import StratagemError, check_file, content_id
from stratagem.workspace import aside_of, reported, sync_folder

COLUMNS = (
    *("id", "true_strategy", "prompt", "completion", "side", "problem_id", "sample"),
    *("score", "outcome", "strategy", "weight", "asked", "text_id"),
)
MARK = "\ufeff"  # spreadsheets know UTF-8 by it


def text_id(prompt: str, completion: str) -> str:
    """Of a response, wherever it turns up."""
    return content_id("response", prompt, completion)


def is_learned(path: Path) -> bool:
    """Whether a file is a sheet whose labels are to be learned from."""
    check_file(path)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header = file.readline()
    except (OSError, UnicodeDecodeError):
        return False
    return "asked" in header.strip().replace('"', "").replace(";", ",").split(",")


def read_labels(path: Path) -> pl.DataFrame:
    """The labelled rows of such a sheet: its columns, texts as they were in the log.

    Raises:
        StratagemError: names the file, the row (the header is row 1) and the field.
    """
    table = read_sheet(path, partial=True)
    for name in COLUMNS:
        if name not in table.columns:
            raise StratagemError(f"{path}: no column {name!r}; there are {', '.join(table.columns)}")
    odd = (~table["asked"].is_in([RANDOM, CHOSEN])).fill_null(True).arg_true()
    if odd.len():
        raise StratagemError(
            f"{path}: asked: {table['asked'][int(odd[0])]!r} must be {RANDOM} or {CHOSEN}: copy it as it was"
        )
    plain = [
        pl.col(name).fill_null("").str.replace(r"^'([=+\-@\t\r])", "$1") for name in ("prompt", "completion")
    ]
    return table.with_columns(plain)


class SheetFile:
    """The file, held by one process: every row is on disk before `append` returns, and what a kill cut off is left out.

    Attributes:
        rows: in order, each by column; skipped ones too.
        cut: whether an unfinished last row was taken off.

    Raises:
        StratagemError: it cannot be written, is held by another process, or was saved by another program.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        aside_of(path)  # refuses what is no file
        try:
            # Without a buffer, which would keep what a full disk refused and write it later.
            self._file = open(path, "r+b" if path.exists() else "x+b", buffering=0)  # noqa: SIM115 (closed by `close`)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            content = self._file.read()
        except BlockingIOError:
            self._file.close()
            raise StratagemError(
                f"{path}: is open in another `stratagem annotate`; choose another --out"
            ) from None
        except OSError as error:
            raise StratagemError(
                f"{path}: cannot be written ({error.strerror}); choose another --out"
            ) from None
        try:
            self._take(content)
        except StratagemError:
            self._file.close()
            raise

    def _take(self, content: bytes) -> None:
        """Go on with what is there."""
        ends = _ends(content)
        self.cut = bool(ends) and ends[-1] < len(content)
        header = content[: ends[0] if ends else None].decode("utf-8-sig", "replace").replace('"', "").strip()
        if header != ",".join(COLUMNS) if ends else not HEADER.startswith(content):
            raise StratagemError(
                f"{self.path}: is no sheet of `stratagem annotate`, or was saved by another program; choose another "
                "--out"
            )
        if not ends:
            ends = [self._write(0, HEADER)]
            sync_folder(self.path.absolute().parent)
        self.rows = _rows(self.path, content[ends[0] : ends[-1]])
        self._ends = ends
        if self.cut:
            with reported(self.path):
                self._cut(ends[-1])

    def append(self, row: dict[str, str]) -> None:
        """Add a row.

        Raises:
            StratagemError: the disk is full; the row is not added, all others are there.
        """
        self._ends.append(self._write(self._ends[-1], line_of(row)))
        self.rows.append(row)

    def undo(self) -> dict[str, str] | None:
        """Take the last row off and give it; None where there is none.

        Raises:
            StratagemError: the file cannot be changed; the row is there still.
        """
        if not self.rows:
            return None
        with reported(self.path):
            self._cut(self._ends[-2])
        self._ends.pop()
        return self.rows.pop()

    def close(self) -> None:
        self._file.close()

    def _write(self, start: int, line: bytes) -> int:
        try:
            self._file.seek(start)
            done = 0
            while done < len(line):
                done += self._file.write(line[done:])
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._cut(start)  # a part of a row would stand behind the next one, if that is shorter
            raise StratagemError(
                f"{self.path}: cannot be written ({error.strerror}); no label was lost"
            ) from None
        return start + len(line)

    def _cut(self, end: int) -> None:
        self._file.truncate(end)
        os.fsync(self._file.fileno())


def _rows(path: Path, content: bytes) -> list[dict[str, str]]:
    """
    Raises:
        StratagemError: names the row (the header is row 1).
    """
    before = csv.field_size_limit(len(content) + 1)  # of the whole process: put back before others run
    rows: list[dict[str, str]] = []
    try:
        for record in csv.reader(io.StringIO(content.decode(errors="surrogateescape"), newline="")):
            "".join(record).encode()  # fails where it was not UTF-8
            rows.append(dict(zip(COLUMNS, record, strict=True)))
    except (ValueError, csv.Error):
        why = "is not as it was written; put it right or choose another --out"
        raise StratagemError(f"{path}: row {len(rows) + 2}: {why}") from None
    finally:
        csv.field_size_limit(before)
    return rows


def row_of(response: dict[str, Any], strategy: str, guess: str, asked: str) -> dict[str, str]:
    """A row of the sheet.

    Args:
        response: side, problem_id, sample, score, prompt, completion.
        strategy: as labelled by hand; empty where it was skipped.
        guess: what the response was thought to be.
    """
    row = {name: str(response[name]) for name in ("side", "problem_id", "sample")}
    row |= {"score": repr(float(response["score"])), "strategy": guess, "weight": "1.0"}
    sealed = pl.DataFrame(row).with_columns(pl.col("score", "weight").cast(pl.Float64))
    return row | {
        "id": seals(sealed)[0],
        "true_strategy": strategy,
        "prompt": as_spreadsheet_text(response["prompt"]),
        "completion": as_spreadsheet_text(response["completion"]),
        "outcome": sealed.select(outcome(pl.col("score"))).item(),
        "asked": asked,
        "text_id": text_id(response["prompt"], response["completion"]),
    }


def line_of(row: Mapping[str, str]) -> bytes:
    """A row as it stands in the file."""
    return _line([row[name] for name in COLUMNS])


def _line(values: Sequence[str]) -> bytes:
    out = io.StringIO()
    csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(values)
    return out.getvalue().encode()


HEADER = MARK.encode() + _line(COLUMNS)


def _ends(content: bytes) -> list[int]:
    """Where rows end: at line ends outside of quotation marks."""
    ends: list[int] = []
    start, inside = 0, False
    while (end := content.find(b"\n", start)) >= 0:
        inside ^= content.count(b'"', start, end) % 2 == 1
        if not inside:
            ends.append(end + 1)
        start = end + 1
    return ends
