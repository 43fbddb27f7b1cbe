"""What is new in a growing folder comes once, however it was written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.watch import tail
from stratagem.watch.tail import Changes, Tail


@given(st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=12), st.data())
def test_lines_come_once_however_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "log"
    whole = b"".join(row + b"\n" for row in rows)
    lines, read, at = Tail(), b"", 0
    while at < len(whole):
        more = data.draw(st.integers(1, len(whole) - at))
        with open(path, "ab") as file:
            file.write(whole[at : at + more])
        at += more
        void, new = lines.read(path)
        assert not void
        read += new
        assert read == whole[: whole.rfind(b"\n", 0, at) + 1]
    assert read == whole


def test_what_was_written_over_comes_again(tmp_path: Path) -> None:
    path, lines = tmp_path / "log", Tail()
    path.write_bytes(b"one\ntwo\nthr")
    assert lines.read(path) == (False, b"one\ntwo\n")
    path.write_bytes(b"one\nother\nand more\n")
    assert lines.read(path) == (True, b"one\nother\nand more\n")


def test_a_file_that_has_not_changed_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, lines = tmp_path / "log", Tail()
    path.write_bytes(b"one\n")
    lines.read(path)
    monkeypatch.setattr(tail, "open", None, raising=False)
    assert lines.read(path) == (False, b"")


def test_files_come_when_they_have_changed(tmp_path: Path) -> None:
    changes = Changes(".jsonl")
    assert changes.look(tmp_path / "nowhere") == []
    for name in ("10.jsonl", "2.jsonl", "notes.txt"):
        (tmp_path / name).write_text("x")
    assert [path.name for path in changes.look(tmp_path)] == ["10.jsonl", "2.jsonl"]
    assert changes.look(tmp_path) == []
    os.utime(tmp_path / "2.jsonl", (0, 0))
    assert [path.name for path in changes.look(tmp_path)] == ["2.jsonl"]
    (tmp_path / "2.jsonl").unlink()
    assert changes.look(tmp_path) == []
