"""Options that several commands share have the same limits in all of them, and a mistake is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Run
from tests.diagnosis.test_diagnose import log

SHARES = {"forward": (0.5, 0.9), "backward": (0.5, 0.1)}
LOGS = ["a.jsonl", "b.jsonl"]
SEED = "must be from 0 to 2,147,483,647"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["diagnose", *LOGS, "--seed", "-1"], f"--seed -1: {SEED}"),
        (["decompose", *LOGS, "--seed", "-1"], f"--seed -1: {SEED}"),
        (["validate-labels", "diagnosis", "--seed", "-1"], f"--seed -1: {SEED}"),
        (["problems", "--seed", "-1"], f"--seed -1: {SEED}"),
        (["sft", "--seed", "-1", "--out", "x"], f"--seed -1: {SEED}"),
        (["rl", "--seed", 2**31, "--model", "x", "--out", "x"], f"--seed {2**31}: {SEED}"),
        (["rollout", "--seed", "-1", "--model", "x", "--out", "x"], f"--seed -1: {SEED}"),
        (["base", "--seed", "-1", "--out", "x"], f"--seed -1: {SEED}"),
        (["diagnose", *LOGS, "--draws", "-1"], "--draws -1: must be from 100 to 1,000,000"),
        (["decompose", *LOGS, "--draws", "-1"], "--draws -1: must be from 100 to 1,000,000"),
        (["diagnose", *LOGS, "--level", "nan"], "--level nan: must be from 0.01 to 0.9999"),
        (["passk", "a.jsonl", "--level", "2"], "--level 2.0: must be from 0.01 to 0.9999"),
        (["validate-labels", "s.csv", "--level", "95"], "--level 95.0: must be from 0.01 to 0.9999"),
        (["diagnose", *LOGS, "--sample", "-1"], "--sample -1: must be from 0 to 1,000,000"),
        (["diagnose", *LOGS, "--draws", 10**20], f"--draws {10**20}: must be from 100 to 1,000,000"),
        (["watch", "x", "--port", 2**16], "--port 65536: must be from 0 to 65,535"),
        (["problems", "--size", 2**31], f"--size {2**31}: must be from 1 to 10,000,000"),
        (["sft", "--lr", "inf", "--out", "x"], "--lr inf: must be from 1e-12 to 10"),
        (
            ["rl", "--group", 2**31, "--model", "x", "--out", "x"],
            f"--group {2**31}: must be from 2 to 10,000",
        ),
        (
            ["rollout", "--temperature", "1e-30", "--model", "x", "--out", "x"],
            "--temperature 1e-30: must be from",
        ),
        (
            ["rollout", "--max-new", 10**20, "--model", "x", "--out", "x"],
            f"--max-new {10**20}: must be from 1 to",
        ),
        (["base", "--updates", 10**20, "--out", "x"], f"--updates {10**20}: must be from 0 to 10,000,000"),
        (["diagnose", *LOGS, "--names", "x"], "--names x: must be 2 different names, one a log"),
        (["diagnose", *LOGS, "--names", "x,x"], "--names x,x: must be 2 different names, one a log"),
        (["label", "a.jsonl", "--turns", "first"], "--turns first: must be last or all"),
        (["passk", "a.jsonl", "--columns", "response"], "--columns response: write our name=the log's name"),
    ],
)
def test_a_value_that_cannot_be_is_one_line(stratagem: Run, tmp_path: Path, words: list, said: str) -> None:
    for name in LOGS:
        log(tmp_path / name, SHARES, problems=10)
    done = stratagem(*words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


def labelled(path: Path) -> Path:
    """A labelled table of 40 responses."""
    rows = [
        {"side": i % 2, "problem_id": f"p{i // 4}", "sample": i % 4, "score": float(i % 3 == 0),
         "strategy": "a" if i % 5 else "b", "prompt": "p", "completion": "c"}
        for i in range(40)
    ]  # fmt: skip
    pl.DataFrame(rows).write_parquet(path)
    return path


def test_a_sheet_gets_its_folder_and_the_ending_that_is_read(stratagem: Run, tmp_path: Path) -> None:
    labelled(tmp_path / "labelled.parquet")
    refused = stratagem("validate-labels", "labelled.parquet", "--size", 20, "--out", "s.tsv")
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("--out s.tsv: a sheet is CSV; name it s.csv")
    for name in ("new/folder/s.csv", "S.CSV"):
        done = stratagem("validate-labels", "labelled.parquet", "--size", 20, "--out", name)
        assert done.returncode == 0, done.stderr
        sheet = pl.read_csv(tmp_path / name, infer_schema=False)
        sheet.with_columns(true_strategy="strategy").write_csv(tmp_path / name)
        measured = stratagem("validate-labels", name)
        assert measured.returncode == 0, measured.stderr


def test_a_folder_that_cannot_be_made_is_one_line(stratagem: Run, tmp_path: Path) -> None:
    labelled(tmp_path / "labelled.parquet")
    log(tmp_path / "a.jsonl", SHARES, problems=10)
    (tmp_path / "file").write_text("mine")
    for words in (
        ["validate-labels", "labelled.parquet", "--size", 20, "--out", "file/s.csv"],
        ["label", "a.jsonl", "--strategies", "math", "--out", "file/t.parquet"],
        ["problems", "--out", "file/p.jsonl"],
        ["diagnose", "a.jsonl", "a.jsonl", "--out", "file/x"],
    ):
        done = stratagem(*words)
        assert done.returncode == 2
        assert "cannot be made" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_a_mistake_is_said_whatever_the_output_is_encoded_in(
    stratagem: Run, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    done = stratagem("passk", "a.jsonl", "--level", "much")
    assert "Error parsing --level: could not convert string to float: 'much'" in done.stderr
    done = stratagem("passk", "a.jsonl", "--levle", "0.9")
    assert "--levle" in done.stderr
    assert "erhaps you meant" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_line_ends_and_marks_of_a_terminal_in_a_value_are_shown_as_escapes(stratagem: Run) -> None:
    done = stratagem("rollouts", "a.jsonl", "--columns", "a\n\x1b[31m\u202eb")
    shown = "stratagem rollouts: --columns a\\n\\x1b[31m\\u202eb: write our name=the log's name, "
    assert done.stderr == f"{shown}such as completion=response\n"


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("problem_id", [1, 2], "column 'problem_id' holds Int64 and no text"),
        ("strategy", [["a"], ["b"]], "column 'strategy' holds List(String) and no text"),
        ("score", ["right", "wrong"], "column 'score' holds String and no numbers"),
        ("completion", [None, None], ""),
    ],
)
def test_a_labelled_table_with_a_column_of_another_type_is_refused(
    stratagem: Run, tmp_path: Path, column: str, values: list[object], said: str
) -> None:
    whole = pl.DataFrame(
        {"problem_id": ["p", "p"], "checkpoint": ["a", "a"], "sample": [0, 1], "score": [0.0, 1.0]}
    )
    whole = whole.with_columns(strategy=pl.lit("s"), length=pl.lit(3), completion=pl.lit("c"))
    whole.write_parquet(tmp_path / "whole.parquet")
    whole.with_columns(pl.Series(column, values)).write_parquet(tmp_path / "odd.parquet")
    for words in (
        ["decompose", "whole.parquet", "odd.parquet"],
        ["validate-labels", "odd.parquet", "--out", "s.csv"],
    ):
        done = stratagem(*words)
        assert done.returncode == (2 if said else 0), done.stderr
        assert said in done.stderr
        assert "Traceback" not in done.stderr


def test_help_is_shown_where_output_is_ascii(tmp_path: Path) -> None:
    env = {
        **os.environ,
        "LC_ALL": "C",
        "PYTHONUTF8": "0",
        "PYTHONCOERCECLOCALE": "0",
        "PYTHONIOENCODING": "ascii",
    }
    done = subprocess.run(
        [sys.executable, "-m", "stratagem", "diagnose", "--help"],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "--strategies" in done.stdout


def test_a_current_folder_that_is_gone_is_one_line(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    code = "import os; os.rmdir(os.getcwd()); from stratagem.cli import main; main(['reproduce', '--list'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=gone, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "stratagem: the current folder is gone; change to another one\n"
