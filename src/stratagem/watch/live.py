"""The responses that the callback Live of a TRL run writes (`integrations.response_files`): a file an update.

They say themselves which split they are of, what is right, what makes strata, and how wide the window of the gain is.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from stratagem.records import StratagemError
from stratagem.rollouts.declared import declared
from stratagem.rollouts.readers import plain
from stratagem.rollouts.readers.containers import parquet_source
from stratagem.watch.responses import ASKED, Asked, Responses, means
from stratagem.watch.run import Run, status_of
from stratagem.watch.tail import Changes

SUFFIX = ".parquet"
TEXTS = (
    "prompt",
    "question",
    "completion",
)  # counting needs none, so they stay on the disk; naming strategies does
_NAME = re.compile(r"step_(\d+)_.+\.parquet")


class LiveRun:
    """A folder that `Live` writes.

    Args:
        asked: what the user says.
    """

    def __init__(self, out: Path, asked: Asked = ASKED) -> None:
        self.out = out
        self.run = Run(out.name, kind="live", by_problem=True)
        self._changes = Changes(SUFFIX)
        self._times: dict[int, float] = {}
        self._responses = Responses(plain.NAME, asked, out.name)
        self._unread = TEXTS if asked.rules is None else ()

    def poll(self) -> Run:
        """Read what is new."""
        changed = [path for path in self._changes.look(self.out) if _NAME.fullmatch(path.name)]
        for path in changed:
            self._read(path)
        if changed:
            self.run.notes = []
            self._responses.fill(self.run)
            if self.run.scored:
                self.run.scalars = means(self._responses.table)
        self.run.status = status_of(self._times)
        return self.run

    def _read(self, path: Path) -> None:
        self._responses.drop(path)  # an update that was done again, after a resume
        with contextlib.suppress(StratagemError):  # a file that cannot be read: nothing to count
            written = self._changes.stamps[path.name][1] / 1e9
            self._times |= dict.fromkeys(self._responses.add(parquet_source(path, self._unread)), written)


def is_live(folder: Path) -> bool:
    """Whether `Live` has written responses there."""
    first = min((path for path in folder.glob(f"*{SUFFIX}") if _NAME.fullmatch(path.name)), default=None)
    return first is not None and declared(first) is not None
