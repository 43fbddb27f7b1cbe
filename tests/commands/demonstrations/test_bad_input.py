"""Bad input of `stratagem curate demonstrations`: one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratagem.cli import run
from tests.commands.demonstrations.sets import (
    Curate,
)

BAD: list[tuple[str, list[str], str]] = [
    ('{"prompt": "p", "completion": "c"}\n', ["--by", "kind"], "--by kind: no such column in sft.jsonl; there are"),
    ('{"prompt": "p", "completion": "c"}\n', ["--quality", "q"], "--quality q: no such column in sft.jsonl"),
    ('{"prompt": "p", "completion": "c"}\n', ["--difficulty", "q"], "--difficulty q: no such column"),
    ('{"prompt": "p", "completion": "c", "q": "good"}\n', ["--quality", "q"], "row 1 holds 'good', no number"),
    ('{"prompt": "p"}\n', [], "no response; its columns are prompt: name one with --response COLUMN"),
    ('{"text": "p"}\n', [], "neither a prompt nor an id; its columns are text: name one with --prompt COLUMN"),
    ('{"prompt": "p", "completion": "c"}\n', ["--response", "r"], "no column 'r' to read as completion"),
    ('{"prompt": "p", "completion": "c"}\n{"prompt": 3\n', [], "row 2: line: not one whole JSON object"),
    ('{"prompt": "p", "completion": "c"}\n{"completion": "d"}\n', [], "row 2: neither a prompt nor an id"),
    ('{"prompt": "p", "completion": "c"}\n' * 9 + '{"prompt": "p", "completion": 3}\n', [], "row 10: completion: int"),
    ('{"messages": [{"role": "user", "content": "p"}]}\n', [], "row 1: messages: no turn of the assistant"),
    ("", [], "sft.jsonl: is empty"),
    ('{"prompt": "p", "completion": "c"}\n', ["--holdout", "sft.jsonl"], "no demonstration is left: of 1, 1 held out"),
    ('{"prompt": "p", "completion": ""}\n', ["--strategies", "math"], "read; by rules math no answer is"),
    ('{"prompt": "p", "completion": "So \\\\boxed{1}"}\n', ["--cover", "magic"], "--cover magic: no such strategy"),
    ('{"prompt": "p", "completion": "c"}\n', ["--size", "0"], "--size 0: must be from 1"),
    ('{"prompt": "p", "completion": "c"}\n', ["--near", "0"], "--near 0.0: must be from 0.3 to 1"),
    ('{"prompt": "p", "completion": "c"}\n', ["--rare", "2"], "--rare 2.0: must be from 0 to 1"),
    ('{"messages": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "So \\\\boxed{1}"}]}\n',
     ["--size", "1", "--format", "csv", "--out", "o"], "--format csv: 'messages' holds lists or objects; take jsonl"),
    ('{"prompt": "p", "completion": "c"}\n', ["--write"], "--write: say with --size how many"),
    ('{"prompt": "p", "completion": "So \\\\boxed{1}"}\n', ["--write", "--size", "1"], "these prompts are of none"),
    ('{"prompt": "p", "completion": "c"}\n', ["--size", "1", "--choose", "weights"], "weights are for all"),
    ('{"prompt": "p", "completion": "c"}\n', ["--strategies", "nothing"], "--strategies nothing: must be one of"),
]  # fmt: skip  # fmt: skip


@pytest.mark.parametrize(("text", "words", "said"), BAD)
def test_bad_input_is_one_clear_line(
    curate: Curate, here: Path, text: str, words: list[str], said: str
) -> None:
    (here / "sft.jsonl").write_text(text)
    out, error = curate(*words, code=2)
    assert said in error
    assert len(error.strip().splitlines()) == 1
    assert not out


def test_more_than_there_are(curate: Curate) -> None:
    _, said = curate("--strategies", "ways.toml", "--size", "100000")
    assert "--size 100000: only 800 demonstrations are left to choose from" in said


def test_what_there_is_to_curate_is_said(curate: Curate, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["curate", "models"]) == 2
    assert (
        "no such thing as 'curate models'; there is 'curate prompts' and 'curate demonstrations'"
        in capsys.readouterr().err
    )
