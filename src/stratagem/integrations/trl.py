"""Live measures in any TRL GRPO run: which strategies the model uses, and whether it selects or improves.

    live = Live("math", by=("level",))
    trainer = GRPOTrainer(model, reward_funcs=live.reward(is_right), callbacks=[live], args=args, train_dataset=data)

Each log then has, for whatever `report_to` names, ``stratagem/share/STRATEGY``, ``stratagem/accuracy/STRATEGY``,
``stratagem/gain`` with ``selection`` and ``improvement`` since the start, ``stratagem/no_signal`` and more
(`integrations.live`), of all responses since the last log; a log of an evaluation has those of the whole evaluation.
With ``log_completions=True`` the table of completions has the columns problem_id, group, split, strategy and those of
`by`; with ``write=FOLDER`` every response is kept (`integrations.response_files`).
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from transformers import TrainerCallback

from stratagem.integrations.live import Measures, Response, labeller
from stratagem.integrations.response_files import TRAINING, ResponseFiles, Row
from stratagem.records import StratagemError, content_id
from stratagem.rollouts.declared import Declared
from stratagem.rollouts.readers.row import prompt_text
from stratagem.rollouts.rows import NUMBER
from stratagem.tasks import Task
from stratagem.workspace import read_json, write_json

log = logging.getLogger(__name__)
STATE = "stratagem_live.json"
EVALUATION = "eval"
RUNTIME = "_runtime"  # the ending of the trainer's name for the time that an evaluation took
# What TRL itself hands to a reward function; every other argument is a column of the data set.
TRL_ARGUMENTS = ("prompts", "completions", "completion_ids", "trainer_state", "log_extra", "log_metric")


class Live(TrainerCallback):
    """Watches a GRPOTrainer: give it as a callback, and wrap the reward function that says what is right.

    Args:
        strategies: who names a response's strategy: ``"math"`` or ``"code"``, a TOML file of rules,
            ``"module:function"``, a task of this package or its name, or a function from the completion's text to a
            name.
        by: columns of the data set that describe a problem, such as its difficulty: the gain is split within them.
        problem: the column with the problem's id; without it the prompt's text is the id.
        correct: from a reward to correctness in [0, 1], for rewards that are no such number, as
            ``lambda reward: float(reward > 0)``.
        window: updates on each side of the gain since the start.
        draws: bootstrap draws of its intervals.
        write: a folder for every response of training and of evaluations, which the commands read. A resumed run
            removes what was written after its checkpoint.

    Raises:
        StratagemError: the rules cannot be read, or a name of `by` is one of a column of the files of responses.
    """

    def __init__(
        self,
        strategies: str | Task | Callable[[str], str],
        *,
        by: Sequence[str] = (),
        problem: str | None = None,
        correct: Callable[[float], float] | None = None,
        window: int = 10,
        draws: int = 200,
        write: str | Path | None = None,
    ) -> None:
        self.label = labeller(strategies)
        self.problem, self.correct = problem, correct
        self.measures = Measures(by, window, draws)
        self.files = None if write is None else ResponseFiles(Path(write), Declared(tuple(by), window))
        self.latest: dict[str, float] = {}
        self.responses: list[Response] = []  # of the latest batch, all processes together
        self._trained: list[Response] = []  # since the last log
        self._evaluated: list[Response] = []
        self._evaluated_rows: list[Row] = []
        self._place = ("", 0)  # the split and step of the groups counted in `_groups`
        self._groups = 0
        self._group, self._group_eval = 0, 0
        self._device: int | None = None
        self._ends: set[int] = set()
        self._model: Any = None
        self._first_callback = False
        self._returned = 0.0
        self._spent = 0.0  # seconds that logging took since the last batch

    # -- the reward function ---------------------------------------------------------------------------------

    def reward(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, plain or async, with its rewards unchanged and every batch of them measured."""

        def measured(arguments: dict[str, Any], rewards: Sequence[float | None]) -> Sequence[float | None]:
            started = time.perf_counter()
            self._measure(arguments, rewards, started)
            return rewards

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def later(**arguments: Any) -> Sequence[float | None]:
                return measured(arguments, await function(**arguments))

            return later

        @functools.wraps(function)
        def now(**arguments: Any) -> Sequence[float | None]:
            return measured(arguments, function(**arguments))

        return now

    def _measure(self, arguments: dict[str, Any], rewards: Sequence[float | None], started: float) -> None:
        if self._model is None:
            raise StratagemError("Live is no callback of the trainer: add callbacks=[live] to GRPOTrainer")
        if not self._first_callback:
            self._log_before_others(arguments["log_metric"].__self__)
        training = self._model.training
        try:
            mine = self._responses(arguments, rewards)
        except StratagemError:
            raise
        except Exception as error:
            # A labelling function that fails on the first batch is a mistake to fix; one that fails on a rare
            # text days later must not end the run.
            if self.measures.updates == 0:
                raise
            log.warning("this batch is not measured: naming its strategies failed: %r", error)
            mine = None
        waiting = time.perf_counter()
        together = gathered(mine, self._device)
        started += (
            time.perf_counter() - waiting
        )  # for other processes' rewards, as the trainer itself would next
        if any(part is None for part in together):
            return
        responses = [response for part in together if part for response in part[0]]
        rows = [row for part in together if part for row in part[1]]
        self._groups += len({response.group for response in responses})
        if not training:
            self._evaluated += responses
            self._evaluated_rows += rows
            return
        self._drop_evaluation()  # one that was broken off
        step = arguments["trainer_state"].global_step + 1
        self.measures.add(responses, step)
        self.responses = responses
        self._trained += responses
        if self.files is not None and rank() == 0:
            self.files.add(TRAINING, step, rows)
        own = time.perf_counter() - started + self._spent
        self._spent = 0.0
        if self._returned:
            arguments["log_metric"]("stratagem/own_time", own / (time.perf_counter() - self._returned))
        self._returned = time.perf_counter()

    def _log_before_others(self, trainer: Any) -> None:
        """Move to the front of the callbacks, so that what `on_log` adds reaches those that report."""
        handler = trainer.callback_handler
        handler.callbacks = [self, *(other for other in handler.callbacks if other is not self)]
        self._first_callback = True

    def _drop_evaluation(self) -> None:
        self._evaluated, self._evaluated_rows = [], []

    def _responses(
        self, arguments: dict[str, Any], rewards: Sequence[float | None]
    ) -> tuple[list[Response], list[Row]]:
        """This process's part of the batch, labelled, with its columns for the table of completions written; and as
        rows of the files of responses, where there are such."""
        prompts = [text_of(prompt) for prompt in arguments["prompts"]]
        completions = [text_of(completion) for completion in arguments["completions"]]
        finish = [
            "stop" if not self._ends or (ids and int(ids[-1]) in self._ends) else "length"
            for ids in arguments["completion_ids"]
        ]
        strata = [self._column(arguments, name) for name in self.measures.by]
        if self.problem is None:
            problems = [content_id(prompt) for prompt in prompts]
        else:
            problems = [str(name) for name in self._column(arguments, self.problem)]
        names = self.label(prompts, completions, finish)
        first = rank() * len(prompts)
        scores = [self._score(reward) for reward in rewards]
        given = list(zip(rewards, scores, strict=True))
        wrong = [reward for reward, score in given if score is None and reward is not None]
        if self.measures.updates == 0 and (wrong or (given and all(score is None for score in scores))):
            raise StratagemError(
                f"a reward is {wrong[0] if wrong else None}, no number in [0, 1]: give Live a `correct` function, "
                "such as correct=lambda reward: float(reward > 0)"
            )
        split, step = self._where(arguments["trainer_state"].global_step)
        size = self._group if split == TRAINING else self._group_eval
        form = f"{step}-{{}}" if split == TRAINING else f"{split}-{step}-{{}}"
        groups = [form.format(self._groups + (first + i) // size) for i in range(len(prompts))]
        responses = [
            Response(problem, group, tuple(str(column[i]) for column in strata), name, score)
            for i, (problem, group, name, score) in enumerate(
                zip(problems, groups, names, scores, strict=True)
            )
        ]
        columns = {"problem_id": problems, "group": groups, "strategy": names}
        columns |= dict(zip(self.measures.by, map(list, strata), strict=True))
        # How many responses there were so far tells a reader of the table, which has the last batch of each log alone,
        # how many it does not see.
        numbers = [self.measures.responses + first + i + 1 for i in range(len(prompts))]
        own = {"split": [split] * len(prompts), NUMBER: numbers if split == TRAINING else [0] * len(prompts)}
        for name, column in (columns | own).items():
            arguments["log_extra"](name, column)
        if self.files is None:
            return responses, []
        columns |= {
            "prompt": [prompt_text(prompt)[0] for prompt in arguments["prompts"]],
            "question": prompts,
            "completion": completions,
            "score": scores,
            "finish_reason": finish,
            "completion_tokens": [len(ids) for ids in arguments["completion_ids"]],
        }
        return responses, [
            dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
        ]

    def _where(self, done: int) -> tuple[str, int]:
        """The split and step of a batch: an update that is under way has the number that it will have."""
        place = (TRAINING, done + 1) if self._model.training else (EVALUATION, done)
        if place != self._place:
            self._place, self._groups = place, 0
        return place

    def _column(self, arguments: dict[str, Any], name: str) -> Sequence[Any]:
        if name not in arguments or name in TRL_ARGUMENTS:
            columns = [column for column in arguments if column not in TRL_ARGUMENTS]
            raise StratagemError(
                f"the data set has no column {name!r}; it has {', '.join(columns) or 'none'}"
            )
        return arguments[name]

    def _score(self, reward: float | None) -> float | None:
        if reward is None:
            return None
        score = float(reward if self.correct is None else self.correct(float(reward)))
        return score if 0 <= score <= 1 else None

    # -- the callback ----------------------------------------------------------------------------------------

    def on_init_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Take what the trainer knows."""
        self._model, self._group = given["model"], args.num_generations
        self._group_eval = getattr(args, "num_generations_eval", None) or args.num_generations
        self._device = torch.cuda.current_device() if torch.cuda.is_available() else None
        tokenizer = getattr(given["processing_class"], "tokenizer", given["processing_class"])
        self._ends = ends_of(self._model, tokenizer)

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """As above, for a callback that was added later; after a resume, go on from what its checkpoint holds."""
        self.on_init_end(args, state, control, **given)
        if self.files is not None and state.is_world_process_zero:
            self.files.begin(state.global_step)
        if state.global_step:
            saved = Path(args.output_dir) / f"checkpoint-{state.global_step}" / STATE
            if saved.is_file():
                self.measures.restore(read_json(saved))
            else:
                log.warning("%s: no such file; the gain is measured from update %d", saved, state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **given: Any) -> None:
        """Add the measures of all responses since the last log, or of the evaluation that is logged."""
        started = time.perf_counter()
        # The trainer's name of an evaluation, such as eval or eval_hard, begins the names of all its numbers.
        name = next((key.removesuffix(RUNTIME) for key in logs if key.endswith(RUNTIME)), TRAINING)
        measures: dict[str, float] = {}
        if name == TRAINING and self._trained:
            self.latest = self.measures.of(self._trained) | self.measures.gain()
            self._trained = []
            measures = {f"stratagem/{key}": value for key, value in self.latest.items()}
        elif name != TRAINING and self._evaluated:
            values = self.measures.evaluate(self._evaluated, name)
            measures = {f"{name}_stratagem/{key}": value for key, value in values.items()}
            if self.files is not None and state.is_world_process_zero:
                self.files.add(name, state.global_step, self._evaluated_rows)
            self._drop_evaluation()
        logs |= measures
        if state.log_history:  # the entry of these logs, which are a copy
            state.log_history[-1] |= measures
        self._spent += time.perf_counter() - started

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **given: Any) -> None:
        """Forget the responses of a prediction: they are of no evaluation."""
        self._drop_evaluation()

    def on_save(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Put the measures beside the checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.is_world_process_zero and folder.is_dir():
            write_json(folder / STATE, self.measures.state())


def text_of(message: Any) -> str:
    """The text of a prompt or completion: a string itself, or what the last message says."""
    if isinstance(message, str):
        return message
    if not message:
        return ""
    content = message[-1].get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(part.get("text") or "" for part in content)


def ends_of(model: Any, tokenizer: Any) -> set[int]:
    """The token ids with which a completion that was not cut off ends: those of TRL's own rule."""
    config = getattr(model, "generation_config", None)
    declared = getattr(config, "eos_token_id", None)
    ids = {tokenizer.eos_token_id, tokenizer.pad_token_id}
    ids |= set(declared) if isinstance(declared, list | tuple) else {declared}
    return {token for token in ids if token is not None}


def rank() -> int:
    return torch.distributed.get_rank() if distributed() else 0


def distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


T = TypeVar("T")


def gathered(mine: T, device: int | None = None) -> list[T]:
    """Every process's part, in the order of their ranks.

    `device` is the process's GPU: TRL awaits async rewards in a thread of its own, in which GPU 0 is the current one.
    """
    if not distributed() or torch.distributed.get_world_size() == 1:
        return [mine]
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    with contextlib.nullcontext() if device is None else torch.cuda.device(device):
        torch.distributed.all_gather_object(parts, mine)
    return parts
