"""What may lie where a stage is to work: taken up, swept away, or refused by name, but never lost."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stratagem.records import StratagemError
from stratagem.workspace import Stage, read_json, write_json

SETTINGS = {"size": 3}


def stage(out: Path, **settings: int) -> Stage:
    return Stage("made", 1, settings or SETTINGS, out)


def begun(out: Path, **settings: int) -> None:
    """A stage that was killed after a part of its work."""
    with pytest.raises(ZeroDivisionError), stage(out, **settings).open() as work:  # noqa: PT012
        (work / "part").write_text("1")
        raise ZeroDivisionError


def finish(out: Path) -> dict[str, str]:
    with stage(out).open() as work:
        (work / "rest").write_text("2")
    return {path.name: path.read_text() for path in out.iterdir() if path.name != "config.json"}


def test_a_stage_takes_up_what_its_own_kill_left(tmp_path: Path) -> None:
    begun(tmp_path / "run")
    assert finish(tmp_path / "run") == {"part": "1", "rest": "2"}


def test_what_a_stage_of_other_settings_left_is_swept_away(tmp_path: Path) -> None:
    begun(tmp_path / "run", size=4)
    assert finish(tmp_path / "run") == {"rest": "2"}


@pytest.mark.parametrize("names", [[], [".lock"], [".lock", ".config.json.17.aside"]])
def test_a_kill_before_the_settings_were_written(names: list[str], tmp_path: Path) -> None:
    (tmp_path / "run.partial").mkdir()
    for name in names:
        (tmp_path / "run.partial" / name).touch()
    assert finish(tmp_path / "run") == {"rest": "2"}


LEFT: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda work: work.write_text("mine"), "in the way, and no folder"),
    "a link to a folder": (lambda work: work.symlink_to(work.parent), "in the way, and no folder"),
    "a link to nothing": (lambda work: work.symlink_to("nowhere"), "in the way, and no folder"),
    "a pipe": (lambda work: os.mkfifo(work), "in the way, and no folder"),
    "a folder of one's own": (lambda work: (work.mkdir(), (work / "notes").touch()), "and made by no stage"),
    "a config that is a list": (lambda work: (work.mkdir(), write_json(work / "config.json", [])), "made by no stage"),
    "a config that is a folder": (lambda work: (work / "config.json").mkdir(parents=True), "config.json: no such file"),
    "a config cut short": (lambda work: (work.mkdir(), (work / "config.json").write_text('{"st')), "json: not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("left", LEFT)
def test_what_no_stage_left_is_refused_and_stays(left: str, tmp_path: Path) -> None:
    make, said = LEFT[left]
    make(tmp_path / "run.partial")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    with pytest.raises(StratagemError, match=said), stage(tmp_path / "run").open():
        raise AssertionError("never reached")
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    ["[" * 100_000, "1" * 5_000, "\ud800".encode("utf-8", "surrogatepass"), b"\xff", '["a", {"\\uD800": 1}]'],
)
def test_json_that_python_cannot_read(content: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(StratagemError, match=r"config\.json: not JSON") as refused:
        read_json(path)
    assert len(str(refused.value).splitlines()) == 1
