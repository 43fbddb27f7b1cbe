"""The page over real HTTP, and in a real browser by keyboard alone."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.pool import Responses
from stratagem.annotate.server import AnnotateServer
from stratagem.annotate.session import Session
from stratagem.learned.sheet import read_labels
from tests.annotate.logs import pool, truth, write_logs
from tests.report.chrome import CHROMIUM, Tab, tab

HOSTILE = (
    "</script><script>document.title='run'</script><img src=x onerror=\"document.title='run'\"> & <b>bold</b>"
)
NAMES = {
    "table": "lists the cases and reads off the one that fits",
    "equation": "names the unknown and solves for it",
    "guess": "tries a value and adjusts",
}


@contextlib.contextmanager
def served(responses: Responses, sheet: Path) -> Iterator[AnnotateServer]:
    session = Session(responses, NAMES, sheet)
    with AnnotateServer(session, "before.jsonl, after.jsonl", "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
            session.close()


def ask(server: AnnotateServer, path: str, body: Any = None, **headers: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=60)
    try:
        method = "GET" if body is None else "POST"
        content = None if body is None else json.dumps(body) if not isinstance(body, str) else body
        connection.request(method, path, content, headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_only_our_own_page_can_answer(tmp_path: Path) -> None:
    with served(pool(write_logs(tmp_path, 8)), tmp_path / "labels.csv") as server:
        assert server.session.question
        body = {"row": server.session.question.row, "strategy": "table"}
        ours = {"Content-Type": "application/json", "X-Stratagem-Key": server.key}
        assert ask(server, "/label", body)[0] == 403
        assert ask(server, "/label", body, **ours | {"X-Stratagem-Key": "0" * 32})[0] == 403
        assert ask(server, "/label", body, **ours | {"Content-Type": "text/plain"})[0] == 403
        assert ask(server, "/label", body, **ours | {"Host": "stranger.example"})[0] == 403
        assert ask(server, "/", Host="stranger.example")[0] == 403
        for wrong in ("[1]", "{", '{"row": "0", "strategy": "a"}', '{"row": 0}', "null"):
            assert ask(server, "/label", wrong, **ours)[0] == 400
        assert ask(server, "/label", body | {"strategy": "no name!"}, **ours)[0] == 409
        assert ask(server, "/label", {"row": 0, "strategy": "a" * 20_000}, **ours)[0] == 413
        assert ask(server, "/sheet.csv")[0] == 404
        assert server.session.labelled == 0
        status, text = ask(server, "/label", body, **ours)
        assert (status, json.loads(text)["labels"]) == (200, 1)
        assert json.loads(ask(server, "/state")[1])["labels"] == 1
        assert "connect-src 'self'" in ask(server, "/")[1]


def press(page: Tab, key: str) -> None:
    text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
    for kind in ("keyDown", "keyUp"):
        code = {"Enter": 13, "Escape": 27}.get(key, ord(key.upper()[0]))
        page.send(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            windowsVirtualKeyCode=code,
            **({"text": text} if kind == "keyDown" and text else {}),
        )


def count(page: Tab) -> int:
    return int(page.value("document.documentElement.dataset.labels"))


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
@pytest.mark.parametrize(("width", "labels"), [(1280, 60), (390, 24)])
def test_labelling_by_keyboard_alone(tmp_path: Path, width: int, labels: int) -> None:
    logs = write_logs(tmp_path)
    table = pl.read_ndjson(logs[0])
    table.with_columns(completion=pl.lit(HOSTILE + " ") + pl.col("completion")).write_ndjson(logs[0])
    responses = pool(logs)
    known = truth(logs, responses)
    keys = {name: str(number) for number, name in enumerate(NAMES, 1)}
    sheet = tmp_path / "labels.csv"
    with served(responses, sheet) as server, tab(tmp_path / "profile") as page:
        page.size(width, 900)
        page.go(server.url)
        page.until("document.documentElement.dataset.ready")
        for done in range(labels):
            question = server.session.question
            assert question
            shown = page.value("document.getElementById('response').textContent")
            assert shown == responses.table["completion"][question.row]
            press(page, keys[known[question.row]])
            page.until(f"document.documentElement.dataset.labels === '{done + 1}'")
            if done % 5 == 4:
                server.session.wait()
        assert page.value("document.title") == "Stratagem: labelling before.jsonl, after.jsonl"
        page.until("document.getElementById('quality').textContent.includes('agrees with')")
        assert page.value("document.getElementById('settling').textContent").startswith("Selection ")
        page.picture(tmp_path / f"{width}.png")
        assert page.value("document.documentElement.scrollWidth") <= width
        press(page, "s")
        page.until("document.getElementById('count').textContent.includes('1 skipped')")
        press(page, "z")
        page.until("!document.getElementById('count').textContent.includes('skipped')")
        press(page, "z")
        page.until(f"document.documentElement.dataset.labels === '{labels - 1}'")
        press(page, "u")
        page.until(f"document.documentElement.dataset.labels === '{labels}'")
        press(page, "n")
        page.until("document.activeElement.id === 'name'")
        for letter in "mine":
            press(page, letter)
        press(page, "Enter")
        page.until(f"document.documentElement.dataset.labels === '{labels + 1}'")
        page.until("document.querySelector('[data-name=mine] kbd').textContent === '4'")
        press(page, "x")
        assert count(page) == labels + 1
        kept = read_labels(sheet)["true_strategy"].to_list()
        assert kept[-2:] == ["unparsed", "mine"]
        assert len(kept) == labels + 1
        assert page.problems == []


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_marks_show_why_and_the_end_is_said(tmp_path: Path) -> None:
    logs = write_logs(tmp_path)
    responses = pool(logs)
    known = truth(logs, responses)
    with served(responses, tmp_path / "labels.csv") as server, tab(tmp_path / "profile") as page:
        while server.session.question and (
            server.session.labelled < 30 or server.session.question.why == "random"
        ):
            server.session.answer(server.session.question.row, known[server.session.question.row])
            server.session.wait()
        page.size(1280, 900, dark=True)
        page.go(server.url)
        page.until("document.documentElement.dataset.ready")
        guess = page.value("document.querySelector('button.guess').dataset.name")
        assert guess in NAMES
        assert page.value("document.querySelectorAll('#response mark').length") > 0
        assert guess in page.value("document.getElementById('why').textContent")
        page.picture(tmp_path / "marks.png")
        server.shutdown()
        server.server_close()
        # A connection that the browser keeps in reserve is answered still, where a real end takes all with it.
        page.value("Promise.all([1, 2, 3].map(() => fetch('state').catch(() => 0))).then(() => 1)")
        press(page, "1")
        said = page.until("document.getElementById('lost').textContent")
        assert re.search("has ended: this answer was not kept", said)


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_when_all_are_asked_the_page_says_so(tmp_path: Path) -> None:
    with (
        served(pool(write_logs(tmp_path, 1, 1)), tmp_path / "labels.csv") as server,
        tab(tmp_path / "p") as page,
    ):
        page.go(server.url)
        page.until("document.documentElement.dataset.ready")
        for done in (1, 2):
            press(page, "1")
            page.until(f"document.documentElement.dataset.labels === '{done}'")
        assert page.value("!document.getElementById('over').hidden")
        press(page, "1")
        press(page, "z")
        page.until("document.documentElement.dataset.labels === '1'")
        assert page.value("document.getElementById('over').hidden")
        assert page.problems == []
