"""Lists of digits, of whose sum the last digit is asked.

    add 7 3 3 9 :           2

A list is ``varied`` (no digit twice) or ``repeated`` (at most three different digits). Three strategies:

    mental ; answer 2                                         at once, in one step of thought
    running 7 +3 0 +3 3 +9 2 ; answer 2                       a running total
    tally 7 x1 7 3 x2 6 9 x1 9 total 7 +6 3 +9 2 ; answer 2   equal terms counted, multiplied, and added up

They are different computations: what a model cannot do at once it may do step by step, and equal digits are few to
multiply but have to be counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from stratagem.records import (
    MIXED,
    OTHER,
    TRUNCATED,
    UNPARSED,
    Label,
    Mark,
    Problem,
    StratagemError,
    content_id,
)
from stratagem.tasks import base
from stratagem.tasks.sums import mental, running, tally
from stratagem.tasks.sums.reading import ANSWER, STOPPING, Strategy, Word, words_of

VARIED, REPEATED = "varied", "repeated"
LONGEST = 9  # of ten different digits there is one list only, but for its order
FEW = 3  # different digits of a repeated list, at most
FIRST, COLON, END, SAID = "add", ":", ";", "answer"
STRATEGIES: Mapping[str, Strategy] = {"mental": mental, "running": running, "tally": tally}


@dataclass(frozen=True)
class Sums(base.Task):
    """Sums of 2 to 9 digits."""

    name = "sums"
    kinds = (VARIED, REPEATED)
    steps = (2, LONGEST)
    strategies: ClassVar[Mapping[str, base.Strategy]] = STRATEGIES
    unit = "digits"
    about = (
        "A problem is a list of digits, of whose sum the last digit is asked. In a varied list no digit comes twice, "
        "a repeated one has three different digits at most. A model can answer at once (mental), keep a running "
        "total, or tally: count equal digits, multiply, and add up the products."
    )

    @property
    def chance(self) -> float:
        return 0.1

    @property
    def entropy(self) -> tuple[int, ...]:
        return (10, 1)

    def problem(self, kind: str, steps: int, rng: np.random.Generator) -> Problem:
        """One list of `steps` digits (2 to 9).

        Raises:
            StratagemError: `kind` or `steps` is out of range.
        """
        if kind not in self.kinds:
            raise StratagemError(f"kind {kind!r}: must be one of {', '.join(self.kinds)}")
        self.check_steps((steps, steps))
        if kind == VARIED:
            return self.as_problem(kind, tuple(int(digit) for digit in rng.permutation(10)[:steps]))
        few = rng.permutation(10)[:FEW]
        terms = tuple(int(few[i]) for i in rng.integers(FEW, size=steps))
        return self.problem(kind, steps, rng) if len(set(terms)) == steps else self.as_problem(kind, terms)

    def as_problem(self, kind: str, terms: tuple[int, ...]) -> Problem:
        prompt = f"{FIRST} {' '.join(map(str, terms))} {COLON}"
        answer = str(sum(terms) % 10)
        return Problem(content_id(self.name, prompt), self.name, kind, len(terms), prompt, answer, terms)

    def content(self, problem: Problem) -> tuple[object, ...]:
        """The digits in their order of size: lists of the same digits have one answer."""
        return (self.name, *sorted(problem.data))

    def parse(self, prompt: str) -> Problem:
        words = prompt.split()
        digits = words[1:-1]
        if (
            words[:1] != [FIRST]
            or words[-1:] != [COLON]
            or not self.steps[0] <= len(digits) <= self.steps[1]
            or not all(len(digit) == 1 and digit in "0123456789" for digit in digits)
        ):
            raise StratagemError(f"not a list of digits to add, as 'add 7 3 3 9 :': {prompt[:60]!r}")
        terms = tuple(map(int, digits))
        if len(set(terms)) == len(terms):
            return self.as_problem(VARIED, terms)
        if len(set(terms)) <= FEW:
            return self.as_problem(REPEATED, terms)
        raise StratagemError(f"neither varied nor of {FEW} digits: {prompt[:60]!r}")

    def instruction(self) -> str:
        return (
            "Add the digits and give the last digit of their sum. Write your work, then '; answer' and the digit, as "
            "in 'running 7 +3 0 +9 9 ; answer 9' for 'add 7 3 9 :'."
        )

    def verify(self, problem: Problem, completion: str) -> float:
        *_, said = _parts(words_of(completion))
        return float(said is not None and said.text == problem.answer)

    def label(self, problem: Problem, completion: str, finish_reason: str = "stop") -> Label:
        """As `Task.label`. The form of the work names the strategy, and the opening where work has the form of several;
        an opening that names none of them makes it mixed."""
        words = words_of(completion)
        opening, work, said = _parts(words)
        end = said.start if said else len(completion)
        announced = opening.text if opening else None
        named = [name for name, strategy in STRATEGIES.items() if strategy.is_form(work)]
        if said is None and not work:
            return Label(TRUNCATED if finish_reason == "length" else UNPARSED)
        if not named or (announced is None and not work):
            return Label(TRUNCATED if finish_reason == "length" else OTHER)
        name = announced if announced in named else named[0]
        reading = STRATEGIES[name].read(work, problem.data, end)
        if said is not None:
            expected = None if reading.result is None else str(reading.result)
            reading.judge(said, said.text if expected is None else expected, ANSWER)
        elif finish_reason != "length":
            reading.marks.append(Mark(end, end, STOPPING, SAID))
        error = next(((mark.error, i) for i, mark in enumerate(reading.marks) if mark.error), (None, None))
        strategy = name if announced in (None, name) else MIXED
        if finish_reason == "length":
            strategy = TRUNCATED
        return Label(strategy, *error, marks=tuple(reading.marks))

    def words(self) -> list[str]:
        digits = [str(digit) for digit in range(10)]
        openings = [strategy.OPENING for strategy in STRATEGIES.values()]
        marks = [FIRST, COLON, END, SAID, tally.TOTAL, *openings]
        return [
            *marks,
            *digits,
            *(f"+{digit}" for digit in digits),
            *(f"x{n}" for n in range(1, LONGEST + 1)),
        ]

    def demonstration_words(self, steps: int) -> int:
        return 5 * steps + 5  # a tally of a varied list


def _parts(words: list[Word]) -> tuple[Word | None, list[Word], Word | None]:
    """The opening, the work, and the answer of a response; None where there is none."""
    openings = {strategy.OPENING for strategy in STRATEGIES.values()}
    opening = words[0] if words and words[0].text in openings else None
    body = words[1:] if opening else words
    at = max((i for i, word in enumerate(body) if word.text == SAID), default=None)
    said = body[at + 1] if at is not None and at + 1 < len(body) else None
    work = body if at is None else body[:at]
    if work and work[-1].text == END:
        work = work[:-1]
    return opening, list(work), said
