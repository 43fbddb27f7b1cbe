"""What a model is asked where `--task` names nothing: the task that it was trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from stratagem.records import StratagemError
from stratagem.workspace import CONFIG, read_json

TRAINING = ("base", "sft", "rl")


def value_of(option: str, words: Sequence[str]) -> str | None:
    """The value that a command line gives an option; None where it does not name it."""
    for i, word in enumerate(words):
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
        if word == option and i + 1 < len(words):
            return words[i + 1]
    return None


def with_model_task(words: list[str], models: Sequence[str | None]) -> list[str]:
    """The words of a command line, with the models' own task where they name none. Asked another task than it was
    taught, a model answers in that of its own, and is wrong nearly always.

    Args:
        models: what may be folders of models; others are passed over.

    Raises:
        StratagemError: models of different tasks.
    """
    if value_of("--task", words) is not None:
        return words
    tasks = {name: task for name in models if name and (task := task_of(Path(name))) is not None}
    if len(set(tasks.values())) > 1:
        listed = ", ".join(f"{name} on {task}" for name, task in tasks.items())
        raise StratagemError(f"models of different tasks ({listed}): say with --task which they are asked")
    return [*words, "--task", *set(tasks.values())] if tasks else words


def task_of(path: Path) -> str | None:
    """The task that a stage trained its model on, or that a base which ships is for; None where that is not known."""
    stage = path.parent if path.name == "model" else path
    with contextlib.suppress(StratagemError, OSError, ValueError):
        config = read_json(stage / CONFIG)
        if (
            isinstance(config, dict)
            and config.get("stage") in TRAINING
            and isinstance(config.get("settings"), dict)
        ):
            task = config["settings"].get("task")
            return task if isinstance(task, str) else None
    if len(path.parts) == 1:
        from stratagem.models.folder import SHIPPED

        return next((task for task, names in SHIPPED.items() if str(path) in names), None)
    return None
