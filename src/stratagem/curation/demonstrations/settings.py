"""What decides which demonstrations are chosen, beside the files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stratagem.curation.held import Form
from stratagem.records import StratagemError


@dataclass(frozen=True)
class Settings:
    """Of a choice of demonstrations.

    Attributes:
        size: how many are chosen; None for a profile alone, or for weights of all.
        choose: a ``subset`` of that size, or ``weights`` for all demonstrations.
        cover: strategies that are to be shown equally often; none for all that the labels can name.
        problems: of the demonstrations of a strategy, those of problems that have none yet come first (``many``), or
            those of problems that the set shows in several strategies (``few``).
        near: the share of runs of three words from which two responses are near-duplicates; 1 for none but repeats.
        duplicates: whether repeats and near-duplicates are left out.
        rare: a strategy is missing from a type of problem where fewer than this share of its demonstrations show it.
        write: whether missing strategies are demonstrated by the task itself.
        form: of what is written; None for that of the set.
    """

    size: int | None = None
    choose: Literal["subset", "weights"] = "subset"
    cover: tuple[str, ...] = ()
    problems: Literal["many", "few"] = "many"
    near: float = 0.8
    duplicates: Literal["drop", "keep"] = "drop"
    rare: float = 0.05
    write: bool = False
    level: float = 0.95
    draws: int = 1000
    seed: int = 0
    form: Form | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.choose == "weights":
            raise StratagemError("--size: weights are for all demonstrations; leave --size or --choose out")
        if self.write and self.size is None:
            raise StratagemError("--write: say with --size how many demonstrations there are to be")
