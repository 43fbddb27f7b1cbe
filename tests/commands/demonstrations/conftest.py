"""`stratagem curate demonstrations` called in a folder with a set and rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratagem.cli import run
from tests.commands.demonstrations.sets import (
    RULES,
    Curate,
    lines,
    world,
)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "ways.toml").write_text(RULES)
    lines(tmp_path / "sft.jsonl", world())
    return tmp_path


@pytest.fixture
def curate(here: Path, capsys: pytest.CaptureFixture[str]) -> Curate:
    def call(*words: str, data: str = "sft.jsonl", code: int = 0) -> tuple[str, str]:
        ended = run(["curate", "demonstrations", data, *words])
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.out, said.err

    return call
