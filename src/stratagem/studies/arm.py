"""An arm of a study: a model, and what it was trained by, in which order."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from stratagem.records import SIDES
from stratagem.settings import read_steps

Trained = Literal["sft", "rl"]
NAME = re.compile(r"\S(?:.{0,58}\S)?")
UNSAFE = re.compile(r"[^\w.,=+-]+")


@dataclass(frozen=True, slots=True)
class Arm:
    """A stage of training with the arm that it begins from.

    Attributes:
        name: as the study's file calls it. Nothing is read from it.
        stage: ``sft`` or ``rl``.
        settings: those of the stage that are this arm's own.
        start: the arm whose model is trained; None for the study's base model.
    """

    name: str
    stage: Trained
    settings: Mapping[str, Any]
    start: Arm | None = None

    @property
    def folder(self) -> str:
        """Its name as a folder's: ``FB/RL(6-9)`` as ``FB_RL_6-9``."""
        return UNSAFE.sub("_", self.name).strip("_.") or "arm"

    @property
    def root(self) -> Arm:
        """The arm that it comes from, first of all."""
        return self if self.start is None else self.start.root

    @property
    def depth(self) -> int:
        """How many arms it comes from."""
        return 0 if self.start is None else 1 + self.start.depth

    @property
    def label(self) -> str:
        """What was done to it last, in short: ``SFT``, ``RL(6-9)``."""
        if self.stage == "sft":
            return "SFT"
        low, high = read_steps(str(self.settings["steps"])) if "steps" in self.settings else (None, None)
        return "RL" if low is None else f"RL({low}-{high})"

    @property
    def last_sft(self) -> Arm | None:
        """The arm whose SFT it had last, itself included; None where it had none."""
        if self.stage == "sft":
            return self
        return None if self.start is None else self.start.last_sft

    @property
    def sides(self) -> dict[str, Arm]:
        """What is compared where a gain is split: the arm that it starts from, ``before``, and itself, ``after``."""
        assert self.start is not None
        return dict(zip(SIDES, (self.start, self), strict=True))

    def as_dict(self) -> dict[str, Any]:
        """What a study's folder and a report say of it."""
        return {
            "name": self.name,
            "stage": self.stage,
            "label": self.label,
            "start": None if self.start is None else self.start.name,
            "root": self.root.name,
        }
