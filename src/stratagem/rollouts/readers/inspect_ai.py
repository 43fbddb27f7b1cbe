"""inspect_ai's logs: .eval (a zip archive with a file a sample) and .json (one document).

Read off inspect_ai 0.3.285 (log/_recorders/eval.py, log/_log.py, scorer/_metric.py), without the package: a sample is
one file of plain JSON, whatever version wrote it, and its events, which are most of a log, need not be built. The
archive's zstd (method 93), which Python's zipfile has only from 3.14 on, is pyarrow's. Samples are read, one an epoch;
their reductions and summaries are not.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa

from stratagem.records import StratagemError
from stratagem.rollouts.readers import streams
from stratagem.rollouts.readers.containers import whole_object
from stratagem.rollouts.readers.row import (
    BadRecord,
    ReadOptions,
    Row,
    Scalar,
    extras,
    finish,
    identifier,
    mapping,
    message_text,
    messages_of,
    number,
    prompt_text,
    scalar_text,
    whole,
)

NAME = "inspect_ai"
TAKEN = {
    "prompt": "the messages before the model's first",
    "response": "the model's last message",
    "problem": "the sample's 'id' with the task; 'epoch' numbers its samples",
}
NUMBERED, NAMES_RESPONSE = True, ("uuid",)  # a sample keeps its uuid where `inspect eval-retry` takes it over
# scorer/_metric.py, `value_to_float`, without its 0 for what it cannot read.
_GRADES = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_HEADERS = ("header.json", "_journal/start.json")  # the second alone where the run did not end
_SAMPLE = re.compile(r"samples/(?!.*/).+_epoch_\d+\.json")
_CHUNKED = re.compile(r"samples/.+_epoch_\d+/sample\.json")
_BARE = "a log of inspect_ai without samples: run the evaluation with --log-samples"
_ZSTD = 93
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    struct.error,
)


class _Sample(msgspec.Struct):
    """The fields of a sample that are read; all others are passed over while decoding."""

    id: Any = None
    epoch: Any = None
    input: Any = None
    target: Any = None
    messages: Any = None
    output: Any = None
    scores: Any = None
    metadata: Any = None
    error: Any = None
    limit: Any = None
    invalidation: Any = None
    attachments: Any = None
    uuid: Any = None


class _Log(msgspec.Struct):
    eval: Any = None
    plan: Any = None
    samples: list[_Sample] | None = None


def opens(path: Path, head: bytes) -> bool:
    """Whether a file is a log of inspect_ai."""
    if head.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                names = archive.NameToInfo
                return any(name in names for name in _HEADERS)
        except _BROKEN:
            return False
    start = head[:8192].lstrip()
    return start.startswith(b"{") and all(
        f'"{name}"'.encode() in start for name in ("status", "eval", "run_id")
    )


def records(path: Path) -> Iterator[Mapping[str, Any] | BadRecord]:
    """The samples of a log, each with what the log says of the evaluation as `eval`.

    Raises:
        StratagemError: not to be read, or a layout that is not known here.
    """
    head = streams.raw_head(path)
    yield from _archive(path) if streams.packing(head) == "zip" else _document(path)


def _archive(path: Path) -> Iterator[Mapping[str, Any] | BadRecord]:
    try:
        with zipfile.ZipFile(path) as archive, path.open("rb") as file:
            names = archive.NameToInfo  # of a name that was written twice, the last
            if not any(map(_SAMPLE.fullmatch, names)) and any(map(_CHUNKED.fullmatch, names)):
                raise StratagemError(
                    f"{path}: its samples are in chunks; write them as whole samples: inspect log convert --to json"
                )
            if not any(name.startswith("samples/") for name in names):
                raise StratagemError(f"{path}: {_BARE}")
            header = next(names[name] for name in _HEADERS if name in names)
            evaluation = _evaluation(_decoded(_unpacked(archive, file, header), _Log))
            for name, info in list(names.items()):
                if _SAMPLE.fullmatch(name):
                    yield _whole(archive, file, info, evaluation)
    except (*_BROKEN, BadRecord) as error:
        raise StratagemError(f"{path}: not a readable log of inspect_ai ({str(error)[:200]})") from None


def _whole(
    archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo, evaluation: Mapping[str, Any]
) -> Mapping[str, Any] | BadRecord:
    try:
        return _record(_decoded(_unpacked(archive, file, info), _Sample), evaluation)
    except BadRecord as fault:
        return fault
    except (*_BROKEN, pa.ArrowException):
        return BadRecord("sample: its packing is damaged")


def _record(sample: Mapping[str, Any], evaluation: Mapping[str, Any]) -> dict[str, Any]:
    """A sample with its texts in their places and what the log says of the evaluation."""
    apart = sample.get("attachments")
    placed = {name: _attached(sample.get(name), apart) for name in ("input", "messages")}
    return (
        {name: value for name, value in sample.items() if name != "attachments"}
        | placed
        | {"eval": evaluation}
    )


def _document(path: Path) -> Iterator[Mapping[str, Any] | BadRecord]:
    data = streams.all_bytes(streams.chunks(path), str(path)).removeprefix(b"\xef\xbb\xbf")
    try:
        log = _decoded(data, _Log)
    except BadRecord as fault:
        raise StratagemError(f"{path}: not a readable log of inspect_ai ({fault})") from None
    evaluation, samples = _evaluation(log), log.get("samples")
    if not samples:
        raise StratagemError(f"{path}: {_BARE}")
    for sample in samples if isinstance(samples, list) else []:
        if isinstance(sample, _Sample):
            sample = msgspec.structs.asdict(sample)
        yield _record(sample, evaluation) if isinstance(sample, dict) else BadRecord("sample: not an object")


def _decoded(data: bytes, kind: type[_Sample] | type[_Log]) -> dict[str, Any]:
    """A JSON object, of its fields only those of `kind`; NaN, which inspect writes for "not scored", is let through."""
    try:
        return msgspec.structs.asdict(msgspec.json.decode(data, type=kind))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        decoded = whole_object(data)
        if not isinstance(decoded, dict):
            raise BadRecord(str(decoded or "line: empty").replace("line:", "sample:", 1)) from None
        return {name: decoded.get(name) for name in kind.__struct_fields__}


def _unpacked(archive: zipfile.ZipFile, file: BinaryIO, info: zipfile.ZipInfo) -> bytes:
    """One file of an archive, up to 200 times its packed size where that is much."""
    limit = max(streams.FREE, streams.RATIO * info.compress_size)
    if info.file_size > limit:
        raise BadRecord(f"sample: unpacks to more than {streams.RATIO} times its size")
    if info.compress_type != _ZSTD:
        with archive.open(info) as unpacked:
            return _read(unpacked, info.file_size)
    file.seek(info.header_offset)
    name, extra = struct.unpack("<26x2H", file.read(30))  # of the local header
    start = info.header_offset + 30 + name + extra
    if info.compress_size > file.seek(0, io.SEEK_END) - start:
        raise BadRecord("sample: breaks off")
    file.seek(start)
    with pa.CompressedInputStream(pa.BufferReader(file.read(info.compress_size)), "zstd") as unpacked:
        data = _read(unpacked, info.file_size)
    if zlib.crc32(data) != info.CRC:
        raise BadRecord("sample: its packing is damaged")
    return data


def _read(file: Any, size: int) -> bytes:
    """The file, which is said to have `size` bytes, in parts: a reader may claim memory for all that is asked of it."""
    buffer = io.BytesIO()
    while buffer.tell() <= size and (part := file.read(streams.CHUNK)):
        buffer.write(part)
    if buffer.tell() != size:
        raise BadRecord("sample: not of the size that the archive says")
    return buffer.getvalue()


def _evaluation(log: Mapping[str, Any]) -> dict[str, Any]:
    """Task, model, scorers and how it was sampled."""
    said, plan = mapping(log.get("eval")), mapping(log.get("plan"))
    scorers = said.get("scorers")
    names = [mapping(scorer).get("name") for scorer in scorers] if isinstance(scorers, list) else []
    return {
        "task": said.get("task"),
        "model": said.get("model"),
        "scorers": [name for name in names if isinstance(name, str)],
        "config": {**mapping(plan.get("config")), **mapping(said.get("model_generate_config"))},
    }


def recognises(record: Mapping[str, Any]) -> bool:
    """Whether a record is a sample, as `records` gives it or on a line of its own."""
    return {"id", "epoch", "messages", "output", "scores"} <= set(record) and isinstance(
        record["output"], Mapping
    )


def facts(path: Path, record: Mapping[str, Any]) -> Mapping[str, str]:
    """What the log says of the evaluation."""
    evaluation = mapping(record.get("eval"))
    config = mapping(evaluation.get("config"))
    stated = {
        name: config.get(name) for name in ("temperature", "top_p", "max_tokens", "seed", "reasoning_effort")
    }
    stated |= {
        "model": evaluation.get("model"),
        "task": evaluation.get("task"),
        "grader": ", ".join(evaluation.get("scorers") or []),
    }
    return {name: str(value) for name, value in stated.items() if value not in (None, "")}


def rows(record: Mapping[str, Any], options: ReadOptions) -> Iterator[Row]:
    """The response of one sample."""
    scores, answers = _scores(record.get("scores"))
    if record.get("error") is not None and all(value is None for value in scores.values()):
        raise BadRecord(f"error: {_kind(record['error'])}")
    if record.get("invalidation") is not None:
        raise BadRecord("invalidation: the sample was declared invalid")
    messages = messages_of(record.get("messages") or [], "messages")
    output = mapping(record.get("output"))
    choices = output.get("choices")
    choice = mapping(choices[0]) if isinstance(choices, list) and choices else {}
    said = _said(messages)
    if not said and record.get("error") is None:
        raise BadRecord("messages: none by the model")
    prompt, question = prompt_text(messages[: said[0] if said else None] or record.get("input"), "input")
    read = said if options.turns == "all" else said[-1:]
    problem_id, task = identifier(record.get("id"), "id"), mapping(record.get("eval")).get("task")
    extra: dict[str, Scalar | None] = {
        **answers,
        "target": scalar_text(record.get("target")),
        "uuid": scalar_text(record.get("uuid")),
    }
    extra |= {
        "stop_reason": scalar_text(choice.get("stop_reason")),
        "limit": scalar_text(mapping(record.get("limit")).get("type")),
    }
    extra |= extras(mapping(record.get("metadata")), (), "metadata.")
    used = mapping(output.get("usage")).get("output_tokens") if len(read) == 1 else None
    yield {
        "id": f"{task}/{problem_id}" if problem_id is not None and isinstance(task, str) else problem_id,
        "prompt": prompt,
        "question": question,
        "completion": "\n\n".join(message_text(messages[n], "messages") for n in read),
        "scores": scores,
        "sample": whole(record.get("epoch"), "epoch"),
        "finish_reason": "length" if record.get("limit") is not None else finish(choice.get("stop_reason")),
        "tokens": whole(used, "output.usage.output_tokens") or None,
        "extra": extra,
    }


def _said(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """Which messages the model generated: those marked so; without marks, those after the last one it was given."""
    spoken = [n for n, message in enumerate(messages) if message["role"] == "assistant"]
    marked = [n for n in spoken if messages[n].get("source") == "generate"]
    return marked or [n for n in spoken if messages[n].get("source") != "input"]


def _attached(value: Any, attachments: Any) -> Any:
    """With texts in place of "attachment://HASH", where old logs kept long ones apart."""
    if not isinstance(attachments, Mapping) or not attachments:
        return value
    if isinstance(value, str) and value.startswith("attachment://"):
        return attachments.get(value.removeprefix("attachment://"), value)
    if isinstance(value, list):
        return [_attached(item, attachments) for item in value]
    if isinstance(value, Mapping):
        return {name: _attached(item, attachments) for name, item in value.items()}
    return value


def _scores(given: Any) -> tuple[dict[str, float | None], dict[str, str]]:
    """Each score as a number, those of a score of several values as NAME.VALUE; and what is no number, as text."""
    if given is not None and not isinstance(given, Mapping):
        raise BadRecord("scores: not an object")
    scores: dict[str, float | None] = {}
    texts: dict[str, str] = {}
    for name, score in (given or {}).items():
        if not isinstance(score, Mapping) or "value" not in score:
            raise BadRecord("scores: one has no value")
        value = score["value"]
        values = (
            {f"{name}.{key}": part for key, part in value.items()}
            if isinstance(value, Mapping)
            else {name: value}
        )
        for key, grade in values.items():
            if isinstance(grade, str) and grade not in _GRADES and grade.lower() not in _WORDS:
                try:
                    scores[key] = number(grade, key)
                except BadRecord:
                    texts[key] = grade
            elif isinstance(grade, str):
                scores[key] = _GRADES.get(grade, _WORDS.get(grade.lower()))
            elif grade is None or isinstance(grade, int | float):
                scores[key] = number(grade, f"scores.{key}")
        if isinstance(score.get("answer"), str):
            texts[f"{name}.answer"] = score["answer"]
    return scores, texts


def _kind(error: Any) -> str:
    """The name of the exception, so that equal failures count as one."""
    match = re.match(r"\w+", str(mapping(error).get("message", error)))
    return match[0][:80] if match else "unknown"
