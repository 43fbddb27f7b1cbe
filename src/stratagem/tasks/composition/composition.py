"""Problems of several parts in GF(p), the answer of each carried into the next under a name.

    x5 start e3 ; #17 +e5 ; evaluate ; final result x5 ; #18 +e4 #19 *e2 ; invert :

A part is an evaluation or an inversion of `finite_field`: here one named x5, and one that begins with its answer.
Labels count on through all parts, and names are drawn at random, so that neither tells which part it is. A single part
has 2-5 steps, as SFT shows them in the study of forward and backward; of several, each has one or two. The kind of a
problem is that of its last part.

Source: Krishnamurthy, Huang and Rajaraman, arXiv 2606.13125, where composed problems are carried so; names and
lengths of parts are ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import ClassVar

import numpy as np

from stratagem.records import Label, Problem, StratagemError, content_id
from stratagem.tasks import base
from stratagem.tasks.composition import backward, forward, suited
from stratagem.tasks.composition.parts import Part, chain_from
from stratagem.tasks.composition.recognise import read
from stratagem.tasks.finite_field.chain import EVALUATION, INVERSION, KINDS, LABELS, Step
from stratagem.tasks.finite_field.field import FiniteField
from stratagem.tasks.finite_field.recognise import GUESSED_START
from stratagem.tasks.five_ways.words import FINAL, NAMES, words

STRATEGIES: Mapping[str, base.Strategy] = {"suited": suited, "forward": forward, "backward": backward}
ALONE, AMONG = (2, 5), (1, 2)  # steps of a single part, and of one among several
FIELDS = (11, 13)
_ENDS = {("start", "evaluate"): EVALUATION, ("result", "invert"): INVERSION}


@dataclass(frozen=True)
class Composition(base.Task):
    """Chains carried into chains. `p` is 11 or 13.

    Raises:
        StratagemError: p is neither.
    """

    name = "composition"
    kinds = KINDS
    steps = (1, len(NAMES))
    unit = "parts"
    strategies: ClassVar[Mapping[str, base.Strategy]] = STRATEGIES
    guesses = frozenset({GUESSED_START})
    about = (
        "A problem has several parts. Each is a chain of additions and multiplications in a finite field, and asks for "
        "its result (evaluation) or its start (inversion); the answer of a part is the given end of the next. A model "
        "can work through each part from its given end (suited), or through all of them forward or backward, which has "
        "to guess where the given end is the other one."
    )

    p: int = 11

    def __post_init__(self) -> None:
        if self.p not in FIELDS:
            raise StratagemError(f"p={self.p}: must be 11 or 13")

    @cached_property
    def field(self) -> FiniteField:
        return FiniteField(self.p)

    @property
    def chance(self) -> float:
        return 1 / self.p

    # -- generate ----------------------------------------------------------------------------------------

    def problem(self, kind: str, steps: int, rng: np.random.Generator) -> Problem:
        """One problem of `steps` parts (1 to 8).

        Raises:
            StratagemError: `kind` or `steps` is out of range.
        """
        if kind not in KINDS:
            raise StratagemError(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
        self.check_steps((steps, steps))
        least, most = ALONE if steps == 1 else AMONG
        sizes = [int(size) for size in rng.integers(least, most + 1, size=steps)]
        listed = list(self.field.random_steps(sum(sizes), rng, self.field.residues))
        kinds = [*(KINDS[int(i)] for i in rng.integers(len(KINDS), size=steps - 1)), kind]
        names = [*(NAMES[int(i)] for i in rng.permutation(len(NAMES))[: steps - 1]), FINAL]
        given = int(rng.integers(self.p))
        parts: list[Part] = []
        for kind_of_part, size, name in zip(kinds, sizes, names, strict=True):
            steps_of_part, listed = listed[:size], listed[size:]
            parts.append(Part(chain_from(self.field, kind_of_part, steps_of_part, given), name))
            given = parts[-1].chain.asked
        return self.as_problem(tuple(parts))

    def as_problem(self, parts: tuple[Part, ...]) -> Problem:
        prompt, last = self.render(parts), parts[-1].chain
        answer = self.field.symbol(last.asked)
        return Problem(
            content_id(self.name, self.p, prompt), self.name, last.kind, len(parts), prompt, answer, parts
        )

    def content(self, problem: Problem) -> tuple[object, ...]:
        """The operations of all parts, without labels, names and states."""
        parts: Sequence[Part] = problem.data
        return self.p, *(" ".join(self.field.word(step) for step in part.chain.steps) for part in parts)

    # -- render and verify -------------------------------------------------------------------------------

    def render(self, parts: Sequence[Part]) -> str:
        texts: list[str] = []
        given = self.field.symbol(parts[0].chain.given)
        for part in parts:
            known, ask = next(ends for ends, kind in _ENDS.items() if kind == part.chain.kind)
            texts.append(f"{part.name} {known} {given} ; {self.field.steps_text(part.chain.steps)} ; {ask}")
            given = part.name
        return f"{' ; '.join(texts)} :"

    def parse(self, prompt: str) -> Problem:
        """The problem that `render` wrote as `prompt`.

        Raises:
            StratagemError: the text is no prompt of this task.
        """
        texts = prompt.strip().removesuffix(" :").split(" ; ")
        try:
            if not prompt.strip().endswith(" :") or len(texts) % 3 or not 1 <= len(texts) // 3 <= len(NAMES):
                raise ValueError("it does not read 'final start e3 ; #17 +e5 ; evaluate :'")
            parts: list[Part] = []
            for i, (head, listed, ask) in enumerate(zip(texts[::3], texts[1::3], texts[2::3], strict=True)):
                name, known, first = head.split()
                if parts and first != parts[-1].name:
                    raise ValueError(f"{first!r} is not the name of the part before")
                known_names = (FINAL,) if i == len(texts) // 3 - 1 else NAMES
                if name not in known_names or name in (part.name for part in parts):
                    raise ValueError(f"{name!r} is no name for this part")
                given = parts[-1].chain.asked if parts else self.field.symbols[first]
                parts.append(
                    Part(chain_from(self.field, _ENDS[known, ask], self._steps(listed), given), name)
                )
        except (ValueError, KeyError, IndexError) as error:
            raise StratagemError(
                f"not a prompt of parts in GF({self.p}): {prompt[:60]!r} ({error})"
            ) from None
        return self.as_problem(tuple(parts))

    def _steps(self, listed: str) -> list[Step]:
        words = listed.split()
        steps = [
            Step(int(label[1:]), word[0], self.field.symbols[word[1:]])
            for label, word in zip(words[::2], words[1::2], strict=True)
        ]
        if not steps or any(not 0 <= step.label < LABELS for step in steps):
            raise ValueError("no steps, or a label that there is not")
        return steps

    @classmethod
    def of_prompt(cls, prompt: str) -> Composition | None:
        """The field by its symbols' letter."""
        return next((task for p in FIELDS if (task := cls(p).if_read(prompt)) is not None), None)

    @classmethod
    def find_prompt(cls, text: str) -> str:
        """The last line of a text, in which a prompt stands."""
        return super().find_prompt(text).strip()

    def instruction(self) -> str:
        """What an LLM is told before the prompt: the field, what parts and names are, and the form of an answer."""
        first = self.field.symbol(0)
        return "\n".join(
            (
                self.field.instruction(),
                "A problem has several parts, each of which begins with its name: start or result x5 in the next "
                "part is the answer of x5. Begin with 'parts' and work through them one after another; end each but "
                f"the final one with its name, as '; x5 last {first} ;', and that with '; answer'.",
            )
        )

    def verify(self, problem: Problem, completion: str) -> float:
        """1.0 where the completion's answer is the problem's, else 0.0. The way to it does not count."""
        return float(self.field.answer_of(completion) == problem.answer)

    def label(self, problem: Problem, completion: str, finish_reason: str = "stop") -> Label:
        """As `Task.label`; `recognise` states the rules and the kinds of error."""
        return read(self.field, problem, completion, finish_reason).label

    def first_failed(self, problem: Problem, completion: str, finish_reason: str = "stop") -> int | None:
        """The first part with an error, from 0 (a wrong guess where there is no other); None where all are right."""
        return read(self.field, problem, completion, finish_reason).failed

    # -- the small model -----------------------------------------------------------------------------------

    def words(self) -> list[str]:
        return words()

    @property
    def primitives(self) -> ModuleType:
        from stratagem.tasks.five_ways import primitives

        return primitives

    def demonstration_words(self, steps: int) -> int:
        return 14 * steps + 8
