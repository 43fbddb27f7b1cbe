"""The words of a base for `five_ways` and `composition`: those of `finite_field`, then more."""

from __future__ import annotations

from stratagem.tasks.finite_field.words import words as finite_field_words

COMPUTE, RECOVER = (
    "compute",
    "recover",
)  # what a problem of five ways asks for, in place of evaluate and invert
FOLD, MEET, TRY = "fold", "meet", "try"  # openings of strategies
AGAIN, ACCEPT = "again", "accept"  # what a check comes to
PARTS = "parts"  # opening of a response of several parts
FINAL = "final"  # the last part, whose answer is the response's
NAMES = tuple(f"x{i}" for i in range(1, 9))  # of the other parts, under which their answers are carried on
NEW = (COMPUTE, RECOVER, FOLD, MEET, TRY, AGAIN, ACCEPT, PARTS, FINAL)


def words() -> list[str]:
    """All words, in the order of their ids in a base."""
    return [*finite_field_words(), *NEW]
