"""Any framework's rollouts as batches of one table: `read_rollouts`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.records import StratagemError
from stratagem.rollouts.declared import declared
from stratagem.rollouts.readers import Reader, assemble
from stratagem.rollouts.readers.choose import choose, first_records, open_files
from stratagem.rollouts.readers.chunk import Chunk, Record, Source
from stratagem.rollouts.readers.fields import Tabulator, tabulator
from stratagem.rollouts.readers.files import Found, find
from stratagem.rollouts.readers.row import FAULTS, SESSION, BadRecord, ReadOptions, Row
from stratagem.rollouts.repeats import Repeats

EXAMPLES = 20
BATCH_ROWS = 50_000
ROWS_SAMPLED = 10_000  # at most, by which the types of columns are settled
BATCH_BYTES = 64 << 20
FACTS = (
    "temperature",
    "top_p",
    "top_k",
    "max_tokens",
    "max_new_tokens",
    "model",
    "model_name",
    "grader",
    "seed",
)
MAX_FACTS = 20
FILE = "file"  # the column that names the file of a row, in a log of several


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A record that gave no row. `row` is its line, or its number in the file, from 1."""

    file: str
    row: int
    reason: str
    text: str


class Log:
    """One side's rollouts, read in batches as often as asked.

    Attributes:
        format: the reader's name.
        files: what is read, in order.
        skipped: files of a folder that are no log, each with the reason.
        score_names: columns that may say what is right.
        extra: names of further columns.
        counts_only: whether there are counts in place of completions.
        notes: what there is to say of how it is read.
        taken: what is taken as prompt, response and problem, in words, where no column is named for it.
        facts: what the log says of how it was sampled, such as ``{"temperature": {"0.6"}}``.
        declared: what the log says of itself; None where it says nothing.
        left_out: records that gave no row, counted by reason, while and after `batches` runs.
        examples: the first of them.
        repeated: how many rows were there before; see `repeats`.
        lost: values that had no place in the columns, counted by reason.
    """

    def __init__(
        self,
        reader: Reader,
        options: ReadOptions,
        sources: Sequence[tuple[Source, str | None]],
        columns: assemble.Columns,
        tabulator: Tabulator,
        facts: Mapping[str, set[str]],
        skipped: Sequence[tuple[str, str]],
        told: Mapping[str, str],
    ) -> None:
        self.format = reader.name
        self.taken = reader.taken
        self.files = tuple(source.name for source, _ in sources)
        self.skipped = tuple(skipped)
        self.score_names = columns.scores
        self.extra = tuple(columns.extra)
        self.counts_only = "count_n" in columns.fixed
        self.options = options
        self.facts: dict[str, set[str]] = {name: set(values) for name, values in facts.items()}
        self.declared = declared(sources[0][0].path) if sources[0][0].kind == "parquet" else None
        self.left_out: Counter[str] = Counter()
        self.examples: list[LeftOut] = []
        self.lost: Counter[str] = Counter()
        self.repeated = 0
        self.notes = (*options.notes, *(source.note for source, _ in sources if source.note))
        self._reader, self._sources, self._columns, self._tabulator = reader, sources, columns, tabulator
        self._places = (
            told  # what the column FILE says of a file, by the file's name; empty without that column
        )
        self._begun: tuple[pl.DataFrame, Iterator[pl.DataFrame]] | None = None

    @property
    def schema(self) -> dict[str, pl.DataType]:
        """The columns of every batch."""
        return self._columns.schema

    def first(self) -> pl.DataFrame | None:
        """The first batch, None where there is none. `batches`, called next, goes on from it and reads nothing twice.

        Raises:
            StratagemError: as `batches`.
        """
        stream = self.batches()
        batch = next(stream, None)
        self._begun = None if batch is None else (batch, stream)
        return batch

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows, from the start, as tables of at most 50,000 rows and about 64 MB.

        Raises:
            StratagemError: a file cannot be read further, or a response is there again with other scores; or, if
                strict, at the first record that gives no row.
        """
        begun, self._begun = self._begun, None
        if begun is not None:
            yield begun[0]
            yield from begun[1]
            return
        self.left_out, self.examples, self.lost = Counter(), [], Counter()
        names, reader = self.schema, self._reader
        repeats = Repeats(
            self.score_names,
            numbered=reader.numbered if reader.plan is None else "sample" in self.options.columns,
            name=next((name for name in reader.names_response if name in names), None),
            beside=[name for name in reader.beside if name in names],
            counts=self.counts_only,
        )
        for batch in self._joined():
            new = repeats.kept(batch)
            self.repeated = repeats.dropped
            yield from new.iter_slices(BATCH_ROWS)
        yield from repeats.rest(pl.Schema(self.schema)).iter_slices(BATCH_ROWS)
        self.repeated = repeats.dropped

    def _joined(self) -> Iterator[pl.DataFrame]:
        """The tables of chunks as batches."""
        held: list[pl.DataFrame] = []
        rows = size = 0
        for table in self._tables():
            for part in table.iter_slices(BATCH_ROWS):
                if held and rows + part.height > BATCH_ROWS:
                    yield self._batch(held)
                    held, rows, size = [], 0, 0
                held.append(part)
                rows, size = rows + part.height, size + part.estimated_size()
                if size >= BATCH_BYTES:
                    yield self._batch(held)
                    held, rows, size = [], 0, 0
        if held:
            yield self._batch(held)

    def chunks(self) -> Iterator[tuple[Source, Chunk]]:
        """What the files hold, as tables where that can be: for a few columns of a large table of counts."""
        for source, _ in self._sources:
            chunks = source.read(tabulator=self._tabulator) if source.kind == "lines" else source.read()
            yield from ((source, chunk) for chunk in chunks)

    def read(self) -> pl.DataFrame:
        """All rows at once."""
        return pl.concat([pl.DataFrame(schema=self.schema), *self.batches()])

    def _batch(self, tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
        batch = pl.concat(tables)
        for name in FACTS:
            if name in batch.columns and len(self.facts.get(name, ())) < MAX_FACTS:
                values = batch[name].drop_nulls().unique().cast(pl.String)
                if len(values):
                    self.facts.setdefault(name, set()).update(values.sort().head(MAX_FACTS))
        return batch

    def rows_of(self, source: Source) -> pl.DataFrame:
        """The rows of one more file of the same format, for a log that grows. Counts in `left_out` and `lost` go on.

        Raises:
            StratagemError: as `batches`.
        """
        tables = self._sessions(self._of_source(source))
        return pl.concat([pl.DataFrame(schema=self.schema), *tables])

    def _tables(self) -> Iterator[pl.DataFrame]:
        for source, step in self._sources:
            for table in self._sessions(self._of_source(source)):
                if not table.height:
                    continue
                if step is not None and table["checkpoint"].null_count() == table.height:
                    table = table.with_columns(checkpoint=pl.lit(step))
                if self._places:
                    table = table.with_columns(pl.lit(self._places[source.name]).alias(FILE))
                yield table

    def _of_source(self, source: Source) -> Iterator[pl.DataFrame]:
        quick = self._reader.frame is not None and source.kind == "lines"
        for chunk in source.read(tabulator=self._tabulator) if quick else source.read():
            fast = self._fast(chunk)
            yield self._slow(source, chunk) if fast is None else fast

    def _fast(self, chunk: Chunk) -> pl.DataFrame | None:
        """A whole chunk by the reader's `frame`, where it and the log's columns allow."""
        if chunk.table is None or not chunk.table.height or self._reader.frame is None:
            return None
        made = self._reader.frame(chunk.table, self.options)
        return None if made is None else assemble.conform(made, self._columns, self.lost)

    def _slow(self, source: Source, chunk: Chunk) -> pl.DataFrame:
        """Record by record."""
        rows: list[Row] = []
        for number, record in zip(chunk.numbers, chunk.records(), strict=True):
            if record is None:
                continue
            for place, flat in flat_records(self._reader, record, self.options):
                try:
                    rows += checked_rows(self._reader, flat, self.options)
                except BadRecord as fault:
                    self._leave_out(source, number if place is None else place, str(fault), flat)
        return assemble.table_of(rows, self._columns, self.lost)

    def _leave_out(
        self, source: Source, number: int, reason: str, record: Record | Mapping[str, Any]
    ) -> None:
        if self.options.strict:
            raise StratagemError(f"{source.name}: row {number}: {reason}")
        self.left_out[reason] += 1
        if len(self.examples) < EXAMPLES:
            text = "" if isinstance(record, BadRecord) else str(record)[:200]
            self.examples.append(LeftOut(source.name, number, reason, text))

    def _sessions(self, tables: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Rows that follow one another in one session as one row: the last, or all their completions."""
        held: pl.DataFrame | None = None
        for table in tables:
            if SESSION not in table.columns:
                if held is not None:
                    yield self._merge(held)
                    held = None
                yield table
                continue
            table = table if held is None else pl.concat([held, table])
            last = table[SESSION][-1]
            start = table.height - 1
            while start and last is not None and table[SESSION][start - 1] == last:
                start -= 1
            held = table[start:]
            yield self._merge(table[:start])
        if held is not None:
            yield self._merge(held)

    def _merge(self, table: pl.DataFrame) -> pl.DataFrame:
        """One row a session: the prompt of its first turn, all else of its last."""
        alone = pl.when(pl.col(SESSION).is_null()).then(pl.int_range(pl.len()))
        run = pl.struct(pl.col(SESSION).rle_id(), alone.alias("alone"))
        completion = pl.col("completion")
        first = [name for name in ("prompt", "question") if name in self.schema]
        merged = table.group_by(run.alias("_run"), maintain_order=True).agg(
            completion.last() if self.options.turns == "last" else completion.str.join("\n\n"),
            pl.col(first).first(),
            pl.col([name for name in self.schema if name not in (*first, "completion")]).last(),
        )
        return merged.select(list(self.schema))


def flat_records(
    reader: Reader, record: Record, options: ReadOptions
) -> Iterator[tuple[int | None, Record | Mapping[str, Any]]]:
    """The records that `reader.rows` takes; where one document holds many, each with its number in it, from 1."""
    if reader.unfold is None or not isinstance(record, Mapping):
        yield None, record
        return
    try:
        flat = reader.unfold(record, options)
    except (BadRecord, *FAULTS) as fault:
        said = (
            fault
            if isinstance(fault, BadRecord)
            else BadRecord(f"record: not as the first ones ({type(fault).__name__})")
        )
        yield None, said
        return
    many = len(flat) > 1 and options.shape is not None and not options.shape.lists
    yield from ((place if many else None, flat_record) for place, flat_record in enumerate(flat, 1))


def checked_rows(reader: Reader, record: Record | Mapping[str, Any], options: ReadOptions) -> list[Row]:
    """The rows of one record.

    Raises:
        BadRecord: it has none that can be used.
    """
    if isinstance(record, BadRecord):
        raise record
    assert record is not None
    try:
        rows = list(reader.rows(record, options))
    except FAULTS as error:
        raise BadRecord(f"record: not as {reader.name} writes it ({type(error).__name__})") from None
    for row in rows:
        assemble.usable(row)
    return rows


def read_rollouts(paths: str | Path | Sequence[str | Path], options: ReadOptions | None = None) -> Log:
    """Open one side's rollouts: find the files, tell their format by their content, settle the columns.

    Args:
        paths: files, folders (all logs in them, in natural order) and globs; plain, or packed as gzip, zstd, bz2, xz
            or zip.

    Raises:
        StratagemError: nothing there, files of several formats or of none, or a named column that is not there.
    """
    named = [paths] if isinstance(paths, str | Path) else list(paths)
    files, skipped = open_files(find(named))
    return open_log(files, options or ReadOptions(), skipped)


def open_log(
    files: Sequence[tuple[Source, Found]], options: ReadOptions, skipped: Sequence[tuple[str, str]] = ()
) -> Log:
    """As `read_rollouts`, of files that are open; `skipped` are those passed over before."""
    reader, kept, sample, more = choose(files, options)
    skipped = [*skipped, *more]
    if reader.plan:
        try:
            options = reader.plan(sample, options)
        except StratagemError as error:
            raise StratagemError(f"{kept[0][0].name}: {error}") from None
    rows: list[Row] = []
    faults: Counter[str] = Counter()
    for record in sample:
        for _, flat in flat_records(reader, record, options):
            try:
                rows += checked_rows(reader, flat, options)
            except BadRecord as fault:
                faults[str(fault)] += 1
        if len(rows) >= ROWS_SAMPLED:
            break
    if not rows:
        why = faults.most_common(1)[0][0] if faults else "no records"
        raise StratagemError(
            f"{kept[0][0].name}: {reader.name}: none of the first records can be used ({why})"
        )
    columns = assemble.columns_of(rows, kept[0][0].kind == "csv")
    told = places(kept) if "checkpoint" not in options.columns and FILE not in columns.schema else {}
    if told:
        columns = replace(columns, extra={**columns.extra, FILE: pl.String()})
    facts: dict[str, set[str]] = {}
    if reader.facts:
        for source, _ in kept:
            for name, value in _facts(reader, source).items():
                facts.setdefault(name, set()).add(value)
    return Log(reader, options, kept, columns, tabulator(sample, options), facts, skipped, told)


def places(logs: Sequence[tuple[Source, str | None]]) -> dict[str, str]:
    """What tells the files of one log apart, such as their data sets; nothing where they are one, or training steps."""
    if len(logs) < 2 or any(step is not None for _, step in logs):
        return {}
    names = [source.name for source, _ in logs]
    folder = os.path.commonpath(names)
    return {name: os.path.splitext(os.path.relpath(name, folder))[0] for name in names}


def _facts(reader: Reader, source: Source) -> Mapping[str, str]:
    first = next(iter(first_records(source, 1)), None)
    if first is None or reader.facts is None:
        return {}
    try:
        return reader.facts(source.path, first)
    except (*FAULTS, OSError):
        return {}
