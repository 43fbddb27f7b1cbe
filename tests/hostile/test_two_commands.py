"""The same command twice at once on one --out: each is done or refused in a line, and what is there is whole."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.discovery import worlds

pytestmark = pytest.mark.timeout(300)
# Forks when all is imported, before anything is read: processes that are at the same steps at the same time.
AT_ONCE = """
import json, os, sys
from stratagem import cli
from stratagem.commands import curate, data, discover, lens  # noqa: F401
import sklearn.linear_model  # noqa: F401
for folder, count, words in json.loads(sys.argv[1]):
    os.chdir(folder)
    children = []
    for number in range(count):
        if not (child := os.fork()):
            os.dup2(os.open(f"../said-{number}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            code = cli.run(words)
            sys.stderr.flush()
            os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(json.dumps([[code, open(f"../said-{number}").read()] for number, code in enumerate(codes)]))
"""
LOGS = ["before.jsonl", "after.jsonl"]
COMMANDS = [
    ["label", "before.jsonl", "--strategies", "math", "--out", "labelled.parquet"],
    ["curate", "prompts", "before.jsonl", "--rollouts", "before.jsonl", "--out", "prompts"],
    ["curate", "demonstrations", "before.jsonl", "--strategies", "math", "--out", "demonstrations"],
    ["diagnose", *LOGS, "--strategies", "math", "--draws", "100", "--out", "why"],
    ["discover", *LOGS, "--most", "2", "--out", "names.toml"],
]


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_two_of_each_command(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs the extra learn")
    table = worlds.lab("sums", ("running", "tally"), seed=1, problems=40)
    answered = pl.col("completion") + pl.format(
        " So x = {}. The answer is {}.", pl.col("score"), pl.col("score")
    )
    for folder in ("alone", "together"):
        (tmp_path / folder).mkdir()
        for side, name in enumerate(LOGS):
            rows = table.filter(side=str(side)).select("prompt", answered, "score", problem_id="key")
            rows.write_ndjson(tmp_path / folder / name)
    asked = [
        (str(tmp_path / folder), count, words)
        for words in COMMANDS
        for folder, count in (("alone", 1), ("together", 2))
    ]
    ran = subprocess.run(
        [sys.executable, "-c", AT_ONCE, json.dumps(asked)], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stderr
    for (_, count, words), line in zip(asked, ran.stdout.splitlines(), strict=True):
        said = json.loads(line)
        codes = sorted(code for code, _ in said)
        assert codes[0] == 0, (words, said)
        assert codes[-1] in (0, 2), (words, said)
        assert count == 2 or codes == [0]
        for code, text in said:
            assert "Traceback" not in text
            assert code == 0 or (len(text.splitlines()) == 1 and "another process" in text), (words, text)
    assert content(tmp_path / "together") == content(tmp_path / "alone")
