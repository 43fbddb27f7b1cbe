"""Sheets of labels under kills, full disks and other people's files: no label is lost, none is half there."""

from __future__ import annotations

import http.client
import json
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.session import Session
from stratagem.learned.asking import FIRST
from stratagem.learned.sheet import HEADER, SheetFile, line_of, read_labels, row_of
from stratagem.records import StratagemError
from tests.annotate.logs import pool, write_logs
from tests.commands.dying import LAST

ROOT = Path(__file__).parents[2]
# Takes the number of the step in place of which it dies, and a command.
DYING = """
import os, sys
from stratagem.cli import run
from tests.commands.dying import die_at
die_at(int(sys.argv[1]), os.open(os.devnull, os.O_WRONLY))
sys.exit(run(sys.argv[2:]))
"""


def row(number: int, text: str) -> dict[str, str]:
    response = {"side": "0", "problem_id": f"p{number}", "sample": "0", "score": 1.0, "prompt": "How many?"}
    return row_of(response | {"completion": text}, "table", "guess", "random")


ROWS = [row(0, 'a "quoted",\nand broken line'), row(1, "é\r\n=1+1"), row(2, "x")]


def test_a_sheet_that_was_cut_anywhere_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a kill in the midst of a write leaves it: rows that were whole stay, the one that was not is written again."""
    monkeypatch.setattr(os, "fsync", lambda _: None)  # takes its time
    path = tmp_path / "labels.csv"
    lines = [HEADER, *map(line_of, ROWS)]
    whole = b"".join(lines)
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        kept = next(n for n in range(3, -1, -1) if n == 0 or len(b"".join(lines[: n + 1])) <= cut)
        sheet = SheetFile(path)
        assert sheet.rows == ROWS[:kept]
        for missing in ROWS[kept:]:
            sheet.append(missing)
        sheet.close()
        assert path.read_bytes() == whole


def test_a_disk_that_fills_in_the_midst_of_a_row(tmp_path: Path) -> None:
    """The shorter row that is written next has nothing of the one that was refused behind it."""
    path = tmp_path / "labels.csv"
    sheet = SheetFile(path)
    sheet.append(ROWS[0])
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 2_000, most[1]))
    try:
        with pytest.raises(StratagemError, match=r"labels\.csv: cannot be written \(File too large\)"):
            sheet.append(row(1, "x" * 5_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, most)
    sheet.append(ROWS[2])
    sheet.close()
    assert path.read_bytes() == HEADER + line_of(ROWS[0]) + line_of(ROWS[2])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"my notes", "is no sheet of"),
        (HEADER[:50] + b"?", "is no sheet of"),
        (b"id,note\n1,mine\n", "is no sheet of"),
        (HEADER + line_of(ROWS[2]) + b'"\xff"' + b',""' * 12 + b"\n", "row 3: is not as it was written"),
        (HEADER + line_of(ROWS[2]) + b'"a","b"\n', "row 3: is not as it was written"),
    ],
    ids=["a text without an end", "half of a header", "another table", "not UTF-8", "too few fields"],
)
def test_another_file_is_refused_and_stays(content: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(StratagemError, match=said):
        SheetFile(path)
    assert path.read_bytes() == content


def test_long_responses_are_read_again(tmp_path: Path) -> None:
    sheet = SheetFile(tmp_path / "labels.csv")
    sheet.append(row(0, "long " * 100_000))
    sheet.close()
    again = SheetFile(tmp_path / "labels.csv")
    again.close()
    assert again.rows == sheet.rows


def labelled_until_it_dies(folder: Path, step: int, most: int) -> tuple[int, int]:
    """Give labels to a whole `annotate`; how many the sheet had when it began, and how many it said it had."""
    words = ["annotate", "before.jsonl", "after.jsonl", "--port", "0", "--json", "--out", "labels.csv"]
    process = subprocess.Popen(
        [sys.executable, "-c", DYING, str(step), *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout
    began = told = 0
    try:
        if not (line := process.stdout.readline()):
            return 0, 0
        began = told = json.loads(line)["labels"]
        connection = http.client.HTTPConnection(urlsplit(json.loads(line)["url"]).netloc, timeout=60)
        connection.request("GET", "/")
        page = connection.getresponse().read().decode()
        key = re.search(r'"key":\s*"([0-9a-f]{32})"', page)
        connection.request("GET", "/state")
        question = json.loads(connection.getresponse().read())["question"]
        headers = {"Content-Type": "application/json", "X-Stratagem-Key": key[1] if key else ""}
        while told < most:
            given = {"row": question["row"], "strategy": ("table", "guess")[told % 2]}
            connection.request("POST", "/label", json.dumps(given), headers)
            answer = json.loads(connection.getresponse().read())
            told, question = answer["labels"], answer["question"]
    except (http.client.HTTPException, ConnectionError):
        pass
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    return began, told


def test_a_killed_annotate_goes_on_from_every_label(tmp_path: Path) -> None:
    """Killed before a label is durable, and by its user; the sheet is as if nothing had been."""
    logs = write_logs(tmp_path, 20)
    path = tmp_path / "labels.csv"
    unbroken = Session(pool(logs), {}, tmp_path / "unbroken.csv")
    for number in range(FIRST):
        assert unbroken.question
        unbroken.answer(unbroken.question.row, ("table", "guess")[number % 2])
    unbroken.wait()
    unbroken.close()
    expected = (tmp_path / "unbroken.csv").read_bytes()
    before = 0
    for step in (9, LAST):
        began, told = labelled_until_it_dies(tmp_path, step, FIRST)
        assert began in (before, before + 1)  # the last one may have been kept without a word
        assert expected.startswith(path.read_bytes())
        assert path.read_bytes() == HEADER or read_labels(path).height in (told, told + 1)
        before = told
    assert path.read_bytes() == expected
    resumed = Session(pool(logs), {}, path)
    resumed.close()
    assert resumed.learned
    assert unbroken.learned
    assert resumed.learned.model.fingerprint == unbroken.learned.model.fingerprint
