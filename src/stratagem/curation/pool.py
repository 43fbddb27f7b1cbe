"""A pool of prompts as trainers read it: a file or folder whose rows are kept as they are."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl

from stratagem.curation.held import Arrow, Held, Record, read_rows
from stratagem.curation.shapes import usual
from stratagem.records import NO_VALUE, StratagemError
from stratagem.rollouts.problems import local_keys, problem_rows
from stratagem.rollouts.readers import naming
from stratagem.rollouts.readers.files import find
from stratagem.rollouts.readers.row import BadRecord, ReadOptions, identifier, messages_of, prompt_text

PART = 100_000  # rows that are looked at together
SAMPLED = 1_000  # records by which the columns of id and prompt are settled
BESIDE = ("dataset_info.json", "state.json", "dataset_dict.json")  # of a folder that `datasets` saved


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts in their file's order; row numbers count from 0 here, from 1 in what users see.

    Attributes:
        problems: a row each, in order: problem_id, has_id, by_prompt, by_normalised, and `columns`, as text.
        prompt: the column of the prompt; None where there is none.
        columns: those of `problems` that the caller asked for.
    """

    name: str
    files: tuple[Path, ...]
    rows: Held
    problems: pl.DataFrame
    prompt: str | None
    columns: tuple[str, ...]
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rows)


def sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_files(path: str) -> tuple[tuple[Path, ...], Held]:
    """The files that a path names, and their rows.

    Raises:
        StratagemError: nothing there, a broken row, or several splits.
    """
    files = tuple(file.path for file in find([path]) if file.path.name not in BESIDE)
    splits = {file.parent.name for file in files if (file.parent.parent / "dataset_dict.json").exists()}
    if len(splits) > 1:
        raise StratagemError(
            f"{path}: holds several splits ({', '.join(sorted(splits))}); name one: {path}/train"
        )
    return files, read_rows(path, files)


def read_pool(
    path: str,
    columns: Sequence[str] = (),
    named: Mapping[str, str] | None = None,
    method: str = "auto",
) -> Pool:
    """Read a pool whole.

    Args:
        columns: that are wanted of every row, as text; a name with dots goes into nested fields.
        named: which columns hold ``id`` and ``prompt``, where their names do not say.
        method: what a problem is, as in `rollouts.problems.join`.

    Raises:
        StratagemError: nothing there, a broken row, neither id nor prompt, or no such column.
    """
    files, held = read_files(path)
    if not len(held):
        raise StratagemError(f"{path}: no prompt in it")
    sample = held.records(range(min(SAMPLED, len(held))))
    in_words = [usual(record) for record in sample]
    taken, notes = prompt_columns(path, in_words, named or {})
    for column in columns:
        check_column(path, sample, column, "--by")
    changed = any(new is not old for new, old in zip(in_words, sample, strict=True))
    problems = _problems(path, held, taken, columns, method, changed)
    return Pool(
        path, files, held, problems, taken.get("prompt", taken.get("messages")), tuple(columns), notes
    )


def prompt_columns(
    path: str, sample: Sequence[Record], named: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Which columns hold id, prompt, question and, without a prompt, messages; and what there is to say of it.

    Raises:
        StratagemError: neither id nor prompt, or no column that is named.
    """
    try:
        options = naming.plan(sample, ReadOptions(columns=dict(named)), texts=False)
    except StratagemError as error:
        raise StratagemError(f"{path}: {error}") from None
    taken = {what: name for what, name in options.columns.items() if what in ("id", "prompt", "question")}
    if "prompt" not in taken and "messages" in options.columns:
        taken["messages"] = options.columns["messages"]
    if not taken:
        there = ", ".join(dict.fromkeys(name for record in sample for name in record))
        raise StratagemError(
            f"{path}: neither a prompt nor an id; its columns are {there}: name one with --prompt COLUMN or --id COLUMN"
        )
    return taken, tuple(f"{path}: {note}" for note in options.notes)


def check_column(path: str, sample: Sequence[Record], column: str, option: str) -> None:
    """
    Raises:
        StratagemError: no record of the sample has the column.
    """
    if all(naming.value_at(record, column) is naming.MISSING for record in sample):
        there = ", ".join(dict.fromkeys(name for record in sample for name in record))
        raise StratagemError(f"{option} {column}: no such column in {path}; there are {there}")


def _problems(
    path: str, held: Held, taken: Mapping[str, str], columns: Sequence[str], method: str, changed: bool
) -> pl.DataFrame:
    """The problem of every row, with `columns` as text.

    Args:
        changed: whether rows have to be put into usual words first (`shapes.usual`).
    """
    made: list[pl.DataFrame] = []
    for start in range(0, len(held), PART):
        part = range(start, min(start + PART, len(held)))
        batch = held.texts(part, taken, columns) if isinstance(held, Arrow) and not changed else None
        if batch is None:
            batch = _texts(path, held, part, taken, columns, changed)
        bare = batch.select(
            (pl.col("id").is_null() & (pl.col("prompt").fill_null("") == "")).arg_true()
        ).to_series()
        if len(bare):
            raise StratagemError(f"{path}: row {start + bare[0] + 1}: neither a prompt nor an id")
        batch = local_keys(batch, method).with_row_index("_row")
        # `problem_rows` gives each different problem once: with its number every row is one.
        known = problem_rows(batch, ["_row", *(f"_{name}" for name in columns)])
        made.append(known.rename({f"_{name}": name for name in columns}).drop("_row"))
    return pl.concat(made)


def _texts(
    path: str, held: Held, part: range, taken: Mapping[str, str], columns: Sequence[str], changed: bool
) -> pl.DataFrame:
    """Some rows' id, prompt, question, and `columns`, each called "_NAME", as text."""
    wanted = [name.split(".")[0] for name in (*taken.values(), *columns)]
    rows: list[tuple[str | None, ...]] = []
    records = map(usual, held.records(part)) if changed else held.records(part, wanted)
    for place, record in enumerate(records, part.start + 1):
        at = {what: value_of(record, name) for what, name in taken.items()}
        try:
            prompt, question = prompt_text(_asked(at), taken.get("prompt", "prompt"))
            key = identifier(at.get("id"), taken.get("id", "id"))
        except BadRecord as fault:
            raise StratagemError(f"{path}: row {place}: {fault}") from None
        asked = at.get("question")
        rows.append(
            (
                key,
                prompt,
                asked if isinstance(asked, str) else question,
                *(as_text(value_of(record, name)) for name in columns),
            )
        )
    names = ("id", "prompt", "question", *(f"_{name}" for name in columns))
    values = zip(*rows, strict=True)  # Polars takes columns of Python values faster than rows
    return pl.DataFrame(dict(zip(names, values, strict=True)), dict.fromkeys(names, pl.String()))


def _asked(at: Record) -> Any:
    """A prompt, or what stands in a conversation before the assistant's first turn.

    Raises:
        BadRecord: a conversation that is none.
    """
    if at.get("messages") is None:
        return at.get("prompt")
    turns = messages_of(at["messages"], "messages")
    return list(takewhile(lambda turn: turn["role"] != "assistant", turns))


def value_of(record: Record, name: str) -> Any:
    """A field by name or path; None where there is none."""
    if name in record:
        return record[name]
    value = naming.value_at(record, name)
    return None if value is naming.MISSING else value


def as_text(value: Any) -> str:
    """A stratum's value; 3.0 and 3 are the same."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return NO_VALUE if value is None or value == "" else str(value)
