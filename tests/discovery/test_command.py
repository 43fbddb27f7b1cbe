"""`stratagem discover` as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.names import read_names
from stratagem.cli import run
from stratagem.discovery.result import Discovery, Form, OnSide, Phrase, Proposal
from stratagem.discovery.show import show_discovery
from stratagem.discovery.written import as_toml
from tests.discovery import worlds

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.chdir(tmp_path)
    table = worlds.lab("sums", ("running", "tally"), seed=1, problems=60)
    for side, name in enumerate(("before", "after")):
        rows = table.filter(side=str(side)).select("prompt", "completion", "score", "kind", problem_id="key")
        rows.write_ndjson(f"{name}.jsonl")
    return table


def test_a_file_of_proposals_that_annotate_takes(
    logs: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["discover", "before.jsonl", "after.jsonl", "--most", "3", "--out", "here/names.toml"]) == 0
    said = capsys.readouterr()
    assert "2 proposals in 480 responses to 60 problems" in said.out
    assert "FOLLOWS THE LENGTH" in said.out
    assert "stratagem annotate" in said.err
    names = read_names("here/names.toml")
    assert list(names) == ["proposal_1", "proposal_2"]
    document = tomllib.loads(Path("here/names.toml").read_text())
    shown = set(logs["completion"])
    assert all(set(section["examples"]) <= shown for section in document["strategies"].values())
    assert all(len(section["examples"]) == 4 for section in document["strategies"].values())
    # A file that a person may have edited is not written over.
    assert run(["discover", "before.jsonl", "after.jsonl", "--out", "here/names.toml"]) == 2
    assert "exists, and may hold names" in capsys.readouterr().err


def test_as_json(logs: pl.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["discover", "before.jsonl", "after.jsonl", "--most", "2", "--by", "kind", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["out"] == "proposals.toml"
    shares = [[side["share"] for side in proposal["sides"]] for proposal in result["proposals"]]
    assert np.allclose(np.sum(shares, axis=0), 1.0)
    assert set(result["proposals"][0]["follows"]) == {"data set", "length", "answer form", "notation"}


def test_nothing_to_propose_writes_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    table = worlds.lab("sums", ("running",), seed=1, problems=40)
    table.select("prompt", "completion", "score", problem_id="key").write_ndjson("a.jsonl")
    assert run(["discover", "a.jsonl", "--most", "3"]) == 0
    assert "No strategies to propose" in capsys.readouterr().out
    assert not Path("proposals.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give the logs to look at"),
        (["before.jsonl", "--most", "9"], "--most 9: must be from 2 to 8"),
        (["before.jsonl", "--out", "names.yaml"], "choose a name that ends in .toml"),
        (["none.jsonl"], "none.jsonl"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, logs: pl.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["discover", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line


def test_texts_stay_texts(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever stands in a log, the file is TOML with nothing more in it, and the terminal shows no control."""
    from rich.console import Console

    bad = 'x"""\n[strategies.evil]\ndescription = "\x1b[31m\x7f\x00 \u202e \\ [bold]"'
    form = Form(characters=1, lines=1, numbers=float("nan"), equals=0)
    side = OnSide(log=bad, responses=1, share=1.0, accuracy=float("nan"), examples=(bad, "y" * 5_000))
    proposal = Proposal(
        name="proposal_1",
        phrases=(Phrase(bad, 1.0, 0.0),),
        form=form,
        elsewhere=form,
        follows={"length": 0.9},
        marks=("length",),
        sides=(side,),
    )
    discovery = Discovery(
        logs=(bad,), responses=1, problems=1, agreement=1.0, proposals=(proposal,), tried=()
    )
    document = tomllib.loads(as_toml(discovery, bad))
    assert list(document) == ["strategies"]
    assert list(document["strategies"]) == ["proposal_1"]
    examples = document["strategies"]["proposal_1"]["examples"]
    assert examples[0] == bad
    assert len(examples[1]) < 1_600
    show_discovery(discovery, Console(force_terminal=False, width=80))
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold]" in out


@pytest.mark.slow
def test_the_page_shows_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    code = page.partition("```python make_logs.py\n")[2].partition("\n```")[0]
    Path("make_logs.py").write_text(code, encoding="utf-8")
    subprocess.run([sys.executable, "make_logs.py"], check=True)
    assert run(["discover", "before.jsonl", "after.jsonl"]) == 0
    shown = page.partition("$ stratagem discover before.jsonl after.jsonl\n")[2].partition("…\n```")[0]
    assert " ".join(shown.split()) in " ".join(capsys.readouterr().out.split())
