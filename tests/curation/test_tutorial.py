"""docs/curation.md shows what its commands print."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from stratagem.cli import run
from stratagem.curation.demonstrations.near import available

ROOT = Path(__file__).parents[2]
PAGE, DEMONSTRATIONS = (
    (ROOT / "docs" / "curation.md")
    .read_text(encoding="utf-8")
    .split("\n# Demonstrations for SFT", maxsplit=1)
)


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for name in ("curation_world.py", "demonstrations_world.py"):
        (tmp_path / name).mkdir()
        subprocess.run([sys.executable, ROOT / "examples" / name], check=True, cwd=tmp_path / name)
    monkeypatch.chdir(tmp_path / "curation_world.py")
    return tmp_path / "curation_world.py"


def check_commands(page: str, number: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Each command of a page prints what stands below it."""
    commands = re.findall(r"^\$ stratagem (.*)\n((?:(?!```|\$).*\n)*)", page, re.MULTILINE)
    assert len(commands) == number
    for words, shown in commands:
        assert run(shlex.split(words)) == 0
        said = capsys.readouterr()
        printed = plain(said.out) + plain(said.err)
        if "…" in plain(shown):  # what is left out stands before
            rest = plain(shown)[plain(shown).index("…") + 1 :]
            printed = printed[printed.index(rest[0]) :][: len(rest)]
            assert printed == rest
        elif shown:
            assert printed == plain(shown)


def test_the_page_shows_what_is_printed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check_commands(PAGE, 2, capsys)


@pytest.mark.skipif(not available(), reason="needs the near extra")
def test_the_page_shows_what_is_printed_of_demonstrations(
    world: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world.parent / "demonstrations_world.py"
    monkeypatch.chdir(here)
    check_commands(DEMONSTRATIONS, 3, capsys)
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    rows = re.findall(r"^\| (\d+) \| ([a-z -]+) \| ([^|]*) \|$", DEMONSTRATIONS, re.MULTILINE)
    assert len(rows) == 5
    for row, decision, reason in rows:
        assert table.row(int(row) - 1, named=True)["decision"] == decision
        assert table.row(int(row) - 1, named=True)["reason"] == reason
    asked = json.loads((here / "chosen" / "ask.jsonl").read_text().splitlines()[0])
    assert asked["strategy"] == "enumerate"
    assert f'"row": {asked["row"]}}}' in DEMONSTRATIONS


def test_the_reasons_on_the_page_are_those_of_the_table(world: Path) -> None:
    words = re.findall(r"^\$ stratagem (.*)$", PAGE, re.MULTILINE)[0]
    assert run(shlex.split(words)) == 0
    table = pl.read_parquet(world / "chosen" / "prompts.parquet")
    rows = re.findall(r"^\| (\d+) \| ([a-z ]+) \| ([^|]*) \|$", PAGE, re.MULTILINE)
    assert len(rows) == 4
    for row, decision, reason in rows:
        assert table.row(int(row) - 1, named=True)["decision"] == decision
        assert table.row(int(row) - 1, named=True)["reason"] == reason
    wrong = table.filter(pl.col("stratum") == "sums", pl.col("right") == 0)["signal"]
    assert f"{100 * wrong[0]:.0f}% of groups are still expected" in PAGE
