"""Forward: every part forward. The start of each inversion has to be guessed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from stratagem.tasks.composition.parts import FORWARD, Part, write_parts

if TYPE_CHECKING:
    from stratagem.tasks.composition.composition import Composition

OPENING = FORWARD


def demonstrate(task: Composition, content: Sequence[Part]) -> str:
    """The gold response. Guesses are the true ones, so that the demonstration is right."""
    return write_parts(task.field, content, [OPENING] * len(content))
