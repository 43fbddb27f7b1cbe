"""Lists of records in one JSON document: decoded some at a time, with what decoding them at once gives."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.readers import containers

GOOD = b'{"prompt": "q", "completion": "\\u00e9 ]}", "score": 1.5, "more": [{"a": null}]}'
ODD = {
    "half of a pair": b'{"prompt": "\\ud800"}',
    "not a number": b'{"score": NaN}',
    "too large for a float": b'{"score": 1e999}',
    "too large for a whole number": b'{"score": ' + b"9" * 5_000 + b"}",
    "not UTF-8": b'{"prompt": "\xff"}',
    "no record": b'3, [], "x", null',
    "deep": b'{"a": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "of many keys": b"{" + b",".join(b'"k%d": 1' % number for number in range(10_001)) + b"}",
    "no JSON": b'{"a" 1}',
    "nothing": b"",
}


def came(data: bytes, at_most: int = containers.NO_LIMIT) -> tuple[list[Any], str]:
    """The records of a document by their numbers, with what was wrong; and the error it ended with."""
    records: list[Any] = []
    try:
        for chunk in containers._document("log.json", lambda: iter([data]), at_most):
            records += zip(chunk.numbers, map(repr, chunk.records()), strict=True)
    except StratagemError as error:
        return [], str(error)
    return records, ""


@pytest.mark.parametrize("odd", ODD)
def test_a_list_is_read_in_pieces_as_at_once(odd: str, monkeypatch: pytest.MonkeyPatch) -> None:
    documents = [
        b"\xef\xbb\xbf[" + b" ,\n".join([GOOD] * before + [ODD[odd]] + [GOOD] * after) + b"]\n"
        for before, after in ((0, 0), (3, 3), (containers.CSV_ROWS + 5, 2))
    ]
    pieces = [[came(data), came(data, 5)] for data in documents]

    def refuse(_: bytes) -> None:
        raise ValueError

    monkeypatch.setattr(containers, "_split", refuse)
    for data, (every, first) in zip(documents, pieces, strict=True):
        assert every == came(data)
        # What is asked of the first records may be known before a fault behind them is met.
        assert first == (came(data, 5) if data != documents[2] or not every[1] else first)


PEAK = """
import re, sys
from pathlib import Path
from stratagem.rollouts.readers import containers
(source,) = containers.sources(Path(sys.argv[1]))
print(sum(len(chunk.records()) for chunk in source.read()))
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def test_memory_is_that_of_the_file(tmp_path: Path) -> None:
    path, rows = tmp_path / "log.json", 200_000
    peaks = []
    for some in (1, rows):
        path.write_bytes(b"[\n" + b",\n".join([GOOD] * some) + b"]")
        ran = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=True
        )
        read, peak = map(int, re.findall(r"\d+", ran.stdout))
        assert read == some
        peaks.append(peak * 1024)
    assert peaks[1] - peaks[0] < 3 * path.stat().st_size
