"""Headless Chromium on a pipe (its DevTools protocol), for pages that never come to rest."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *(
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
    ),
)


class Tab:
    """One page: go somewhere, evaluate, take a picture. `problems` has what the console said of errors."""

    def __init__(self, write: int, read: int) -> None:
        self._write, self._read, self._buffer, self._number = write, read, b"", 0
        self.problems: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = None
        session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self._session = session
        for domain in ("Page", "Runtime", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if getattr(self, "_session", None):
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded"):
                self.problems.append(json.dumps(answer["params"]))
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "the browser has ended"
            self._buffer += part
        message, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(message)

    def size(self, width: int, height: int = 900, dark: bool = False) -> None:
        mobile = width < 600
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=mobile,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])

    def go(self, url: str) -> None:
        self.send("Page.navigate", url=url)

    def value(self, expression: str) -> Any:
        reply = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return reply["result"].get("value")

    def until(self, expression: str, seconds: float = 60) -> Any:
        """The first true value of an expression."""
        end = time.monotonic() + seconds
        while not (value := self.value(expression)):
            assert time.monotonic() < end, f"{expression}: not within {seconds} s; {self.problems}"
            time.sleep(0.1)
        return value

    def picture(self, path: Path) -> None:
        """The whole page."""
        reply = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(reply["data"]))


@contextlib.contextmanager
def tab(profile: Path) -> Iterator[Tab]:
    assert CHROMIUM is not None
    to_them, ours_out = os.pipe()
    ours_in, from_them = os.pipe()

    def hand_over() -> None:  # Chromium reads commands at descriptor 3 and writes answers at 4
        spare = os.dup(to_them), os.dup(from_them)
        os.dup2(spare[0], 3)
        os.dup2(spare[1], 4)
        for descriptor in (3, 4):
            os.set_inheritable(descriptor, True)

    line = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--remote-debugging-pipe"]
    process = subprocess.Popen(
        line, close_fds=False, preexec_fn=hand_over, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(to_them)
    os.close(from_them)
    try:
        yield Tab(ours_out, ours_in)
    finally:
        process.kill()
        process.wait()
        os.close(ours_out)
        os.close(ours_in)


def runs_nothing_of_texts(page: Tab, title: str) -> None:
    """Assert that the page has its own title still, no element that only markup in a text could have made, and has
    fetched nothing but data of its own server."""
    made = "document.querySelectorAll('img, iframe, object, embed, [onerror], [onload], b > u > i').length"
    fetched = (
        "performance.getEntriesByType('resource').filter(e => new URL(e.name).pathname !== '/data').length"
    )
    assert page.value("document.title") == title
    assert page.value("window.taken ?? 0") == 0
    assert (page.value(made), page.value(fetched)) == (0, 0)
    assert page.problems == []
