"""Files of studies: which ship, what one says, and what it has from the study that it is `like`."""

from __future__ import annotations

from pathlib import Path

import msgspec

from stratagem.records import StratagemError, check_file
from stratagem.studies.form import Values
from stratagem.study_result import Replicates
from stratagem.workspace import parse_toml

HERE = Path(__file__).parent
REPLICATES = (
    HERE / "replicates"
)  # of studies that ship, as `benchmarks/replicates.py` cuts them out of a summary
# What a study has from the one that it is `like`; values of its own file take their places.
LIKE = ("source", "task", "base", "sft", "rl", "presets", "evaluations", "reference", "reasons", "llm", "trl")


def shipped() -> dict[str, Path]:
    """The studies that come with the package, by name."""
    return {path.stem: path for path in sorted(HERE.glob("*.toml"))}


def shipped_replicates(name: str, preset: str) -> Replicates | None:
    """The replicates that ship with a study, where they were run at this preset."""
    path = REPLICATES / f"{name}.json"
    replicates = msgspec.json.decode(path.read_bytes(), type=Replicates) if path.is_file() else None
    return replicates if replicates is not None and replicates.preset == preset else None


def study_file(source: str | Path) -> tuple[str, Path]:
    """The name and the file of a study: one that ships, or a user's own ``.toml``.

    Raises:
        StratagemError: there is no such study.
    """
    if str(source) in shipped():
        return str(source), shipped()[str(source)]
    path = Path(source)
    if path.suffix == ".toml":
        return path.stem, path
    raise StratagemError(
        f"{source}: no such study; there are {', '.join(shipped())}, or give a file FILE.toml"
    )


def whole_file(path: Path, through: tuple[Path, ...] = ()) -> Values:
    """What a file says, over what the study that it is `like` says of settings.

    Args:
        through: the files that are like this one.

    Raises:
        StratagemError: a file is missing or not TOML, or `like` is no study or leads back to a file.
    """
    said = read_toml(path)
    other = said.pop("like", None)
    if other is None:
        return said
    where = f"{path}: like = {other!r}"
    if not isinstance(other, str):
        raise StratagemError(f"{where}: must name a study that ships, or a file beside this one")
    try:
        _, source = study_file(other if other in shipped() else path.parent / other)
    except StratagemError as error:
        raise StratagemError(f"{where}: {error}") from None
    if source in (*through, path):
        raise StratagemError(f"{where}: is like this file itself; leave one `like` out")
    theirs = whole_file(source, (*through, path))
    return merged({name: theirs[name] for name in LIKE if name in theirs}, said)


def read_toml(path: Path) -> Values:
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise StratagemError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise StratagemError(f"{path}: not UTF-8 text at byte {error.start}") from None
    return parse_toml(text, str(path))


def merged(whole: Values, given: Values) -> Values:
    """`whole` with the values of `given` in their places, table by table."""
    result = dict(whole)
    for name, value in given.items():
        old = result.get(name)
        result[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return result
