"""Which files of a side are logs, and the one reader that reads them, by what is in them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stratagem.records import StratagemError
from stratagem.rollouts.readers import READERS, Reader, naming, responses, streams
from stratagem.rollouts.readers.averages import said_of
from stratagem.rollouts.readers.chunk import Chunk, Record, Source, chunk_of
from stratagem.rollouts.readers.containers import sources
from stratagem.rollouts.readers.files import Found, files_again, step_of
from stratagem.rollouts.readers.plain import holds
from stratagem.rollouts.readers.row import BadRecord, ReadOptions

SAMPLED = 1_000  # records of the first file, by which columns are settled
SAMPLED_LATER = 20  # of each further file, to tell its format


def open_files(files: Sequence[Found]) -> tuple[list[tuple[Source, Found]], list[tuple[str, str]]]:
    """The logs in the files, and the files passed over with the reason: those of a folder that are no log.

    Raises:
        StratagemError: a file that the user named is no log, or there is none at all.
    """
    opened: list[tuple[Source, Found]] = []
    copies = files_again([file.path for file in files])
    skipped: list[tuple[str, str]] = []
    empty: list[str] = []
    for file in files:
        path = file.path
        if not file.named and any(reader.belongs and not reader.belongs(path) for reader in READERS.values()):
            skipped.append((str(path), "not a log"))
            continue
        if path in copies:
            skipped.append((str(path), f"the same file as {copies[path]}"))
            continue
        try:
            inside = _opened_by_reader(path) or sources(path)
        except StratagemError as error:
            if file.named:
                raise
            skipped.append((str(path), str(error).removeprefix(f"{path}: ")))
            continue
        if not inside:
            empty.append(str(path))
        opened += [(source, file) for source in inside]
    if not opened:
        where = empty[0] if empty else files[0].path if files else "log"
        skipped = [(name, _averages(Path(name)) or why) for name, why in skipped]
        why = "is empty" if empty else "holds no log: " + "; ".join(f"{n}: {why}" for n, why in skipped[:3])
        raise StratagemError(f"{where}: {why}")
    return opened, skipped + [(name, "empty") for name in empty]


def _averages(path: Path) -> str | None:
    """What a file that is no log holds, where these are averages."""
    with contextlib.suppress(StratagemError):
        for source in sources(path):
            if records := first_records(source, 1):
                return said_of(records[0])
    return None


def _opened_by_reader(path: Path) -> list[Source]:
    head: bytes | None = None
    for reader in READERS.values():
        if reader.opens and reader.records:
            if head is None:
                raw = streams.raw_head(path, streams.HEAD)
                packed = streams.packing(raw)
                head = raw if packed in (None, "zip") else streams.gather(streams.chunks(path), streams.HEAD)
            if reader.opens(path, head):
                return [Source(str(path), path, reader.name, partial(_read_by, reader, path))]
    return []


def _read_by(reader: Reader, path: Path, at_most: int | None = None) -> Iterator[Chunk]:
    assert reader.records
    records: list[Record] = []
    start = 1
    for record in reader.records(path):
        records.append(record if isinstance(record, BadRecord) else dict(record))
        if len(records) >= min(1_000, at_most or 1_000):
            yield chunk_of(start, records)
            start, records = start + len(records), []
            if at_most is not None and start > at_most:
                return
    if records:
        yield chunk_of(start, records)


def first_records(source: Source, at_most: int) -> list[dict[str, Any]]:
    """The whole records among the first of a log."""
    records: list[dict[str, Any]] = []
    for chunk in source.read(at_most=at_most):
        records += [record for record in chunk.records() if isinstance(record, dict)]
    return records[:at_most]


def _recognise(record: Mapping[str, Any], source: Source, options: ReadOptions, asked: bool) -> Reader | None:
    """The reader of a record. `asked`: the user named this file, so that it has to have the columns named too."""
    if options.format is not None:
        if options.format not in READERS:
            raise StratagemError(f"format {options.format!r}: must be one of {', '.join(READERS)}")
        return READERS[options.format]
    if source.kind in READERS:
        return READERS[source.kind]
    if (named := options.columns.get("completion")) is not None and (asked or holds(record, named)):
        return READERS["plain"]
    return next((reader for reader in READERS.values() if reader.recognises(record)), None)


def _reader_of_most(
    records: Sequence[Mapping[str, Any]], source: Source, options: ReadOptions, asked: bool
) -> Reader | None:
    """The reader of most records: a broken one may look like one of another format."""
    readers = [_recognise(record, source, options, asked) for record in records]
    names = Counter(reader.name for reader in readers if reader is not None)
    return READERS[names.most_common(1)[0][0]] if names else None


def _nameless(record: Mapping[str, Any]) -> str | None:
    """What is missing of a record that holds a response and does not say to which problem; None of any other."""
    spoken = next((name for name in responses.NAMES if isinstance(record.get(name), str)), None)
    if spoken is None or naming.names_problem(record):
        return None
    return (
        f"responses in {spoken!r}, and neither a prompt nor an id says to which problem: name one with --columns "
        f"prompt=COLUMN or id=COLUMN; the columns are {', '.join(record)}"
    )


def choose(
    opened: Sequence[tuple[Source, Found]], options: ReadOptions
) -> tuple[Reader, list[tuple[Source, str | None]], list[dict[str, Any]], list[tuple[str, str]]]:
    """The one reader for all logs; the logs with the step of each; records to settle columns by; files passed over.

    Raises:
        StratagemError: logs of several formats, or of none.
    """
    chosen: Reader | None = None
    kept: list[tuple[Source, str | None]] = []
    sample: list[dict[str, Any]] = []
    skipped: list[tuple[str, str]] = []
    unknown: tuple[str, dict[str, Any]] | None = None
    for source, file in opened:
        try:
            records = first_records(source, SAMPLED_LATER if chosen else SAMPLED)
        except StratagemError as error:
            if file.named:
                raise
            skipped.append((source.name, str(error).removeprefix(f"{source.name}: ")))
            continue
        if not records:
            if file.named or source.kind == "lines":
                kept.append((source, step_of(source.name)))
            else:
                skipped.append((source.name, "no records"))
            continue
        if chosen and chosen.recognises(records[0]):
            reader = chosen
        else:
            reader = _reader_of_most(records[:SAMPLED_LATER], source, options, file.named)
        if reader is None:
            if file.named and chosen:
                raise StratagemError(
                    f"{source.name}: no known format; its columns are {', '.join(records[0])}"
                )
            unknown = unknown or (source.name, records[0])
            skipped.append((source.name, said_of(records[0]) or "no known format"))
            continue
        if chosen and reader is not chosen:
            first = next(earlier.name for earlier, _ in kept)
            raise StratagemError(
                f"{source.name}: is {reader.name}, but {first} is {chosen.name}: give logs of one format"
            )
        chosen = reader
        kept.append((source, step_of(source.name)))
        sample += records
    if chosen is None:
        if unknown:
            name, record = unknown
            if (said := _nameless(record) or said_of(record)) is not None:
                raise StratagemError(f"{name}: {said}")
            raise StratagemError(
                f"{name}: no known format; its columns are {', '.join(record) or 'none'}: name them with "
                "--columns completion=COLUMN prompt=COLUMN score=COLUMN"
            )
        name, why = (
            skipped[0] if skipped else (opened[0][0].name, f"no whole record among the first {SAMPLED}")
        )
        raise StratagemError(f"{name}: {why}")
    return chosen, kept, sample, skipped
