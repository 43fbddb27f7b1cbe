"""Running: a running total, one term after another."""

from __future__ import annotations

from collections.abc import Sequence

from stratagem.tasks.sums.reading import Reading, Word, read_sums

OPENING = "running"


def totals(terms: Sequence[int]) -> str:
    """``7 +3 0 +9 9``: the first term, then each term and the last digit of the sum so far."""
    parts, total = [str(terms[0])], terms[0]
    for term in terms[1:]:
        total = (total + term) % 10
        parts += [f"+{term}", str(total)]
    return " ".join(parts)


def demonstrate(task: object, content: Sequence[int]) -> str:
    """The gold response."""
    return f"{OPENING} {totals(content)} ; answer {sum(content) % 10}"


def is_form(work: Sequence[Word]) -> bool:
    """Whether the words between the opening and the answer are of this strategy."""
    return any(word.text[0] == "+" for word in work) and not any(word.text[0] == "x" for word in work)


def read(work: Sequence[Word], content: Sequence[int], end: int) -> Reading:
    """What is right and wrong in the work, each word by those before it."""
    reading = Reading()
    read_sums(reading, work, content, end)
    return reading
