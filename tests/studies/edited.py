"""A study's file with other values."""

from __future__ import annotations

from pathlib import Path

from stratagem.studies.files import shipped


def edited(path: Path, *changes: tuple[str, str], name: str = "table1") -> Path:
    """Write a study to `path` with each old text, where it stands first, replaced by a new one."""
    text = shipped()[name].read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path
