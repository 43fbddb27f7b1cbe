"""What is asked and how it is solved. A task is a folder here and a line in `TASKS`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import lru_cache
from importlib import import_module

import msgspec

from stratagem.records import StratagemError
from stratagem.tasks.base import Strategy, Task
from stratagem.tasks.finite_field import FiniteField

__all__ = ["DEFAULT", "TASKS", "FiniteField", "Strategy", "Task", "make_task", "read_mix", "task_of"]


class _Tasks(Mapping[str, type[Task]]):
    """Classes of tasks by name, each imported when it is first asked for: a command needs few of them."""

    def __init__(self, classes: Mapping[str, str]) -> None:
        self._classes = classes

    def __getitem__(self, name: str) -> type[Task]:
        return getattr(import_module(f"stratagem.tasks.{name}"), self._classes[name])

    def __contains__(self, name: object) -> bool:
        return name in self._classes

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)


TASKS = _Tasks(
    {
        "finite_field": "FiniteField",
        "sums": "Sums",
        "five_ways": "FiveWays",
        "composition": "Composition",
    }
)
DEFAULT = "finite_field"


@lru_cache(maxsize=64)
def make_task(spec: str) -> Task:
    """The task that ``NAME`` or ``NAME:OPTION=VALUE,…`` names, such as ``finite_field:p=13``.

    Raises:
        StratagemError: no such task or option, or a value that the task does not take.
    """
    name, _, said = spec.partition(":")
    if name not in TASKS:
        raise StratagemError(f"--task {name}: must be one of {', '.join(TASKS)}")
    known = [field.name for field in fields(TASKS[name])]  # pyright: ignore[reportArgumentType]
    options: dict[str, str] = {}
    for pair in filter(None, said.split(",")):
        option, sign, value = pair.partition("=")
        if option not in known or not sign:
            there = f"has the options {', '.join(known)}" if known else "has no options"
            raise StratagemError(f"--task {spec}: {name} {there}; write {name}:OPTION=VALUE")
        options[option] = value
    try:
        return msgspec.convert(options, TASKS[name], strict=False)
    except msgspec.ValidationError as error:
        raise StratagemError(f"--task {spec}: {error}") from None


def task_of(text: str) -> Task | None:
    """The task that a prompt belongs to, with its options; None where it is of no task here."""
    for kind in TASKS.values():
        task = kind.of_prompt(kind.find_prompt(text))
        if task is not None:
            return task
    return None


def read_mix(mix: str, task: Task) -> list[float] | None:
    """The weight of each of the task's kinds in a mix such as ``evaluation=75,inversion=25``.

    None for an empty mix, where all are equal. Kinds that are not named have none.

    Raises:
        StratagemError: it is not of that form, names no kind of the task, or has no positive weight.
    """
    if not mix:
        return None
    weights: Mapping[str, float] = {}
    try:
        pairs = [pair.split("=") for pair in mix.split(",")]
        weights = {name.strip(): float(weight) for name, weight in pairs}
    except ValueError:
        pass
    if (
        not weights
        or not weights.keys() <= set(task.kinds)
        or min(weights.values()) < 0
        or not sum(weights.values())
    ):
        example = ",".join(f"{kind}={weight}" for kind, weight in zip(task.kinds, (75, 25), strict=False))
        raise StratagemError(f"--mix {mix}: write a weight for each kind of problem, as {example}")
    return [weights.get(kind, 0.0) for kind in task.kinds]
