"""Chains of additions and multiplications in GF(p), written with abstract symbols.

Source: Krishnamurthy, Huang and Rajaraman, arXiv 2606.13125. A field element is a symbol such as ``e3``,
mapped to a residue by a permutation, so that ordinary number knowledge does not help. The same words serve
the small model and, after `instruction`, a real LLM:

    start e3 ; #17 +e5 #18 *e2 ; evaluate :      evaluation: the chain's result is asked
    result e1 ; #17 +e5 #18 *e2 ; invert :      inversion: its start is asked

``#17`` labels a step. Labels count up by one from a random number, so that they give away neither the length
of the chain nor a step's distance from its ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, Literal

import numpy as np

from stratagem.records import Label, Problem, StratagemError, content_id
from stratagem.tasks import base
from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field.answer import find_prompt, last_answer, plain
from stratagem.tasks.finite_field.chain import EVALUATION, INVERSION, KINDS, LABELS, MAX_STEPS, Chain, Step
from stratagem.tasks.finite_field.recognise import GUESSED_START, label_among
from stratagem.tasks.finite_field.strategy import Strategy

STRATEGIES: Mapping[str, Strategy] = {"forward": forward, "backward": backward}
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)


@dataclass(frozen=True)
class FiniteField(base.Task):
    """GF(p) with its symbols.

    `p` is a prime to 97. `relabel` is ``"study"`` (one permutation for all problems, made from p alone) or
    ``"problem"`` (a fresh one a problem, stated in its prompt). The symbols' letter is that of the prime's
    rank, so GF(11) has e0 … e10 as in the study, and GF(13) has f0 … f12.

    Raises:
        StratagemError: p is not a prime to 97, or `relabel` is neither.
    """

    name = "finite_field"
    kinds = KINDS
    steps = (1, MAX_STEPS)
    strategies: ClassVar[Mapping[str, base.Strategy]] = STRATEGIES
    mixes: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "F": ("forward",),
        "B": ("backward",),
        "FB": ("forward", "backward"),
    }
    guesses = frozenset({GUESSED_START})
    about = (
        "A problem is a chain of additions and multiplications in a finite field. Evaluation asks for the chain's "
        "result, inversion for its start. A model can work forward (F) from the start or backward (B) from the "
        "result; the way that does not suit the problem has to guess, and is right about one time in the field's size."
    )

    p: int = 11
    relabel: Literal["study", "problem"] = "study"

    def __post_init__(self) -> None:
        if self.p not in PRIMES:
            raise StratagemError(f"p={self.p}: must be a prime to 97, such as 11 or 13")
        if self.relabel not in ("study", "problem"):
            raise StratagemError(f"relabel={self.relabel}: must be 'study' or 'problem'")

    @cached_property
    def letter(self) -> str:
        return chr(ord("a") + PRIMES.index(self.p))

    @cached_property
    def residues(self) -> tuple[int, ...]:
        """The study's fixed permutation: ``residues[i]`` is the residue of symbol i."""
        return tuple(int(r) for r in np.random.default_rng([2606, 13125, self.p]).permutation(self.p))

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Each symbol's index: ``symbols["e3"]`` is 3."""
        return {self.symbol(i): i for i in range(self.p)}

    def symbol(self, index: int) -> str:
        return f"{self.letter}{index}"

    def apply(self, state: int, step: Step, residues: Sequence[int] | None = None) -> int:
        """The symbol index after one operation on symbol index `state`."""
        residues = self.residues if residues is None else residues
        a, b = residues[state], residues[step.operand]
        match step.operator:
            case "+":
                value = a + b
            case "-":
                value = a - b
            case "*":
                value = a * b
            case "/":
                value = a * pow(b, -1, self.p)
            case other:
                raise ValueError(f"operator {other!r}")
        return residues.index(value % self.p)

    def word(self, step: Step) -> str:
        """An operation as one word: ``+e5``."""
        return f"{step.operator}{self.symbol(step.operand)}"

    def steps_text(self, steps: Sequence[Step]) -> str:
        return " ".join(f"#{step.label} {self.word(step)}" for step in steps)

    # -- generate ----------------------------------------------------------------------------------------

    def random_steps(self, n: int, rng: np.random.Generator, residues: Sequence[int]) -> tuple[Step, ...]:
        """`n` operations with labels from a random offset; multipliers are invertible."""
        invertible = [i for i in range(self.p) if residues[i] != 0]
        first = int(rng.integers(0, LABELS - n + 1))
        steps: list[Step] = []
        for i in range(n):
            if rng.random() < 0.5:
                steps.append(Step(first + i, "+", int(rng.integers(self.p))))
            else:
                steps.append(Step(first + i, "*", invertible[int(rng.integers(len(invertible)))]))
        return tuple(steps)

    def problem(self, kind: str, steps: int, rng: np.random.Generator) -> Problem:
        """One problem of `steps` operations (1 to 20).

        Raises:
            StratagemError: `kind` or `steps` is out of range.
        """
        if kind not in KINDS:
            raise StratagemError(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
        if not 1 <= steps <= MAX_STEPS:
            raise StratagemError(f"steps {steps}: must be 1 to {MAX_STEPS}")
        residues = self.residues
        if self.relabel == "problem":
            residues = tuple(int(r) for r in rng.permutation(self.p))
        states = [int(rng.integers(self.p))]
        operations = self.random_steps(steps, rng, residues)
        for step in operations:
            states.append(self.apply(states[-1], step, residues))
        return self.as_problem(Chain(kind, operations, tuple(states), residues))

    def as_problem(self, chain: Chain) -> Problem:
        prompt = self.render(chain)
        return Problem(
            id=content_id(self.name, self.p, prompt, *(chain.residues if self.relabel == "study" else ())),
            task=self.name,
            kind=chain.kind,
            difficulty=len(chain.steps),
            prompt=prompt,
            answer=self.symbol(chain.asked),
            data=chain,
        )

    @property
    def chance(self) -> float:
        return 1 / self.p

    @property
    def entropy(self) -> tuple[int, ...]:
        return (self.p,)

    def content(self, problem: Problem) -> tuple[int, str]:
        """The operations, without labels and states."""
        chain: Chain = problem.data
        return self.p, " ".join(self.word(step) for step in chain.steps)

    # -- render and verify -------------------------------------------------------------------------------

    def render(self, chain: Chain) -> str:
        known, ask = ("start", "evaluate") if chain.kind == EVALUATION else ("result", "invert")
        prompt = f"{known} {self.symbol(chain.given)} ; {self.steps_text(chain.steps)} ; {ask} :"
        if self.relabel == "problem":
            where = " ".join(f"{self.symbol(i)}={r}" for i, r in enumerate(chain.residues))
            prompt = f"{where} ; {prompt}"
        return prompt

    def parse(self, prompt: str) -> Problem:
        """The problem that `render` wrote as `prompt`.

        Raises:
            StratagemError: the text is no prompt of this task.
        """
        parts = prompt.strip().split(" ; ")
        try:
            if not 3 <= len(parts) <= 4:
                raise ValueError("it does not read 'start e3 ; #17 +e5 ; evaluate :'")
            *where, head, listed, tail = parts
            known, given = head.split()
            if (known, tail) not in (("start", "evaluate :"), ("result", "invert :")):
                raise ValueError("it does not read 'start … ; evaluate :' or 'result … ; invert :'")
            residues = self.residues
            if where:
                residues = tuple(int(pair.partition("=")[2]) for pair in where[0].split())
            words = listed.split()
            steps = tuple(
                Step(int(name[1:]), word[0], self._index(word[1:]))
                for name, word in zip(words[::2], words[1::2], strict=True)
            )
            kind = EVALUATION if known == "start" else INVERSION
            states = [self._index(given)]
            for step in steps if kind == EVALUATION else [step.undone() for step in reversed(steps)]:
                states.append(self.apply(states[-1], step, residues))
        except (ValueError, KeyError, IndexError) as error:
            raise StratagemError(
                f"not a finite-field prompt of GF({self.p}): {prompt[:60]!r} ({error})"
            ) from None
        ordered = tuple(states if kind == EVALUATION else reversed(states))
        return self.as_problem(Chain(kind, steps, ordered, residues))

    def _index(self, symbol: str) -> int:
        if symbol not in self.symbols:
            raise ValueError(f"{symbol!r} is not an element")
        return int(symbol[1:])

    def instruction(self) -> str:
        """What an LLM is told before the prompt: the field, its symbols and the form of an answer."""
        first, second = self.symbol(0), self.symbol(1)
        lines = [f"Work in the finite field GF({self.p}): all arithmetic is modulo {self.p}."]
        if self.relabel == "study":
            where = ", ".join(f"{self.symbol(i)}={r}" for i, r in enumerate(self.residues))
            lines.append(f"Its elements are written as symbols: {where}.")
        lines.append(
            "A problem gives the start or the result of a chain of operations, applied from left to right; "
            f"#17 +{first} is the step labelled 17, which adds {first}, and *{second} multiplies by {second}."
        )
        lines.append(
            "Write the state that you begin with, then each step as its label, the operation and the new state, "
            "then '; answer' and the symbol."
        )
        return "\n".join(lines)

    @classmethod
    def of_prompt(cls, prompt: str) -> FiniteField | None:
        """The field by its symbols' letter."""
        words = prompt.split()
        known = next((i for i, word in enumerate(words[:-1]) if word in ("start", "result")), None)
        rank = ord(words[known + 1][0]) - ord("a") if known is not None else -1
        if not 0 <= rank < len(PRIMES):
            return None
        return cls(PRIMES[rank], "problem" if "=" in words[0] else "study").if_read(prompt)

    @classmethod
    def find_prompt(cls, text: str) -> str:
        """The last problem that a text states."""
        return find_prompt(text)

    def answer_of(self, completion: str) -> str | None:
        """The symbol after the last ``answer``, None where there is none or it is not of this field."""
        answer = last_answer(plain(completion))
        return answer[1] if answer and answer[1] in self.symbols else None

    def verify(self, problem: Problem, completion: str) -> float:
        """1.0 where the completion's answer is the problem's, else 0.0. The way to it does not count."""
        return float(self.answer_of(completion) == problem.answer)

    def label(self, problem: Problem, completion: str, finish_reason: str = "stop") -> Label:
        """As `Task.label`; `recognise` states the rules and the kinds of error."""
        return label_among(STRATEGIES, self, problem, completion, finish_reason)

    # -- the small model -----------------------------------------------------------------------------------

    def words(self) -> list[str]:
        from stratagem.tasks.finite_field import words  # made of several fields, and so imports this module

        return words.words()

    @property
    def primitives(self) -> ModuleType:
        from stratagem.tasks.finite_field import primitives

        if self.p not in primitives.FIELDS or self.relabel != "study":
            known = " and ".join(f"p={p}" for p in primitives.FIELDS)
            raise StratagemError(
                f"--task {self.spec}: the small model has words for {known}, relabel=study; ask a language model "
                "with --engine trl"
            )
        return primitives

    @classmethod
    def modern(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Settings of before there were other tasks: p, the share of inversion, short names of mixes."""
        renamed = dict(settings)
        if "p" in renamed:
            renamed["task"] = cls(renamed.pop("p")).spec
        if "inversion" in renamed:
            share = renamed.pop("inversion")
            renamed["mix"] = "" if share == 0.5 else f"{EVALUATION}={1 - share},{INVERSION}={share}"
        if renamed.get("strategy") in cls.mixes:
            renamed["strategy"] = ",".join(cls.mixes[renamed["strategy"]])
        return renamed

    def demonstration_words(self, steps: int) -> int:
        return 3 * steps + 6
