"""A plain reader of JSON lines, one line at a time, that shares no code with the package; and mutations of a log."""

from __future__ import annotations

import json
import math
import random
from typing import Any

Rows = list[tuple[str | None, str | None, str, float | None]]


def read(data: bytes) -> tuple[Rows, int]:
    """The rows (id, prompt, completion, score) of a log and the number of lines that give none."""
    rows: Rows = []
    bad = 0
    for number, line in enumerate(data.split(b"\n")):
        if number == 0 and line.startswith(b"\xef\xbb\xbf"):
            line = line[3:]
        if not line.strip():
            continue
        try:
            rows += _line(json.loads(line.strip().decode("utf-8")))
        except (ValueError, RecursionError, AssertionError):
            bad += 1
    return rows, bad


def _line(record: Any) -> Rows:
    assert isinstance(record, dict)
    completion, prompt, identity = (record.get(name) for name in ("completion", "prompt", "problem_id"))
    assert prompt is None or isinstance(prompt, str)
    assert identity is None or isinstance(identity, str | int | float)
    assert prompt is not None or identity is not None
    score, sample = number(record.get("score")), number(record.get("sample"))
    assert sample is None or (sample.is_integer() and abs(sample) < 2**31)
    texts = completion if isinstance(completion, list) else [completion]
    assert texts
    if (
        texts == [None] and score is not None and "completion" in record
    ):  # nothing came back in time, and it was scored
        texts = [""]
    assert all(isinstance(text, str) for text in texts)
    if isinstance(identity, float) and identity.is_integer():
        identity = int(identity)
    name = None if identity is None else clean(str(identity))
    return [(name, None if prompt is None else clean(prompt), clean(text), score) for text in texts]


def clean(text: str) -> str:
    """Halves of surrogate pairs cannot be stored as UTF-8: each becomes U+FFFD."""
    return "".join("\ufffd" if "\ud800" <= character <= "\udfff" else character for character in text)


def number(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return float(value.strip().lower() == "true")
    assert isinstance(value, str | int | float)
    try:
        as_float = float(value)
    except OverflowError:
        raise AssertionError from None
    assert not math.isinf(as_float)
    return None if math.isnan(as_float) else as_float


def log(rng: random.Random) -> list[bytes]:
    """The lines of a small log, written as different programs write it."""
    wide = rng.random() < 0.5
    lines: list[bytes] = []
    for i in range(rng.randrange(6, 14)):
        record = {
            "problem_id": f"p{i // 3}",
            "prompt": f"What is {i // 3} plus 1? é",
            "completion": rng.choice(["It is 2.\n\nSo 2.", "“Zwei” 😀", "\\boxed{3} \\", "", "a\tb\u2028c"])
            if i % 3  # a text that is the same in all responses to a problem would be none
            else "First.",
            "score": rng.choice([0, 1, 0.0, 1.0, True, False, None]),
            "sample": i % 3,
            "level": rng.randrange(3),
        }
        lines.append(json.dumps(record, ensure_ascii=wide).encode())
    return lines


_ODD = [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"1" * 400, b"9" * 5000, b"-0", b"1.5", b"null", b"true", b'"true"',
    b'"1"', b'"abc"', b"[]", b"{}", b'["a","b"]', b"[1]", b'[{"role":5}]', b"[" * 500 + b"]" * 500, b"[" * 100_000,
    b'"\\ud800"', b'"\\udc00x"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\xff"', b'"\xed\xa0\x80"', b'"a\x01b"',
    b"2147483648", b"99999999999999999999", b"01", b"+1", b"'x'", b'""', b'" 1 "', b"0x1", b"1_0", b'"1_0"',
    b'"nan"', b'"inf"',
]  # fmt: skip
_KEYS = [b"problem_id", b"prompt", b"completion", b"score", b"sample", b"level"]


def mutated(lines: list[bytes], rng: random.Random) -> bytes:
    """The log with a few things gone wrong in at most a third of its lines, and perhaps in the file as a whole."""
    lines = list(lines)
    for _ in range(rng.randrange(1, max(2, len(lines) // 3))):
        at = rng.randrange(len(lines))
        lines[at] = rng.choice(_LINE)(lines[at], rng)
    end = b"\r\n" if rng.random() < 0.15 else b"\n"
    data = end.join(lines) + (end if rng.random() < 0.5 else b"")
    return b"\xef\xbb\xbf" + data if rng.random() < 0.1 else data


def _odd_value(line: bytes, rng: random.Random) -> bytes:
    key = b'"' + rng.choice(_KEYS) + b'":'
    start = line.find(key)
    if start < 0:
        return line
    end = line.find(b', "', start)
    end = end if end >= 0 else len(line) - 1
    return line[: start + len(key)] + b" " + rng.choice(_ODD) + line[end:]


def _flip(line: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(max(1, len(line)))
    return line[:at] + bytes([rng.randrange(256)]) + line[at + 1 :]


def _duplicate_key(line: bytes, rng: random.Random) -> bytes:
    return line[:-1] + b', "' + rng.choice(_KEYS) + b'": ' + rng.choice(_ODD) + b"}"


_LINE = [
    _odd_value,
    _odd_value,
    _flip,
    _flip,
    _duplicate_key,
    lambda line, rng: line[: rng.randrange(len(line) + 1)],
    lambda line, rng: line[rng.randrange(len(line) + 1) :],
    lambda line, rng: line + line,
    lambda line, rng: line + b"," + line,
    lambda line, rng: line[: len(line) // 2] + b"\n" + line[len(line) // 2 :],
    lambda line, rng: rng.choice(
        [b"", b"  ", b"\t", b"null", b"[]", b"{}", b'"x"', b"5", b"{", b"\x00", b"\x0c"]
    ),
    lambda line, rng: bytes(rng.randrange(256) for _ in range(rng.randrange(200))),
    lambda line, rng: line + rng.choice([b" ", b"\r", b"\x00", b"}", b"//x", b"\x0b"]),
    lambda line, rng: line.replace(b'"', b"'"),
    lambda line, rng: line.replace(b'"prompt"', rng.choice([b'"promt"', b'"Prompt"', b'""'])),
    lambda line, rng: line.replace(b'"completion"', b'"\xff"'),
    lambda line, rng: line.decode(errors="replace").encode(rng.choice(["utf-16", "utf-32"])),
]
