"""A diagnosis that is killed: what was whole stays whole, and the same command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stratagem.records import StratagemError
from stratagem.workspace import UNFINISHED, whole
from tests.conftest import Run

PARTS = ("extra.txt", "result.json")


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


def write(out: Path, **texts: str) -> None:
    with whole(out, PARTS) as work:
        for name, text in texts.items():
            (work / name.replace("_", ".")).write_text(text)


def break_off(out: Path) -> None:
    with whole(out, PARTS) as work:
        (work / "result.json").write_text("2")
        raise ZeroDivisionError


def test_a_result_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    write(out, extra_txt="a", result_json="1")
    assert files(out) == {"extra.txt": "a", "result.json": "1"}
    write(out, result_json="2")
    assert files(out) == {"result.json": "2"}
    assert not (out / UNFINISHED).exists()


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    write(out, extra_txt="a", result_json="1")
    with pytest.raises(ZeroDivisionError):
        break_off(out)
    assert files(out) == {"extra.txt": "a", "result.json": "1"}
    with pytest.raises(ZeroDivisionError):
        break_off(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_a_kill_leaves_is_swept_away(tmp_path: Path) -> None:
    (tmp_path / UNFINISHED).mkdir()
    (tmp_path / UNFINISHED / ".result.json.17.aside").write_text("{")
    write(tmp_path, result_json="1")
    assert files(tmp_path) == {"result.json": "1"}


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (
            lambda out: (out.mkdir(), (out / "notes.txt").touch()),
            "not empty and without a result.json of ours",
        ),
        (lambda out: out.touch(), "not empty and without a result.json of ours"),
        (lambda out: out.parent.joinpath("out").symlink_to("nowhere/deep"), "cannot be made"),
    ],
    ids=["another's folder", "a file", "a dangling link"],
)
def test_what_is_not_ours_is_refused(prepare: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    prepare(out)
    with pytest.raises(StratagemError, match=said), whole(out, PARTS):
        raise AssertionError("never reached")


def test_two_at_once(tmp_path: Path) -> None:
    with whole(tmp_path, PARTS) as work:
        with pytest.raises(StratagemError, match="another process is writing there"), whole(tmp_path, PARTS):
            raise AssertionError("never reached")
        (work / "result.json").write_text("1")
    assert files(tmp_path) == {"result.json": "1"}


def log(path: Path, right: int, problems: int) -> Path:
    rows = [
        {
            "id": f"p{i}",
            "prompt": f"What is {i}+1?",
            "completion": f"So x = {i} + {j}. " * 40,
            "score": (i + j) % 9 < right,
        }
        for i in range(problems)
        for j in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_killed_diagnosis_is_made_by_the_same_command(tmp_path: Path, stratagem: Run) -> None:
    """Killed at moments over its whole course, in a new folder and over an earlier result."""
    before, after = log(tmp_path / "before.jsonl", 3, 400), log(tmp_path / "after.jsonl", 6, 400)
    words = ["diagnose", str(before), str(after), "--out", "why"]
    assert stratagem(*words).returncode == 0
    expected = files_read(tmp_path / "why")
    for fresh in (True, False):
        out = tmp_path / ("fresh" if fresh else "why")
        for seconds in (0.7, 2.5, 4.5):
            kill_after(seconds, [*words[:-1], str(out)], tmp_path)
            if not fresh:
                assert files_read(out) == expected
        assert stratagem(*words[:-1], str(out)).returncode == 0
        assert files_read(out) == expected
        assert {path.name for path in out.iterdir()} == set(expected)


def files_read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != UNFINISHED}


def kill_after(seconds: float, words: list[str], cwd: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "stratagem", *words],
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
    process.wait()
