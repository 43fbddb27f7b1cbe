"""Completions from any server that speaks the OpenAI-compatible protocol, such as `vllm serve`."""

from __future__ import annotations

import http.client
import json
import logging
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stratagem.records import Problem, Report, StratagemError, content_id
from stratagem.sampling.answer import Answer
from stratagem.sampling.rollout import write_answers
from stratagem.settings import RolloutConfig, ServerConfig
from stratagem.tasks import Task, make_task
from stratagem.tasks.base import token_budget as budget_of

log = logging.getLogger(__name__)

TRIES = 6  # of one request, with waits of 1, 2, 4, 8 and 16 seconds between them
BUSY = (408, 409, 425, 429, 500, 502, 503, 504)
KEY = "OPENAI_API_KEY"
# What a server would else fill in from the model's generation_config: measured is the model's own distribution.
# OpenAI's protocol has no such fields; vLLM and SGLang take them, where -1 is no top-k.
NEUTRAL: dict[str, Any] = {"top_k": -1, "repetition_penalty": 1.0, "min_p": 0.0}
TOKEN = re.compile(r"[a-z]+|[0-9]|[^\w\s]")


class Refusal(StratagemError):
    """A server refuses a request; `fields` are those of the request that its message names."""

    def __init__(self, message: str, fields: Collection[str]) -> None:
        super().__init__(message)
        self.fields = frozenset(fields)


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
        """One request, tried again where the server is busy or the line breaks.

        Raises:
            Refusal: it does not take the request.
            StratagemError: it gives no JSON, or stays out of reach.
        """
        url = f"{self.config.url.rstrip('/')}/{path}"
        headers = {"Content-Type": "application/json"}
        if os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {os.environ[KEY]}"
        data = None if body is None else json.dumps(body).encode()
        problem = ""
        for number in range(TRIES):
            request = urllib.request.Request(url, data, headers, method=method)
            wait = self.pause * 2**number
            try:
                with urllib.request.urlopen(request, timeout=self.config.timeout) as reply:
                    content = json.loads(reply.read())
                if not isinstance(content, dict):
                    raise ValueError("no JSON object")
                return content
            except urllib.error.HTTPError as error:
                with error:
                    message = message_of(error.read())
                    after = error.headers.get("Retry-After", "")
                problem = f"{error.code} {message[:200]}"
                if error.code not in BUSY:
                    hint = f" (its key is read from {KEY})" if error.code in (401, 403) else ""
                    fields = [name for name in body or {} if re.search(rf"\b{re.escape(name)}\b", message)]
                    raise Refusal(f"{url}: {problem}{hint}", fields) from None
                wait = max(wait, float(after) if after.isdigit() else 0.0)
            except ValueError as error:
                raise StratagemError(f"{url}: does not answer in JSON ({error})") from None
            except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
                problem = str(getattr(error, "reason", None) or error or type(error).__name__)
                if method == "GET":  # the first question of all: nobody is there
                    break
            if number + 1 < TRIES:
                time.sleep(wait)
        raise StratagemError(f"{url}: {problem}; is the server running? (vllm serve MODEL)")


def message_of(content: bytes) -> str:
    """A server's error message in one line."""
    try:
        reply = json.loads(content)
        error = reply.get("error", reply)
        text = error.get("message") or error if isinstance(error, dict) else error
    except (ValueError, AttributeError):
        text = content.decode(errors="replace")
    return " ".join(str(text).split())
