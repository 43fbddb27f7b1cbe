"""Lists of messages that a log keeps as text: read as the lists that they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stratagem.rollouts.readers.row import stored_messages
from tests.rollouts.logs import rows, write_lines

SAID = 'It\'s 2 + 2 = 4.\nSo "four": \\boxed{4}.'


def record(i: int) -> dict[str, Any]:
    return {
        "prompt": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": f"What's {i // 2}?"},
        ],
        "completion": [
            {"role": "assistant", "content": "Let me see."},
            {"role": "tool", "content": "[{'role': 'user', 'content': 'x'}]"},
            {"role": "assistant", "content": SAID, "name": None},
        ],
        "score": float(i % 2),
    }


def indented(messages: Any) -> str:
    return json.dumps(messages, indent=2)


@pytest.mark.parametrize("turns", ["last", "all"])
@pytest.mark.parametrize("whole", [False, True], ids=["apart", "one conversation"])
@pytest.mark.parametrize("dump", [json.dumps, indented, repr])
def test_a_log_is_the_same_with_its_messages_as_text(
    dump: Callable[[Any], str], whole: bool, turns: str, tmp_path: Path
) -> None:
    records = [record(i) for i in range(12)]
    if whole:
        records = [{"messages": r["prompt"] + r["completion"], "score": r["score"]} for r in records]
    expected = rows(write_lines(tmp_path / "lists.jsonl", records), turns=turns)
    assert expected["completion"][0].endswith(SAID)
    assert expected["question"][2] == "What's 1?"
    as_text = [{name: v if name == "score" else dump(v) for name, v in r.items()} for r in records]
    pl.DataFrame(as_text).write_csv(tmp_path / "text.csv")
    pl.DataFrame(as_text).write_parquet(tmp_path / "text.parquet")
    write_lines(tmp_path / "text.jsonl", as_text)
    write_lines(tmp_path / "mixed.jsonl", [*as_text[:5], *records[5:]])
    for name in ("text.csv", "text.parquet", "text.jsonl", "mixed.jsonl"):
        read = rows(tmp_path / name, turns=turns)
        columns = ["problem_id", "prompt", "question", "completion", "score"]
        columns = [column for column in columns if column in expected.columns]
        assert read.select(columns).equals(expected.select(columns)), name


@pytest.mark.parametrize(
    "text",
    [
        "[{",
        "[{}]",
        "[]",
        '[{"role": "engineer", "content": "an answer that is JSON"}]',
        '[{"role": "user"}]',
        '[{"role": "user", "content": "x"}] and more',
        "[{'role': 'user', 'content': f()}]",
        r"[{'x': '\( x \)'}, \(2\)]",
        r'[{"x": "\( x \)"}]',
        "[{" * 2000,
    ],
)
def test_other_texts_stay_as_they_are(text: str, tmp_path: Path) -> None:
    assert stored_messages(text) is None
    stays_as_it_is(text, tmp_path)


def test_messages_of_others_alone_are_a_response_that_is_json(tmp_path: Path) -> None:
    stays_as_it_is('[{"role": "user", "content": "x"}]', tmp_path)


def stays_as_it_is(text: str, tmp_path: Path) -> None:
    log = write_lines(
        tmp_path / "log.jsonl", [{"prompt": f"q{i}", "completion": text, "score": 1.0} for i in range(4)]
    )
    assert rows(log)["completion"].to_list() == [text] * 4
