"""The chains of `finite_field` with five strategies: forward, backward, and three that are more than one walk.

    start e3 ; #17 +e5 #18 *e2 ; compute :       evaluation
    result e1 ; #17 +e5 #18 *e2 ; recover :      inversion

`meet` and `algebraic` get to the answer from either end without a guess, at the price of a pair of numbers a step;
`guess` gets there by trying. Problems and splits are those of `finite_field`, but for the words at their end, by
which a log of responses says of which task it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, ClassVar

from stratagem.records import Label, Problem
from stratagem.tasks import base
from stratagem.tasks.finite_field.answer import PROMPT
from stratagem.tasks.finite_field.chain import Chain
from stratagem.tasks.finite_field.field import FiniteField
from stratagem.tasks.five_ways import words
from stratagem.tasks.five_ways.guess import MOST_TRIES
from stratagem.tasks.five_ways.recognise import OTHERS, WALKS, label
from stratagem.tasks.five_ways.words import COMPUTE, RECOVER

STRATEGIES: Mapping[str, Any] = {**WALKS, **OTHERS}
ASKS = {"evaluate": COMPUTE, "invert": RECOVER}
_PROMPT = re.compile(PROMPT.pattern.replace("evaluate", COMPUTE).replace("invert", RECOVER), re.ASCII)
_TAIL = re.compile(rf"; ({COMPUTE}|{RECOVER}) :\s*$")


@dataclass(frozen=True)
class FiveWays(FiniteField):
    """GF(p) with its symbols, as `FiniteField`, whose options it has."""

    name = "five_ways"
    strategies: ClassVar[Mapping[str, base.Strategy]] = STRATEGIES
    about = (
        "A problem is a chain of additions and multiplications in a finite field. Evaluation asks for the chain's "
        "result, inversion for its start. A model can work forward from the start or backward from the result; meet in "
        "the middle, where a walked part and a folded one come together; guess the answer and check it; or go the "
        "algebraic way and fold the chain into x * a + b. Forward and backward have to guess on the type that does not "
        "suit them."
    )

    def render(self, chain: Chain) -> str:
        head, _, ask = super().render(chain).removesuffix(" :").rpartition(" ")
        return f"{head} {ASKS[ask]} :"

    def parse(self, prompt: str) -> Problem:
        """The problem that `render` wrote as `prompt`.

        Raises:
            StratagemError: the text is no prompt of this task.
        """
        asks = {theirs: ours for ours, theirs in ASKS.items()}
        # A prompt of finite_field is none of this task: it is given on with an end that neither has.
        if _TAIL.search(prompt) is None:
            return super().parse(f"{prompt} ; no prompt of {self.name}")
        return super().parse(_TAIL.sub(lambda match: f"; {asks[match[1]]} :", prompt))

    @classmethod
    def find_prompt(cls, text: str) -> str:
        """The last problem that a text states."""
        prompts = _PROMPT.findall(text)
        return prompts[-1] if prompts else text

    def instruction(self) -> str:
        return "\n".join(
            (
                super().instruction(),
                "To fold steps into times a plus b, write 'fold' and go through them from zero and then from one: b is "
                "what comes out of zero, a is what comes out of one, less b. To check a guess, subtract the given "
                "symbol from what comes out, and write 'accept' where that leaves zero, else 'again'.",
            )
        )

    def label(self, problem: Problem, completion: str, finish_reason: str = "stop") -> Label:
        """As `Task.label`; `recognise` states the rules, `judge` the kinds of error."""
        return label(self, problem, completion, finish_reason)

    def words(self) -> list[str]:
        return words.words()

    @property
    def primitives(self) -> ModuleType:
        from stratagem.tasks.five_ways import primitives

        assert super().primitives  # refuses options that the small model has no words for
        return primitives

    def demonstration_words(self, steps: int) -> int:
        return MOST_TRIES * (3 * steps + 6) + 4
