"""Fixtures of the report's tests: made-up studies, and a browser that looks at pages."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from stratagem.report import table1
from tests.report.synthetic_table1 import Inputs, make

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    "--virtual-time-budget=30000",
]


@pytest.fixture(scope="session")
def inputs() -> Inputs:
    return make(problems=24, samples=2, updates=40)


@pytest.fixture(scope="session")
def page(inputs: Inputs) -> str:
    return table1.render(*inputs.all())


@pytest.fixture
def browse(tmp_path: Path) -> Callable[..., tuple[str, list[str]]]:
    """A function that opens a page in headless Chromium; gives its DOM and the console's lines."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")

    def opened(html: str, width: int = 1280) -> tuple[str, list[str]]:
        file = tmp_path / "page.html"
        file.write_text(html, encoding="utf-8")
        profile = f"--user-data-dir={tmp_path / 'profile'}"
        size = f"--window-size={width},900"
        done = subprocess.run(
            [CHROMIUM, *FLAGS, profile, size, "--dump-dom", file.as_uri()],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "</html>" in done.stdout, done.stderr[-2000:]
        return done.stdout, re.findall(r":CONSOLE[^\n]*", done.stderr)

    return opened
