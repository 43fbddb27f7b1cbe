"""The tutorials of docs/ do what they say: at toy size here, as they are printed where slow tests run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from tests.docs.tutorial import ROOT, Block, blocks, edited, play, small

A_STUDY, A_STRATEGY, A_TASK = "Tutorial: a study of your own", "Tutorial: a strategy", "Tutorial: a task"
OTHER_SETTINGS = "Other settings without another file"
SIZES = [pytest.param(True, id="toy"), pytest.param(False, id="printed", marks=pytest.mark.slow)]
PARTS = ("src", "tests", "pyproject.toml")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the package and its tests."""
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, tmp_path / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path)
    return tmp_path


def changed(clone: Path) -> set[str]:
    """The files of the package that are new or other than ours."""
    files = {path.relative_to(clone) for path in (clone / "src").rglob("*.py")}
    return {
        str(file)
        for file in files
        if not (ROOT / file).exists() or (ROOT / file).read_bytes() != (clone / file).read_bytes()
    }


@pytest.mark.parametrize("toy", SIZES)
def test_a_study(tmp_path: Path, toy: bool) -> None:
    play([*blocks("studies.md", A_STUDY), *blocks("studies.md", OTHER_SETTINGS)], tmp_path, toy=toy)
    first, second, slower = (tmp_path / "out" / name for name in ("one-kind", "three-to-one", "slower"))
    assert (first / "report.html").exists()
    stages, more = (json.loads((out / "stages.json").read_text()) for out in (first, second))
    new = {place for address, place in more.items() if address not in stages}
    assert new == {
        "seed0/RL_on_three_to_one",
        *(f"seed0/rollouts/RL_on_three_to_one{forced}" for forced in ("", "_forward", "_backward")),
    }
    metrics = [(out / "seed0/SFT/metrics.jsonl").read_bytes() for out in (first, second)]
    assert metrics[0] == metrics[1]  # with its times: it was taken, not trained again
    rates = [
        json.loads((out / "seed0/RL_on_both/config.json").read_text())["settings"]["lr"]
        for out in (first, slower)
    ]
    assert rates == [3e-4, 1e-4]
    if not toy:
        summary = json.loads((first / "summary.json").read_text())
        assert [claim["verdict"] for claim in summary["claims"]] == ["upheld"]


@pytest.mark.parametrize("toy", SIZES)
def test_a_strategy(clone: Path, toy: bool) -> None:
    printed = play(blocks("tasks.md", A_STRATEGY), clone, toy=toy)
    assert changed(clone) == {f"src/stratagem/tasks/sums/{name}.py" for name in ("pairs", "sums")}
    assert (
        "pairs 2 +3 5 9 +6 5 5 +5 0 ; answer 0"
        in printed[next(word for word in printed if "problems" in word)]
    )
    probed = next(text for words, text in printed.items() if words.startswith("stratagem probe"))
    assert "begun pairs" in probed
    if not toy:
        assert "more by choice than by improvement" in printed["stratagem decompose before after"]


@pytest.mark.parametrize("toy", SIZES)
def test_a_task(clone: Path, toy: bool) -> None:
    printed = play(blocks("tasks.md", A_TASK), clone, toy=toy)
    new = {f"src/stratagem/tasks/largest/{name}.py" for name in ("__init__", "scan", "countdown", "largest")}
    assert changed(clone) == {*new, "src/stratagem/tasks/__init__.py"}
    assert "scan 1 1 2 2 2 2 ; answer 2" in "".join(printed.values())
    summary = json.loads((clone / "out/largest/summary.json").read_text())
    assert list(summary["cells"]["SFT"]) == ["all", "low", "high"]
    assert set(summary["forced"]["RL"]) == {"scan", "countdown"}
    assert len(summary["seeds"]) == (1 if toy else 5)


def test_how_a_tutorial_is_read() -> None:
    assert edited("a\nb\nc\nd\n", "-b\n+B\n+BB\n-d\n+D\n") == "a\nB\nBB\nc\nD\n"
    assert edited("a\nb\n", " a\n+new\n") == "a\nnew\nb\n"
    assert (
        small("--size 99 --seed 99, size = 16, updates = 0") == "--size 32 --seed 99, size = 16, updates = 0"
    )
    assert Block("sh", "", "", "stratagem reproduce one-kind.toml\n") in blocks("studies.md", A_STUDY)
