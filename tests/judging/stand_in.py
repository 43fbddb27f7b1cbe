"""A judge that is no model: it names the strategy whose word it finds, and misbehaves where a response tells it to."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, Any]]
MODEL = "judge-1"


def message(content: str, **choice: Any) -> Reply:
    return 200, {
        "choices": [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"} | choice]
    }


def said(strategy: str, quotation: str) -> str:
    return json.dumps({"strategy": strategy, "quotation": quotation})


class Brain:
    """What it answers. A response names its strategy as its first word, and trouble in capitals anywhere.

    Attributes:
        bodies: of all requests, in order. refuses: settings that it does not take.
        truth: where given, names the strategy of a response and vote in place of its first word.
    """

    def __init__(self, refuses: tuple[str, ...] = (), truth: Callable[[str, int], str] | None = None) -> None:
        self.refuses, self.truth = refuses, truth
        self.bodies: list[dict[str, Any]] = []
        self.seen: Counter[str] = Counter()
        self.lock = threading.Lock()

    def reply(self, body: dict[str, Any]) -> Reply:
        user = body["messages"][1]["content"]
        text = json.loads(user)["response"]
        with self.lock:
            self.bodies.append(body)
            self.seen[user] += 1
            again = self.seen[user] > 1
        for name in self.refuses:
            if name in body:
                return 400, {"error": {"message": f"Unsupported parameter: {name}"}}
        words = text.split()
        name = words[0] if self.truth is None else self.truth(text, body.get("seed", 0))
        right = said(name, " ".join(words[:4]))
        trouble = next((word for word in words if word.isupper() and len(word) > 3), "")
        match trouble:
            case "REFUSES":
                return 200, {
                    "choices": [{"message": {"content": None, "refusal": "I cannot help with that."}}]
                }
            case "RAMBLES":
                return message("It is hard to say, there are many ways of looking at this {and that}.")
            case "CHATTY":
                return message(f"Sure! Here is my answer:\n```json\n{right}\n```\nI hope it helps.")
            case "THINKS":
                return message(f"<think>maybe {said('tally', 'x y z')}, no</think>{right}")
            case "TORN":
                return message(
                    f"{said('running', ' '.join(words[:4]))} or {said('tally', ' '.join(words[:4]))}"
                )
            case "INVENTS":
                return message(said("sorcery", " ".join(words[:4])))
            case "MISQUOTES":
                return message(said(name, "words that nobody wrote"))
            case "SPARSE":
                return message(said(name, words[0][:1]))
            case "ENDLESS":
                return message(right[: len(right) // 2], finish_reason="length")
            case "EMPTY":
                return 200, {"choices": []}
            case "LONG":
                return 400, {"error": {"message": "This model's maximum context length is 8 tokens"}}
            case "BUSY" if not again:
                return 429, {"error": {"message": "slow down"}}
            case "SLOW" if not again:
                time.sleep(1.5)
            case "GONE":
                return 500, {"error": {"message": "out of memory"}}
            case _:
                pass
        return message(right)


class StandIn:
    """The brain behind a socket."""

    def __init__(self, brain: Brain) -> None:
        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self.answer(200, {"data": [{"id": MODEL}]})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                self.answer(*brain.reply(body))

            def answer(self, status: int, reply: dict[str, Any]) -> None:
                content = json.dumps(reply).encode()
                try:
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except OSError:  # whoever asked has given up
                    pass

        self.httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.httpd.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.httpd.server_port}/v1"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.httpd.shutdown()
        self.httpd.server_close()
