"""The parts of a study's file: arms, presets, claims, a publication's numbers. docs/studies.md describes the form."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from stratagem.records import ALL
from stratagem.studies.quantities import Name

Values = dict[str, Any]


class ArmEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An arm as the file has it: the arm it starts from, and the settings of its own of one stage."""

    start: str | None = None
    sft: Values | None = None
    rl: Values | None = None


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of both stages at one budget."""

    sft: Values = {}
    rl: Values = {}


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One inequality of a claim: a quantity above or below a limit in percentage points, at a level in percent.

    Refuted where the interval lies on the limit's other side: "by over 10 points" by one below 10.
    """

    statement: str
    quantity: str
    above: float | str | None = None
    below: float | str | None = None
    level: float = 95


class Claim(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    statement: str
    parts: list[Part]


class Curve(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A chart that sets arms side by side: their accuracy, or how often they use `strategy`, on a `kind` of problem.

    Along ``updates``, a line an arm, from the responses that it was trained on; along ``arms``, a line an evaluation.
    """

    title: str
    arms: list[str]
    along: Literal["updates", "arms"] = "updates"
    strategy: str | None = None
    kind: str = ALL

    def name(self, arm: str, on: str | None = None) -> Name:
        """What is drawn of an arm."""
        what = "accuracy" if self.strategy is None else "share"
        return Name(what, arm, self.strategy, self.kind, on, "end" if self.along == "updates" else None)


class Published(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Numbers of a publication: pass@1 in percent, a row an arm, a column ``all`` or a kind of problem."""

    columns: list[str]
    percent: dict[str, list[float]]
