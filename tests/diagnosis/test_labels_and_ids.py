"""What a diagnosis must not claim: of labels that miss answers, of rules for other tasks, of ids that restart."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import stratagem
from stratagem.cli import run
from stratagem.decomposition.decompose import decompose
from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.diagnosis.survey import survey
from stratagem.labelling.rules import read_rules
from stratagem.records import StratagemError
from stratagem.report.diagnosis import render
from stratagem.rollouts.readers.row import ReadOptions
from tests.rollouts.frameworks import HERE as FIXTURES
from tests.rollouts.frameworks import LOGS

from .test_diagnose import RULES
from .test_doubts import PARTS, Answer, looking, printed, said, write

# -- answers that the labels do not find ---------------------------------------------------------------------


def test_rules_that_miss_what_the_grader_reads_are_to_be_fixed(tmp_path: Path) -> None:
    logs = [
        write(tmp_path / f"{name}.jsonl", lambda i, j, k=k: said("I go forward. The answer: 4", j < k))
        for name, k in (("a", 1), ("b", 3))
    ]
    diagnosis = diagnose(logs, looking(tmp_path, PARTS + RULES), draws=100)
    assert diagnosis.verdict.action == "fix the parts of the rules"
    assert "[parts]" in diagnosis.verdict.evidence[0]
    text = (
        "100.0% of responses before (25.0% of them graded right) and 100.0% of responses after (75.0% of them"
    )
    assert text in diagnosis.verdict.sentence
    assert "not in these logs" not in str(diagnosis.verdict)


def test_no_part_leads_where_the_labels_miss_most_right_answers(tmp_path: Path) -> None:
    """97% of the responses before, and half of those after, write the answer in a form that the rules do not know.

    Of 160 responses a side 80 and 120 are right (gain 25 points); the rules find an answer in 4 and in 80 of them. Read
    as a strategy of its own, "unparsed" would make a selection and an improvement of dozens of points.
    """

    def answer(side: int) -> Answer:
        def record(i: int, j: int) -> dict[str, Any]:
            read = j < 2 if side else (i == 0)
            text = "I go forward." if i % 2 else "I go backward."
            return said(f"{text} {'<answer>4</answer>' if read else 'The answer: 4'}", j < 2 + side)

        return record

    logs = [write(tmp_path / f"{name}.jsonl", answer(side)) for side, name in enumerate("ab")]
    page = tmp_path / "labelled.parquet"
    diagnosis = diagnose(logs, looking(tmp_path, PARTS + RULES), draws=100, table=page)
    assert diagnosis.gain.value == 0.25
    assert diagnosis.lead is None
    unparsed = diagnosis.unparsed
    assert (unparsed.share_before, unparsed.of_right_before) == (156 / 160, 78 / 80)
    assert (unparsed.share_after, unparsed.of_right_after) == (0.5, 40 / 120)
    for name in ("selection", "improvement", "new_strategy", "mix", "routing"):
        assert math.isnan(getattr(diagnosis, name).value)
    assert math.isnan(diagnosis.by_problem.choice.value)
    assert diagnosis.headroom.before is None
    assert diagnosis.robustness == ()
    assert all(math.isnan(row.contribution) for row in (*diagnosis.strategies, *diagnosis.cells))
    assert {row.strategy for row in diagnosis.strategies} == {"forward", "backward", "unparsed"}
    assert diagnosis.verdict.action == "fix the parts of the rules"
    assert (
        "of the right responses the labels find no answer in 97.5% before and 33.3% after."
        in diagnosis.verdict.sentence
    )
    for text in (printed(diagnosis), " ".join(render(diagnosis, diagnosis.sample).split())):
        assert "cannot be told apart" in text
        assert "moved it more" not in text
        assert "stays larger" not in text
        assert "Every way to account" not in text
        assert "Needs two responses" not in text
    tables = [pl.read_parquet(page).filter(pl.col("checkpoint") == name) for name in ("a", "b")]
    alone = str(decompose(*tables, by=(), rng=np.random.default_rng(0), draws=100))
    assert "gain                            +25.0" in alone
    assert alone.endswith("the labels find no answer in 97.5% before and 33.3% after.")
    chain = diagnose([*logs, logs[1]], looking(tmp_path, PARTS + RULES), draws=100, names=["a", "b", "c"])
    assert [math.isnan(step.selection.value) for step in chain.path.steps] == [True, False]
    assert math.isnan(chain.path.along.selection.value)


def test_a_format_that_rl_fixed_keeps_its_split(tmp_path: Path) -> None:
    """30% of the responses before and 2% after are unparsed, and wrong: the grader cannot read them either."""

    def answer(unread: int) -> Answer:
        def record(i: int, j: int) -> dict[str, Any]:
            lost = (4 * i + j) % 50 < unread
            text = f"I go {'forward' if j % 2 else 'backward'}."
            return said(text if lost else f"{text} <answer>4</answer>", not lost and i % 5 > 0)

        return record

    logs = [
        write(tmp_path / f"{name}.jsonl", answer(unread), range(100))
        for name, unread in (("a", 15), ("b", 1))
    ]
    diagnosis = diagnose(logs, looking(tmp_path, PARTS + RULES), draws=100)
    assert diagnosis.unparsed.share_before == 0.3
    assert diagnosis.unparsed.of_right_before == 0
    assert diagnosis.lead is not None
    assert diagnosis.selection.low > 0.1
    assert diagnosis.verdict.action == "fix the format first"


def test_answers_that_the_grader_cannot_read_either_are_a_matter_of_format(tmp_path: Path) -> None:
    def answer(i: int, j: int) -> dict[str, Any]:
        return said("I go forward.", False) if j < 2 else said("I go forward. <answer>4</answer>", i % 2 == 0)

    logs = [write(tmp_path / f"{name}.jsonl", answer) for name in ("a", "b")]
    diagnosis = diagnose(logs, looking(tmp_path, PARTS + RULES), draws=100)
    assert diagnosis.verdict.action == "fix the format first"
    assert diagnosis.verdict.evidence[0] == (
        "50.0% of the responses after RL are unparsed or truncated: what they would have answered is not in these logs."
    )


# -- responses that the rules are not for ----------------------------------------------------------------------

LETTER = "Cells lose water by osmosis. So the answer is (B)."
CODE = "```python\ndef f(n):\n    return n + 1\n```"
WORKED = "Adding 3 and 4 gives 7, so x = 7. <answer>7</answer>"


@pytest.mark.parametrize(
    ("rules", "text", "said_of_it"),
    [
        ("math", LETTER, "answer with the letter of a choice and calculate nothing"),
        (
            "math",
            CODE,
            "hold code as their answer, and these rules name ways of calculating: take --strategies code",
        ),
        ("code", WORKED, "hold no code"),
        ("math", WORKED, None),
        ("code", CODE, None),
    ],
)
def test_rules_that_are_not_for_such_responses_are_said_to_be(
    rules: str, text: str, said_of_it: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = {"math": WORKED, "code": CODE}[rules]

    def answer(i: int, j: int) -> dict[str, Any]:
        return said(text if j < 3 else other, i % 3 > 0)

    logs = [write(tmp_path / f"{name}.jsonl", answer) for name in "ab"]
    diagnosis = diagnose(logs, Look(rules=read_rules(rules)), draws=50)
    share = "75%" if text != other else "100%"
    expected = (
        ()
        if said_of_it is None
        else tuple(f"{name}: {share} of the first 160 responses {said_of_it}" for name in "ab")
    )
    told = tuple(note for note in diagnosis.warnings if "of the first" in note)
    assert len(told) == len(expected)
    assert all(note.startswith(start) for note, start in zip(told, expected, strict=True))
    assert run(["label", str(logs[0]), "--strategies", rules]) == 0
    assert ("of the first 160 responses" in capsys.readouterr().err) == (said_of_it is not None)


# -- ids that restart late ---------------------------------------------------------------------------------------


def late(path: Path) -> Path:
    """Ids that restart in the second data set, which begins after the rows by which columns are settled.

    1,000 of 3,000 ids stand for two problems each.
    """

    def row(data: str, i: int, j: int) -> dict[str, Any]:
        return {
            "idx": i,
            "dataset": data,
            "prompt": f"{data}: {i}?",
            "response": f"I go on {i} {j}.",
            "score": j % 2,
        }

    first = [row("a", i, j) for i in range(3_000) for j in range(4)]
    again = [row("b", i, j) for i in range(1_000) for j in range(4)]
    path.write_text("".join(json.dumps(line) + "\n" for line in first + again))
    return path


def test_ids_that_restart_late_merge_no_problems_in_any_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = str(late(tmp_path / "late.jsonl"))
    doubt = "1000 of 3000 ids stand for several prompts"
    for command in (["diagnose", log, log], ["passk", log], ["label", log, "--strategies", "math"]):
        assert run(command) == 2
        assert doubt in capsys.readouterr().err
    assert not list(tmp_path.glob("*.parquet"))
    with pytest.raises(StratagemError, match=doubt):
        stratagem.read_rollouts(log)
    assert stratagem.read_rollouts(log, join="id")["problem_id"].n_unique() == 3_000
    assert stratagem.read_rollouts(log, join="prompt")["problem_id"].n_unique() == 4_000
    assert run(["rollouts", log]) == 0
    assert doubt in capsys.readouterr().err
    assert run(["label", log, "--strategies", "math", "--join", "dataset,idx"]) == 0
    table = pl.read_parquet(tmp_path / "late.labelled.parquet")
    assert table["problem_id"].n_unique() == 4_000


# -- what is taken as what ---------------------------------------------------------------------------------------


def taken(log: Path) -> dict[str, str]:
    return survey([log], ReadOptions(), lambda done, total: None).about.taken


@pytest.mark.parametrize("name", LOGS)
def test_the_survey_says_what_is_taken_of_logs_of_every_framework(name: str) -> None:
    said_of_it = taken(FIXTURES / name)
    assert list(said_of_it) == ["records", "prompt", "response", "grade", "problem"]
    assert (
        not {"none", ""} & {said_of_it[what] for what in ("prompt", "response", "problem")}
        or "counts" in (said_of_it["response"])
    )


def test_the_survey_says_what_is_taken_of_conversations_and_of_numbered_records(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "What?"}, {"role": "assistant", "content": "That."}]
    (tmp_path / "a.jsonl").write_text(json.dumps({"id": 1, "messages": turns, "score": 1}) + "\n")
    assert taken(tmp_path / "a.jsonl") == {
        "records": "one response each",
        "prompt": "what stands before the model's first turn in column 'messages'",
        "response": "the model's last turn in column 'messages'",
        "grade": "column 'score'",
        "problem": "column 'id'",
    }
    rows = {
        str(i): {"prompt": f"What is {i}?", "prediction": f"It is {i}.", "correct": i % 2} for i in range(4)
    }
    (tmp_path / "b.json").write_text(json.dumps({"accuracy": 50.0, "details": rows}))
    assert taken(tmp_path / "b.json")["records"] == "responses by names or numbers in details"


def test_samples_a_problem_from_1_to_13_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"prompt": f"{i}?", "response": f"It is {i}, way {j}.", "score": j % 2}
        for i in range(13)
        for j in range(i + 1)
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run(["rollouts", str(tmp_path / "a.jsonl")]) == 0
    assert "samples a problem run from 1 to 13" in " ".join(capsys.readouterr().err.split())
