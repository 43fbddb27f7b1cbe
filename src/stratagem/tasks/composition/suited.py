"""Suited: each part from its given end, forward in an evaluation, backward in an inversion. Nothing is guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.tasks.composition.parts import Part, write_parts
from stratagem.tasks.five_ways.words import PARTS

if TYPE_CHECKING:
    from stratagem.tasks.composition.composition import Composition

OPENING = PARTS


def demonstrate(task: Composition, content: Sequence[Part]) -> str:
    """The gold response: ``parts forward x5 e3 … ; x5 last e8 ; backward final e8 … ; answer last e9``."""
    return f"{OPENING} {write_parts(task.field, content, [part.suited for part in content])}"
