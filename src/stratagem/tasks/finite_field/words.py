"""The words of prompts, demonstrations and primitives, for the small model's vocabulary."""

from __future__ import annotations

from stratagem.tasks.finite_field.chain import LABELS
from stratagem.tasks.finite_field.field import FiniteField

FIELDS = (11, 13)  # the small model knows the words of both
# The names x1 … are for problems of several parts, whose answers are carried from part to part.
WORDS = (
    *("start", "result", "recall", "list", "copy", ";", ":", "last", "answer", "forward", "backward"),
    *("inverse", "negative", "invert", "guess", "evaluate", *(f"x{i}" for i in range(1, 9))),
)


def words() -> list[str]:
    """All words, in the order of their ids in the base model that ships."""
    listed = [*WORDS, *(f"#{i}" for i in range(LABELS))]
    for p in FIELDS:
        task = FiniteField(p)
        listed += [task.symbol(i) for i in range(p)]
        listed += [f"{o}{task.symbol(i)}" for o in "+-*/" for i in range(p) if o in "+-" or task.residues[i]]
    return listed
