"""The table of which strategy followed which, as a page shows it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

from stratagem.decomposition.flips import Flips

MOST = 10  # strategies with a row of their own
OTHERS = "others"


@dataclass(slots=True)
class Cell:
    """Pairs that went from a row's strategy to a column's, as fractions of all; `same` on the diagonal."""

    share: float = 0.0
    right_to_wrong: float = 0.0
    wrong_to_right: float = 0.0
    same: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    cells: list[Cell]

    @property
    def share(self) -> float:
        return sum(cell.share for cell in self.cells)


@dataclass(frozen=True, slots=True)
class Matrix:
    """Strategies before by strategies after, the usual ones first; rare ones are joined, `joined` says how many."""

    names: list[str] = field(default_factory=list[str])
    rows: list[Row] = field(default_factory=list[Row])
    joined: int = 0

    @property
    def totals(self) -> list[float]:
        """The shares after."""
        return [sum(row.cells[i].share for row in self.rows) for i in range(len(self.names))]


def matrix(flips: Flips | None) -> Matrix:
    """The transitions as a table whose rows sum to the shares before and whose columns to those after."""
    if flips is None or not flips.transitions:
        return Matrix()
    sizes: dict[str, float] = defaultdict(float)
    for row in flips.transitions:
        sizes[row.before] += row.share
        sizes[row.after] += row.share
    usual = sorted(sizes, key=lambda name: (-sizes[name], name))
    joined = len(usual) - MOST if len(usual) > MOST + 1 else 0
    names = [*usual[: len(usual) - joined], *([OTHERS] if joined else [])]
    place = {name: min(i, len(names) - 1) for i, name in enumerate(usual)}
    cells = [[Cell(same=i == j) for j in range(len(names))] for i in range(len(names))]
    for row in flips.transitions:
        cell = cells[place[row.before]][place[row.after]]
        cell.share += row.share
        cell.right_to_wrong += row.right_to_wrong
        cell.wrong_to_right += row.wrong_to_right
    return Matrix(names, [Row(name, line) for name, line in zip(names, cells, strict=True)], joined)
