"""Requests to a server: keys stay secret, and what is no address or no JSON is said in a line."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stratagem.endpoint import KEY, ask
from stratagem.records import StratagemError

pytestmark = pytest.mark.timeout(60)


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was told; under ``/away`` it sends on to `elsewhere`."""

    elsewhere = ""
    content = b'{"data": []}'
    seen: list[str | None]

    def do_GET(self) -> None:
        type(self).seen.append(self.headers.get("Authorization"))
        away = self.path.startswith("/away")
        self.send_response(302 if away else 200)
        if away:
            self.send_header("Location", self.elsewhere)
        self.end_headers()
        if not away:
            self.wfile.write(self.content)

    def log_message(self, format: str, *args: object) -> None: ...


@pytest.fixture
def servers() -> Iterator[list[tuple[str, type[Handler]]]]:
    started: list[HTTPServer] = []
    pairs: list[tuple[str, type[Handler]]] = []
    for name in "ab":
        handler = type(name, (Handler,), {"seen": []})
        started.append(HTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=started[-1].serve_forever, daemon=True).start()
        pairs.append((f"http://127.0.0.1:{started[-1].server_address[1]}", handler))
    yield pairs
    for server in started:
        server.shutdown()
        server.server_close()


def get(url: str, path: str = "models") -> dict[str, object]:
    return ask(url, "GET", path, timeout=5)


def test_a_key_goes_to_its_server_alone(
    servers: list[tuple[str, type[Handler]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here, first), (there, second) = servers
    monkeypatch.setenv(KEY, "sk-SECRET\r\n")  # a line's end, as of a file of keys, is no part of it
    first.elsewhere = f"{there}/models"
    assert get(here, "away") == {"data": []}
    assert (first.seen, second.seen) == (["Bearer sk-SECRET"], [None])
    first.elsewhere = f"{here}/models"
    assert get(here, "away") == {"data": []}
    assert first.seen == ["Bearer sk-SECRET"] * 3


@pytest.mark.parametrize("key", ["sk-SECRET\rX: y", "sk-SECRET\u00e9", "sk\x00SECRET"[:2] + "\x7fSECRET"])
def test_a_key_that_is_none_is_not_shown(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv(KEY, key)
    with pytest.raises(StratagemError, match=f"{KEY}: holds characters that no key has") as refused:
        get("http://127.0.0.1:9/v1")
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize("url", ["http://[::1", "nonsense", "http://host:port/v1"])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(StratagemError) as refused:
        get(url)
    assert str(refused.value).startswith(url)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("content", [b"<html>", b"[1]", b"[" * 100_000, b"\xff", b""])
def test_what_is_no_json_object_is_said(servers: list[tuple[str, type[Handler]]], content: bytes) -> None:
    (here, first), _ = servers
    first.content = content
    with pytest.raises(StratagemError, match="does not answer in JSON"):
        get(here)
