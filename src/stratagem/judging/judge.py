"""A judge as a labeller of frames: several votes a response, each asked once, within limits of rate and number."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.endpoint import Refusal, ask
from stratagem.judging.answers import Answers
from stratagem.judging.judgement import OPTIONAL, Judgement, judgement, place, question
from stratagem.judging.rubric import Rubric
from stratagem.labelling.ruleset import Parts, RuleSet
from stratagem.limits import check_numbers
from stratagem.records import OTHER, TRUNCATED, UNPARSED, StratagemError, content_id

LOCAL = "http://localhost:8000/v1"
CHARACTERS = 4  # of a token, about
REPLY = 60  # tokens of a reply, about
# Refusals of one request: too long, not to be processed. Any other (no key, no such model) ends the run.
OF_A_TEXT = (400, 413, 422)


@dataclass(frozen=True)
class JudgeConfig:
    """Who judges and how much it may be asked.

    Attributes:
        model: as the server calls it. url: of the server.
        votes: of each response; most decide.
        max_requests: of this run, without those that a busy server turned away.
        per_minute: requests, at most.
        answers: the file in which answers are kept.
        parallel: requests under way at once. timeout: seconds of one.
    """

    model: str
    url: str = LOCAL
    votes: int = 1
    max_requests: int = 0
    per_minute: float = 600.0
    answers: Path = Path("judge.jsonl")
    parallel: int = 8
    timeout: float = 120.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise StratagemError(f"--url {self.url}: must begin with http:// or https://")
        if not self.model.strip():
            raise StratagemError("--model: name the model that judges, as the server calls it")
        check_numbers(self)


@dataclass
class Plan:
    """What labelling would take: `responses`, the votes that are `kept` already, and `requests` for the others, with
    about so many `tokens` in them."""

    responses: int = 0
    kept: int = 0
    requests: int = 0
    tokens: int = 0

    def __str__(self) -> str:
        out = self.requests * REPLY
        return (
            f"{self.responses:,} responses, {self.kept:,} answers kept from before, {self.requests:,} requests to make "
            f"(about {self.tokens:,} tokens in and {out:,} out)"
        )


class Judge:
    """A judge with what it has answered so far.

    Attributes:
        failed: responses without a valid vote, by why; they are called other.

    Raises:
        StratagemError: the file of answers cannot be used.
    """

    def __init__(self, rubric: Rubric, config: JudgeConfig, source: str, pause: float = 1.0) -> None:
        self.rubric, self.config, self.source, self.pause = rubric, config, source, pause
        self.answers = Answers(config.answers)
        self.failed: Counter[str] = Counter()
        self.planned = Plan()
        self.sent = 0
        self._planned: set[str] = set()
        self._left_out: set[str] = set()
        self._tasks: dict[int, str] = {}
        self._dropped: frozenset[str] = frozenset()
        self._next, self._lock = 0.0, threading.Lock()

    @property
    def rules(self) -> RuleSet:
        """The judge as a labeller."""
        said = f"judged by {self.config.model}"
        mark = content_id(self.rubric.fingerprint, self.config.model, self.config.votes)
        return RuleSet(self.source, (), (), Parts(), mark, said, self.label)

    def plan(self, frame: pl.DataFrame) -> None:
        """Count what labelling these responses too would take, in `planned`."""
        self.planned.responses += frame.height
        for prompt, completion in texts_of(frame):
            for vote in range(self.config.votes):
                key = self.key(prompt, completion, vote)
                if key in self._planned:
                    continue
                self._planned.add(key)
                if key in self.answers:
                    self.planned.kept += 1
                    continue
                body = question(self.rubric, self.config.model, prompt, completion, vote, self.config.votes)
                self.planned.requests += 1
                self.planned.tokens += sum(len(m["content"]) for m in body["messages"]) // CHARACTERS

    def allow(self) -> None:
        """
        Raises:
            StratagemError: what is planned is more than may be asked; nothing has been sent.
        """
        if self.planned.requests > self.config.max_requests:
            raise StratagemError(
                f"--max-requests {self.config.max_requests}: {self.planned}; nothing was sent. To go on, give "
                f"--max-requests {self.planned.requests}"
            )
        if self.planned.requests:
            self._see_model()

    def _see_model(self) -> None:
        """
        Raises:
            StratagemError: the server cannot be reached, or lists its models and not this one.
        """
        try:
            reply = ask(self.config.url, "GET", "models", timeout=self.config.timeout)
        except Refusal as refusal:
            if refusal.status in (401, 403):
                raise
            return
        models = reply.get("data")
        models = models if isinstance(models, list) else []
        listed = [str(entry.get("id")) for entry in models if isinstance(entry, dict)]
        if listed and self.config.model not in listed:
            raise StratagemError(
                f"{self.config.url}: serves no {self.config.model!r}, only {', '.join(listed[:5])}"
            )

    def close(self) -> None:
        self.answers.close()

    def label(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with `strategy`, `behaviours` (none) and `evidence` (the quotation).

        A response that was cut (`finish_reason` ``length``) is ``truncated``, one without words ``unparsed``; neither
        is asked. One without a valid vote is ``other``, and counted in `failed`.

        Raises:
            StratagemError: the server is out of reach or refuses every request, or `max_requests` are used up; all that
                was answered is kept.
        """
        self._ask_all(frame)
        names: list[str] = []
        evidence: list[str] = []
        finish = (
            frame["finish_reason"].to_list() if "finish_reason" in frame.columns else [None] * frame.height
        )
        for (prompt, completion), reason in zip(_rows(frame), finish, strict=True):
            if reason == "length" or not completion.strip():
                names.append(TRUNCATED if reason == "length" else UNPARSED)
                evidence.append('{"marks":[]}')
                continue
            vote = self._decided(prompt, completion)
            names.append(vote.strategy)
            span = place(vote.quotation, completion) if vote.quotation else None
            marks = [] if span is None else [[*span, vote.strategy]]
            evidence.append(json.dumps({"marks": marks}, separators=(",", ":")))
        return frame.with_columns(
            strategy=pl.Series(names, dtype=pl.String),
            behaviours=pl.lit([], dtype=pl.List(pl.String)),
            evidence=pl.Series(evidence, dtype=pl.String),
        )

    def notes(self) -> list[str]:
        """What there is to say of answers that were none."""
        if not self.failed:
            return []
        why = ", ".join(f"{number:,} {reason}" for reason, number in self.failed.most_common())
        return [
            f"{self.source}: {self.failed.total():,} responses have no valid answer and are called {OTHER}: {why}"
        ]

    def key(self, prompt: str, completion: str, vote: int) -> str:
        """What makes an answer the answer to this question."""
        several = self.config.votes > 1
        return content_id("judgement", self._task(vote), self.config.model, several, vote, prompt, completion)

    def _task(self, vote: int) -> str:
        if vote not in self._tasks:
            self._tasks[vote] = content_id(self.rubric.text(vote))
        return self._tasks[vote]

    def _decided(self, prompt: str, completion: str) -> Judgement:
        """What most votes say; of as many the earlier one."""
        votes = [self.answers.known[self.key(prompt, completion, vote)] for vote in range(self.config.votes)]
        valid = [vote for vote in votes if not vote.why]
        if valid:
            counts = Counter(vote.strategy for vote in valid)
            return next(vote for vote in valid if counts[vote.strategy] == max(counts.values()))
        if (key := self.key(prompt, completion, 0)) not in self._left_out:
            self._left_out.add(key)
            self.failed[votes[0].why] += 1
        return Judgement(OTHER)

    def _ask_all(self, frame: pl.DataFrame) -> None:
        open_votes: dict[str, tuple[str, str, int]] = {}
        for prompt, completion in texts_of(frame):
            for vote in range(self.config.votes):
                key = self.key(prompt, completion, vote)
                if key not in self.answers:
                    open_votes[key] = (prompt, completion, vote)
        if not open_votes:
            return
        with ThreadPoolExecutor(self.config.parallel) as pool:
            futures = [pool.submit(self._ask, key, *vote) for key, vote in open_votes.items()]
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(wait=False, cancel_futures=True)
        for future in done:
            future.result()

    def _ask(self, key: str, prompt: str, completion: str, vote: int) -> None:
        config = self.config
        body = question(self.rubric, config.model, prompt, completion, vote, config.votes)
        self._wait_for_turn()
        try:
            reply = self._send(body)
        except Refusal as refusal:
            if refusal.status not in OF_A_TEXT:
                raise
            self.answers.add(key, Judgement(why="refused"))
            return
        self.answers.add(key, judgement(reply, self.rubric.names, completion))

    def _send(self, body: dict[str, Any]) -> dict[str, Any]:
        """One question, without the settings that the server has refused."""
        while True:
            sent = {name: value for name, value in body.items() if name not in self._dropped}
            try:
                return ask(
                    self.config.url,
                    "POST",
                    "chat/completions",
                    sent,
                    timeout=self.config.timeout,
                    pause=self.pause,
                )
            except Refusal as refusal:
                dropped = refusal.fields & set(OPTIONAL) & sent.keys()
                if not dropped:
                    raise
                self._dropped |= dropped

    def _wait_for_turn(self) -> None:
        """Take one of the requests that are allowed, at its time."""
        with self._lock:
            if self.sent >= self.config.max_requests:
                raise StratagemError(
                    f"--max-requests {self.config.max_requests}: used up; all answers are kept in {self.config.answers}"
                )
            self.sent += 1
            now = time.monotonic()
            turn = max(self._next, now)
            self._next = turn + 60.0 / self.config.per_minute
        time.sleep(max(turn - now, 0.0))


def texts_of(frame: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Prompt and completion of the responses that a judge is asked about."""
    if "finish_reason" in frame.columns:
        frame = frame.filter((pl.col("finish_reason") != "length").fill_null(True))
    for prompt, completion in _rows(frame):
        if completion.strip():
            yield prompt, completion


def _rows(frame: pl.DataFrame) -> Iterator[tuple[str, str]]:
    prompt = pl.col("prompt").fill_null("") if "prompt" in frame.columns else pl.lit("")
    yield from frame.select(prompt, pl.col("completion").fill_null("")).iter_rows()
