"""What a task is: problems that are generated, rendered and verified, and the strategies that solve them.

A task is a frozen dataclass in a folder of its own, listed in `tasks.TASKS`. Everything else in the package knows
tasks by this protocol alone. Nothing here or in a task's folder needs torch.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from types import ModuleType
from typing import Any, ClassVar, Protocol, Self, runtime_checkable

import numpy as np

from stratagem.records import Label, Problem, StratagemError, content_id

SPLITS = ("sft", "rl", "eval", "spare")
END = "<eos>"  # the word that ends a response

# A line that a base model is trained on: its words and, for each, whether the model learns to say it.
Line = list[tuple[str, bool]]


class Strategy(Protocol):
    """One way to solve a task's problems; a module or an object of this shape.

    `OPENING` is the word that a demonstration begins with, and a probe. It says nothing about states or the answer,
    so that a probe forces the choice of the strategy alone.
    """

    @property
    def OPENING(self) -> str: ...

    def demonstrate(self, task: Any, content: Any) -> str:
        """The gold response to a problem, from its `Problem.data`."""
        ...


class Primitives(Protocol):
    """What a base model is trained on before any demonstration: a module of this shape.

    `VARIANTS` names the curricula, the usual one first.
    """

    @property
    def VARIANTS(self) -> Sequence[str]: ...

    def lines(self, update: int, tokens: int, variant: str, seed: int) -> list[Line]:
        """The lines of one update, about `tokens` words, all of nearly one length."""
        ...

    def abilities(self) -> Mapping[str, Callable[[str], bool]]:
        """Which words belong to each ability, whose losses are logged apart."""
        ...


@runtime_checkable
class Task(Protocol):
    """Problems with one verifiable answer, and several ways to it.

    Attributes:
        name: its key in `tasks.TASKS`.
        kinds: types of problem, such as evaluation and inversion.
        steps: the least and the largest difficulty. What is counted is the task's own business.
        strategies: every way to solve a problem, by name, in the order in which they are shown.
        mixes: short names for some of them together, as SFT data show them, such as FB.
        guesses: kinds of error (`Label.error`) that say nothing about execution, such as a wrong guess.
        about: a problem and its strategies in a few sentences, for a report's reader.
        unit: what a problem's difficulty counts, in the plural.
    """

    name: ClassVar[str]
    kinds: ClassVar[tuple[str, ...]]
    steps: ClassVar[tuple[int, int]]
    strategies: ClassVar[Mapping[str, Strategy]]
    mixes: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    guesses: ClassVar[frozenset[str]] = frozenset()
    about: ClassVar[str]
    unit: ClassVar[str] = "steps"

    # -- what a task says of itself ------------------------------------------------------------------------

    @property
    @abstractmethod
    def chance(self) -> float:
        """The accuracy of a guess."""

    @property
    def entropy(self) -> tuple[int, ...]:
        """Numbers that tell this task's random problems from those of other tasks and options."""
        return (int(content_id("entropy", self.spec), 16),)

    @abstractmethod
    def problem(self, kind: str, steps: int, rng: np.random.Generator) -> Problem:
        """One random problem.

        Raises:
            StratagemError: `kind` or `steps` is out of range.
        """

    @abstractmethod
    def content(self, problem: Problem) -> Sequence[object]:
        """What decides a problem's split: problems that give each other away share it."""

    @abstractmethod
    def parse(self, prompt: str) -> Problem:
        """The problem that a prompt of this task states.

        Raises:
            StratagemError: the text is no prompt of this task.
        """

    @classmethod
    def of_prompt(cls, prompt: str) -> Self | None:
        """The task with the options that a prompt was made with; None for a text that is no prompt of it.

        Here for tasks that read every prompt without options.
        """
        return cls().if_read(prompt)

    def if_read(self, prompt: str) -> Self | None:
        """The task itself, None for a text that is no prompt of it."""
        try:
            self.parse(prompt)
        except StratagemError:
            return None
        return self

    @classmethod
    def find_prompt(cls, text: str) -> str:
        """The problem that a text states after an instruction; the text itself where nothing else is found."""
        return text.strip().splitlines()[-1] if text.strip() else text

    @abstractmethod
    def instruction(self) -> str:
        """What a language model is told before the prompt: the rules and the form of an answer."""

    @abstractmethod
    def verify(self, problem: Problem, completion: str) -> float:
        """1.0 where the completion's answer is the problem's, else 0.0. The way to it does not count."""

    @abstractmethod
    def label(self, problem: Problem, completion: str, finish_reason: str = "stop") -> Label:
        """The strategy that a completion follows, its first error and the spans that show both.

        The strategy is a key of `strategies`, or ``mixed``, ``other`` (an answer without a known way to it),
        ``unparsed`` or ``truncated`` (`finish_reason` is ``"length"``). Never raises, on any text.
        """

    @abstractmethod
    def words(self) -> Sequence[str]:
        """All words of prompts and demonstrations, split at white space, in the order of the small model's ids."""

    @property
    def primitives(self) -> Primitives | ModuleType | None:
        """What a base model learns before any demonstration; None where SFT teaches all."""
        return None

    @classmethod
    def modern(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """A stage's settings as older versions of this task wrote them, in today's words."""
        return settings

    def demonstration_words(self, steps: int) -> int:
        """About how many words a demonstration has."""
        return longest_demonstration(self, steps, lambda text: len(text.split()))

    # -- what every task has from its problems -------------------------------------------------------------

    @property
    def spec(self) -> str:
        """The task as `tasks.make_task` reads it, without options at their default: ``finite_field:p=13``."""
        options = {
            field.name: getattr(self, field.name)
            for field in fields(self)  # pyright: ignore[reportArgumentType]
            if getattr(self, field.name) != field.default
        }
        said = ",".join(f"{name}={value}" for name, value in options.items())
        return f"{self.name}:{said}" if said else self.name

    def check_steps(self, steps: tuple[int, int]) -> None:
        """
        Raises:
            StratagemError: the range is not within `steps`, smaller number first.
        """
        least, most = self.steps
        if not least <= steps[0] <= steps[1] <= most:
            raise StratagemError(
                f"--steps {steps[0]}-{steps[1]}: must lie within {least}-{most}, smaller number first"
            )

    def generate(
        self,
        split: str,
        size: int,
        steps: tuple[int, int],
        *,
        seed: int = 0,
        kinds: Sequence[str] | None = None,
        weights: Sequence[float] | None = None,
    ) -> list[Problem]:
        """`size` different problems of one split, kinds and difficulties drawn evenly.

        Problem i depends on (task, split, seed, i) alone. Splits are disjoint by content: a problem belongs to the
        split that the hash of its `content` names, whatever asked for it.

        Args:
            steps: least and largest difficulty, both included.
            kinds: all by default.
            weights: how often each kind is drawn; equal by default.

        Raises:
            StratagemError: an impossible setting, or fewer than `size` different problems exist.
        """
        kinds = self.kinds if kinds is None else kinds
        if split not in SPLITS:
            raise StratagemError(f"split {split!r}: must be one of {', '.join(SPLITS)}")
        if size < 1:
            raise StratagemError(f"--size {size}: must be at least 1")
        self.check_steps(steps)
        if weights is not None and (len(weights) != len(kinds) or min(weights) < 0 or sum(weights) <= 0):
            raise StratagemError(f"weights {list(weights)}: one at least 0 for each of {', '.join(kinds)}")
        # Difficulties are dealt in turn within a kind, so that each (kind, difficulty) cell has its share.
        share = np.asarray(weights or [1.0] * len(kinds), dtype=float)
        share /= share.sum()
        difficulties = range(steps[0], steps[1] + 1)
        dealt = [0] * len(kinds)
        seen: set[str] = set()
        problems: list[Problem] = []
        for index in range(size):
            which = int(np.argmax(share * (index + 1) - dealt))
            difficulty = difficulties[dealt[which] % len(difficulties)]
            dealt[which] += 1
            problem = self._fresh(split, seed, index, kinds[which], difficulty, seen)
            seen.add(problem.id)
            problems.append(problem)
        return problems

    def _fresh(self, split: str, seed: int, index: int, kind: str, steps: int, seen: set[str]) -> Problem:
        entropy = [*self.entropy, SPLITS.index(split), seed, index]
        for problem in self._candidates(np.random.SeedSequence(entropy), kind, steps):
            if self.split_of(problem) == split and problem.id not in seen:
                return problem
        raise StratagemError(
            f"{self.spec} has too few different problems: {index} of split {split!r} are there, and no other of kind "
            f"{kind!r} and {steps} steps; ask for fewer or longer ones"
        )

    def _candidates(self, entropy: np.random.SeedSequence, kind: str, steps: int) -> Iterator[Problem]:
        rng = np.random.default_rng(entropy)
        for _ in range(1000):
            yield self.problem(kind, steps, rng)

    def split_of(self, problem: Problem) -> str:
        """The split that the problem's content belongs to, a quarter of all problems each."""
        return SPLITS[int(content_id("split", *self.content(problem)), 16) % len(SPLITS)]

    def chosen(self, mix: str) -> tuple[str, ...]:
        """The strategies that a mix names: ``all``, one of `mixes`, or names joined by commas, in the task's order.

        Raises:
            StratagemError: no such mix or strategy.
        """
        if mix == "all":
            return tuple(self.strategies)
        if mix in self.mixes:
            return self.mixes[mix]
        names = mix.split(",")
        if unknown := [name for name in names if name not in self.strategies]:
            raise StratagemError(
                f"--strategy {unknown[0]}: must be one of {', '.join((*self.mixes, 'all', *self.strategies))}, or "
                "several strategies joined by commas"
            )
        return tuple(name for name in self.strategies if name in names)

    def demonstrations(
        self, problems: Iterable[Problem], mix: str, seed: int = 0, traces: int = 1
    ) -> list[str]:
        """Gold responses, `traces` a problem, each by another strategy of the mix; the first one's is drawn evenly by
        problem id and `seed`, and the others follow it in the task's order.

        So a problem's demonstrations do not depend on the problems around it.

        Raises:
            StratagemError: no such mix, or fewer strategies in it than `traces`.
        """
        names = self.chosen(mix)
        if traces > len(names):
            raise StratagemError(
                f"--traces {traces}: {mix!r} has {len(names)} strategies, and a problem has one trace of each at most"
            )
        texts: list[str] = []
        for problem in problems:
            drawn = int(content_id("demonstration", seed, problem.id), 16)
            for trace in range(traces):
                strategy = self.strategies[names[(drawn + trace) % len(names)]]
                texts.append(strategy.demonstrate(self, problem.data))
        return texts


def longest_demonstration(task: Task, steps: int, tokens: Callable[[str], int]) -> int:
    """The longest of some demonstrations for problems of difficulty `steps`; `tokens` counts those of a text."""
    problems = task.generate("spare", 16, (steps, steps))
    texts = [
        strategy.demonstrate(task, problem.data)
        for strategy in task.strategies.values()
        for problem in problems
    ]
    return max(map(tokens, texts))


def token_budget(task: Task, steps: int, tokens: Callable[[str], int]) -> int:
    """Most new tokens for problems of difficulty `steps`: the longest demonstration with its end, and a third more."""
    return (longest_demonstration(task, steps, tokens) + 1) * 4 // 3
