"""Fixtures of the report's tests: made-up studies, and a browser that looks at pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from stratagem.report import study
from tests.report.synthetic_study import Inputs, make

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
    return study.render(*inputs.all())


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


@pytest.fixture
def act(browse: Callable[..., tuple[str, list[str]]]) -> Callable[..., dict[str, Any]]:
    """A function that opens a page in a frame of some width, runs a script on its document `d`, window `w`, and
    gives what the script leaves in `out`."""

    def acted(html: str, script: str, width: int = 1280) -> dict[str, Any]:
        inner = html.replace("&", "&amp;").replace('"', "&quot;")
        probe = f"""<script>
          const pause = (ms) => new Promise((done) => setTimeout(done, ms));
          const look = async () => {{
            const d = frame.contentDocument, w = frame.contentWindow, out = {{}};
            if (!d.documentElement.dataset.ready) return setTimeout(look, 50);
            const all = (s) => [...d.querySelectorAll(s)];
            const pick = (label, value) => {{
              const home = all(".filters label").find((l) => l.firstChild.textContent === label);
              const box = home.querySelector("select, input");
              box.value = value;
              box.dispatchEvent(new w.Event(box.tagName === "INPUT" ? "input" : "change"));
            }};
            try {{ {script} }} catch (error) {{ out.error = String(error); }}
            const wide = all("body *").filter((e) => e.getBoundingClientRect().right > {width} + 1
              && !e.closest(".scroll, .vega-actions, svg, .items, .columns, .text, .prompt"));
            out.wide = [...new Set(wide.map((e) => e.tagName + "." + e.className))];
            out.title = d.title;
            out.failed = d.documentElement.dataset.errors ?? null;
            out.width = d.documentElement.scrollWidth;
            document.body.dataset.out = encodeURIComponent(JSON.stringify(out));
          }};
          onload = look;
        </script>"""
        frame = f'<iframe id="frame" width="{width}" height="900" style="border:0" srcdoc="{inner}"></iframe>'
        dom, console = browse(f'<meta charset="utf-8"><body>{probe}{frame}</body>')
        match = re.search(r'data-out="([^"]*)"', dom)
        assert match, console
        out = json.loads(unquote(match[1]))
        assert (console, out["failed"], out.get("error")) == ([], None, None)
        return out

    return acted
