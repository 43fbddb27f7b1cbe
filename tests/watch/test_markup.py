"""Markup in every free string of a run that is watched: the live page shows it as text, in a browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.report.chrome import CHROMIUM, Tab, runs_nothing_of_texts, tab
from tests.watch import runs
from tests.watch.test_page import Client, served
from tests.watch.test_verl import responses

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
# No slash, so that files may be called so too.
HOSTILE = "<img src=x onerror=window.taken=1><b><u><i>x<script>window.taken=1"


def hostile(text: str) -> str:
    return text + HOSTILE


def test_a_stage(tmp_path: Path) -> None:
    cells = [[hostile("zeta"), 2, hostile("s"), 8, 4], [hostile("alpha"), 2, hostile("t"), 8, 4]]
    lines = [json.dumps({"update": i, "cells": cells, "loss": 1.0}).encode() + b"\n" for i in range(12)]
    folder = tmp_path / hostile("run")
    log = runs.stage(folder, b"".join(lines[:6]), **{hostile("setting"): hostile("value")})
    with served(folder) as client, tab(tmp_path / "profile") as page:
        opened(page, client)
        page.until("document.querySelectorAll('svg').length >= 3")
        append(log, b"".join(lines[6:]))
        client.server.watched._next = 0.0  # whatever the last look cost
        page.until("document.body.textContent.includes('12 of 40')")  # parts were put in anew
        seen(page, hostile("run"), hostile("zeta"), hostile("s"))


def opened(page: Tab, client: Client) -> None:
    page.size(1280, height=8_000)  # charts are drawn where they are in sight
    page.go(f"http://127.0.0.1:{client.port}/")


def append(log: Path, content: bytes) -> None:
    with open(log, "ab") as file:
        file.write(content)


def seen(page: Tab, *texts: str) -> None:
    shown = page.value("document.body.textContent")
    assert [text for text in texts if text not in shown] == []
    title = page.value("document.title")
    assert "taken" in title  # the name of the run, as text
    runs_nothing_of_texts(page, title)


def test_a_verl_run(tmp_path: Path) -> None:
    """Strategies, columns and their values, texts, names of files; rows that are damaged are only counted."""
    folder = tmp_path / hostile("dump")
    folder.mkdir()
    rng = np.random.default_rng(0)
    for step in range(1, 9):
        rows = [
            {
                hostile(name) if name in ("kind", "steps") else name: marked(name, value)
                for name, value in row.items()
            }
            for row in responses(step, rng)
        ]
        text = "".join(json.dumps(row) + "\n" for row in rows) + f"{HOSTILE}\n"
        (folder / f"{HOSTILE}{step}.jsonl").write_text(text)
    with served(folder, score="acc") as client, tab(tmp_path / "profile") as page:
        opened(page, client)
        page.until("document.querySelectorAll('svg').length >= 3")
        seen(page, hostile("dump"), hostile("forward"), f"{hostile('kind')} {hostile('evaluation')}")


def marked(name: str, value: Any) -> Any:
    return hostile(value) if isinstance(value, str) and name not in ("acc", "steps", "gts") else value


def test_a_study(tmp_path: Path) -> None:
    folder = tmp_path / hostile("study")
    folder.mkdir()
    names = [hostile("slow"), hostile("fast")]
    arms = [{"name": name, "folder": f"seed0/{i}", "replicate": 0} for i, name in enumerate(names)]
    plan = {"name": hostile("made up"), "arms": arms, "settings": {"preset": hostile("quick")}}
    (folder / "study.json").write_text(json.dumps(plan))
    cells = [[hostile("zeta"), 2, hostile("s"), 8, 4], [hostile("zeta"), 2, hostile("t"), 8, 4]]
    lines = [json.dumps({"update": i, "cells": cells}).encode() + b"\n" for i in range(9)]
    for i in range(2):
        runs.stage(folder / f"seed0/{i}.partial", b"".join(lines))
    with served(folder) as client, tab(tmp_path / "profile") as page:
        opened(page, client)
        page.until("document.querySelectorAll('svg').length >= 1")
        seen(page, *names, hostile("study"))


def test_what_the_user_is_asked(tmp_path: Path) -> None:
    """Columns that may say what is right are named in a question."""
    folder = tmp_path / hostile("dump")
    folder.mkdir()
    rows = [row | {hostile("other_reward"): 0.5} for row in responses(1, np.random.default_rng(0))]
    (folder / "1.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with served(folder) as client, tab(tmp_path / "profile") as page:
        opened(page, client)
        page.until("document.body.textContent.includes('may say what is right')")
        seen(page, hostile("dump"))
