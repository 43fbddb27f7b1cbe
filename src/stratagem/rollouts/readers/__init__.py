"""One module a framework, in an explicit dict: the first that recognises a log reads it.

A reader is a module with

- ``NAME``: what users call the format;
- ``recognises(record) -> bool``: whether the first whole record of a log (plain Python: dicts, lists, scalars) is of
  this format; cheap, and never raises;
- ``rows(record, options) -> Iterator[Row]``: the responses of one record. Raises `BadRecord` for a record that cannot
  be used; rows given before it raised are not used either;

and, where it needs them,

- ``frame(table, options) -> DataFrame | None``: the same as `rows`, for a whole table of records (columns as the file
  has them), in the columns of `log.Log.batches`; None where this table needs `rows`. See `plain.frame`;
- ``unfold(record, options) -> list[record]``: the records of one response each that `rows` is given in place of it;
- ``opens(path, head) -> bool`` with ``records(path) -> Iterator[record | BadRecord]``: for files that are neither
  lines of JSON, one JSON list, Parquet nor CSV. `head` is the first 65,536 bytes, decompressed if it was gzip, zstd,
  bz2 or xz. A broken part of the file is given as a `BadRecord` in its place; `StratagemError` refuses the file;
- ``facts(path, record) -> Mapping[str, str]``: what the first record of a file, or a file beside it, says about how
  it was sampled: ``temperature``, ``max_tokens``, ``model``, ``grader``, …; missing ones are left out;
- ``plan(records, options) -> ReadOptions``: the options with what the first records of a log settle (`columns`,
  `scores`). Raises `StratagemError` for a column that the user names and no record has;
- ``TAKEN``: what is taken as ``prompt``, ``response`` and ``problem``, in words, where no `plan` names columns;
- ``NUMBERED``: whether `sample` is the log's own number of a response; ``NAMES_RESPONSE``: columns that name each
  response; ``BESIDE``: columns that tell rows of one response apart (`repeats.Repeats`);
- ``belongs(path) -> bool``: False for a file in a folder that is known not to be a log, such as ``metadata.json``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import polars as pl

from stratagem.rollouts.readers import (
    counts,
    helm,
    inspect_ai,
    lighteval,
    lm_eval,
    openai_evals,
    plain,
    skyrl,
    trl,
    verifiers,
    verifiers_results,
    verl,
)
from stratagem.rollouts.readers.row import BadRecord, ReadOptions, Row

Record = Mapping[str, Any]
SAID = ("taken", "numbered", "names_response", "beside")


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader's functions; those that its module lacks are None."""

    name: str
    recognises: Callable[[Record], bool]
    rows: Callable[[Record, ReadOptions], Iterator[Row]]
    frame: Callable[[pl.DataFrame, ReadOptions], pl.DataFrame | None] | None
    unfold: Callable[[Record, ReadOptions], Sequence[Record]] | None
    opens: Callable[[Path, bytes], bool] | None
    records: Callable[[Path], Iterator[Record | BadRecord]] | None
    facts: Callable[[Path, Record], Mapping[str, str]] | None
    plan: Callable[[Sequence[Record], ReadOptions], ReadOptions] | None
    belongs: Callable[[Path], bool] | None
    taken: Mapping[str, str] = field(default_factory=dict[str, str])
    numbered: bool = False
    names_response: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


def _reader(module: ModuleType) -> Reader:
    names = ("frame", "unfold", "opens", "records", "facts", "plan", "belongs")
    optional = {name: getattr(module, name, None) for name in names}
    said = {name: getattr(module, name.upper()) for name in SAID if hasattr(module, name.upper())}
    return Reader(module.NAME, module.recognises, module.rows, **optional, **said)


# The most telling formats first; plain files last, since nearly every record is one.
READERS: dict[str, Reader] = {
    module.NAME: _reader(module)
    for module in (
        trl,
        verl,
        verifiers,
        verifiers_results,
        skyrl,
        lm_eval,
        lighteval,
        inspect_ai,
        helm,
        openai_evals,
        counts,
        plain,
    )
}  # fmt: skip
