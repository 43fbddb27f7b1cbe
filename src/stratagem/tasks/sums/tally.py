"""Tally: count equal terms, multiply, and add up the products."""

from __future__ import annotations

from collections.abc import Sequence

from stratagem.records import Mark
from stratagem.tasks.sums.reading import ARITHMETIC, COUNT, TERM, Reading, Word, read_sums
from stratagem.tasks.sums.running import totals

OPENING = "tally"
TOTAL = "total"  # between the products and their sum


def demonstrate(task: object, content: Sequence[int]) -> str:
    """The gold response: ``tally 7 x2 4 3 x1 3 total 4 +3 7 ; answer 7``."""
    parts: list[str] = []
    for digit in dict.fromkeys(content):
        count = content.count(digit)
        parts += [str(digit), f"x{count}", str(digit * count % 10)]
    products = [int(product) for product in parts[2::3]]
    return f"{OPENING} {' '.join(parts)} {TOTAL} {totals(products)} ; answer {sum(content) % 10}"


def is_form(work: Sequence[Word]) -> bool:
    """Whether the words between the opening and the answer are of this strategy."""
    return any(word.text[0] == "x" for word in work)


def read(work: Sequence[Word], content: Sequence[int], end: int) -> Reading:
    """What is right and wrong in the work, each word by those before it."""
    reading = Reading()
    at = next((i for i, word in enumerate(work) if word.text == TOTAL), len(work))
    groups, sums = work[:at], work[at + 1 :]
    digits = list(dict.fromkeys(content))
    products: list[int] = []
    for i in range(0, len(groups), 3):
        digit, *rest = groups[i : i + 3]
        due = digits[i // 3] if i // 3 < len(digits) else None
        reading.judge(digit, digit.text if due is None else str(due), TERM)
        if due is None:
            reading.stop(digit.end, TOTAL)
        counted = int(digit.text) if digit.text.isdecimal() else -1
        if rest:
            reading.judge(rest[0], f"x{content.count(counted)}", COUNT)
        if len(rest) == 2:
            times = rest[0].text.removeprefix("x")
            right = counted * int(times) % 10 if times.isdecimal() and counted >= 0 else None
            reading.judge(rest[1], rest[1].text if right is None else str(right), ARITHMETIC)
            products.append(int(rest[1].text) if rest[1].text.isdecimal() else -1)
        else:
            reading.stop(groups[-1].end, None)
    if len(products) < len(digits):
        reading.stop(groups[-1].end if groups else end, str(digits[len(products)]))
    if at == len(work):
        reading.stop(end, TOTAL)
    else:
        reading.marks.append(Mark(work[at].start, work[at].end))
        read_sums(reading, sums, products, end)
    return reading
