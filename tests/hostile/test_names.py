"""Names of files in every option that takes one: no pattern, no markup, no traceback; one line where they cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stratagem import cli

pytestmark = pytest.mark.timeout(120)  # a server that listens would wait for ever

LONG = "x" * 300
# What a file may be called on this file system, however odd.
ODD = [
    "a[1].x",
    "*",
    "{a,b}",
    "?",
    "[bold]x",
    "-",
    "\u202ex",
    "\udcff",
    "'\"",
    "a\nb",
    "x" * 200,
    "~",
    "%s",
]
BAD = ["", ".", "..", "/", LONG, f"{LONG}/x", "/dev/null", "\udcff", "x/" * 3000, "[/]", "a*", "none[0"]

LOGS = [["rollouts"], ["passk"], ["label"]]  # `watch` waits for a run to begin
OTHERS = [
    ["diagnose", "log.jsonl"],
    ["diagnose", "log.jsonl", "log.jsonl", "--pairs"],
    ["diagnose", "--pairs"],
    ["diagnose", "log.jsonl", "log.jsonl", "--labels"],
    ["diagnose", "log.jsonl", "log.jsonl", "--strategies"],
    ["label", "log.jsonl", "--strategies"],
    ["decompose", "log.jsonl"],
    ["curate", "prompts", "log.jsonl", "--rollouts"],
    ["curate", "prompts", "log.jsonl", "--rollouts", "log.jsonl", "--again"],
    ["curate", "prompts", "log.jsonl", "--rollouts", "log.jsonl", "--holdout"],
    ["curate", "demonstrations"],
    ["curate", "demonstrations", "log.jsonl", "--strategies"],
    ["curate", "demonstrations", "log.jsonl", "--holdout"],
    ["validate-labels"],
    ["annotate", "log.jsonl", "--out"],
    ["annotate", "log.jsonl", "--strategies"],
    ["discover"],
    ["discover", "log.jsonl", "--out"],
    ["report"],
    ["reproduce"],
    ["rollout", "--out", "out", "--model"],
    ["probe", "--out", "out", "--model"],
    ["rl", "--out", "out", "--model"],
    ["sft", "--out", "out", "--model"],
    ["sft", "--out", "out", "--data"],
]


def log(path: Path) -> None:
    rows = [
        {"prompt": f"What is {i}+1?", "completion": f"So it is {i}, {j}.", "score": (i + j) % 2}
        for i in range(8)
        for j in range(4)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder with a log; what lies beside it must never be read for a pattern."""
    folder = tmp_path / "here"
    folder.mkdir()
    log(folder / "log.jsonl")
    os.mkfifo(folder / "pipe")
    monkeypatch.chdir(folder)
    return folder


def said(words: list[str], capfd: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """A command in this process; a traceback would be an exception here."""
    code = cli.run(words)
    return code, capfd.readouterr().err


@pytest.mark.parametrize("name", ODD)
def test_a_log_of_any_name_is_read_and_nothing_else(
    name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (here / "log.jsonl").rename(here / name)
    (here / "a").write_text("{}")
    (here / "b1").write_text("{}")
    assert cli.run(["rollouts", name, "--json"]) == 0
    (surveyed,) = json.loads(capfd.readouterr().out)["logs"]
    assert (surveyed["files"], surveyed["rows"]) == ([name], 32)
    assert cli.run(["passk", name]) == 0
    assert cli.run(["label", name, "--strategies", "math", "--out", "out.parquet"]) == 0


@pytest.mark.parametrize("name", ["o[1]*{x}", "[bold]o", "a\nb", "?"])
def test_a_diagnosis_goes_to_a_folder_of_any_name(
    name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    code, error = said(["diagnose", "log.jsonl", "log.jsonl", "--out", name, "--draws", "100"], capfd)
    assert code == 0, error
    assert {path.name for path in (here / name).iterdir()} >= {
        "report.html",
        "diagnosis.json",
        "labelled.parquet",
    }


def holds_logs(words: list[str], name: str) -> bool:
    """Whether a name stands for folders in which logs may lie: this one, those above it, the whole machine."""
    return words[-1] in (
        "rollouts",
        "passk",
        "label",
        "demonstrations",
        "log.jsonl",
        "--rollouts",
        "--again",
        "--holdout",
    ) and name in ("", ".", "..", "/")


@pytest.mark.parametrize(
    ("words", "name"), [(w, n) for w in [*LOGS, *OTHERS] for n in BAD if not holds_logs(w, n)], ids=repr
)
def test_a_name_of_nothing_is_one_line(
    words: list[str], name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.parent.rglob("*"))
    code, error = said([*words, name], capfd)
    assert code == 2, error
    assert len(error.strip().splitlines()) == 1, error
    assert len(error) < 1000 + len(name)
    assert sorted(here.parent.rglob("*")) == before


WRITERS = [
    ["sft", "--size", "8", "--epochs", "1"],
    ["base", "train", "--updates", "1"],
    ["diagnose", "log.jsonl", "log.jsonl"],
    ["label", "log.jsonl", "--strategies", "math"],
    ["curate", "prompts", "log.jsonl", "--rollouts", "log.jsonl"],
    ["curate", "demonstrations", "log.jsonl"],
    ["problems"],
]
NOWHERE = ["", ".", "..", "/", LONG, "\udcff", "pipe", "/proc/nothing/x", "log.jsonl", "log.jsonl/x"]


@pytest.mark.parametrize(
    ("words", "name"),
    # `problems` writes over a file that the user names.
    [(w, n) for w in WRITERS for n in NOWHERE if (w, n) != (["problems"], "log.jsonl")],
    ids=repr,
)
def test_a_result_that_cannot_be_written_there_is_one_line(
    words: list[str], name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (here / "log.jsonl").read_bytes()
    code, error = said([*words, "--out", name], capfd)
    assert code == 2, error
    assert len(error.strip().splitlines()) == 1, error
    assert (here / "log.jsonl").read_bytes() == content


@pytest.mark.parametrize(
    "words", [["rollouts", "log.jsonl"], ["problems"], ["rollouts", "log.jsonl", "--json"], ["rollouts", "x"]]
)
def test_a_closed_or_full_output(words: list[str], here: Path) -> None:
    command = [sys.executable, "-m", "stratagem", *words]
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    closed = subprocess.run(["sh", "-c", '"$@" >&- 2>&-', "sh", *command], cwd=here, env=env, check=False)
    assert closed.returncode == (2 if words[-1] == "x" else 0)
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, cwd=here, env=env, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr


PIPED = [
    ["diagnose", "log.jsonl", "log.jsonl", "--labels"],
    ["diagnose", "--pairs"],
    ["decompose", "log.jsonl"],
    ["validate-labels"],
    ["validate-labels", "log.jsonl"],
    ["annotate", "log.jsonl", "--out"],
    ["annotate", "log.jsonl", "--strategies"],
    ["curate", "prompts", "log.jsonl", "--rollouts"],
    ["reproduce"],
    ["reproduce", "table1", "--settings"],
    ["sft", "--out", "out", "--data"],
]


@pytest.mark.parametrize("name", ["pipe", "endless"])
@pytest.mark.parametrize("words", PIPED, ids=" ".join)
def test_what_has_no_end_is_not_read(
    words: list[str], name: str, here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A pipe that nobody writes to would be waited for, a device fills the memory."""
    for suffix in (".csv", ".toml", ".parquet"):
        place = here / f"{name}{suffix}"
        os.mkfifo(place) if name == "pipe" else place.symlink_to("/dev/zero")
        code, error = said([*words, place.name], capfd)
        assert code == 2, error
        assert len(error.strip().splitlines()) == 1, error
