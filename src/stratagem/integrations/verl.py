"""Strategies in a verl run: a reward function that says, beside its reward, how the problem was solved.

    compute_score = labelled(compute_score, "math", by=("level",))

in the file that ``reward.custom_reward_function.path`` names. verl then has ``strategy``, ``problem_id`` and the
columns of `by` with every response. Read off verl 0.9.0: experimental/reward_loop/reward_manager/{naive,dapo,gdpo,
remote}.py (how a reward function is called and what becomes of its dict), trainer/ppo/metric_utils.py (which of it
become metrics), trainer/ppo/ray_trainer.py and trainer/ppo/v1/trainer_base.py (what is written). docs/llms.md says
what each of the two trainers does with it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stratagem.integrations.live import Labeller, labeller
from stratagem.records import UNPARSED, StratagemError, content_id
from stratagem.tasks import TASKS, Task

log = logging.getLogger(__name__)
QUESTION = ("question", "prompt", "problem")  # where verl's own preprocessing keeps a problem's text
STEP = ("min_global_steps", "global_steps")  # the weights that answered, where the server tells
# Names that verl has for something else: with one of them in a reward's dict a run breaks or, with uid, learns wrongly.
RESERVED = frozenset(
    {
        *(
            "uid",
            "data_source",
            "reward_model",
            "extra_info",
            "index",
            "raw_prompt",
            "ability",
            "prompt",
            "pred",
        ),
        *("reward", "input", "output", "gts", "score", "step", "acc", "strategy", "problem_id", "request_id"),
    }
)


def labelled(
    function: Callable[..., Any],
    strategies: str | Task | Callable[[str], str],
    *,
    by: Sequence[str] = (),
    problem: str | None = None,
    question: str | None = None,
    correct: Callable[[float], float] | None = None,
    validation: Sequence[str] = (),
    write: str | Path | None = None,
) -> Callable[..., Any]:
    """A reward function for verl, plain or async as `function` is, with its reward unchanged.

    The dict that it returns has, beside what `function` gave: ``score``; ``acc`` where `function` gives a number alone
    (as verl itself adds it) or `correct` is given; ``strategy``, ``problem_id`` and `by`, all as text, which verl keeps
    out of its metrics; and for each name of `validation` two numbers, which verl averages over validation.

    Args:
        function: ``function(data_source=, solution_str=, ground_truth=, extra_info=, …)``, giving a number or a dict
            with ``score``.
        strategies: who names a response's strategy, as for `integrations.trl.Live`.
        by: fields of ``extra_info`` that describe a problem. No column of the data set may have such a name.
        problem: the field of ``extra_info`` with the problem's id; else data source, ``split`` and ``index``, as
            verl's preprocessing writes them, or the problem's text.
        question: the field of ``extra_info`` with the problem's text; else ``question``, ``prompt`` or ``problem``.
        correct: from a score to correctness in [0, 1], for scores that are none, as ``lambda score: score > 0``.
        validation: strategies for which ``share/NAME`` (1 if it is this one) and ``right/NAME`` (``acc`` if it is
            this one) are added; in the means of validation, right / share is the strategy's accuracy.
        write: a folder to which each process also writes its responses, one JSON object a line.

    Raises:
        StratagemError: the rules cannot be read, or a name of `by` is one of verl's own. When called: a field of
            ``extra_info`` is missing, or the first response of a process cannot be labelled.
    """
    if taken := sorted(RESERVED & set(by)):
        raise StratagemError(
            f"by {taken[0]!r}: verl has that name for something else; call the field otherwise"
        )
    needs_question = isinstance(strategies, Task) or strategies in TASKS
    label = Together(labeller(strategies))
    out = None if write is None else Lines(Path(write))
    labelled_some = False

    def name_of(asked: str, solution: str) -> str:
        nonlocal labelled_some
        try:
            name = label(asked, solution)
        except Exception as error:
            # What fails on the first response is a mistake to fix; a rare text days later must not end the run.
            if not labelled_some:
                raise
            log.warning("a response is not labelled: naming its strategy failed: %r", error)
            return UNPARSED
        labelled_some = True
        return name

    def described(result: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
        info: Mapping[str, Any] = arguments.get("extra_info") or {}
        solution = str(arguments["solution_str"])
        asked = text_of(info, question, needs_question)
        fields = dict(result) if isinstance(result, Mapping) else {"score": result, "acc": result}
        if correct is not None:
            fields["acc"] = float(correct(float(fields["score"])))
        fields["strategy"] = name_of(asked, solution)
        fields["problem_id"] = id_of(arguments.get("data_source"), info, problem, asked)
        fields |= {name: str(field_of(info, name)) for name in by}
        right = float(fields.get("acc", fields["score"]))
        for name in validation:
            fields[f"share/{name}"] = float(fields["strategy"] == name)
            fields[f"right/{name}"] = right if fields["strategy"] == name else 0.0
        if out is not None:
            out.add(row_of(fields, info, asked, solution, right, by))
        return fields

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(**arguments: Any) -> dict[str, Any]:
            # Labelling takes a thread, so that the other responses' rewards are not held up.
            return await asyncio.to_thread(described, await function(**arguments), arguments)

        return later

    @functools.wraps(function)
    def now(**arguments: Any) -> dict[str, Any]:
        return described(function(**arguments), arguments)

    return now


def field_of(info: Mapping[str, Any], name: str) -> Any:
    """A field of ``extra_info``.

    Raises:
        StratagemError: there is none.
    """
    if info.get(name) is None:
        raise StratagemError(f"extra_info has no {name!r}; it has {', '.join(map(str, info)) or 'nothing'}")
    return info[name]


def text_of(info: Mapping[str, Any], question: str | None, needed: bool) -> str:
    """The problem's text, which verl itself does not hand to a reward function; empty if not there nor needed."""
    if question is not None:
        return str(field_of(info, question))
    text = next((info[name] for name in QUESTION if isinstance(info.get(name), str)), None)
    if text is None and needed:
        raise StratagemError(
            f"the problem's text is needed to name strategies: put it into extra_info and say question=NAME; "
            f"extra_info has {', '.join(map(str, info)) or 'nothing'}"
        )
    return text or ""


def id_of(source: Any, info: Mapping[str, Any], problem: str | None, asked: str) -> str:
    """The problem's id, the same for all its responses and for no other problem."""
    if problem is not None:
        return str(field_of(info, problem))
    if info.get("index") is not None:
        return "/".join(str(part) for part in (source, info.get("split"), info["index"]) if part is not None)
    if asked:
        return content_id(asked)
    raise StratagemError(
        "extra_info has neither 'index' nor the problem's text to tell problems apart: say problem=NAME; "
        f"it has {', '.join(map(str, info)) or 'nothing'}"
    )


def row_of(
    fields: Mapping[str, Any],
    info: Mapping[str, Any],
    asked: str,
    solution: str,
    right: float,
    by: Sequence[str],
) -> dict[str, Any]:
    """A response as `write` keeps it: as verl's own dumps have it, with the strategy."""
    step = next((info[name] for name in STEP if isinstance(info.get(name), int)), None)
    row = {"input": asked or fields["problem_id"], "output": solution, "score": right, "step": step}
    row |= {name: fields[name] for name in ("problem_id", "strategy", *by)}
    return row | ({"split": str(info["split"])} if info.get("split") is not None else {})


@dataclass
class Asked:
    """One response that waits for its strategy's name."""

    question: str
    solution: str
    name: str | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.name is not None or self.error is not None


class Together:
    """Names strategies of responses that are asked for at the same time, from several threads, at one go.

    verl asks for one response at a time, from as many threads as it has; to apply rules to one text takes as long as
    to a hundred. So whoever's turn it is names those of all who wait.
    """

    def __init__(self, label: Labeller) -> None:
        self._label = label
        self._waiting: list[Asked] = []
        self._busy = False
        self._changed = threading.Condition()

    def __call__(self, question: str, solution: str) -> str:
        mine = Asked(question, solution)
        batch: list[Asked] = []
        with self._changed:
            self._waiting.append(mine)
            self._changed.wait_for(lambda: mine.done or not self._busy)
            if not mine.done:
                batch, self._waiting, self._busy = self._waiting, [], True
        if batch:
            try:
                self._answer(batch)
            finally:
                with self._changed:
                    self._busy = False
                    self._changed.notify_all()
        if mine.error is not None:
            raise mine.error
        assert mine.name is not None
        return mine.name

    def _answer(self, batch: Sequence[Asked]) -> None:
        """Fill in the names; where one text fails, each is tried alone."""
        try:
            names = self._label(
                [asked.question for asked in batch],
                [asked.solution for asked in batch],
                ["stop"] * len(batch),
            )
        except Exception as error:
            if len(batch) == 1:
                batch[0].error = error
                return
            for asked in batch:
                self._answer([asked])
            return
        for asked, name in zip(batch, names, strict=True):
            asked.name = str(name)

    def __reduce__(self) -> tuple[type[Together], tuple[Labeller]]:
        return Together, (
            self._label,
        )  # verl's remote manager sends the function to other processes; locks stay


class Lines:
    """A file a process in a folder, made with the first line: reward functions run in several processes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._turn = threading.Lock()

    def add(self, row: Mapping[str, Any]) -> None:
        """Append one line, whole. Open and closed again: processes that end abruptly lose nothing."""
        line = json.dumps(row, ensure_ascii=False) + "\n"
        path = self.folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
        with self._turn:
            self.folder.mkdir(parents=True, exist_ok=True)
            with open(path, "a", encoding="utf-8", errors="replace") as file:
                file.write(line)

    def __reduce__(self) -> tuple[type[Lines], tuple[Path]]:
        return Lines, (self.folder,)
