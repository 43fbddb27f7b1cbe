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

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from stratagem.records import Problem, StratagemError, content_id

EVALUATION, INVERSION = "evaluation", "inversion"
KINDS = (EVALUATION, INVERSION)
SPLITS = ("sft", "rl", "eval", "spare")
LABELS = 64  # step labels #0 … #63
MAX_STEPS = 20
PRIMES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
# The word "answer" and the symbol that it comes to: through a colon, "is", "the symbol", "last", "guess", "to the
# problem", "the result is", Markdown, \boxed{} or the left side of an equation. Through no other words; an operation
# such as *e3 is no answer, nor is a symbol that one follows, as in "e3 + e5". It reads what `plain` wrote.
ANSWER = re.compile(
    r"""
    \banswer\b
    (?:
        [\s:=,`"'($\\{\[<>→] | \*\* | \#+(?=\s) | -(?=>)
        | (?:is|be|was|would|should|the|symbol|element|last|guess|boxed)\b
        | (?:to|for|of)\s+(?:the|this)\s+(?:[a-z]+\s+)?(?:problem|question|chain)\b
        | (?:(?:final|start|starting|original)\s+)?(?:result|start|state|value)\s+(?:of\s+the\s+chain\s+)?(?=is\b)
        | [a-z][0-9]+(?:[ ]*[-+*/][ ]*[a-z][0-9]+)++\s*=
    )*+
    \b([a-z][0-9]+)\b(?![ ]+[+*/][ ]+[a-z][0-9])
    """,
    re.ASCII | re.VERBOSE,
)
# Of equal length on both sides, as is what `plain` writes for LaTeX, so that places in the plain text are those in the
# original.
_PLAIN = str.maketrans(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ₀₁₂₃₄₅₆₇₈₉×·∗÷−–", "abcdefghijklmnopqrstuvwxyz0123456789***/--"
)
_LATEX = re.compile(
    r"(?:\\(?:text|math)[a-z]*\{([a-z])\}?_?|\b([a-z])_)\{?([0-9]+)\b\}{0,2}|\\(times|cdot|div)\b", re.ASCII
)
_LATEX_OPERATORS = {"times": "*", "cdot": "*", "div": "/"}
UNDO = {"+": "-", "*": "/", "-": "+", "/": "*"}
# A problem as `render` writes it, wherever it stands in a text.
PROMPT = re.compile(
    r"(?:(?:[a-z][0-9]+=[0-9]+ )+; )?\b(?:start|result) [a-z][0-9]+ ; [^;]*? ; (?:evaluate|invert) :",
    re.ASCII,
)


def find_prompt(text: str) -> str:
    """The last problem that a text states, as an LLM's prompt does after its instruction; else the text itself."""
    found = PROMPT.findall(text)
    return found[-1] if found else text


def plain(text: str) -> str:
    """A completion in lower case, with ``+-*/`` for other signs and ``e1`` for LaTeX's ``e_{1}`` and ``\\text{e1}``."""
    text = text.translate(_PLAIN)
    return _LATEX.sub(_of_equal_length, text) if "_" in text or "\\" in text else text


def _of_equal_length(match: re.Match[str]) -> str:
    inside, letter, number, operator = match.groups()
    word = _LATEX_OPERATORS[operator] if operator else (inside or letter) + number
    return word.rjust(len(match[0]))


def last_answer(text: str) -> re.Match[str] | None:
    """The last statement of an answer in a `plain` text, its symbol in group 1: reward and labels both use it."""
    return max(ANSWER.finditer(text), key=lambda match: match.start(), default=None)


@dataclass(frozen=True, slots=True)
class Step:
    """One operation: label, operator (``+`` ``*``; undone ``-`` ``/``) and the operand's symbol index."""

    label: int
    operator: str
    operand: int

    def undone(self) -> Step:
        return Step(self.label, UNDO[self.operator], self.operand)


@dataclass(frozen=True, slots=True)
class Chain:
    """A problem's content. States are symbol indices: ``states[0]`` the start, ``states[-1]`` the result."""

    kind: str
    steps: tuple[Step, ...]
    states: tuple[int, ...]
    residues: tuple[int, ...]  # residues[i] is what symbol i stands for

    @property
    def given(self) -> int:
        return self.states[0] if self.kind == EVALUATION else self.states[-1]

    @property
    def asked(self) -> int:
        return self.states[-1] if self.kind == EVALUATION else self.states[0]


@dataclass(frozen=True)
class FiniteField:
    """GF(p) with its symbols.

    `p` is a prime to 97. `relabel` is ``"study"`` (one permutation for all problems, made from p alone) or
    ``"problem"`` (a fresh one a problem, stated in its prompt). The symbols' letter is that of the prime's
    rank, so GF(11) has e0 … e10 as in the study, and GF(13) has f0 … f12.

    Raises:
        StratagemError: p is not a prime to 97, or `relabel` is neither.
    """

    p: int = 11
    relabel: str = "study"
    name: str = field(default="finite_field", init=False)

    def __post_init__(self) -> None:
        if self.p not in PRIMES:
            raise StratagemError(f"--p {self.p}: must be a prime to 97, such as 11 or 13")
        if self.relabel not in ("study", "problem"):
            raise StratagemError(f"--relabel {self.relabel}: must be 'study' or 'problem'")

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

    def problem(self, kind: str, n: int, rng: np.random.Generator) -> Problem:
        """One problem of `n` steps (1 to 20).

        Raises:
            StratagemError: `kind` or `n` is out of range.
        """
        if kind not in KINDS:
            raise StratagemError(f"kind {kind!r}: must be one of {', '.join(KINDS)}")
        if not 1 <= n <= MAX_STEPS:
            raise StratagemError(f"steps {n}: must be 1 to {MAX_STEPS}")
        residues = self.residues
        if self.relabel == "problem":
            residues = tuple(int(r) for r in rng.permutation(self.p))
        states = [int(rng.integers(self.p))]
        steps = self.random_steps(n, rng, residues)
        for step in steps:
            states.append(self.apply(states[-1], step, residues))
        return self.as_problem(Chain(kind, steps, tuple(states), residues))

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

    def generate(
        self,
        split: str,
        size: int,
        steps: tuple[int, int],
        *,
        seed: int = 0,
        kinds: Sequence[str] = KINDS,
        weights: Sequence[float] | None = None,
    ) -> list[Problem]:
        """`size` different problems of one split, kinds and lengths drawn evenly.

        Problem i depends on (p, split, seed, i) alone. Splits are disjoint by content: a problem belongs to
        the split that the hash of its operations, without labels and states, names, whatever asked for it.

        Args:
            steps: fewest and most operations, both included.
            weights: how often each kind is drawn; equal by default.

        Raises:
            StratagemError: an impossible setting, or fewer than `size` different problems exist.
        """
        low, high = steps
        if split not in SPLITS:
            raise StratagemError(f"split {split!r}: must be one of {', '.join(SPLITS)}")
        if size < 1:
            raise StratagemError(f"--size {size}: must be at least 1")
        if not 1 <= low <= high <= MAX_STEPS:
            raise StratagemError(f"--steps {low}-{high}: must lie within 1-{MAX_STEPS}, smaller number first")
        if weights is not None and (len(weights) != len(kinds) or min(weights) < 0 or sum(weights) <= 0):
            raise StratagemError(f"weights {list(weights)}: one at least 0 for each of {', '.join(kinds)}")
        # Lengths are dealt in turn within a kind, so that each (kind, length) cell has its share.
        share = np.asarray(weights or [1.0] * len(kinds), dtype=float)
        share /= share.sum()
        lengths = range(low, high + 1)
        dealt = [0] * len(kinds)
        seen: set[str] = set()
        problems: list[Problem] = []
        for index in range(size):
            which = int(np.argmax(share * (index + 1) - dealt))
            n = lengths[dealt[which] % len(lengths)]
            dealt[which] += 1
            problem = self._fresh(split, seed, index, kinds[which], n, seen)
            seen.add(problem.id)
            problems.append(problem)
        return problems

    def _fresh(self, split: str, seed: int, index: int, kind: str, n: int, seen: set[str]) -> Problem:
        entropy = [self.p, SPLITS.index(split), seed, index]
        for problem in self._candidates(np.random.SeedSequence(entropy), kind, n):
            if self.split_of(problem) == split and problem.id not in seen:
                return problem
        raise StratagemError(
            f"GF({self.p}) has too few different problems of {n} steps in split {split!r}: "
            "ask for fewer or longer ones"
        )

    def _candidates(self, entropy: np.random.SeedSequence, kind: str, n: int) -> Iterator[Problem]:
        rng = np.random.default_rng(entropy)
        for _ in range(1000):
            yield self.problem(kind, n, rng)

    def split_of(self, problem: Problem) -> str:
        """The split that the problem's content belongs to, a quarter of all problems each."""
        chain: Chain = problem.data
        words = " ".join(self.word(step) for step in chain.steps)
        return SPLITS[int(content_id("split", self.p, words), 16) % len(SPLITS)]

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

    def answer_of(self, completion: str) -> str | None:
        """The symbol after the last ``answer``, None where there is none or it is not of this field."""
        found = last_answer(plain(completion))
        return found[1] if found and found[1] in self.symbols else None

    def verify(self, problem: Problem, completion: str) -> float:
        """1.0 where the completion's answer is the problem's, else 0.0. The way to it does not count."""
        return float(self.answer_of(completion) == problem.answer)
