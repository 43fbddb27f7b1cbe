"""A stage's metrics.jsonl as tables, read as it grows: each poll costs what was added since the last one."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import polars as pl

from stratagem.report.format import finite
from stratagem.watch.gain import Gain, read_gain
from stratagem.watch.tail import Tail

SCALARS = (
    *("reward", "no_signal", "kl", "entropy", "length", "truncated"),
    *("loss", "accuracy", "grad_norm", "seconds"),
)
COUNTS: dict[str, pl.DataType] = {
    "update": pl.Int64(),
    "kind": pl.String(),
    "difficulty": pl.Int64(),
    "strategy": pl.String(),
    "n": pl.Float64(),
    "right": pl.Float64(),
}


@dataclass
class Entry:
    """One line of a log: an update's numbers, its counts, and the gain that the run itself logged."""

    update: int
    scalars: dict[str, float]
    cells: list[tuple[str, int, str, float, float]]
    gain: Gain | None = None


@dataclass
class MetricsLog:
    """All lines of one metrics.jsonl so far. Damaged lines are counted and left out.

    Attributes:
        counts: update, kind, difficulty, strategy, n, right, of RL.
        scalars: update and the numbers that are charted, null where a line has none.
        gains: the gain that the run logged, by update.
        version: grows whenever something changed.
        rewound: grows whenever updates became void, as a resumed run voids those after its saved state.
    """

    counts: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=COUNTS))
    scalars: pl.DataFrame = field(default_factory=lambda: scalar_table([]))
    gains: dict[int, Gain] = field(default_factory=dict[int, Gain])
    damaged: int = 0
    version: int = 0
    rewound: int = 0
    last: int = -1
    tail: Tail = field(default_factory=Tail)

    @property
    def updates(self) -> int:
        """Updates done: the number of the last one and one."""
        return self.last + 1

    def poll(self, path: Path) -> None:
        """Read what was added."""
        void, lines = self.tail.read(path)
        self.damaged = 0 if void else self.damaged
        entries: list[Entry] = []
        for line in lines.split(b"\n"):
            entry = read_line(line)
            if entry is None:
                self.damaged += bool(line.strip())
                continue
            # The run went back to an earlier state, or the log begins anew: what came after is void. A log that was
            # rotated goes on with later updates.
            if entry.update <= self.last:
                self.add(entries)
                entries = []
                self.cut(entry.update)
            self.last = entry.update
            entries.append(entry)
        self.add(entries)
        self.version += bool(lines or void)

    def add(self, entries: list[Entry]) -> None:
        """Take lines of later updates."""
        if not entries:
            return
        rows = [(entry.update, *cell) for entry in entries for cell in entry.cells]
        new = pl.DataFrame(rows, schema=COUNTS, orient="row")
        self.counts = pl.concat([self.counts, new])
        self.scalars = pl.concat([self.scalars, scalar_table(entries)])
        self.gains |= {entry.update: entry.gain for entry in entries if entry.gain}

    def cut(self, update: int) -> None:
        """Drop `update` and all later ones."""
        self.counts = self.counts.filter(pl.col("update") < update)
        self.scalars = self.scalars.filter(pl.col("update") < update)
        self.gains = {at: gain for at, gain in self.gains.items() if at < update}
        self.rewound += 1


def scalar_table(entries: list[Entry]) -> pl.DataFrame:
    columns = {name: [entry.scalars.get(name) for entry in entries] for name in SCALARS}
    return pl.DataFrame(
        {"update": [entry.update for entry in entries], **columns},
        schema={"update": pl.Int64(), **dict.fromkeys(SCALARS, pl.Float64())},
    )


def read_line(line: bytes) -> Entry | None:
    """A line of metrics.jsonl; None where it is not one, as after a crash."""
    try:
        raw: Any = json.loads(line)
        update = raw["update"]
        if type(update) is not int or update < 0:
            return None
        cells = [read_cell(cell) for cell in raw.get("cells") or []]
        scalars = {name: finite(raw.get(name)) for name in SCALARS}
        gain = read_gain(raw.get("live") or {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return Entry(update, {name: x for name, x in scalars.items() if x is not None}, cells, gain)


def read_cell(cell: Any) -> tuple[str, int, str, float, float]:
    """[kind, difficulty, strategy, responses, right ones], checked.

    Raises:
        ValueError, TypeError: it is something else.
    """
    kind, difficulty, strategy, n, right = cell
    numbers = finite(n), finite(right)
    if None in numbers or type(difficulty) is not int or not 0 <= numbers[1] <= numbers[0]:  # type: ignore[operator]
        raise ValueError("not a cell")
    return str(kind), difficulty, str(strategy), *cast("tuple[float, float]", numbers)
