"""Completions from any server that speaks the OpenAI-compatible protocol, such as `vllm serve`."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stratagem.endpoint import Refusal, ask
from stratagem.records import Problem, Report, StratagemError, content_id
from stratagem.sampling.answer import Answer
from stratagem.sampling.rollout import write_answers
from stratagem.settings import RolloutConfig, ServerConfig
from stratagem.tasks import Task, make_task
from stratagem.tasks.base import token_budget as budget_of

log = logging.getLogger(__name__)

# What a server would else fill in from the model's generation_config: measured is the model's own distribution.
# OpenAI's protocol has no such fields; vLLM and SGLang take them, where -1 is no top-k.
NEUTRAL: dict[str, Any] = {"top_k": -1, "repetition_penalty": 1.0, "min_p": 0.0}
TOKEN = re.compile(r"[a-z]+|[0-9]|[^\w\s]")


def rollout(
    config: RolloutConfig, out: Path, model: str, server: ServerConfig, report: Report | None = None
) -> Path:
    """Write ``out/rollouts.parquet`` with the answers of a served model; what is answered is not asked again.

    Raises:
        StratagemError: the server cannot be reached, does not have the model, or refuses.
    """
    task = make_task(config.task)
    source = {"engine": "server", "model": model, "instruction": content_id(task.instruction())} | {
        name: value for name, value in asdict(server).items() if name not in ("parallel", "timeout", "url")
    }
    max_new = config.max_new or token_budget(task, config.steps[1])
    return write_answers(config, out, source, lambda: Server(server, model, task, max_new), report)


def token_budget(task: Task, steps: int) -> int:
    """As `models.llm.token_budget`. A server does not tell how it splits a text: words, digits and signs are the tokens
    of Qwen2.5 and its like."""
    return budget_of(task, steps, lambda text: len(TOKEN.findall(text)))


class Server:
    """A served model that answers problems of `task` in up to `max_new` tokens.

    Raises:
        StratagemError: the server cannot be reached or does not have the model.
    """

    def __init__(
        self, config: ServerConfig, model: str, task: Task, max_new: int, pause: float = 1.0
    ) -> None:
        self.config, self.model, self.task, self.max_new, self.pause = config, model, task, max_new, pause
        self.neutral, self.lock = NEUTRAL, threading.Lock()
        listed = [str(entry.get("id")) for entry in self.ask("GET", "models").get("data") or []]
        if listed and model not in listed:
            raise StratagemError(f"{config.url}: serves no {model!r}, only {', '.join(listed[:5])}")

    def __call__(
        self, problems: Sequence[Problem], opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        with ThreadPoolExecutor(self.config.parallel) as pool:
            futures = [
                pool.submit(self.answer, problem, opening, samples, temperature, seed * 1_000_003 + i)
                for i, problem in enumerate(problems)
            ]
            try:
                return [answer for future in futures for answer in future.result()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def answer(
        self, problem: Problem, opening: str, samples: int, temperature: float, seed: int
    ) -> list[Answer]:
        """`samples` answers to one problem; a server that gives fewer at once is asked again for the rest."""
        answers: list[Answer] = []
        while len(answers) < samples:
            body = self.body(problem, opening, temperature) | {
                "n": samples - len(answers),
                "seed": (seed + len(answers)) % 2**31,
            }
            choices = self.complete(body).get("choices") or []
            if not choices:
                raise StratagemError(f"{self.config.url}: an answer without 'choices'")
            answers += [self.read(choice) for choice in choices[: samples - len(answers)]]
        return answers

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The reply to `body`, with `NEUTRAL` settings until the server refuses one of them."""
        try:
            return self.ask("POST", self.path, body | self.neutral)
        except Refusal as refusal:
            if refusal.fields.isdisjoint(NEUTRAL):
                raise
        with self.lock:  # several requests are under way, and it is said once
            if self.neutral:
                log.warning(
                    "%s: takes no %s; goes by its own settings of them", self.config.url, ", ".join(NEUTRAL)
                )
            self.neutral = {}
        return self.ask("POST", self.path, body)

    @property
    def path(self) -> str:
        return "chat/completions" if self.config.form == "chat" else "completions"

    def body(self, problem: Problem, opening: str, temperature: float) -> dict[str, Any]:
        text = f"{self.task.instruction()}\n\n{problem.prompt}"
        body: dict[str, Any] = {"model": self.model, "max_tokens": self.max_new}
        body |= {"temperature": temperature, "top_p": 1.0}
        if self.config.stop:
            body["stop"] = list(self.config.stop)
        if self.config.form == "text":
            body["prompt"] = f"{text} {opening}" if opening else text
            return body | ({"logprobs": 0} if self.config.logprobs else {})
        messages = [{"role": "user", "content": text}]
        if opening:
            # vLLM's and SGLang's way to have a begun answer continued instead of a new one started.
            messages.append({"role": "assistant", "content": opening})
            body |= {"continue_final_message": True, "add_generation_prompt": False}
        return body | {"messages": messages} | ({"logprobs": True} if self.config.logprobs else {})

    def read(self, choice: dict[str, Any]) -> Answer:
        """One choice of either endpoint. Without log-probabilities the length is not in it: words are counted."""
        message = choice.get("message") or {}
        text = message.get("content") if self.config.form == "chat" else choice.get("text")
        reason = "length" if choice.get("finish_reason") == "length" else "stop"
        logps = choice.get("logprobs") or {}
        if self.config.form == "chat":
            values = [entry["logprob"] for entry in logps.get("content") or []]
        else:
            values = [value for value in logps.get("token_logprobs") or [] if value is not None]
        text = text or ""
        if values:
            return Answer(text, len(values), reason, sum(values) / len(values))
        return Answer(text, len(text.split()), reason)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """One request, as `endpoint.ask`."""
        return ask(self.config.url, method, path, body, timeout=self.config.timeout, pause=self.pause)
