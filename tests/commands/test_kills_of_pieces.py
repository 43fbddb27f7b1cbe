"""Commands that are killed at a step of what they do to files: the same command makes the same result."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.commands.dying import LAST, Dying, forks

COMMANDS = {
    "label": (["label", "a.jsonl", "--strategies", "math"], "labelled.parquet", (1, 3)),
    "prompts": (["curate", "prompts", "a.jsonl", "--rollouts", "a.jsonl"], "chosen", (1, 5, 9)),
    "demonstrations": (["curate", "demonstrations", "a.jsonl", "--strategies", "math"], "chosen", (2, 11)),
}


def content(out: Path) -> dict[str, bytes]:
    """The files of a folder, or a file, by their names from it."""
    files = [out] if out.is_file() else sorted(path for path in out.rglob("*") if path.is_file())
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Dying]]:
    """A folder with a log, and commands that die in it."""
    folder = tmp_path_factory.mktemp("pieces")
    rows = [
        {
            "prompt": f"What is {i}+1?",
            "completion": f"So x = {i}. The answer is {i + j}",
            "score": (i + j) % 3 == 0,
        }
        for i in range(20)
        for j in range(3)
    ]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with forks(folder, "stratagem.commands.lens", "stratagem.commands.curate") as dying:
        yield folder, dying


@pytest.mark.parametrize("command", COMMANDS)
def test_a_killed_command_is_given_again(command: str, pieces: tuple[Path, Dying]) -> None:
    (folder, dying), (words, name, steps) = pieces, COMMANDS[command]
    before = {*folder.iterdir()}
    whole, out = folder / f"first-{command}-{name}", folder / f"{command}-{name}"
    code, count = dying(LAST, [*words, "--out", whole.name])
    assert (code, count > max(steps)) == (0, True)
    expected = content(whole)
    for step in steps:
        assert dying(step, [*words, "--out", out.name]) == (-signal.SIGKILL, step)
        assert content(out) in ({}, expected)
    assert dying(LAST, [*words, "--out", out.name])[0] == 0
    assert content(out) == expected
    assert {*folder.iterdir()} - before == {whole, out}


@pytest.fixture(scope="module")
def splices(random_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Dying]]:
    """An empty folder, and splices that die in it."""
    folder = tmp_path_factory.mktemp("splices")
    with forks(folder, "stratagem.commands.splice", "stratagem.sampling.splice", "torch._dynamo") as dying:
        yield folder, dying


def splice(model: Path, out: Path) -> list[str]:
    """The words of a splice of two batches of problems, as short as can be."""
    words = ["--steps", "1-2", "--size", "61", "--samples", "1", "--max-new", "2"]
    return ["splice", str(model), str(model), *words, "--out", out.name]


def test_a_splice_that_is_killed_again_and_again(random_model: Path, splices: tuple[Path, Dying]) -> None:
    """Each time somewhat later in what is left: in a stage's folder that is new, in its parts, in its table, where they
    are removed and where it gets its name."""
    folder, dying = splices
    whole, out = folder / "whole", folder / "killed"
    code, count = dying(LAST, splice(random_model, whole))
    assert (code, count > 100) == (0, True)
    expected = content(whole)
    for step in (1, 8, 14, 20, 26, 32):
        assert dying(step, splice(random_model, out)) == (-signal.SIGKILL, step)
        left = content(out).items()
        assert {(name, held) for name, held in left if ".partial" not in name and held} <= {*expected.items()}
    assert dying(LAST, splice(random_model, out))[0] == 0
    assert content(out) == expected


@pytest.mark.slow
def test_a_splice_that_is_killed_at_any_step(random_model: Path, splices: tuple[Path, Dying]) -> None:
    folder, dying = splices
    whole, out = folder / "unkilled", folder / "at a step"
    code, count = dying(LAST, splice(random_model, whole))
    assert code == 0
    for step in range(count):
        assert dying(step, splice(random_model, out)) == (-signal.SIGKILL, step)
        assert dying(LAST, splice(random_model, out))[0] == 0, step
        assert content(out) == content(whole), step
        shutil.rmtree(out)
    print(f"{count} steps")
