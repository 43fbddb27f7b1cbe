"""The study file with other values."""

from __future__ import annotations

from pathlib import Path

from stratagem.studies.config import TABLE1


def edited(path: Path, *changes: tuple[str, str]) -> Path:
    """Write the study of Table 1 to `path` with each old text, where it stands first, replaced by a new one."""
    text = TABLE1.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text)
    return path
