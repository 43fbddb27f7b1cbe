"""What SFT is shown: demonstrations that the task writes, or those of a file."""

from __future__ import annotations

from collections.abc import Sequence

from stratagem.curation.demonstrations.columns import settle, texts
from stratagem.curation.pool import SAMPLED, read_files
from stratagem.records import Problem, StratagemError
from stratagem.settings import SFTConfig
from stratagem.tasks import Task

HELD_OUT = "eval"  # the split whose problems are asked in the end


def demonstrations(config: SFTConfig, task: Task) -> tuple[list[Problem], Sequence[str]]:
    """Problems, each with a demonstration.

    Raises:
        StratagemError: the task has too few problems; or a file cannot be read, has not as many rows as the settings
            say, or holds a problem of another task or one that is held out.
    """
    if config.data is None:
        problems = task.generate("sft", config.size // config.traces, config.steps, seed=config.seed)
        shown = task.demonstrations(problems, config.strategy, config.seed, config.traces)
        return [problem for problem in problems for _ in range(config.traces)], shown
    _, held = read_files(config.data)
    if len(held) != config.size:
        raise StratagemError(
            f"--data {config.data}: holds {len(held):,} demonstrations; say --size {len(held)}"
        )
    every = range(len(held))
    columns = settle(config.data, held.records(range(min(SAMPLED, len(held)))), {}, {})
    table = texts(config.data, held, every, columns)
    problems: list[Problem] = []
    for row, (question, prompt) in enumerate(table.select("question", "prompt").iter_rows(), 1):
        try:
            problem = task.parse(task.find_prompt(question or prompt or ""))
        except StratagemError as error:
            raise StratagemError(f"--data {config.data}: row {row}: {error}") from None
        if task.split_of(problem) == HELD_OUT:
            raise StratagemError(
                f"--data {config.data}: row {row}: its problem is one of those that are held out"
            )
        problems.append(problem)
    return problems, table["completion"].fill_null("").to_list()
