"""Problems of evaluations, which nothing that is chosen may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from stratagem.curation.held import Held, Record
from stratagem.curation.pool import PART, SAMPLED, prompt_columns, read_files, value_of
from stratagem.curation.profile import Bools
from stratagem.curation.shapes import usual
from stratagem.records import StratagemError, content_id
from stratagem.rollouts.problems import normalise
from stratagem.rollouts.readers.row import (
    USERS,
    BadRecord,
    identifier,
    message_text,
    messages_of,
    prompt_text,
)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The problems of an evaluation, texts as hashes of their normal form.

    Attributes:
        asked: the whole prompt of each, and the last turn of its user.
        inputs: of problems with an instruction, the input alone.
    """

    name: str
    files: tuple[Path, ...]
    asked: frozenset[str]
    inputs: frozenset[str]
    ids: frozenset[str]


def read_evaluation(path: str) -> Evaluation:
    """Read the problems of an evaluation.

    Raises:
        StratagemError: nothing there, a broken row, or neither id nor prompt.
    """
    files, held = read_files(path)
    if not len(held):
        raise StratagemError(f"{path}: no prompt in it")
    sample = [usual(record) for record in held.records(range(min(SAMPLED, len(held))))]
    taken, _ = prompt_columns(path, sample, {})
    asked, inputs, ids = set[str](), set[str](), set[str]()
    instructions = set[str | None]()
    for place, record in enumerate(_records(held), 1):
        try:
            prompt, question = _asked(record, taken)
            key = identifier(value_of(record, taken["id"]), taken["id"]) if "id" in taken else None
        except BadRecord as fault:
            raise StratagemError(f"{path}: row {place}: {fault}") from None
        if key is None and not prompt:
            raise StratagemError(f"{path}: row {place}: neither a prompt nor an id")
        asked |= _keys(prompt, question)
        ids |= set() if key is None else {key}
        given = _input(record)
        inputs |= _keys(given)
        instructions.add(None if given is None else record["instruction"])
    if len(instructions) == 1:  # the same for all, it tells no problems apart
        asked |= inputs
    return Evaluation(path, files, frozenset(asked), frozenset(inputs), frozenset(ids))


def held_out(
    path: str, rows: Held, names: Sequence[str], problems: pl.DataFrame, evaluations: Sequence[Evaluation]
) -> Bools:
    """Which rows ask a problem of each evaluation, by text where both have it, else by id: a line an evaluation.

    A row asks what any turn of its user says, and its whole prompt; of an instruction with an input also the input
    alone, though two inputs alone are not compared.

    Args:
        names: the columns of the prompt and of the conversation.
        problems: a row each, with problem_id and by_normalised.

    Raises:
        StratagemError: a turn cannot be read.
    """
    prompts = problems["by_normalised"].null_count() < len(problems)
    matched = np.zeros((len(evaluations), len(rows)), bool)
    for of_rows, evaluation in zip(matched, evaluations, strict=True):
        by_text = prompts and bool(evaluation.asked)
        texts = evaluation.asked | evaluation.inputs
        column, known = ("by_normalised", texts) if by_text else ("problem_id", evaluation.ids)
        among = pl.Series(list(known), dtype=pl.String).implode()
        of_rows[:] = problems[column].is_in(among).fill_null(False).to_numpy()
    if prompts and any(evaluation.asked for evaluation in evaluations):
        for row, record in enumerate(_records(rows, (*names, "prompt", "instruction", "input"))):
            try:
                keys = _keys(*_texts(record, names))
            except BadRecord as fault:
                raise StratagemError(f"{path}: row {row + 1}: {fault}") from None
            for of_rows, evaluation in zip(matched, evaluations, strict=True):
                of_rows[row] |= not keys.isdisjoint(evaluation.asked)
    return matched


def unmatched(path: str, evaluations: Sequence[Evaluation], matched: Bools) -> list[str]:
    """A line for each evaluation of which no problem was found in what `path` names."""
    return [
        f"--holdout {evaluation.name}: none of its problems is in {path}"
        for evaluation, of_rows in zip(evaluations, matched, strict=True)
        if not of_rows.any()
    ]


def _records(held: Held, names: Sequence[str] | None = None) -> Iterator[Record]:
    """All rows in usual words; at least these columns of them."""
    columns = None if names is None else list(dict.fromkeys(name.split(".")[0] for name in names))
    for start in range(0, len(held), PART):
        yield from map(usual, held.records(range(start, min(start + PART, len(held))), columns))


def _asked(record: Record, taken: Mapping[str, str]) -> tuple[str | None, str | None]:
    """The whole prompt of a problem, and the last turn of its user; of a conversation that turn alone.

    Raises:
        BadRecord: it cannot be read.
    """
    at = {what: value_of(record, name) for what, name in taken.items()}
    value = at.get("prompt")
    if at.get("messages") is not None:
        turns = messages_of(at["messages"], "messages")
        value = [turn for turn in turns if turn["role"] in USERS][-1:] or turns
    prompt, question = prompt_text(value, taken.get("prompt", "prompt"))
    return prompt, at["question"] if isinstance(at.get("question"), str) else question


def _texts(record: Record, names: Sequence[str]) -> Iterator[str | None]:
    """All that a row asks.

    Raises:
        BadRecord: a turn cannot be read.
    """
    for name in dict.fromkeys((*names, "prompt")):
        value = value_of(record, name)
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for turn in value:
                if isinstance(turn, Mapping) and turn.get("role") in USERS:
                    yield message_text(turn)
    yield _input(record)


def _input(record: Record) -> str | None:
    """The input that stands beside an instruction."""
    given = record.get("input")
    return given if isinstance(given, str) and isinstance(record.get("instruction"), str) else None


def _keys(*texts: str | None) -> set[str]:
    """Hashes of the normal form of texts that are not empty."""
    return {content_id(normal) for text in texts if text and (normal := normalise(text))}
