"""Folders that hold results: written aside, made durable, and renamed when whole.

A stage is a function from (config, inputs) to one folder. While it runs, its folder is ``NAME.partial``; under its own
name it appears only when finished, with `config.json` naming the stage, its version and its settings. A finished stage
whose config is the same is never run again.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import shutil
from collections.abc import Generator
from importlib import metadata
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError, content_id

CONFIG = "config.json"
LIBRARIES = (
    *("stratagem", "numpy", "polars", "torch", "transformers", "tokenizers", "safetensors"),
    *("trl", "peft", "accelerate", "datasets"),
)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is whole or absent, whenever the machine stops.

    Raises:
        StratagemError: the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.aside")
    try:
        with open(aside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(aside, path)
        sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise StratagemError(f"{path}: cannot be written ({error.strerror}); nothing else was lost") from None


def sync_folder(path: Path) -> None:
    """Make a rename in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def read_json(path: Path) -> Any:
    """
    Raises:
        StratagemError: no such file, or it is not JSON.
    """
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise StratagemError(f"{path}: not JSON ({error})") from None


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that shape results; recorded, never part of a key."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def key(stage: str, version: int, config: dict[str, Any]) -> str:
    """What a stage's folder must carry to be taken for its result."""
    return content_id(stage, version, json.dumps(config, sort_keys=True))


class Stage:
    """One stage's folder. `work` is where it writes while it runs; `finish` gives it its name.

    Raises:
        StratagemError: `out` exists and was made by other settings or is not ours.
    """

    def __init__(self, name: str, version: int, config: dict[str, Any], out: Path) -> None:
        self.out, self.work = out, out.with_name(out.name + ".partial")
        self.key = key(name, version, config)
        self.config = {"stage": name, "version": version, "key": self.key, "settings": config}
        self.done = self._matches(out)

    def _matches(self, folder: Path) -> bool:
        if not folder.exists():
            return False
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG).is_file()):
            raise StratagemError(f"{folder}: not a folder of ours (it has no {CONFIG}); choose another --out")
        if not (folder / CONFIG).is_file():
            folder.rmdir()
            return False
        found: dict[str, Any] = read_json(folder / CONFIG)
        if found.get("key") != self.key:
            was = difference(found, self.config)
            raise StratagemError(
                f"{folder}: made with other settings ({was}); choose another --out or remove it"
            )
        return True

    @contextlib.contextmanager
    def open(self) -> Generator[Path]:
        """The folder to work in, locked against a second process, with what an interrupted run left there.

        Leaving the block without an exception gives the folder its final name.
        """
        self.work.parent.mkdir(parents=True, exist_ok=True)
        if self.work.exists() and not self._resumable():
            shutil.rmtree(self.work)
        self.work.mkdir(exist_ok=True)
        with open(self.work / ".lock", "w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StratagemError(f"{self.work}: another process is working there; wait for it") from None
            for torn in self.work.rglob(".*.aside"):  # a process was killed while it wrote
                torn.unlink()
            write_json(self.work / CONFIG, self.config | {"versions": versions()})
            yield self.work
            (self.work / ".lock").unlink()
            os.replace(self.work, self.out)
            sync_folder(self.out.parent)
        self.done = True

    def _resumable(self) -> bool:
        try:
            return read_json(self.work / CONFIG).get("key") == self.key
        except (StratagemError, AttributeError):
            return False


def difference(found: dict[str, Any], wanted: dict[str, Any]) -> str:
    """The first setting in which two configs differ, in words."""
    if found.get("stage") != wanted["stage"]:
        return f"it holds {found.get('stage', 'something else')!r}"
    old: dict[str, Any] = found.get("settings", {})
    new: dict[str, Any] = wanted["settings"]
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            return f"{name} was {old.get(name)!r}, now {new.get(name)!r}"
    return f"stage version was {found.get('version')}, now {wanted['version']}"
