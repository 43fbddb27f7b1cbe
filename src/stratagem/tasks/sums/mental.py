"""Mental: the answer at once, without any work."""

from __future__ import annotations

from collections.abc import Sequence

from stratagem.tasks.sums.reading import Reading, Word

OPENING = "mental"


def demonstrate(task: object, content: Sequence[int]) -> str:
    """The gold response."""
    return f"{OPENING} ; answer {sum(content) % 10}"


def is_form(work: Sequence[Word]) -> bool:
    """Whether the words between the opening and the answer are of this strategy."""
    return not work


def read(work: Sequence[Word], content: Sequence[int], end: int) -> Reading:
    """What is right and wrong in the work: there is none, and the answer is the list's sum."""
    return Reading(result=sum(content) % 10)
