"""Backward: every part backward. The result of each evaluation has to be guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.tasks.composition.parts import BACKWARD, Part, write_parts

if TYPE_CHECKING:
    from stratagem.tasks.composition.composition import Composition

OPENING = BACKWARD


def demonstrate(task: Composition, content: Sequence[Part]) -> str:
    """The gold response. Guesses are the true ones, so that the demonstration is right."""
    return write_parts(task.field, content, [OPENING] * len(content))
