"""The file in which a judge's answers are kept: one line an answer, on disk before the next, found again by content."""

from __future__ import annotations

import fcntl
import threading
from pathlib import Path

import msgspec

from stratagem.judging.judgement import Judgement
from stratagem.records import StratagemError
from stratagem.workspace import aside_of, make_folder


class Answer(msgspec.Struct, frozen=True, tag_field="kind", tag="judgement"):
    """A line of the file."""

    key: str
    judgement: Judgement


class Answers:
    """The file, held by one process; what a kill cut off is left out.

    Raises:
        StratagemError: it cannot be written, is held by another process, or is no such file.
    """

    def __init__(self, path: Path) -> None:
        aside_of(path)  # refuses what is no file
        make_folder(path.parent)
        self.path, self.lock = path, threading.Lock()
        self.known: dict[str, Judgement] = {}
        try:
            self._file = open(path, "a+b")  # noqa: SIM115 (closed by `close`)
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise StratagemError(f"{path}: another judge writes there; choose another --answers") from None
        except OSError as error:
            raise StratagemError(
                f"{path}: cannot be written ({error.strerror}); choose another --answers"
            ) from None
        self._file.seek(0)
        content = self._file.read()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), 1):
            try:
                answer = msgspec.json.decode(line, type=Answer)
            except msgspec.MsgspecError:
                self.close()
                raise StratagemError(
                    f"{path}: line {number} is no answer of a judge; choose another --answers"
                ) from None
            self.known[answer.key] = answer.judgement
        if not whole and content:
            self.close()
            raise StratagemError(f"{path}: holds no answers of a judge; choose another --answers")
        self._file.truncate(whole)

    def __contains__(self, key: str) -> bool:
        return key in self.known

    def add(self, key: str, judgement: Judgement) -> None:
        """Keep an answer.

        Raises:
            StratagemError: the disk is full.
        """
        with self.lock:
            try:
                self._file.write(msgspec.json.encode(Answer(key, judgement)) + b"\n")
                self._file.flush()
            except OSError as error:
                raise StratagemError(f"{self.path}: cannot be written ({error.strerror})") from None
            self.known[key] = judgement

    def close(self) -> None:
        """Let the file go; one that holds nothing is not left behind."""
        if not self._file.closed and not self.known and self.path.is_file() and not self.path.stat().st_size:
            self.path.unlink()
        self._file.close()
