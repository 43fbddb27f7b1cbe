"""A verl run, read off the responses that it writes: its rollout_data_dir, or the folder of `labelled(…, write=)`.

`rollouts.readers.verl` reads the lines; problem_id, strategy and the columns that describe a problem are what the
reward function of `integrations.verl` adds. verl keeps its losses to its own loggers: the page shows responses alone.
"""

from __future__ import annotations

from pathlib import Path

from stratagem.records import StratagemError
from stratagem.rollouts.readers import verl
from stratagem.rollouts.readers.choose import first_records
from stratagem.rollouts.readers.containers import lines_source, sources
from stratagem.watch.responses import ASKED, Asked, Responses, means
from stratagem.watch.run import Run, status_of
from stratagem.watch.tail import Changes, Tail

SUFFIX = ".jsonl"
ASIDE = ("gts", "pred", "uid", "request_id", "data_source")  # what verl writes that describes no problem


class VerlRun:
    """A folder that a verl run writes its training responses to.

    Args:
        asked: what the user says.
    """

    def __init__(self, out: Path, asked: Asked = ASKED) -> None:
        self.out = out
        self.run = Run(out.name, kind="verl", by_problem=True)
        self._changes = Changes(SUFFIX)
        self._tails: dict[Path, Tail] = {}
        self._times: dict[int, float] = {}
        self._responses = Responses(verl.NAME, asked, out.name, ASIDE)

    def poll(self) -> Run:
        """Read what is new."""
        changed = [path for path in self._changes.look(self.out) if not self._is_read_elsewhere(path)]
        for path in changed:
            self._read(path)
        if changed:
            self._describe()
        self.run.status = status_of(self._times)
        return self.run

    def _is_read_elsewhere(self, path: Path) -> bool:
        """Whether a name is one more of a file that is read. Where the other name is gone, the file goes on here."""
        file = self._changes.files[path.name]
        names = [name for name, tail in self._tails.items() if tail.has_read(path, file)]
        for other in (name for name in names if name != path):
            if self._changes.files.get(other.name) == file:
                return True
            self._tails[path] = self._tails.pop(other)
            self._responses.rename(other, path)
        return False

    def _read(self, path: Path) -> None:
        void, lines = self._tails.setdefault(path, Tail()).read(path)
        if void:
            self._responses.drop(path)
        if not lines:
            return
        try:
            updates = self._responses.add(lines_source(path, lines.removesuffix(b"\n")))
        except StratagemError:  # none of these lines names a problem and a strategy
            self._responses.left_out[path] += sum(1 for line in lines.split(b"\n") if line.strip())
            return
        written = self._changes.stamps[path.name][1] / 1e9
        self._times |= {update: max(written, self._times.get(update, 0)) for update in updates}

    def _describe(self) -> None:
        """Fill in the run from the responses."""
        run, responses = self.run, self._responses
        run.notes = []
        if left_out := responses.left_out.total():
            run.notes.append(
                f"{left_out:,} lines without a step, a problem_id or a strategy are left out: `labelled` of "
                "stratagem.integrations.verl writes them, or --strategies names strategies here (docs/llms.md)."
            )
        responses.fill(run)
        if run.scored:
            run.scalars = means(responses.table)


def is_verl(folder: Path) -> bool:
    """Whether verl, or its reward function of ours, has written responses there."""
    for path in sorted(folder.glob(f"*{SUFFIX}"))[:1]:
        try:
            records = [record for source in sources(path) for record in first_records(source, 1)]
        except StratagemError:
            return False
        return any(map(verl.recognises, records))
    return False
