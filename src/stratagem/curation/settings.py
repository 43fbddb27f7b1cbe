"""What decides which prompts are chosen, beside the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from stratagem.curation.held import Form
from stratagem.records import StratagemError


@dataclass(frozen=True)
class Settings:
    """Of a choice of prompts.

    Attributes:
        size, keep_signal: see `choose.Wanted`; at most one of them.
        by: columns of the strata, whose shares are kept; none for a single stratum.
        target: the share that a stratum is to have, by its name (several columns joined by " / "); the others keep
            their shares among themselves.
        unseen: prompts without rollouts compete with what their stratum expects (``explore``), are all taken
            (``keep``), or none (``drop``).
        min_signal, group: see `profile.Frontier`; sure: how probable it has to be that a prompt is flat.
        curriculum: one set (``static``), the same by ``stages`` of falling pass rate, or with ``weights``.
        form: of what is written; None for that of the pool.
    """

    size: int | None = None
    keep_signal: float | None = None
    by: tuple[str, ...] = ()
    target: Mapping[str, float] = field(default_factory=dict[str, float])
    unseen: Literal["explore", "keep", "drop"] = "explore"
    duplicates: Literal["drop", "keep"] = "drop"
    group: int = 8
    min_signal: float = 0.1
    sure: float = 0.9
    curriculum: Literal["static", "stages", "weights"] = "static"
    stages: int = 3
    level: float = 0.95
    seed: int = 0
    form: Form | None = None

    def __post_init__(self) -> None:
        if self.size is not None and self.keep_signal is not None:
            raise StratagemError("--size and --keep-signal: give one of them")
        if self.size is not None and self.size < 1:
            raise StratagemError(f"--size {self.size}: must be at least 1")
        if self.group < 2:
            raise StratagemError(f"--group {self.group}: a group has 2 samples or more")
        if self.stages < 2:
            raise StratagemError(f"--stages {self.stages}: must be at least 2")
        for name in ("keep_signal", "sure"):
            value = getattr(self, name)
            if value is not None and not 0 < value <= 1:
                raise StratagemError(
                    f"--{name.replace('_', '-')} {value:g}: must lie above 0 and be at most 1"
                )
        if any(share < 0 for share in self.target.values()) or sum(self.target.values()) > 1 + 1e-9:
            raise StratagemError("--target: shares must lie within 0-1 and add up to 1 at most")
