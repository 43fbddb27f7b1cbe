"""The page on which responses are labelled, over HTTP on this machine: what is asked, and what was answered.

A page of a stranger in the same browser cannot answer: it would have to send JSON, which browsers ask about first, with
a key that only our own page holds, under a name of this machine.
"""

from __future__ import annotations

import json
import secrets
import threading
from typing import Any
from urllib.parse import urlsplit

from stratagem.annotate.session import Session
from stratagem.records import StratagemError
from stratagem.report import page
from stratagem.report.page import Charts
from stratagem.watch.server import LocalHandler, LocalServer

MOST_BYTES = 10_000  # of an answer
PACKAGE = "stratagem.annotate"


class AnnotateServer(LocalServer):
    """Serves ``/``, the page, and ``/state``; takes ``/label`` and ``/undo``."""

    def __init__(self, session: Session, title: str, host: str, port: int) -> None:
        self.session, self.title = session, title
        self.key = secrets.token_hex(16)
        self.turn = threading.Lock()  # one answer at a time
        super().__init__(AnnotateHandler, host, port)


class AnnotateHandler(LocalHandler):
    """Answers for a session."""

    server: AnnotateServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def reply(self) -> tuple[int, str, str]:
        asked = urlsplit(self.path).path
        if asked not in ("/", "/state"):
            return 404, "text/plain", "no such page"
        with self.server.turn:
            view = self.server.session.view()
        if asked == "/state":
            return 200, "application/json", json.dumps(view)
        data = page.embed(view | {"key": self.server.key})
        context = {"title": self.server.title, "data": data}
        html = page.render("annotate.html", context, Charts(), ["annotate.js"], PACKAGE, draws=False)
        return 200, "text/html", html

    def do_POST(self) -> None:
        """A label, a skip or an undo; the answer is the next question."""
        self.answer(*self.took())

    def took(self) -> tuple[int, str, str]:
        """Status, type and text of the answer to POST."""
        if not self.server.knows(self.headers.get("Host", "")):
            return 403, "text/plain", "this address is not served under that name"
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= MOST_BYTES:
            self.close_connection = True
            return 413, "text/plain", "not an answer"
        content = self.rfile.read(length)
        if self.headers.get("Content-Type") != "application/json" or not secrets.compare_digest(
            self.headers.get("X-Stratagem-Key", ""), self.server.key
        ):
            return 403, "text/plain", "this page is of an earlier `stratagem annotate`: load it again"
        try:
            given: Any = json.loads(content)
            with self.server.turn:
                self._do(urlsplit(self.path).path, given)
                return 200, "application/json", json.dumps(self.server.session.view())
        except (ValueError, KeyError, TypeError):
            return 400, "text/plain", "not an answer"
        except StratagemError as error:
            return 409, "text/plain", str(error)

    def _do(self, what: str, given: Any) -> None:
        if what == "/undo":
            self.server.session.undo()
        elif what == "/label" and type(given["row"]) is int and isinstance(given["strategy"], str):
            self.server.session.answer(given["row"], given["strategy"])
        else:
            raise ValueError
