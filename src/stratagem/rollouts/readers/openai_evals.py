"""OpenAI's evals: a file of events, in which a sample's responses and grades stand in lines of their own.

Read off evals (`evals/record.py`, `evals/elsuite/modelgraded/classify.py`). The first line is the run's `spec`, the
last a `final_report`; between them each event names its sample. What was sampled since the last grade, and the grades
that follow (events `match` and `metrics`), are one response. Where a match says what it graded (`sampled`) that is the
response; else the first text sampled, since a model that grades answers after the one that is graded.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    completion_text,
    extras,
    identifier,
    mapping,
    number,
    prompt_text,
)

NAME = "OpenAI evals"
TAKEN = {
    "prompt": "'data.prompt' of a sampling",
    "response": "'data.sampled' of a match, or of the sampling before it",
    "problem": "'sample_id'",
}
GRADES = ("match", "metrics")


def opens(path: Path, head: bytes) -> bool:
    """Whether a file begins with the spec of a run."""
    start = head[:8192].lstrip()
    return start.startswith(b'{"spec":') and b'"base_eval"' in start and b'"run_id"' in start


def records(path: Path) -> Iterator[Mapping[str, Any] | BadRecord]:
    """The responses of a run in the order of their samples, each with the `sampled` and `graded` events that it is
    made of and the run's `spec`."""
    spec: Mapping[str, Any] = {}
    events: dict[str, list[Mapping[str, Any]]] = {}
    for line in streams.all_bytes(streams.chunks(path), str(path)).splitlines():
        if not line.strip():
            continue
        try:
            event = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            yield BadRecord("line: not a JSON object")
            continue
        spec = mapping(event.get("spec")) or spec
        if event.get("type") in ("sampling", "error", *GRADES):
            events.setdefault(str(event.get("sample_id")), []).append(event)
    for sample, said in events.items():
        for sampled, graded in _attempts(said):
            yield {"sample_id": sample, "sampled": sampled, "graded": graded, "spec": spec}


def _attempts(events: list[Mapping[str, Any]]) -> Iterator[tuple[list[Any], list[Any]]]:
    """What was sampled, and the grades that followed, in turn."""
    sampled: list[Any] = []
    for is_grade, group in itertools.groupby(events, key=lambda event: event.get("type") in GRADES):
        if is_grade:
            yield sampled, list(group)
            sampled = []
        else:
            sampled = list(group)
    if sampled:
        yield sampled, []


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a record is a response, as `records` gives it."""
    return {"sample_id", "sampled", "graded", "spec"} <= set(record)


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """The eval, and what answered."""
    spec = mapping(record.get("spec"))
    models = spec.get("completion_fns")
    said = {
        "model": ", ".join(map(str, models)) if isinstance(models, list) else None,
        "environment": spec.get("eval_name"),
    }
    return {name: str(value) for name, value in said.items() if value}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """One response with its grades."""
    failed = [mapping(event.get("data")) for event in record["sampled"] if event.get("type") == "error"]
    if not record["graded"]:
        raise BadRecord(
            f"error: {failed[0].get('type')}" if failed else f"type: no {' or '.join(GRADES)} follows"
        )
    sampled = [mapping(event.get("data")) for event in record["sampled"] if event.get("type") == "sampling"]
    scores: dict[str, float | None] = {}
    said: Any = sampled[0].get("sampled") if sampled else None
    extra: dict[str, Any] = {}
    for event in record["graded"]:
        data = mapping(event.get("data"))
        said = data.get("sampled", said) if event.get("type") == "match" else said
        for name, value in data.items():
            if isinstance(value, bool | int | float):
                scores[name] = number(value, f"data.{name}")
        extra |= extras(data, {"sampled", *scores})
    if isinstance(said, list) and len(said) == 1 and isinstance(said[0], str):
        said = said[0]
    if said is None or (isinstance(said, list) and not (said and isinstance(said[0], Mapping))):
        raise BadRecord("data.sampled: no response, or several with one grade")
    prompt, question = prompt_text(sampled[0].get("prompt") if sampled else None, "data.prompt")
    yield {
        "id": identifier(record.get("sample_id"), "sample_id"),
        "prompt": prompt,
        "question": question,
        "completion": completion_text(said, options.turns, "data.sampled"),
        "scores": scores,
        "extra": extra,
    }
