"""Several runs at once: a file of pairs, each diagnosed in a folder of its own, which is not made twice."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from stratagem.commands.options import listed, paths
from stratagem.decomposition.leading import leading
from stratagem.records import StratagemError, check_file
from stratagem.report import diagnosis_view as shown
from stratagem.result import Findings, Run, Runs, decode
from stratagem.rollouts.readers.files import find
from stratagem.workspace import make_folder, parse_toml, plain, read_json, versions, write_json

MADE_FROM = "made-from.json"  # in a pair's folder: what decides its result
RUNS, REPORT, RESULT = "pairs.json", "report.html", "diagnosis.json"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._()+-]{0,79}")
KEYS = ("name", "before", "after")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two logs, each of one path or several, and what their comparison is called; `where` is its place in the file."""

    name: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    where: str


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a CSV file with the columns name, before, after, or of a TOML file with sections [pairs.NAME].

    Paths are relative to the file's folder.

    Raises:
        StratagemError: what is wrong in it: file, row or section, field and fix.
    """
    check_file(path)
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise StratagemError(f"--pairs {path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StratagemError(f"--pairs {path}: not UTF-8 text") from None
    rows = _toml(path, text) if path.suffix == ".toml" else _csv(path, text)
    if not rows:
        raise StratagemError(f"{path}: no pair in it; a CSV file has a row name,before,after for each")
    pairs: list[Pair] = []
    for where, row in rows:
        name = str(row["name"])
        if not NAME.fullmatch(name):
            raise StratagemError(f"{where}: name {name!r}: letters, digits and . _ ( ) + -, as for a folder")
        if name.lower() in [pair.name.lower() for pair in pairs]:
            raise StratagemError(f"{where}: name {name!r} is there twice; give each pair its own")
        logs = [
            tuple(
                _place(path.parent, log, f"{where}: {side}")
                for log in (row[side] if isinstance(row[side], list) else [str(row[side])])
            )
            for side in KEYS[1:]
        ]
        pairs.append(Pair(name, logs[0], logs[1], where))
    return pairs


def _csv(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(text), restkey="", skipinitialspace=True)
    names = [name.strip() for name in reader.fieldnames or ()]
    if sorted(names) != sorted(KEYS):
        raise StratagemError(
            f"{path}: columns {', '.join(names) or 'none'}; it has to have {', '.join(KEYS)}"
        )
    reader.fieldnames = names
    rows: list[tuple[str, dict[str, Any]]] = []
    for row in reader:
        where = f"{path}, row {reader.line_num}"
        if "" in row:
            raise StratagemError(f"{where}: more than three values; put one with commas into quotes")
        for key in KEYS:
            if not (row[key] or "").strip():
                raise StratagemError(f"{where}: no {key}")
        rows.append((where, {key: str(row[key]).strip() for key in KEYS}))
    return rows


def _toml(path: Path, text: str) -> list[tuple[str, dict[str, Any]]]:
    document = parse_toml(text, str(path))
    sections: Any = document.get("pairs")
    if set(document) != {"pairs"} or not isinstance(sections, dict):
        raise StratagemError(f"{path}: write each pair as a section [pairs.NAME] with before and after")
    rows: list[tuple[str, dict[str, Any]]] = []
    for name, section in sections.items():  # pyright: ignore[reportUnknownVariableType]
        where = f"{path}, [pairs.{name}]"
        if not isinstance(section, dict) or set(section) != {"before", "after"}:  # pyright: ignore
            raise StratagemError(f"{where}: has to have before and after, and nothing else")
        rows.append((where, {"name": name} | section))  # pyright: ignore[reportUnknownArgumentType]
    return rows


def _place(folder: Path, log: str, where: str) -> str:
    """A log's path, seen from here; files joined by commas as on the command line."""
    parts = [log] if (folder / log).exists() else listed(log)
    places = [str(folder / part) for part in parts]
    try:
        find(places)
    except StratagemError as error:
        raise StratagemError(f"{where}: {error}") from None
    return ",".join(places)


def diagnose_pairs(
    pairs: list[Pair],
    out: Path,
    settings: dict[str, Any],
    make: Callable[[Pair, Path], Findings],
    say: Callable[[str], None],
) -> tuple[Runs, list[Findings]]:
    """Every pair's diagnosis, those that are there already as they are.

    Args:
        out: the folder that gets a folder for each.
        settings: all that decides a result beside the logs, JSON-ready.
        make: diagnoses a pair into a folder.
        say: gets a line where a diagnosis is taken as it is.

    Raises:
        StratagemError: as a diagnosis, with the pair's place in its file before it. Pairs before it are kept.
    """
    make_folder(out)
    if not (out / RUNS).exists():  # so that an interrupted folder is known for ours
        write_json(out / RUNS, Runs(runs=()).as_dict())
    findings: list[Findings] = []
    for pair in pairs:
        folder = out / pair.name
        wanted = {"logs": {side: _stamps(getattr(pair, side)) for side in KEYS[1:]}, "settings": settings}
        wanted = plain(wanted | {"stratagem": versions().get("stratagem")})
        done = _made(folder, wanted)
        if done is None:
            make_folder(folder)
            (folder / MADE_FROM).unlink(missing_ok=True)
            try:
                done = make(pair, folder)
            except StratagemError as error:
                raise StratagemError(f"{pair.where} ({pair.name}): {error}") from None
            write_json(folder / MADE_FROM, wanted)
        else:
            say(f"{pair.name}: taken from {folder}")
        findings.append(done)
    runs = Runs(runs=tuple(run_of(pair.name, done) for pair, done in zip(pairs, findings, strict=True)))
    write_json(out / RUNS, runs.as_dict())
    return runs, findings


def _stamps(logs: tuple[str, ...]) -> list[list[Any]]:
    """Every file of a log with its size and the time of its last change."""
    files = [file.path for file in find([path for log in logs for path in paths(log)])]
    return [[str(file), (stat := file.stat()).st_size, stat.st_mtime_ns] for file in files]


def _made(folder: Path, wanted: dict[str, Any]) -> Findings | None:
    """The diagnosis that a folder holds, if it was made from what is wanted and can be read."""
    try:
        if read_json(folder / MADE_FROM) != wanted or not (folder / REPORT).is_file():
            return None
        return decode((folder / RESULT).read_bytes())
    except (StratagemError, OSError, msgspec.DecodeError):
        return None


def run_of(name: str, findings: Findings) -> Run:
    """A run's line of the table: the whole way of its diagnosis."""
    entries = shown.entries(findings)
    if not entries:
        return Run(name=name, report=f"{name}/{REPORT}", before="", after="", problems=0)
    entry, result = entries[0], entries[0].result
    x = leading(result)
    return Run(
        name=name,
        report=f"{name}/{REPORT}",
        before=result.before,
        after=result.after,
        problems=result.problems,
        accuracy_before=result.accuracy_before,
        accuracy_after=result.accuracy_after,
        gain=result.gain,
        choice=x.choice,
        improvement=x.improvement,
        new_strategy=result.new_strategy if x.new_strategy is None else x.new_strategy,
        level=x.way,
        lead="undecided" if x.order_dependent else x.lead,
        sentence=entry.headline[0],
        action=entry.action,
        aim=entry.aim,
    )
