"""A page over HTTP for this machine alone, and that of a running run: two addresses, nothing of a request ever touches
the disk."""

from __future__ import annotations

import ipaddress
import json
import socket
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from stratagem.records import StratagemError
from stratagem.watch.page import Watched, shell

HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "frame-ancestors 'none'",  # the rest of the policy stands in the page
}


class LocalServer(ThreadingHTTPServer):
    """A server of one page, that answers to names of its own machine only.

    Args:
        handler: answers a request.
        port: 0 takes a free one.

    Raises:
        StratagemError: the port is taken, or there is no such host.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, handler: type[LocalHandler], host: str, port: int) -> None:
        self.host = host
        if ":" in host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((host, port), handler)
        except OverflowError:
            raise StratagemError(f"--port {port}: must lie within 0-65535") from None
        except OSError as error:
            raise StratagemError(
                f"--host {host} --port {port}: {error.strerror}; choose another --port, or 0 for a free one"
            ) from None

    @property
    def url(self) -> str:
        host, port = str(self.server_address[0]), self.server_address[1]
        name = "localhost" if ipaddress.ip_address(host).is_unspecified else host
        return f"http://[{name}]:{port}/" if ":" in name else f"http://{name}:{port}/"

    def knows(self, header: str) -> bool:
        """Whether a Host header is one of ours.

        A page of a stranger whose name was made to point here (DNS rebinding) gives itself away by its name: so
        names other than this machine's are refused, and addresses that are no loopback where only that is served.
        """
        try:
            name = (urlsplit(f"//{header}").hostname or "").rstrip(".")
        except ValueError:
            return False
        local = ipaddress.ip_address(str(self.server_address[0])).is_loopback
        try:
            return ipaddress.ip_address(name).is_loopback or not local
        except ValueError:
            pass
        own = {"localhost", self.host.lower()}
        if not local:
            own |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return name in own


class LocalHandler(BaseHTTPRequestHandler, ABC):
    """Answers one request; only GET, where no other is added."""

    server: LocalServer  # pyright: ignore[reportIncompatibleVariableOverride]
    server_version, sys_version = "stratagem", ""
    timeout = 30

    def do_GET(self) -> None:
        """The page or its data."""
        if not self.server.knows(self.headers.get("Host", "")):
            self.answer(403, "text/plain", "this address is not served under that name")
        else:
            self.answer(*self.reply())

    @abstractmethod
    def reply(self) -> tuple[int, str, str]:
        """Status, type and text of the answer to GET."""

    def answer(self, status: int, kind: str, text: str) -> None:
        """Send a whole answer; a reader that has gone away is no fault."""
        content = text.encode()
        try:
            self.send_response(status)
            for name, value in HEADERS.items():
                self.send_header(name, value)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the terminal is the user's."""


class Server(LocalServer):
    """Serves ``/``, the page of a run, and ``/data``, what has changed since."""

    def __init__(self, watched: Watched, host: str, port: int) -> None:
        self.watched = watched
        self.turn = threading.Lock()  # one look at the disk at a time, whoever asks
        super().__init__(Handler, host, port)


class Handler(LocalHandler):
    """Answers for a run."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def reply(self) -> tuple[int, str, str]:
        asked = urlsplit(self.path)
        if asked.path not in ("/", "/data"):
            return 404, "text/plain", "no such page"
        try:
            with self.server.turn:
                shown = self.server.watched.show()
        except StratagemError as error:
            return 503, "text/plain", str(error)
        if asked.path == "/":
            return 200, "text/html", shell(shown, self.server.watched.out.name)
        if parse_qs(asked.query).get("seen") == [shown.key]:
            return 204, "application/json", ""
        return 200, "application/json", json.dumps(shown.as_json())
