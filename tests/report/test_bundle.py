"""The script that draws charts is made once and kept; whatever happens to what is kept, a page has it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from stratagem.report import bundle as module
from stratagem.report.bundle import bundle, kept_at

SCRIPT = "var vega = 'Ω';"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The scripts made so far, with a folder for caches of its own."""
    scripts: list[str] = []

    def make() -> str:
        scripts.append(SCRIPT)
        return f"\n{SCRIPT}\n"

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(module.vl_convert, "javascript_bundle", make)
    return scripts


def again() -> str:
    bundle.cache_clear()
    try:
        return bundle()
    finally:
        bundle.cache_clear()


def test_it_is_made_once(made: list[str], tmp_path: Path) -> None:
    assert [again(), again()] == [SCRIPT, SCRIPT]
    assert len(made) == 1
    (kept,) = (tmp_path / "stratagem").iterdir()
    assert kept == kept_at()


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:-3]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"var", b"let")),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["empty", "cut", "changed", "a folder"],
)
def test_what_is_damaged_is_made_again(made: list[str], damage: Callable[[Path], object]) -> None:
    again()
    kept = kept_at()
    assert kept is not None
    damage(kept)
    assert again() == SCRIPT
    assert len(made) == 2


def test_without_a_folder_for_caches_it_is_made_each_time(
    made: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert [again(), again()] == [SCRIPT, SCRIPT]
    assert len(made) == 2
