"""docs/curation.md shows what its commands print."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from stratagem.cli import run

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "curation.md").read_text(encoding="utf-8")


def plain(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    subprocess.run([sys.executable, ROOT / "examples" / "curation_world.py"], check=True, cwd=tmp_path)
    return tmp_path


def test_the_page_shows_what_is_printed(world: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^\$ stratagem (.*)\n((?:(?!```).*\n)*)", PAGE, re.MULTILINE)
    assert len(commands) == 2
    for words, shown in commands:
        assert run(shlex.split(words)) == 0
        said = capsys.readouterr()
        printed = plain(said.out) + plain(said.err)
        if "…" in plain(shown):  # what is left out stands before
            rest = plain(shown)[plain(shown).index("…") + 1 :]
            printed = printed[printed.index(rest[0]) :][: len(rest)]
            assert printed == rest
        else:
            assert printed == plain(shown)


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
