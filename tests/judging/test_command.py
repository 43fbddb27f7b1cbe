"""`--strategies judge:FILE.toml` as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from stratagem.cli import run
from tests.discovery import worlds
from tests.judging.stand_in import MODEL, Brain, StandIn

pytestmark = pytest.mark.timeout(300)

RUBRIC = """
[strategies.running]
description = "adds up one term after the other"
examples = ["running 7 +3 0 +9 9 ; answer 9"]

[strategies.tally]
description = "counts equal terms and multiplies"
any = ['x\\d']
"""


@pytest.fixture
def brain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Brain:
    """A folder with a rubric and two logs, and a judge that reads the right strategy off its signs."""
    monkeypatch.chdir(tmp_path)
    Path("rubric.toml").write_text(RUBRIC)
    table = worlds.lab("sums", ("running", "tally"), seed=1, problems=30, samples=3)
    for side, name in enumerate(("before", "after")):
        rows = table.filter(side=str(side)).select("prompt", "completion", "score", problem_id="key")
        rows.write_ndjson(f"{name}.jsonl")
    return Brain(truth=lambda text, vote: "tally" if "x" in text else "running")


@pytest.fixture
def url(brain: Brain) -> Iterator[str]:
    server = StandIn(brain)
    yield server.url
    server.close()


def judged(*words: str, url: str, most: int = 1_000) -> list[str]:
    judge = ["--strategies", "judge:rubric.toml", "--url", url, "--model", MODEL, "--max-requests", str(most)]
    return [*words, *judge, "--per-minute", "1000000"]


def test_an_estimate_first(brain: Brain, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(judged("diagnose", "before.jsonl", "after.jsonl", url=url, most=3)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "180 responses, 0 answers kept from before" in line
    assert "tokens in" in line
    assert "nothing was sent" in line
    assert brain.bodies == []
    assert not Path("diagnosis").exists()
    assert not Path("judge.jsonl").exists()


def test_a_diagnosis_by_a_judge(brain: Brain, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = judged("diagnose", "before.jsonl", "after.jsonl", "--draws", "100", url=url)
    assert run([*words, "--json"]) == 0
    said = capsys.readouterr()
    assert f"judge {MODEL}: 180 responses" in said.err
    assert json.loads(said.out)["strategies_from"] == "judge:rubric.toml"
    table = pl.read_parquet("diagnosis/labelled.parquet", glob=False)
    right = pl.when(pl.col("completion").str.contains("x")).then(pl.lit("tally")).otherwise(pl.lit("running"))
    assert (table["strategy"] == table.select(right).to_series()).all()
    assert table["evidence"].str.contains(r"\[\[0,\d+,").all()
    # The same sheet as of rules: kappa beside agreement, and the split corrected by it.
    assert run(["validate-labels", "diagnosis", "--size", "60", "--out", "sheet.csv"]) == 0
    sheet = pl.read_csv("sheet.csv", infer_schema=False, glob=False)
    sheet.with_columns(true_strategy="strategy").write_csv("sheet.csv", include_bom=True)
    capsys.readouterr()
    assert run(["validate-labels", "sheet.csv"]) == 0
    assert "agreement 100.0" in (out := capsys.readouterr().out)
    assert "Cohen's kappa 1.00" in out
    asked = len(brain.bodies)
    assert run([*words, "--labels", "sheet.csv"]) == 0
    assert "kappa 1.00" in " ".join(capsys.readouterr().out.split())
    assert len(brain.bodies) == asked


def test_a_table_labelled_by_a_judge(brain: Brain, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(judged("label", "before.jsonl", "--out", "before.parquet", url=url)) == 0
    assert set(pl.read_parquet("before.parquet", glob=False)["strategy"]) == {"running", "tally"}
    # What is labelled is diagnosed without a judge.
    assert run(judged("label", "after.jsonl", "--out", "after.parquet", url=url)) == 0
    assert run(["diagnose", "before.parquet", "after.parquet", "--draws", "100"]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["label", "before.jsonl", "--strategies", "judge:rubric.toml"], "--model: name the model"),
        (["label", "before.jsonl", "--strategies", "judge:none.toml", "--model", "m"], "none.toml"),
        (["label", "before.jsonl", "--strategies", "judge:", "--model", "m"], "a rubric is a TOML file"),
        (["label", "before.jsonl", "--strategies", "math", "--model", "m"], "are of a judge"),
        (
            [
                "label",
                "before.jsonl",
                "--strategies",
                "judge:rubric.toml",
                "--model",
                "m",
                "--url",
                "ftp://x",
            ],
            "must begin with http",
        ),
        (
            ["label", "before.jsonl", "--strategies", "judge:rubric.toml", "--model", "m", "--votes", "0"],
            "--votes 0: must be from 1 to 25",
        ),
        (
            [
                "label",
                "before.jsonl",
                "--strategies",
                "judge:rubric.toml",
                "--model",
                "m",
                "--answers",
                "/dev/null",
            ],
            "not a file",
        ),
        (["watch", "before.jsonl", "--strategies", "judge:rubric.toml"], "stratagem label LOG"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: list[str], said: str, brain: Brain, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
