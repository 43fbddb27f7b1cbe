"""The finer set of rules, where none is named and the usual one would say the same of most responses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.finer import with_finer_rules
from stratagem.diagnosis.side import Look, open_side
from stratagem.labelling.rules import read_rules

CHAIN = r"In a day \( 2 \times 7 = 14 \) hours, so \( 14 \times 10 = 140 \) dollars. \boxed{140}"
PARTS = (
    r"Pens: \( 4 \times 1.5 = 6 \). Notebooks: \( 2 \times 4 = 8 \). Together \( 6 + 8 = 14 \). \boxed{14}"
)
ALGEBRA = r"Subtract 4 from both sides: 2*x = 6. Divide both sides by 2: x = 3. \boxed{3}"


def log(path: Path, texts: list[str], problems: int = 40) -> Path:
    rows = [
        {"id": i, "prompt": f"What is {i}?", "response": texts[(i + j) % len(texts)], "score": (i + j) % 2}
        for i in range(problems)
        for j in range(2)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_hand_labels_keep_the_set_that_they_are_of(tmp_path: Path) -> None:
    logs = [open_side([log(tmp_path / f"{name}.jsonl", [CHAIN, PARTS])], Look(), name) for name in "ab"]
    assert {side.labels for side in with_finer_rules(logs)} == {"word-problems"}
    assert {side.labels for side in with_finer_rules(logs, ("chain", "parts"))} == {"word-problems"}
    assert with_finer_rules(logs, ("worked_out", "equations")) == logs


def test_worked_out_responses_are_told_apart_where_no_rules_are_named(tmp_path: Path) -> None:
    logs = [
        log(tmp_path / "a.jsonl", [CHAIN, CHAIN, PARTS]),
        log(tmp_path / "b.jsonl", [PARTS, PARTS, CHAIN]),
    ]
    diagnosis = diagnose(logs, draws=50)
    assert diagnosis.strategies_from == "word-problems"
    assert diagnosis.rules is not None
    assert diagnosis.rules.fingerprint == read_rules("word-problems").fingerprint
    assert [note for note in diagnosis.warnings if "word-problems" in note] == [
        "strategies are those of the set word-problems, since the set math would say worked_out of most responses "
        "(100% of a, 100% of b); --strategies math takes that set all the same"
    ]
    assert {row.strategy for row in diagnosis.strategies} == {"chain", "parts"}


@pytest.mark.parametrize(
    ("before", "after", "problems", "named"),
    [
        ([CHAIN], [ALGEBRA], 40, False),  # math tells the sides apart
        ([CHAIN, ALGEBRA], [CHAIN, ALGEBRA], 40, False),  # half is not most
        ([CHAIN], [PARTS], 8, False),  # too few to say
        ([CHAIN], [PARTS], 40, True),  # the user has chosen
    ],
)
def test_the_usual_set_stays_where_it_tells_apart_or_is_asked_for(
    before: list[str], after: list[str], problems: int, named: bool, tmp_path: Path
) -> None:
    logs = [log(tmp_path / "a.jsonl", before, problems), log(tmp_path / "b.jsonl", after, problems)]
    look = Look(rules=read_rules("math")) if named else Look()
    diagnosis = diagnose(logs, look, draws=50)
    assert diagnosis.strategies_from == "math"
    assert not [note for note in diagnosis.warnings if "word-problems" in note]


BODY = "    for x in xs:\n        if x > 3:\n            return True\n    return False\n"
CLASS = "class Solution:\n    def f(self, n):\n        return n + 1\n"


def test_code_is_labelled_by_the_set_for_code_where_no_rules_are_named(tmp_path: Path) -> None:
    """Bodies of functions, as HumanEval's completions are, and classes, as LeetCode's."""
    logs = [log(tmp_path / "a.jsonl", [BODY, CLASS]), log(tmp_path / "b.jsonl", [CLASS, BODY])]
    diagnosis = diagnose(logs, draws=50)
    assert diagnosis.strategies_from == "code"
    assert {row.strategy for row in diagnosis.strategies} == {"loop", "closed_form"}
    assert [note for note in diagnosis.warnings if "the set" in note] == [
        "strategies are those of the set code, since most responses (100% of a, 100% of b) hold code as their answer; "
        "--strategies math takes that set all the same"
    ]
    assert diagnose(logs, Look(rules=read_rules("math")), draws=50).strategies_from == "math"


def test_code_on_one_side_alone_keeps_the_usual_set(tmp_path: Path) -> None:
    logs = [log(tmp_path / "a.jsonl", [ALGEBRA]), log(tmp_path / "b.jsonl", [BODY])]
    diagnosis = diagnose(logs, draws=50)
    assert diagnosis.strategies_from == "math"
    assert any("take --strategies code" in note for note in diagnosis.warnings)


@pytest.mark.parametrize(
    ("before", "after", "labels"),
    [
        ([CHAIN, CHAIN, PARTS], [PARTS, PARTS, CHAIN], "word-problems"),
        ([CHAIN, PARTS], [ALGEBRA], "math"),  # most of all responses before, and half of both together
        ([ALGEBRA], [CHAIN, PARTS], "math"),
        ([BODY], [ALGEBRA], "math"),
        ([BODY, CLASS], [CLASS], "code"),
    ],
)
@pytest.mark.parametrize("order", ["in turn", "mixed", "after first"])
def test_a_run_has_one_set_of_rules_in_whatever_files_it_comes(
    before: list[str], after: list[str], labels: str, order: str, tmp_path: Path
) -> None:
    """Two logs, one log of checkpoints in any order, and sides of several files: the same strategies and terms."""
    logs = [log(tmp_path / "0.jsonl", before), log(tmp_path / "1.jsonl", after)]
    rows = [
        json.loads(line) | {"step": step, "n": n}
        for step, path in enumerate(logs)
        for n, line in enumerate(path.read_text().splitlines())
    ]
    rows.sort(
        key={
            "in turn": lambda row: (row["step"], row["n"]),
            "mixed": lambda row: (row["n"], row["step"]),
            "after first": lambda row: (-row["step"], row["n"]),
        }[order]
    )
    pooled = tmp_path / "pooled.jsonl"
    pooled.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts: list[list[str | Path]] = []
    for path in logs:
        lines = path.read_text().splitlines(keepends=True)
        halves = [tmp_path / f"{path.stem}-{half}.jsonl" for half in "ab"]
        halves[0].write_text("".join(lines[:20]))
        halves[1].write_text("".join(lines[20:]))
        parts.append([*halves])
    answers = [
        diagnose(logs, draws=50),
        diagnose([pooled], Look(checkpoint="step"), draws=50),
        diagnose(parts, draws=50),
    ]
    assert {answer.strategies_from for answer in answers} == {labels}
    rows_of = [[(row.strategy, row.share_before, row.share_after) for row in a.strategies] for a in answers]
    assert rows_of[1] == rows_of[0] == rows_of[2]
    values = [[getattr(a, term).value for term in ("gain", "selection", "improvement")] for a in answers]
    assert values[1] == pytest.approx(values[0], abs=1e-12, nan_ok=True)
    assert values[2] == pytest.approx(values[0], abs=1e-12, nan_ok=True)


def test_every_stage_of_many_checkpoints_decides(tmp_path: Path) -> None:
    """Twenty checkpoints make ten stages of two each; one stage in another way keeps the usual set."""

    def many(of_step: dict[int, list[str]]) -> Path:
        path = tmp_path / f"many{len(of_step)}.jsonl"
        path.write_text(
            "".join(
                json.dumps(
                    {"id": i, "prompt": f"What is {i}?", "response": text, "score": i % 2, "step": step}
                )
                + "\n"
                for step in range(20)
                for i in range(30)
                for text in [of_step.get(step, [CHAIN, PARTS])[i % 2]]
            )
        )
        return path

    uniform, mixed = many({}), many({10: [ALGEBRA, ALGEBRA], 11: [ALGEBRA, ALGEBRA]})
    chosen = diagnose([uniform], Look(checkpoint="step"), draws=50)
    assert chosen.strategies_from == "word-problems"
    assert any("100% of 0-1" in note and "100% of 18-19" in note for note in chosen.warnings)
    assert diagnose([mixed], Look(checkpoint="step"), draws=50).strategies_from == "math"
    # With a window only the stages that are compared decide.
    assert diagnose([mixed], Look(checkpoint="step", window=2), draws=50).strategies_from == "word-problems"
