"""Folders that hold results: written aside, made durable, and renamed when whole.

A stage is a function from (config, inputs) to one folder. While it runs, its folder is ``NAME.partial``; under its own
name it appears only when finished, with `config.json` naming the stage, its version and its settings. A finished stage
whose config is the same is never run again.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import secrets
import tomllib
from collections.abc import Callable, Generator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from stratagem.locked import LOCK, empty, held, is_folder, names, sweep, sweep_files, written_aside
from stratagem.records import StratagemError, content_id

CONFIG = "config.json"
ERROR_FILE = (
    "STRATAGEM_ERROR_FILE"  # names the file that a command writes its error to, for whoever started it
)
LIBRARIES = (
    *("stratagem", "numpy", "polars", "torch", "transformers", "tokenizers", "safetensors"),
    *("trl", "peft", "accelerate", "datasets"),
)


@contextlib.contextmanager
def reported(path: Path) -> Generator[None]:
    """
    Raises:
        StratagemError: what is done inside fails since the file cannot be written, as where a disk is full.
    """
    try:
        yield
    except OSError as error:
        raise StratagemError(
            f"{path}: cannot be written ({error.strerror or error}); nothing else was lost"
        ) from None


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file that is whole or absent, whenever the machine stops.

    Raises:
        StratagemError: the disk is full or the folder cannot be written.
    """
    aside_of(path)  # refuses what no file may take the place of
    with reported(path):
        sweep_files(path.parent, LEFT, path.name)
        with written_aside(lambda: aside_of(path)) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
            os.replace(file.name, path)
        sync_folder(path.parent)


def check_name(path: Path) -> None:
    """
    Raises:
        StratagemError: a name that no text can hold, which the libraries that write tables cannot open.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        raise StratagemError(f"{path}: its name is not valid UTF-8; choose another --out") from None


# What `aside_of` calls the files that become one of a name; earlier versions put the number of a process there.
LEFT = re.compile(r"\.(.*)\.[0-9a-f]+\.aside", re.DOTALL)


def aside_of(path: Path) -> Path:
    """Where a file is written until it is whole and takes the name `path`, which must not be a device or a folder. The
    name is a new one each time: no process and no thread writes to a file of another.

    Raises:
        StratagemError: it is, or has no name.
    """
    check_name(path)
    if path.name in ("", "..") or (path.exists() and not path.is_file()):
        raise StratagemError(
            f"{path}: not a file, so that none can be written in its place; choose another --out"
        )
    return path.parent / f".{path.name}.{secrets.token_hex(4)}.aside"


def make_folder(folder: Path) -> None:
    """See that there is such a folder, before anything long is done for what it is to hold.

    Raises:
        StratagemError: it cannot be made.
    """
    for tries_left in reversed(range(1_000)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            break
        except OSError as error:
            # Another process may remove the folder, or make it again, between any two steps: then it is tried anew.
            vanished = (
                isinstance(error, FileExistsError | FileNotFoundError) and is_folder(folder) is not False
            )
            if not (vanished and tries_left):
                raise StratagemError(
                    f"{folder}: cannot be made ({error.strerror}); choose another --out"
                ) from None
    check_writable(folder)


def check_writable(folder: Path) -> None:
    """Raise a StratagemError where nothing can be put into a folder, or into the nearest one above it that exists."""
    existing = folder
    for existing in (folder, *folder.parents):
        try:
            # Opened, so that all that follows is asked of this folder: its name may go to another one at any moment.
            descriptor = os.open(existing, os.O_DIRECTORY | getattr(os, "O_PATH", os.O_RDONLY))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            break
        try:
            if os.access(".", os.W_OK, dir_fd=descriptor):
                return
        finally:
            os.close(descriptor)
        break
    raise StratagemError(f"{existing}: cannot be written to; choose another --out")


UNFINISHED = ".unfinished"


def claim(out: Path, result: str) -> None:
    """See that `out` is ours to write to, before anything long is done: new, empty, with an earlier `result`, or with
    what a process left that was killed, at the latest while it moved its files to their names, or is at work.

    Raises:
        StratagemError: it holds something else, or cannot be made.
    """
    check_name(out)
    others = names(out) - {UNFINISHED, result}
    # Looked up by their names, in this order: a list may miss what another process renames while it is made.
    ours = not others or (out / UNFINISHED).exists() or (out / result).exists()
    if not ours or is_folder(out) is False:
        raise StratagemError(f"{out}: not empty and without a {result} of ours; choose another --out")
    make_folder(out)


@contextlib.contextmanager
def whole(out: Path, parts: Sequence[str]) -> Generator[Path]:
    """A folder to write a result to. What is in `out` changes when the block ends without an exception, all at once:
    an earlier result stays whole while the next one is made, and whatever a kill leaves is swept away.

    Args:
        parts: the files that may be written; those of an earlier result that are not are removed. The last one tells
            that a folder holds such a result.

    Raises:
        StratagemError: `out` holds something else, or another process is writing there.
    """
    work = out / UNFINISHED

    def make() -> None:
        claim(out, parts[-1])
        with contextlib.suppress(FileExistsError, FileNotFoundError):  # in the second case `held` asks again
            work.mkdir()

    with held(work, make, f"{out}: another process is writing there; wait for it"):
        try:
            empty(work)
            yield work
            for name in parts:
                if (work / name).exists():
                    os.replace(work / name, out / name)
                else:
                    (out / name).unlink(missing_ok=True)
            sync_folder(out)
        finally:
            sweep(work)
            with contextlib.suppress(OSError):  # not empty
                out.rmdir()


def sync_folder(path: Path) -> None:
    """Make a rename in `path` durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, value: object) -> None:
    write_bytes(path, (json.dumps(value, indent=1, allow_nan=False) + "\n").encode())


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """
    Raises:
        StratagemError: it is not TOML; `where` names the file.
    """
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # numbers of too many digits are ValueErrors alone
        said = str(error).splitlines()[0].partition(";")[0]
        hint = "; write a pattern between '...' , where \\ is itself" if "escape" in said else ""
        raise StratagemError(f"{where}: not TOML: {said}{hint}") from None


def read_json(path: Path) -> Any:
    """
    Raises:
        StratagemError: no such file, or it is not JSON in text that can be written again.
    """
    if not path.is_file():  # a pipe would be waited for
        raise StratagemError(f"{path}: no such file")
    try:
        text = path.read_text()
        value = json.loads(text)
        if "\\ud" in text.lower():  # half of a surrogate pair is no text, and would fail where it is written
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except OSError as error:
        raise StratagemError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise StratagemError(f"{path}: not JSON ({str(error).splitlines()[0][:200]})") from None


def versions() -> dict[str, str]:
    """The versions of Python and of the libraries that shape results; recorded, never part of a key."""
    known = {"python": platform.python_version()}
    for name in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            known[name] = metadata.version(name)
    return known


Settings = dict[str, Any]


def essence(settings: Settings, defaults: Settings) -> Settings:
    """The settings that differ from their defaults, in tables within tables too."""
    different: Settings = {}
    for name, value in settings.items():
        usual = defaults.get(name)
        if isinstance(value, dict) and isinstance(usual, dict):
            if inner := essence(value, usual):  # pyright: ignore[reportUnknownArgumentType]
                different[name] = inner
        elif name not in defaults or plain(value) != plain(usual):
            different[name] = value
    return different


def plain(value: Any) -> Any:
    """A value as it is after a round trip through JSON."""
    return json.loads(json.dumps(value))


def key(stage: str, version: int, different: Settings) -> str:
    """A name for a stage's result, made of what differs from the defaults: a new option leaves it as it is."""
    return content_id(stage, version, json.dumps(different, sort_keys=True))


def partial_of(folder: Path) -> Path:
    """What a stage's folder is called while the stage runs."""
    return folder.parent / f"{folder.name}.partial"


class Stage:
    """One stage's folder. `work` is where it writes while it runs; `finish` gives it its name.

    A folder that is there is taken for this stage's result where its recorded settings are those asked for. A setting
    that it does not record, because there was no such option when it was made, had its default then.

    Args:
        settings: all of them, JSON-ready.
        defaults: the values that settings have where nothing is said.
        modern: turns settings as older versions wrote them into today's.

    Raises:
        StratagemError: `out` exists and was made by other settings or is not ours.
    """

    def __init__(
        self,
        name: str,
        version: int,
        settings: Settings,
        out: Path,
        defaults: Settings | None = None,
        modern: Callable[[Settings], Settings] = dict,
    ) -> None:
        check_name(out)
        if out.name in ("", ".", ".."):
            raise StratagemError(f"--out {out}: name a folder that is to be made")
        self.out, self.work = out, partial_of(out)
        self.name, self.version, self.settings = name, version, settings
        self.defaults, self.modern = defaults or {}, modern
        self.key = key(name, version, essence(settings, self.defaults))
        self.config = {"stage": name, "version": version, "key": self.key, "settings": settings}
        self.done = self._matches(out)
        if self.done:
            with contextlib.suppress(OSError):  # there where a process was killed behind the rename
                (out / LOCK).unlink()

    def _matches(self, folder: Path) -> bool:
        if not folder.exists():
            return False
        if not folder.is_dir() or (any(folder.iterdir()) and not (folder / CONFIG).is_file()):
            raise StratagemError(f"{folder}: not a folder of ours (it has no {CONFIG}); choose another --out")
        if not (folder / CONFIG).is_file():
            folder.rmdir()
            return False
        if different := self.difference(read_json(folder / CONFIG)):
            raise StratagemError(
                f"{folder}: made with other settings ({different}); choose another --out or remove it"
            )
        return True

    def difference(self, recorded: Any) -> str:
        """The first setting in which a recorded config is not this stage's, in words; empty where there is none."""
        return differs(recorded, self.name, self.version, self.settings, self.defaults, self.modern)

    @contextlib.contextmanager
    def open(self) -> Generator[Path]:
        """The folder to work in, locked against a second process, with what an interrupted run left there.

        Leaving the block without an exception gives the folder its final name.
        """
        with held(self.work, self._make_room, f"{self.work}: another process is working there; wait for it"):
            try:
                if self._matches(self.out):
                    raise StratagemError(
                        f"{self.out}: another process has just made it; give the command again"
                    )
            except StratagemError:  # by these settings or by others
                sweep(self.work, last=CONFIG)
                raise
            if names(self.work) - {LOCK} and self.difference(self._recorded()):
                empty(self.work, last=CONFIG)
            for torn in self.work.rglob(".*.aside"):  # a process was killed while it wrote
                torn.unlink()
            write_json(self.work / CONFIG, self.config | {"versions": versions()})
            yield self.work
            os.replace(self.work, self.out)
            # Behind the rename, since until then nobody else may begin; whoever finds it whole may be faster.
            (self.out / LOCK).unlink(missing_ok=True)
            sync_folder(self.out.parent)
        self.done = True

    def _make_room(self) -> None:
        """See that `work` is there, with what an interrupted run left in it, of these settings or of others.

        Raises:
            StratagemError: what is there was made by no stage, or it cannot be made.
        """
        work = self.work
        if work.is_symlink() or is_folder(work) is False:
            raise StratagemError(f"{work}: in the way, and no folder; remove it or choose another --out")
        # Looked at twice: another process may give the folder its name between the two halves of a look.
        strange = all(
            any(not name.startswith(".") for name in names(work)) and not (work / CONFIG).exists()
            for _ in range(2)
        )
        recorded = self._recorded()
        if strange or (recorded is not None and not (isinstance(recorded, dict) and "stage" in recorded)):
            raise StratagemError(
                f"{work}: in the way, and made by no stage; remove it or choose another --out"
            )
        make_folder(work)

    def _recorded(self) -> Any:
        """What the folder that is worked in says of itself."""
        path = self.work / CONFIG
        try:
            return read_json(path) if path.exists() else None
        except StratagemError:
            if path.exists():
                raise
            return None  # another process has just given the folder its name


def differs(
    recorded: Any,
    name: str,
    version: int,
    settings: Settings,
    defaults: Settings,
    modern: Callable[[Settings], Settings] = dict,
    partly: bool = False,
) -> str:
    """The first way in which a recorded config is not that of a stage, in words; empty where there is none.

    Args:
        partly: whether only the settings that are given count.
    """
    try:
        was, before, old = (recorded[part] for part in ("stage", "version", "settings"))
        old = modern(dict(old))
    except (TypeError, KeyError, ValueError):
        return f"its {CONFIG} is not a stage's"
    if was != name:
        return f"it holds {was!r}"
    if before != version:
        return f"stage version was {before}, now {version}"
    if partly:
        old = {part: old[part] for part in settings if part in old}
    return difference(old, settings, defaults)


def difference(old: Settings, new: Settings, defaults: Settings) -> str:
    """The first setting in which two differ, in words; what one does not say has its default."""
    for name in sorted(old.keys() | new.keys()):
        usual = defaults.get(name)
        was, now = old.get(name, usual), new.get(name, usual)
        if isinstance(was, dict) and isinstance(now, dict):
            if inner := difference(was, now, usual if isinstance(usual, dict) else {}):  # pyright: ignore
                return f"{name}.{inner}"
        elif plain(was) != plain(now):
            return f"{name} was {was!r}, now {now!r}"
    return ""
