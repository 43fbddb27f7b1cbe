"""The commands of the lens, as a user runs them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import polars as pl
import pytest

from stratagem.commands.common import Terminal
from stratagem.commands.condition import numbers
from stratagem.report.format import signed
from stratagem.result import Findings
from tests.diagnosis.test_diagnose import RULES, log
from tests.report.test_study import Reader

Run = Callable[..., CompletedProcess[str]]
SHARES = {"forward": (0.5, 0.9), "backward": (0.5, 0.1)}


@pytest.fixture
def logs(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "rules.toml").write_text(RULES)
    log(tmp_path / "before.jsonl", SHARES)
    log(tmp_path / "after.jsonl", {"forward": (1.0, 0.9)}, seed=1)
    return "before.jsonl", "after.jsonl"


def test_diagnose_writes_its_results_and_says_the_answer(
    stratagem: Run, logs: tuple[str, str], tmp_path: Path
) -> None:
    words = ("diagnose", *logs, "--strategies", "rules.toml", "--draws", "200", "--out", "why")
    done = stratagem(*words)
    assert done.returncode == 0, done.stderr
    assert "rose by 40.0 points" in done.stdout
    assert "report: why/report.html" in done.stderr
    found = json.loads((tmp_path / "why" / "diagnosis.json").read_text())
    assert set(found["verdict"]) == {"sentence", "action", "evidence", "key", "aim", "command"}
    for name in ("gain", "selection", "improvement", "new_strategy"):
        assert {"value", "low", "high", "se"} <= set(found[name])
    keys = (
        "reverse symmetric threefold accuracy_before accuracy_after problems left_out_before left_out_after"
    )
    keys += " unsupported_share level headroom strategies strata"
    assert set(keys.split()) <= set(found)
    page = (tmp_path / "why" / "report.html").read_text()
    assert "I go forward" in page
    # The split by problem, in every place.
    both = [found["by_problem"][name]["value"] for name in ("choice", "improvement")]
    assert sum(both) == pytest.approx(found["gain"]["value"])
    assert "more by choice than by improvement, problem by problem" in " ".join(done.stdout.split())
    by_problem = f"By problem: choice {signed(both[0])} ["
    assert by_problem in " ".join(done.stdout.split())
    text = Reader(page).text
    assert "more by choice than by improvement, problem by problem" in text
    rows = text[text.index("before → after, problem by problem") :]
    assert f" {signed(both[0])} [" in rows[: rows.index("before → after, with all problems as one stratum")]
    assert pl.read_parquet(tmp_path / "why" / "labelled.parquet").height == 480
    # The rules that were used lie beside the labels, to be changed and used again.
    assert (tmp_path / "why" / "rules.toml").read_text() == RULES
    # The same folder again, with another rule: no leftovers, no refusal.
    (tmp_path / "rules.toml").write_text(RULES.replace('any = ["backward"]', 'any = ["never seen"]'))
    again = stratagem(*words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["selection"]["value"] == pytest.approx(0.4)
    assert {row["strategy"] for row in json.loads(again.stdout)["strategies"]} == {"forward", "other"}


def test_no_text_means_none(stratagem: Run, logs: tuple[str, str], tmp_path: Path) -> None:
    done = stratagem("diagnose", *logs, "--strategies", "rules.toml", "--draws", "200", "--no-text")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "diagnosis" / "rules.toml").exists()  # its examples may be responses
    for path in (tmp_path / "diagnosis").iterdir():
        assert b"I go forward" not in path.read_bytes(), path
        assert b"problem 17" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("selection.low < 0", 0),
        ("selection.low > 0 and gain > 0.3 or '[/red]' = ''", 1),
        ("by_problem.choice.low > 0", 1),
    ],
)
def test_fail_if_gives_exit_code_1(stratagem: Run, logs: tuple[str, str], condition: str, code: int) -> None:
    words = ("--strategies", "rules.toml", "--draws", "200", "--fail-if", condition, "--json")
    done = stratagem("diagnose", *logs, *words)
    assert done.returncode == code, done.stderr
    assert json.loads(done.stdout)["fail_if"] == {"condition": condition, "holds": bool(code)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["before.jsonl"], "one log alone cannot be compared"),
        ([], "give two logs, BEFORE and AFTER"),
        (["before.jsonl", "nope.jsonl"], "nope.jsonl"),
        (
            ["before.jsonl", "after.jsonl", "--strategies", "nope"],
            "--strategies nope: must be one of code, math",
        ),
        (["before.jsonl", "after.jsonl", "--fail-if", "gain"], "it has to be a condition such as 'gain > 0'"),
        (["before.jsonl", "nope.jsonl", "--fail-if", "seletion.low < 0"], "did you mean 'selection.low'?"),
        (["before.jsonl", "after.jsonl", "--by", "nope"], "--by nope: no such column"),
        (["before.jsonl", "after.jsonl", "--level", "95"], "--level 95.0: must be from 0.01 to 0.9999"),
        (["before.jsonl", "after.jsonl", "--draws", "1"], "--draws 1: must be from 100 to 1,000,000"),
        (
            ["before.jsonl", "after.jsonl", "--columns", "response"],
            "--columns response: write our name=the log's name",
        ),
        (["before.jsonl", "after.jsonl", "--turns", "first"], "--turns first: must be last or all"),
        (["before.jsonl", "after.jsonl", "--out", "."], "not empty and without a diagnosis.json of ours"),
        (["before.jsonl", "rules.toml"], "rules.toml"),
    ],
)
def test_mistakes_are_one_line_with_code_2(
    stratagem: Run, logs: tuple[str, str], words: list[str], said: str, tmp_path: Path
) -> None:
    before = sorted(path.name for path in tmp_path.iterdir())
    done = stratagem("diagnose", *words)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    left = sorted(path.name for path in tmp_path.iterdir() if path.name != "diagnosis")
    assert left == before


def named(part: object, path: str = "") -> set[str]:
    """The names of all numbers of a result, those that are not defined too; lists aside."""
    if isinstance(part, dict):
        return {name for key, value in part.items() for name in named(value, f"{path}.{key}")}
    number = part is None or (isinstance(part, int | float) and not isinstance(part, bool))
    return {path[1:]} if number else set()


def test_fail_if_knows_the_numbers_of_a_result(stratagem: Run, logs: tuple[str, str], tmp_path: Path) -> None:
    log(tmp_path / "later.jsonl", {"forward": (1.0, 0.95)}, seed=2)
    words = ("diagnose", *logs, "later.jsonl", "--strategies", "rules.toml", "--draws", "100", "--json")
    plain = stratagem(*words)
    assert plain.returncode == 0, plain.stderr
    sheet = tmp_path / "sheet.csv"
    drawn = stratagem("validate-labels", "diagnosis", "--size", "60", "--out", sheet)
    assert drawn.returncode == 0, drawn.stderr
    pl.read_csv(sheet, infer_schema=False).with_columns(true_strategy="strategy").write_csv(sheet)
    found = json.loads(stratagem(*words, "--labels", "sheet.csv").stdout)
    # An estimate stands for its value; a text and a part may be missing as numbers are.
    known = set(numbers(Findings))
    missing = {"lead", "label_error.refused", "label_error.corrected.lead"}
    assert named(found) - missing == {name for name in known if f"{name}.value" not in known}


def test_what_counts_leave_open_fails_no_build_in_silence(stratagem: Run, tmp_path: Path) -> None:
    for name, right in (("a", 2), ("b", 5)):
        rows = [{"id": str(i), "c": min(8, right + i % 3), "n": 8} for i in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("diagnose", "a.jsonl", "b.jsonl", "--draws", "100", "--json", "--fail-if")
    done = stratagem(*words, "selection.low < 0")
    assert done.returncode == 2
    assert "selection.low is not known from counts alone; log the completions" in done.stderr
    assert stratagem(*words, "gain.high > 0").returncode == 1


def test_steps_that_are_taken_together_are_said(stratagem: Run, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(RULES)
    log(tmp_path / "before.jsonl", SHARES)
    (tmp_path / "after").mkdir()
    for step in (10, 200):
        log(tmp_path / "after" / f"step_{step}.jsonl", SHARES, seed=step)
    said = "after: its responses are of 2 steps (10, 200) and are taken together"
    words = ("--strategies", "rules.toml", "--draws", "100")
    done = stratagem("diagnose", "before.jsonl", "after", *words)
    assert done.returncode == 0, done.stderr
    assert said in " ".join(done.stdout.split())
    assert "--checkpoint step" in " ".join(done.stdout.split())
    found = json.loads((tmp_path / "diagnosis" / "diagnosis.json").read_text())
    assert [text.partition(";")[0] for text in found["warnings"]] == [said]
    assert said in stratagem("passk", "before.jsonl", "after").stderr
    apart = stratagem("diagnose", "after", "--checkpoint", "step", *words, "--json")
    assert json.loads(apart.stdout)["warnings"] == []


def test_several_scores_are_asked_about(stratagem: Run, tmp_path: Path) -> None:
    for name in ("a", "b"):
        log(tmp_path / f"{name}.jsonl", SHARES, acc=1, format_reward=0.5)
    done = stratagem("diagnose", "a.jsonl", "b.jsonl")
    assert done.returncode == 2
    assert "several columns may say what is right" in done.stderr
    assert "format_reward (form; 0.5)" in done.stderr
    done = stratagem("diagnose", "a.jsonl", "b.jsonl", "--score", "acc", "--draws", "100", "--json")
    assert json.loads(done.stdout)["accuracy_before"] == 1.0


def test_rollouts_says_what_was_read_and_what_differs(stratagem: Run, tmp_path: Path) -> None:
    log(tmp_path / "a.jsonl", SHARES, temperature=0.6)
    log(tmp_path / "b.jsonl", SHARES, temperature=1.0)
    with (tmp_path / "b.jsonl").open("a") as file:
        file.write('{"prompt": "broken\n')
    done = stratagem("rollouts", "a.jsonl", "b.jsonl", "--json")
    found = json.loads(done.stdout)
    assert [(one["rows"], one["problems"], one["samples"]["median"]) for one in found["logs"]] == [
        (240, 60, 4.0)
    ] * 2
    assert sum(found["logs"][1]["left_out"].values()) == 1
    assert found["logs"][1]["left_out_examples"][0]["row"] == 241
    assert found["warnings"] == ["temperature differs: a: 0.6; b: 1.0"]
    shown = stratagem("rollouts", "a.jsonl", "b.jsonl")
    assert "plain" in shown.stdout
    assert "temperature differs" in shown.stderr


def test_a_sheet_is_drawn_filled_and_corrects_the_terms(
    stratagem: Run, logs: tuple[str, str], tmp_path: Path
) -> None:
    words = ("diagnose", *logs, "--strategies", "rules.toml", "--draws", "200")
    assert stratagem(*words).returncode == 0
    drawn = stratagem("validate-labels", "diagnosis", "--size", "60", "--out", "sheet.csv")
    assert drawn.returncode == 0, drawn.stderr
    sheet = pl.read_csv(tmp_path / "sheet.csv", infer_schema=False)
    empty = stratagem("validate-labels", "sheet.csv")
    assert empty.returncode == 2
    assert "true_strategy" in empty.stderr
    sheet.with_columns(true_strategy="strategy").write_csv(tmp_path / "sheet.csv")
    measured = stratagem("validate-labels", "sheet.csv", "--json")
    assert json.loads(measured.stdout)["scopes"][0]["agreement"]["value"] == 1.0
    kept = stratagem("validate-labels", "diagnosis", "--out", "sheet.csv")
    assert kept.returncode == 2
    assert "may be filled in" in kept.stderr
    done = stratagem(*words, "--labels", "sheet.csv", "--json")
    found = json.loads(done.stdout)
    corrected = found["label_error"].get("corrected")
    assert corrected is not None, found["label_error"]
    assert corrected["selection"]["value"] == pytest.approx(found["selection"]["value"])


def test_a_k_that_rests_on_fewer_problems_says_so(stratagem: Run, tmp_path: Path) -> None:
    for name, fewer in (("a", 10), ("b", 20)):
        rows = [
            {"prompt": f"{i}", "response": "x", "score": (i + j) % 2}
            for i in range(60)
            for j in range(2 if i < fewer else 4)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = stratagem("passk", "a.jsonl", "b.jsonl", "--k", "1,3")
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert (
        "k = 3: 50 problems have 3 responses before, 40 after, 40 on both sides, for the difference" in said
    )
    assert "k = 1:" not in said


def test_a_closed_pipe_is_no_condition_that_holds() -> None:
    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Terminal(file=Closed()).print("seen enough")
