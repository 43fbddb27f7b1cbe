"""Logs of counts: so many attempts at a problem, so many right, and no texts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stratagem.records import StratagemError
from stratagem.rollouts.readers import naming, plain, responses
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    extras,
    identifier,
    number,
    prompt_text,
    whole,
)

NAME = "counts"


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether there are counts, rewards or one score of a problem, and no response."""
    if plain.recognises(record):
        return False
    settled = plan([record], ReadOptions())
    columns = settled.columns
    alone = "id" in columns and settled.scores and not any(map(responses.names_response, record))
    counted = {"count_n", "count_c"} <= set(columns) or "rewards" in columns or alone
    return ("id" in columns or "prompt" in columns) and bool(counted)


def plan(records: Sequence[Mapping[str, Any]], options: ReadOptions) -> ReadOptions:
    """The columns of the counts."""
    return naming.plan(records, options, texts=False)


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The counts of one problem."""
    at = {what: naming.value_at(record, name) for what, name in options.columns.items()}
    values = {what: None if value is naming.MISSING else value for what, value in at.items()}
    prompt, question = prompt_text(values.get("prompt"))
    if (rewards := values.get("rewards")) is not None:
        if not isinstance(rewards, list):
            raise BadRecord("rewards: not a list")
        grades = [number(reward, "rewards") for reward in rewards]
        if any(grade is None or (options.bounded and not 0 <= grade <= 1) for grade in grades):
            raise BadRecord("rewards: outside [0, 1]; write 1 for right and 0 for wrong")
        attempts, right = len(grades), sum(grade or 0.0 for grade in grades)
    elif not {"count_n", "count_c"} <= set(options.columns):
        attempts, right = 1, _grade(record, options.scores, options.bounded)
    else:
        attempts, right = whole(values.get("count_n"), "n"), number(values.get("count_c"), "c")
        if attempts is None or right is None:
            raise BadRecord("n: missing, or c is")
        if not 0 <= right <= attempts:
            raise BadRecord("c: not between 0 and n")
    yield {
        "id": identifier(values.get("id")),
        "prompt": prompt,
        "question": question,
        "sample": whole(values.get("sample"), options.columns.get("sample", "sample"))
        if attempts == 1
        else None,
        "checkpoint": identifier(values.get("checkpoint"), "checkpoint"),
        "count_n": attempts,
        "count_c": right,
        "extra": extras(record, set(options.columns.values())),
    }


def _grade(record: Mapping[str, Any], scores: Sequence[str], bounded: bool) -> float:
    """The score of a response of which no more is known."""
    if len(scores) > 1:
        raise StratagemError(
            f"several columns may say what is right: {', '.join(scores)}; name one with --columns score=COLUMN"
        )
    grade = number(naming.value_at(record, scores[0]), scores[0]) if scores else None
    if grade is None or (bounded and not 0 <= grade <= 1):
        raise BadRecord(f"{scores[0] if scores else 'score'}: missing, or outside [0, 1]")
    return grade
