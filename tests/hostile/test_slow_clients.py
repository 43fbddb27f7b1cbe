"""Clients of a local page that stay silent, or do not read: others are served, and nothing is printed."""

from __future__ import annotations

import socket
import threading
import time
import urllib.request
from collections.abc import Iterator

import pytest

from stratagem.watch.server import LocalHandler, LocalServer

pytestmark = pytest.mark.timeout(60)
PAGE = "x" * 30_000_000  # more than the buffers of a connection hold


class Handler(LocalHandler):
    timeout = 1

    def reply(self) -> tuple[int, str, str]:
        return 200, "text/plain", PAGE


@pytest.fixture
def server() -> Iterator[LocalServer]:
    served = LocalServer(Handler, "127.0.0.1", 0)
    thread = threading.Thread(target=served.serve_forever, daemon=True)
    thread.start()
    yield served
    served.shutdown()
    served.server_close()


def connected(server: LocalServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.server_address[1]))


def test_a_client_that_does_not_read(server: LocalServer, capfd: pytest.CaptureFixture[str]) -> None:
    lazy = [connected(server) for _ in range(5)]
    for client in lazy:
        client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    with urllib.request.urlopen(server.url) as answer:
        assert len(answer.read()) == len(PAGE)
    time.sleep(2.5)  # until the others are given up
    for client in lazy:
        client.close()
    assert capfd.readouterr() == ("", "")


def test_clients_that_say_nothing_or_half_a_request(
    server: LocalServer, capfd: pytest.CaptureFixture[str]
) -> None:
    silent = [connected(server) for _ in range(100)]
    for client in silent[::2]:
        client.sendall(b"GET / HT")
    with urllib.request.urlopen(server.url) as answer:
        assert len(answer.read()) == len(PAGE)
    time.sleep(2)
    for client in silent:
        client.settimeout(5)
        assert client.recv(10) == b""  # given up
        client.close()
    assert capfd.readouterr() == ("", "")
