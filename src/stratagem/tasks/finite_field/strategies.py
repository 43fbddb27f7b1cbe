"""How a problem is solved. A strategy writes demonstrations and knows its own path through a chain.

A new strategy is one module of the shape `Strategy` and one line in `STRATEGIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from stratagem.records import Label, Problem, StratagemError, content_id
from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field.field import FiniteField
from stratagem.tasks.finite_field.recognise import (
    ARITHMETIC_FACT,
    CARRIED_STATE,
    ERRORS,
    GUESSED_START,
    OPERAND_LOOKUP,
    ORDER,
    STOPPING,
    label_among,
)
from stratagem.tasks.finite_field.strategy import Path, Strategy

__all__ = [
    "ARITHMETIC_FACT",
    "CARRIED_STATE",
    "ERRORS",
    "GUESSED_START",
    "OPERAND_LOOKUP",
    "ORDER",
    "SETS",
    "STOPPING",
    "STRATEGIES",
    "Path",
    "Strategy",
    "demonstrations",
    "label",
    "token_budget",
]

STRATEGIES: dict[str, Strategy] = {"forward": forward, "backward": backward}

# What the SFT data may show, by the name that --strategy takes.
SETS: dict[str, tuple[str, ...]] = {"F": ("forward",), "B": ("backward",), "FB": ("forward", "backward")}


def token_budget(task: FiniteField, steps: int, tokens: Callable[[str], int]) -> int:
    """Most new tokens for chains of up to `steps` operations: the longest of some demonstrations with its end, and a
    third more. `tokens` counts those of a text."""
    problems = task.generate("spare", 16, (steps, steps))
    texts = [one.demonstrate(task, problem.data) for one in STRATEGIES.values() for problem in problems]
    return (max(map(tokens, texts)) + 1) * 4 // 3


def label(
    task: FiniteField,
    problem: Problem,
    completion: str,
    finish_reason: str = "stop",
    strategies: Mapping[str, Strategy] = STRATEGIES,
) -> Label:
    """The strategy that a completion follows, its first error and the spans that show both.

    The strategy is a key of `strategies`, or ``mixed`` (turns round, or does not do what its opening word
    says), ``other`` (an answer without a known way to it), ``unparsed`` (no answer and no readable step) or
    ``truncated`` (`finish_reason` is ``"length"``). `recognise.py` states the rules and the kinds of error.

    There is one mark for the head, one for each step and one for the answer, in the order of the text. A mark
    without error spans the whole of it; one with an error spans the part that is wrong (empty where something
    is missing), with what should stand there as `expected`. `Label.step` counts the steps as written: an
    error in the head belongs to step 0, one in the answer to the step that would come next. Never raises, on
    any text.
    """
    return label_among(strategies, task, problem, completion, finish_reason)


def demonstrations(
    task: FiniteField, problems: Iterable[Problem], strategy_set: str, seed: int = 0
) -> list[str]:
    """One gold response a problem, each by one strategy of the set, drawn evenly by problem id and `seed`.

    So a problem's demonstration does not depend on the problems around it.

    Raises:
        StratagemError: no such set.
    """
    if strategy_set not in SETS:
        raise StratagemError(f"--strategy {strategy_set}: must be one of {', '.join(SETS)}")
    names = SETS[strategy_set]
    texts: list[str] = []
    for problem in problems:
        drawn = int(content_id("demonstration", seed, problem.id), 16) % len(names)
        texts.append(STRATEGIES[names[drawn]].demonstrate(task, problem.data))
    return texts
