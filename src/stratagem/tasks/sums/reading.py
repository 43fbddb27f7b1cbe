"""What the strategies share in reading a response: its words with their places, and the errors that they can hold."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stratagem.records import Mark

# A term is not the list's, or is left out, or comes twice.
TERM = "wrong_term"
# A count of equal terms is wrong.
COUNT = "wrong_count"
# A sum or a product is not what stands before it comes to.
ARITHMETIC = "arithmetic"
# The answer is not the digit that the work comes to; where there is no work, not the list's sum.
ANSWER = "wrong_answer"
# It ends before the work is done, or goes on after it.
STOPPING = "stopping"

WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: int
    end: int


def words_of(text: str) -> list[Word]:
    return [Word(match[0], *match.span()) for match in WORD.finditer(text)]


@dataclass(slots=True)
class Reading:
    """Marks of a response in order, and the digit that its work comes to, None where it comes to none.

    Each step has one mark; `step` counts them.
    """

    marks: list[Mark] = field(default_factory=list[Mark])
    result: int | None = None

    def judge(self, word: Word, expected: str, error: str) -> None:
        """Mark a word, with the error where it is not the expected one."""
        right = word.text == expected
        self.marks.append(Mark(word.start, word.end, None if right else error, None if right else expected))

    def stop(self, place: int, expected: str | None) -> None:
        self.marks.append(Mark(place, place, STOPPING, expected))


class Strategy(Protocol):
    """The shape of a strategy's module. Work is what stands between the opening and the answer."""

    @property
    def OPENING(self) -> str: ...

    def demonstrate(self, task: object, content: Sequence[int]) -> str:
        """The gold response."""
        ...

    def is_form(self, work: Sequence[Word]) -> bool:
        """Whether work is of this strategy."""
        ...

    def read(self, work: Sequence[Word], content: Sequence[int], end: int) -> Reading:
        """What is right and wrong in it; `end` is where what is missing should stand."""
        ...


def read_sums(reading: Reading, words: Sequence[Word], terms: Sequence[int], end: int) -> None:
    """Judge ``7 +3 0 +9 9``, the sum of `terms` one after another, by what is written before each word.

    `end` is the place where what is missing should stand. Sets the reading's result.
    """
    total: int | None = None
    expected: list[str] = []
    for i, term in enumerate(terms):
        expected += [str(term)] if i == 0 else [f"+{term}", ""]
    for i, word in enumerate(words):
        if i >= len(expected):
            reading.marks.append(Mark(word.start, word.end, STOPPING))
            continue
        if expected[i]:
            reading.judge(word, expected[i], TERM)
        else:
            added = words[i - 1].text.removeprefix("+")
            right = (total + int(added)) % 10 if total is not None and added.isdecimal() else None
            reading.judge(word, word.text if right is None else str(right), ARITHMETIC)
        if not word.text.startswith("+"):
            total = int(word.text) if word.text.isdecimal() and len(word.text) == 1 else None
    if len(words) < len(expected):
        missing = expected[len(words)]
        reading.stop(end, missing or None)
    reading.result = total
