"""The tutorial of docs/labels.md says what comes out, for somebody who labels as the truth says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.names import read_names
from stratagem.annotate.pool import read_pool
from stratagem.annotate.session import Session
from stratagem.cli import run
from stratagem.diagnosis.side import Look

PAGE = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")


def block(file: str) -> str:
    match = re.search(rf"^```\w+ {re.escape(file)}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert match, file
    return match[1]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.slow
def test_the_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    for file in ("make_logs.py", "names.toml"):
        Path(file).write_text(block(file), encoding="utf-8")
    subprocess.run([sys.executable, "make_logs.py"], check=True)
    assert run(["diagnose", "before.jsonl", "after.jsonl"]) == 0
    assert words(capsys.readouterr().out.partition("labels find no answer in 100.0% before")[0]) in words(
        PAGE
    )
    true: dict[tuple[str, str, str], str] = {}
    for side, name in enumerate(("before", "after")):
        rows = map(json.loads, Path(f"{name}.jsonl").read_text(encoding="utf-8").splitlines())
        for row, way in zip(rows, Path(f"{name}.truth.txt").read_text().split(), strict=True):
            true[str(side), row["prompt"], row["completion"]] = way
    responses = read_pool([["before.jsonl"], ["after.jsonl"]], Look(), ["before", "after"])
    session = Session(responses, read_names("names.toml"), Path("labels.csv"))
    texts = responses.table.select("side", "prompt", "completion")
    for number in range(1, 151):
        assert session.question
        session.answer(session.question.row, true[texts.row(session.question.row)])
        session.wait()
        if number in (20, 60, 150):
            assert session.progress.settling
            assert session.progress.settling.sentence in PAGE
    session.close()
    assert run(["diagnose", "before.jsonl", "after.jsonl", "--labels", "labels.csv"]) == 0
    out = words(capsys.readouterr().out)
    shown = PAGE.split("$ stratagem diagnose before.jsonl after.jsonl --labels labels.csv\n")[1]
    parts = shown.partition("```")[0].split("…\n")
    assert [words(part) in out for part in parts] == [True] * 3
