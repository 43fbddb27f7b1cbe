"""The script that draws charts: Vega, Vega-Lite and vega-embed in one, as every page with a chart holds it."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable
from functools import cache
from importlib import metadata
from pathlib import Path

import vl_convert

from stratagem.records import StratagemError
from stratagem.workspace import write_bytes


@cache
def bundle() -> str:
    """The script, from the vl-convert package. Making it takes two seconds, so it is kept in the user's cache."""
    kept = kept_at()
    if (script := read_kept(kept)) is None:
        make: Callable[[], str] = vl_convert.javascript_bundle  # pyright: ignore[reportAssignmentType] the stub is behind
        script = make().strip()
        keep(kept, script)
    return script


def kept_at() -> Path | None:
    """Where the script of the version that is installed is kept; None where the user has no folder for caches."""
    try:
        caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # nobody's home
        return None
    return caches / "stratagem" / f"vega-{metadata.version('vl-convert-python')}.js"


def read_kept(kept: Path | None) -> str | None:
    """What is kept, if it is whole: its first line is the hash of the rest."""
    if kept is None:
        return None
    try:
        first, _, script = kept.read_bytes().partition(b"\n")
    except OSError:
        return None
    return script.decode() if first == hash_of(script) else None


def keep(kept: Path | None, script: str) -> None:
    """Keep the script; where that cannot be, the next page makes it again."""
    if kept is None:
        return
    content = script.encode()
    with contextlib.suppress(OSError, StratagemError):
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(kept, hash_of(content) + b"\n" + content)


def hash_of(content: bytes) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()
