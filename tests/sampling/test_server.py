"""The client of OpenAI-compatible servers against a stand-in that speaks the protocol and misbehaves on demand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.endpoint import Refusal
from stratagem.records import StratagemError
from stratagem.sampling.server import NEUTRAL, Server, rollout, token_budget
from stratagem.settings import RolloutConfig, ServerConfig
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.answer import find_prompt
from stratagem.tasks.finite_field.field import STRATEGIES

TASK = FiniteField(11)


class StandIn:
    """Solves every problem by the strategy that the opening asks for, else forward. `trouble` maps the number of a
    POST to (status, headers, body); `most` is how many choices one reply has; a POST with an `unknown` field is refused
    in `refusal`'s words, as OpenAI's own server does it."""

    def __init__(self) -> None:
        self.trouble: dict[int, tuple[int, dict[str, str], bytes]] = {}
        self.most = 99
        self.unknown: tuple[str, ...] = ()
        self.refusal = '{"error": {"message": "Unrecognized request argument supplied: NAME"}}'
        self.requests: list[tuple[str, dict[str, Any], dict[str, str]]] = []
        self.lock = threading.Lock()
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.reply(200, json.dumps({"data": [{"id": "solver"}]}).encode())

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with stand_in.lock:
                    number = len(stand_in.requests)
                    stand_in.requests.append((self.path, body, dict(self.headers)))
                refused = [name for name in body if name in stand_in.unknown]
                if refused:
                    self.reply(400, stand_in.refusal.replace("NAME", refused[0]).encode())
                elif number in stand_in.trouble:
                    status, headers, content = stand_in.trouble[number]
                    if status == 0:
                        self.connection.close()
                        return
                    self.reply(status, content, headers)
                else:
                    self.reply(200, json.dumps(stand_in.completions(self.path, body)).encode())

            def reply(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/v1"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def completions(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        chat = path.endswith("/chat/completions")
        messages = body.get("messages") or [{"role": "user", "content": body.get("prompt", "")}]
        whole = " ".join(message["content"] for message in messages)
        problem = TASK.parse(find_prompt(whole))
        begun = next((strategy for strategy in STRATEGIES.values() if whole.endswith(strategy.OPENING)), None)
        text = (begun or STRATEGIES["forward"]).demonstrate(TASK, problem.data)
        if begun is not None:
            text = text.removeprefix(begun.OPENING)
        choices = []
        for i in range(min(body["n"], self.most)):
            cut = body["temperature"] > 0 and i == 1  # the second sample is cut off
            said = text[: len(text) // 2] if cut else text
            reason = "length" if cut else "stop"
            words = said.split()
            choice: dict[str, Any] = {"index": i, "finish_reason": reason}
            if chat:
                choice["message"] = {"role": "assistant", "content": said}
                if body.get("logprobs"):
                    choice["logprobs"] = {"content": [{"token": w, "logprob": -0.5} for w in words]}
            else:
                choice["text"] = said
                if body.get("logprobs") is not None:
                    choice["logprobs"] = {"token_logprobs": [None, *[-0.5] * (len(words) - 1)]}
            choices.append(choice)
        return {"choices": choices, "usage": {"completion_tokens": 1}}


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    server = StandIn()
    yield server
    server.httpd.shutdown()
    server.httpd.server_close()


def server(stand_in: StandIn, model: str = "solver", **given: Any) -> Server:
    return Server(ServerConfig(url=stand_in.url, **given), model, TASK, max_new=99, pause=0.01)


PROBLEMS = TASK.generate("eval", 6, (2, 4))


@pytest.mark.parametrize("form", ["chat", "text"])
def test_problems_are_answered_in_order(stand_in: StandIn, form: str) -> None:
    answers = server(stand_in, form=form, logprobs=True)(PROBLEMS, "", 3, 0.7, seed=5)
    assert len(answers) == 18
    for k, answer in enumerate(answers):
        gold = STRATEGIES["forward"].demonstrate(TASK, PROBLEMS[k // 3].data)
        assert answer.finish_reason == ("length" if k % 3 == 1 else "stop")
        assert answer.text == (gold[: len(gold) // 2] if k % 3 == 1 else gold)
        assert answer.logprob == -0.5
        assert answer.tokens == len(answer.text.split()) - (form == "text")
    paths = {path for path, _, _ in stand_in.requests}
    assert paths == {"/v1/chat/completions" if form == "chat" else "/v1/completions"}
    bodies = [body for _, body, _ in stand_in.requests]
    assert {body["n"] for body in bodies} == {3}
    assert len({body["seed"] for body in bodies}) == len(PROBLEMS)
    assert all(
        TASK.instruction() in json.dumps(body, ensure_ascii=False).replace("\\n", "\n") for body in bodies
    )


@pytest.mark.parametrize("form", ["chat", "text"])
def test_a_begun_answer_is_continued(stand_in: StandIn, form: str) -> None:
    answers = server(stand_in, form=form)(PROBLEMS, "backward", 1, 0.0, seed=0)
    for problem, answer in zip(PROBLEMS, answers, strict=True):
        assert f"backward{answer.text}" == STRATEGIES["backward"].demonstrate(TASK, problem.data)
    body = stand_in.requests[0][1]
    if form == "chat":
        assert body["messages"][-1] == {"role": "assistant", "content": "backward"}
        assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    else:
        assert body["prompt"].endswith(" backward")


@pytest.mark.parametrize("form", ["chat", "text"])
def test_the_model_s_own_distribution_is_asked_for(stand_in: StandIn, form: str) -> None:
    ask = server(stand_in, form=form)
    ask(PROBLEMS[:2], "", 1, 0.7, seed=0)
    ask(PROBLEMS[:2], "backward", 1, 0.0, seed=0)
    for _, body, _ in stand_in.requests:
        assert {name: body[name] for name in ("top_p", *NEUTRAL)} == {
            "top_p": 1.0,
            "top_k": -1,
            "repetition_penalty": 1.0,
            "min_p": 0.0,
        }


@pytest.mark.parametrize(
    "refusal",
    [
        '{"error": {"message": "Unrecognized request argument supplied: NAME"}}',
        '{"detail": [{"type": "extra_forbidden", "loc": ["body", "NAME"]}]}',
    ],
)
def test_a_server_that_refuses_the_fields_is_asked_without_them(
    stand_in: StandIn, caplog: pytest.LogCaptureFixture, refusal: str
) -> None:
    stand_in.unknown, stand_in.refusal = tuple(NEUTRAL), refusal
    ask = server(stand_in)
    answers = ask(PROBLEMS, "", 2, 0.7, seed=0)
    assert len(answers) == 12
    asked = len(stand_in.requests)
    assert ask(PROBLEMS, "", 2, 0.7, seed=0) == answers
    later = [body for _, body, _ in stand_in.requests[asked:]]
    assert len(later) == len(PROBLEMS)
    assert all(body["top_p"] == 1.0 and not NEUTRAL.keys() & body.keys() for body in later)
    assert [record.getMessage() for record in caplog.records] == [
        f"{stand_in.url}: takes no top_k, repetition_penalty, min_p; goes by its own settings of them"
    ]


def test_a_refusal_names_the_fields_that_the_server_names(stand_in: StandIn) -> None:
    stand_in.unknown, stand_in.refusal = ("top_k",), '{"detail": "' + "x" * 300 + ' NAME, not top_keys"}'
    ask = server(stand_in)
    with pytest.raises(Refusal, match=r": 400 .{200}$") as caught:
        ask.ask("POST", ask.path, {"top": 1, "top_k": 2, "min_p": 0.0})
    assert caught.value.fields == {"top_k"}


@pytest.mark.parametrize("p", [11, 13])
@pytest.mark.parametrize("steps", [1, 5, 9, 20])
def test_the_budget_holds_every_demonstration_and_a_third_more(p: int, steps: int) -> None:
    task = FiniteField(p)
    budget = token_budget(task, steps)
    for problem in task.generate("eval", 50, (steps, steps)):
        for strategy in STRATEGIES.values():
            text = strategy.demonstrate(task, problem.data)
            tokens = sum(1 if word.isalpha() else len(word) for word in text.split())
            assert tokens * 5 / 4 < budget < len(text) * 4 / 3


def test_the_budget_can_be_set(stand_in: StandIn, tmp_path: Path) -> None:
    given = ServerConfig(url=stand_in.url)
    short = RolloutConfig(steps=(2, 2), size=2, samples=1, greedy=False)
    usual = rollout(short, tmp_path / "usual", "solver", given)
    longer = rollout(replace(short, max_new=700), tmp_path / "longer", "solver", given)
    assert {body["max_tokens"] for _, body, _ in stand_in.requests} == {token_budget(TASK, 2), 700}
    assert json.loads((usual / "config.json").read_text())["settings"]["max_new"] is None
    assert json.loads((longer / "config.json").read_text())["settings"]["max_new"] == 700
    with pytest.raises(StratagemError, match="max_new was None, now 700"):
        rollout(replace(short, max_new=700), usual, "solver", given)
    with pytest.raises(StratagemError, match="--max-new 0: must be from 1 to 1,000,000"):
        RolloutConfig(max_new=0)


def test_stop_and_key_are_sent(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sesame")
    server(stand_in, stop=("\n\n",))(PROBLEMS[:1], "", 1, 0.7, seed=0)
    _, body, headers = stand_in.requests[0]
    assert body["stop"] == ["\n\n"]
    assert headers["Authorization"] == "Bearer sesame"


def test_a_server_that_gives_fewer_is_asked_for_the_rest(stand_in: StandIn) -> None:
    stand_in.most = 2
    assert len(server(stand_in)(PROBLEMS[:1], "", 5, 0.7, seed=1)) == 5
    bodies = [body for _, body, _ in stand_in.requests]
    assert [body["n"] for body in bodies] == [5, 3, 1]
    assert len({body["seed"] for body in bodies}) == 3


@pytest.mark.parametrize("trouble", [(503, {}, b"busy"), (429, {"Retry-After": "0"}, b"{}"), (0, {}, b"")])
def test_a_busy_server_is_asked_again(stand_in: StandIn, trouble: tuple[int, dict[str, str], bytes]) -> None:
    stand_in.trouble = {0: trouble, 1: trouble}
    answers = server(stand_in, parallel=1)(PROBLEMS[:2], "", 1, 0.7, seed=0)
    assert len(answers) == 2
    assert len(stand_in.requests) == 4
    assert stand_in.requests[0][1] == stand_in.requests[2][1]


def test_what_cannot_be_mended_by_waiting_is_said_in_one_line(stand_in: StandIn) -> None:
    with pytest.raises(StratagemError, match="serves no 'other', only solver"):
        server(stand_in, "other")
    ask = server(stand_in, parallel=1)
    message = json.dumps({"error": {"message": "max_tokens is too\nlarge"}}).encode()
    stand_in.trouble = {
        0: (400, {}, message),
        1: (401, {}, b"no"),
        2: (200, {}, b"<html>"),
        3: (200, {}, b"{}"),
    }
    for expected in (
        "400 max_tokens is too large",
        "401 no .*OPENAI_API_KEY",
        "does not answer in JSON",
        "choices",
    ):
        with pytest.raises(StratagemError, match=expected) as caught:
            ask(PROBLEMS[:1], "", 1, 0.7, seed=0)
        assert "\n" not in str(caught.value)
    stand_in.trouble = dict.fromkeys(range(4, 99), (500, {}, b"broken"))
    with pytest.raises(StratagemError, match="500 broken; is the server running"):
        ask(PROBLEMS[:1], "", 1, 0.7, seed=0)
    assert len(stand_in.requests) == 4 + 6
    stand_in.httpd.shutdown()
    stand_in.httpd.server_close()
    with pytest.raises(StratagemError, match="is the server running"):
        server(stand_in)


def test_an_interrupted_rollout_asks_only_for_the_rest(stand_in: StandIn, tmp_path: Path) -> None:
    config = RolloutConfig(steps=(2, 3), size=70, samples=2)
    given = ServerConfig(url=stand_in.url, parallel=1)
    stand_in.trouble = {125: (400, {}, b"stop here")}  # the first 60 problems, twice each, are done by then
    with pytest.raises(StratagemError, match="stop here"):
        rollout(config, tmp_path / "out", "solver", given)
    assert not (tmp_path / "out").exists()
    before = len(stand_in.requests)
    rollout(config, tmp_path / "out", "solver", given)
    assert len(stand_in.requests) - before == 2 * 10
    table = pl.read_parquet(tmp_path / "out" / "rollouts.parquet")
    assert len(table) == 70 * 3
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["config.json", "rollouts.parquet"]
    greedy = table.filter(mode="greedy")
    assert greedy["score"].to_list() == [1.0] * 70
    assert table["problem_id"].n_unique() == 70
    count = len(stand_in.requests)
    rollout(config, tmp_path / "out", "solver", given)
    assert len(stand_in.requests) == count
