"""`stratagem curate demonstrations`, as a user runs it."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.cli import run
from stratagem.curation.demonstrations.near import available
from stratagem.curation.demonstrations.result import DemonstrationCuration, decode
from stratagem.curation.written import SUFFIX
from stratagem.tasks import make_task

Curate = Callable[..., tuple[str, str]]
SHARES = {"by_parts": 0.9, "in_one": 0.08, "by_trial": 0.02}
RULES = """
[strategies.by_parts]
description = "adds up parts"
any = ['part by part']
[strategies.in_one]
description = "one expression"
any = ['at once']
[strategies.by_trial]
description = "tries numbers"
any = ['let me try']
[strategies.drawn]
description = "draws it"
any = ['a sketch']
"""
SAID = {"by_parts": "part by part", "in_one": "at once", "by_trial": "let me try"}


def lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def world(seed: int = 0, problems: int = 400, traces: int = 2) -> list[dict[str, Any]]:
    """Demonstrations whose strategy, type and difficulty are known: harder problems are shown in_one more often."""
    rng = np.random.default_rng(seed)
    made: list[dict[str, Any]] = []
    for number in range(problems):
        level = int(rng.integers(1, 6))
        kind = "sums" if number % 4 else "puzzles"
        share = np.array(list(SHARES.values())) * [1, level, 1]
        for _ in range(traces):
            way = str(rng.choice(list(SHARES), p=share / share.sum()))
            words = " ".join(f"w{i}" for i in rng.integers(0, 3000, 40))
            made.append(
                {
                    "prompt": f"Problem {number}: how many are {number} and {level}?",
                    "completion": f"I go {SAID[way]}: {words}. So {number + level}.",
                    "source": kind,
                    "difficulty": level,
                    "grade": round(float(rng.random()), 3),
                    "way": way,
                }
            )
    return made


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    (tmp_path / "ways.toml").write_text(RULES)
    lines(tmp_path / "sft.jsonl", world())
    return tmp_path


@pytest.fixture
def curate(here: Path, capsys: pytest.CaptureFixture[str]) -> Curate:
    def call(*words: str, data: str = "sft.jsonl", code: int = 0) -> tuple[str, str]:
        ended = run(["curate", "demonstrations", data, *words])
        said = capsys.readouterr()
        assert ended == code, said.err
        return said.out, said.err

    return call


def result(out: str) -> DemonstrationCuration:
    return decode(out.encode())


def test_the_profile_says_what_is_there(curate: Curate, here: Path) -> None:
    out, _ = curate("--strategies", "ways.toml", "--json")
    made = result(out)
    true = Counter(row["way"] for row in world())
    assert {s.name: s.demonstrations for s in made.everything.strategies} == {**true, "drawn": 0}
    share = np.array(list(true.values())) / 800
    assert made.everything.effective.value == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    ways: dict[str, set[str]] = {}
    for row in world():
        ways.setdefault(row["prompt"], set()).add(row["way"])
    assert made.everything.problems == made.everything.several == 400
    assert made.everything.ways == sum(len(shown) > 1 for shown in ways.values())
    assert made.cover == ("by_parts", "in_one", "by_trial")
    assert any("never shown: drawn" in note for note in made.notes)
    assert not any(path.is_dir() for path in here.iterdir())  # without --out nothing is written
    shown, _ = curate("--strategies", "ways.toml")
    assert "800 of 800 demonstrations may be taken" in shown


def test_a_choice_covers_strategies_and_keeps_types_difficulty_and_quality(
    curate: Curate, here: Path
) -> None:
    before = hashlib.sha256((here / "sft.jsonl").read_bytes()).hexdigest()
    words = ["--strategies", "ways.toml", "--by", "source", "--quality", "grade", "--size", "80"]
    shown, _ = curate(*words, "--out", "chosen")
    assert "80 of 800 demonstrations are chosen" in shown
    made = decode((here / "chosen" / "curation.json").read_bytes())
    assert made.chosen is not None
    assert made.control is not None
    assert made.chosen.effective.value > 2.3 > 1.9 > made.control.effective.value
    assert made.inputs == {"sft.jsonl": before}
    assert hashlib.sha256((here / "sft.jsonl").read_bytes()).hexdigest() == before
    chosen, control = rows_of(here / "chosen" / "chosen.jsonl"), rows_of(here / "chosen" / "control.jsonl")
    assert len(chosen) == len(control) == 80
    assert [row for row in world() if row in chosen] == chosen  # whole rows, in their order
    for part in (chosen, control):
        assert abs(sum(row["source"] == "sums" for row in part) - 60) <= 1
    assert abs(made.chosen.difficulty - made.everything.difficulty) < 0.15
    assert abs(made.chosen.quality - made.everything.quality) < 0.06
    # Every demonstration has its reason.
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table["reason"].null_count() == 0
    assert table.filter(decision="chosen").height == 80
    assert [world()[row - 1] for row in table.filter(decision="chosen")["row"]] == chosen
    assert [world()[row - 1] for row in table.filter("control")["row"]] == control
    assert table["strategy"].to_list() == [row["way"] for row in world()]
    # What is to be asked for: prompts of the type, which do not have the strategy.
    asked = rows_of(here / "chosen" / "ask.jsonl")
    assert sum(lack.asked for lack in made.missing) == len(asked)
    shown_in = {(row["prompt"], row["way"]) for row in world()}
    assert asked
    for ask in asked:
        assert (ask["prompt"], ask["strategy"]) not in shown_in
        assert world()[ask["row"] - 1]["prompt"] == ask["prompt"]


def test_the_same_command_takes_what_is_there_and_other_settings_are_refused(
    curate: Curate, here: Path
) -> None:
    words = ["--strategies", "ways.toml", "--size", "80", "--out", "chosen", "--json"]
    first, _ = curate(*words)
    stamp = (here / "chosen" / "chosen.jsonl").stat().st_mtime_ns
    again, _ = curate(*words)
    assert json.loads(first) == json.loads(again)
    assert (here / "chosen" / "chosen.jsonl").stat().st_mtime_ns == stamp
    _, said = curate(*words, "--rare", "0.5", code=2)
    assert "made with other settings (rare was 0.05, now 0.5)" in said
    (here / "ways.toml").write_text(RULES.replace("sketch", "drawing"))
    _, said = curate(*words, code=2)
    assert "made with other settings (labels was" in said
    config = json.loads((here / "chosen" / "config.json").read_text())
    assert config["settings"]["size"] == 80
    assert len(config["settings"]["inputs"]) == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "dataset"])
@pytest.mark.parametrize("source", ["jsonl", "parquet", "csv", "dataset"])
def test_every_form_in_and_out(curate: Curate, here: Path, source: str, form: str) -> None:
    if "dataset" in (source, form):
        datasets = pytest.importorskip("datasets", reason="needs the llm extra")
    data = here / f"data{SUFFIX[source]}"  # type: ignore[index]
    if source == "jsonl":
        lines(data, world())
    elif source == "dataset":
        datasets.Dataset.from_list(world()).save_to_disk(data)  # type: ignore[reportPossiblyUnbound]
    else:
        getattr(pl.DataFrame(world()), f"write_{source}")(data)
    words = ["--strategies", "ways.toml", "--size", "60", "--format", form, "--out", "chosen", "--json"]
    out, _ = curate(*words, data=data.name)
    written = here / "chosen" / f"chosen{SUFFIX[form]}"  # type: ignore[index]
    if form == "jsonl":
        rows = rows_of(written)
    elif form == "dataset":
        rows = list(datasets.load_from_disk(written))  # type: ignore[reportPossiblyUnbound]
    else:
        rows = getattr(pl, f"read_{form}")(written).to_dicts()
    assert len(rows) == 60
    texts = [row["completion"] for row in rows]
    assert [row["completion"] for row in world() if row["completion"] in texts] == texts
    assert len(result(out).everything.strategies) == 4


def conversations(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "system", "content": "Think."},
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"]},
            ]
        }
        for row in rows
    ]


SHAPES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "chat prompt and completion": lambda row: {
        "prompt": [{"role": "user", "content": row["prompt"]}],
        "completion": [{"role": "assistant", "content": row["completion"]}],
    },
    "ShareGPT": lambda row: {
        "conversations": [
            {"from": "human", "value": row["prompt"]},
            {"from": "gpt", "value": row["completion"]},
        ]
    },
    "Alpaca": lambda row: {
        "instruction": "Answer.",
        "input": row["prompt"],
        "output": row["completion"],
    },
    "question and answer": lambda row: {"question": row["prompt"], "answer": row["completion"]},
    "messages": lambda row: conversations([row])[0],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_every_shape_of_a_demonstration_says_the_same(
    curate: Curate, here: Path, shape: str, form: str
) -> None:
    rows = [SHAPES[shape](row) for row in world()]
    if form == "jsonl":
        lines(here / "other.jsonl", rows)
    else:
        pl.DataFrame(rows).write_parquet(here / "other.parquet")
    made = [
        result(curate("--strategies", "ways.toml", "--json", data=name)[0])
        for name in (f"other.{form}", "sft.jsonl")
    ]
    first, second = (part.everything for part in made)
    assert first.strategies == second.strategies
    assert (first.problems, first.ways, first.effective) == (second.problems, second.ways, second.effective)


@pytest.mark.parametrize("chat", [False, True])
def test_held_out_wrong_repeated_and_near_demonstrations_are_left_out(
    curate: Curate, here: Path, chat: bool
) -> None:
    rows = world(problems=60, traces=1)
    changed = [*rows[5]["completion"].split(), "indeed"]
    rows.append({**rows[5], "completion": " ".join(changed)})
    rows.append(rows[7])
    lines(here / "sft.jsonl", rows)
    asked = [{"question": row["prompt"].upper()} for row in rows[10:14]]
    lines(here / "evaluation.jsonl", conversations(rows[10:14]) if chat else asked)
    words = ["--strategies", "ways.toml", "--holdout", "evaluation.jsonl", "--size", "50", "--out", "chosen"]
    _, said = curate(*words)
    assert "4 demonstrations left out: their prompts are also those of evaluations (--holdout)" in said
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table["decision"][10:14].to_list() == ["held out"] * 4
    assert table["reason"][10] == "also a prompt of evaluation.jsonl"
    assert (table["decision"][61], table["reason"][61]) == ("repeat", "the same as row 8")
    if available():
        assert (table["decision"][60], table["reason"][60]) == ("near-duplicate", "nearly the same as row 6")
    prompts = {row["prompt"] for row in rows_of(here / "chosen" / "chosen.jsonl")}
    assert not prompts & {row["prompt"] for row in rows[10:14]}
    kept = json.loads(curate("--strategies", "ways.toml", "--duplicates", "keep", "--json")[0])
    assert kept["everything"]["demonstrations"] == 62


def small(shape: str, start: int = 0) -> list[dict[str, Any]]:
    """Twelve rows of a shape, of which each asks another question; conversations begin with the same greeting."""
    made: list[dict[str, Any]] = []
    for i in range(start, start + 12):
        asked, said = f"What is {i} plus 3?", f"It is {i + 3}."
        turns = [("user", "Hello"), ("assistant", "Hi!"), ("user", asked), ("assistant", said)]
        row = {
            "plain": {"prompt": asked, "completion": said},
            "Alpaca": {"instruction": "Solve this.", "input": asked, "output": said},
            "ShareGPT": {
                "conversations": [
                    {"from": {"user": "human", "assistant": "gpt"}[role], "value": text}
                    for role, text in turns[2:]
                ]
            },
            "turns": {"messages": [{"role": role, "content": text} for role, text in turns]},
        }[shape]
        made.append({**row, "strategy": "ab"[i % 2]})
    return made


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
@pytest.mark.parametrize("evaluation", ["plain", "Alpaca", "ShareGPT", "turns"])
@pytest.mark.parametrize("data", ["plain", "Alpaca", "ShareGPT", "turns"])
def test_evaluations_are_held_out_whatever_the_shapes(
    curate: Curate, here: Path, data: str, evaluation: str, form: str
) -> None:
    for name, rows in (("data", small(data)), ("eval", small(evaluation)[:4])):
        if form == "jsonl":
            lines(here / f"{name}.jsonl", rows)
        else:
            pl.DataFrame(rows).write_parquet(here / f"{name}.parquet")
    words = ["--near", "1", "--holdout", f"eval.{form}", "--size", "4", "--out", "chosen"]
    curate(*words, data=f"data.{form}")
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table.filter(decision="held out")["row"].to_list() == [1, 2, 3, 4]


@pytest.mark.parametrize("shape", ["plain", "Alpaca", "ShareGPT", "turns"])
def test_an_evaluation_that_matches_nothing_is_said(curate: Curate, here: Path, shape: str) -> None:
    lines(here / "data.jsonl", small(shape))
    lines(here / "eval.jsonl", small(shape)[:1])
    lines(here / "other.jsonl", small(shape, 50))
    words = ["--near", "1", "--holdout", "eval.jsonl", "other.jsonl"]
    _, said = curate(*words, data="data.jsonl")
    assert "--holdout other.jsonl: none of its problems is in data.jsonl" in said
    assert "--holdout eval.jsonl" not in said
    assert "1 demonstration left out" in said


def test_two_instructions_with_one_input_are_two_problems(curate: Curate, here: Path) -> None:
    row = {"input": "No input", "output": "x", "strategy": "a"}
    lines(here / "data.jsonl", [{**row, "instruction": f"Task {i}."} for i in range(9)])
    lines(here / "eval.jsonl", [{**row, "instruction": f"Task {i}."} for i in range(3)])
    made = result(curate("--near", "1", "--holdout", "eval.jsonl", "--json", data="data.jsonl")[0])
    assert made.dropped.held_out == 3
    # One instruction for all is a template: problems are told apart by their inputs.
    rows = small("Alpaca")
    lines(here / "data.jsonl", rows)
    lines(here / "eval.jsonl", [{**row, "instruction": "Answer."} for row in rows[:4]])
    made = result(curate("--near", "1", "--holdout", "eval.jsonl", "--json", data="data.jsonl")[0])
    assert made.dropped.held_out == 4


def test_a_turn_that_cannot_be_read_is_one_clear_line(curate: Curate, here: Path) -> None:
    rows = small("turns")
    rows[5]["messages"][2]["content"] = 3
    lines(here / "data.jsonl", rows)
    lines(here / "eval.jsonl", small("plain")[:4])
    _, said = curate("--near", "1", "--holdout", "eval.jsonl", data="data.jsonl", code=2)
    assert "data.jsonl: row 6: message.content: int, neither text" in said
    _, said = curate("--near", "1", "--holdout", "data.jsonl", data="eval.jsonl", code=2)
    assert "data.jsonl: row 6: prompt.content: int, neither text" in said


def test_without_the_library_repeats_are_still_told(
    curate: Curate, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    lines(here / "sft.jsonl", [*world(problems=30), world()[3]])
    made = result(curate("--strategies", "ways.toml", "--json")[0])
    assert made.dropped.repeat == 1
    assert np.isnan(made.near)
    assert "near-duplicates were not looked for: pip install 'stratagem[near]'" in made.notes
    _, said = curate("--strategies", "ways.toml", "--near", "0.9", code=2)
    assert "--near: needs rensa: pip install 'stratagem[near]'" in said


def test_weights(curate: Curate, here: Path) -> None:
    words = ["--strategies", "ways.toml", "--choose", "weights", "--out", "chosen", "--json"]
    made = result(curate(*words)[0])
    rows = rows_of(here / "chosen" / "weighted.jsonl")
    assert [{k: v for k, v in row.items() if k != "weight"} for row in rows] == world()
    assert np.mean([row["weight"] for row in rows]) == pytest.approx(1)
    total = Counter[str]()
    for row in rows:
        total[row["way"]] += row["weight"]
    share = np.array(list(total.values())) / 800
    assert made.weighted == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert made.weighted > made.everything.effective.value
    assert made.ess < 800


def lab(strategies: str = "running", size: int = 60) -> list[dict[str, Any]]:
    task = make_task("sums")
    problems = task.generate("sft", size, (3, 5))
    texts = task.demonstrations(problems, strategies)
    return [
        {"problem_id": problem.id, "prompt": problem.prompt, "completion": text}
        for problem, text in zip(problems, texts, strict=True)
    ]


@pytest.mark.parametrize("shape", [*SHAPES, "plain"])
def test_a_task_writes_what_is_missing(curate: Curate, here: Path, shape: str) -> None:
    rows = lab()
    lines(here / "sft.jsonl", [SHAPES[shape](row) if shape != "plain" else row for row in rows])
    made = result(curate("--size", "60", "--write", "--out", "chosen", "--json")[0])
    assert made.chosen is not None
    assert {s.name: s.demonstrations for s in made.chosen.strategies} == dict.fromkeys(
        ("mental", "running", "tally"), 20
    )
    assert made.written == 40
    assert {(lack.strategy, lack.written) for lack in made.missing} == {
        ("mental", 10),
        ("tally", 10),
    }  # of two types
    again = result(curate("--json", data="chosen/chosen.jsonl")[0])
    assert again.everything.strategies == made.chosen.strategies
    assert again.dropped.wrong == 0
    written = rows_of(here / "chosen" / "written.jsonl")
    assert rows_of(here / "chosen" / "chosen.jsonl")[20:] == written
    assert len(written) == 40


def test_a_control_that_cannot_be_as_large_is_said(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", lab())
    shown, said = curate("--size", "60", "--write")
    assert "20 of 60 demonstrations are chosen and 40 written by the task, 60 in all" in " ".join(
        shown.split()
    )
    assert "the random control has" not in said
    words = ["--size", "150", "--write"]
    shown, said = curate(*words)
    made = result(curate(*words, "--json")[0])
    assert made.chosen is not None
    assert made.control is not None
    assert (made.chosen.demonstrations, made.control.demonstrations) == (150, 60)
    note = "the random control has 60 demonstrations, not 150: the set has no more that may be taken"
    assert any(note in line for line in made.notes)
    assert note in said
    headline = f"{150 - made.written} of 60 demonstrations are chosen and {made.written} written by the task"
    assert headline in " ".join(shown.split())


def test_wrong_demonstrations_of_a_task_are_left_out(curate: Curate, here: Path) -> None:
    rows = lab()
    rows[4]["completion"] = rows[4]["completion"][:-1] + str((int(rows[4]["completion"][-1]) + 1) % 10)
    first, *steps = rows[9]["completion"].split()
    steps[2] = str((int(steps[2]) + 1) % 10)  # a running total with a slip and the right answer
    rows[9]["completion"] = " ".join([first, *steps])
    lines(here / "sft.jsonl", rows)
    made = result(curate("--json")[0])
    assert made.dropped.wrong == 2
    assert {lack.strategy for lack in made.missing} == {"mental", "tally"}
    assert made.labels == "the task's recogniser"


def test_a_function_names_strategies(curate: Curate, here: Path) -> None:
    (here / "ways.py").write_text("def way(text: str) -> str:\n    return text.split(':')[0][5:]\n")
    made = result(curate("--strategies", "ways.py:way", "--json")[0])
    true = Counter(SAID[row["way"]] for row in world())
    assert {s.name: s.demonstrations for s in made.everything.strategies} == true


def test_a_named_difficulty_counts_before_that_of_the_task(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", [{**row, "difficulty": 70, "hard": 0.5} for row in lab()])
    assert 3 <= result(curate("--json")[0]).everything.difficulty <= 5
    assert result(curate("--difficulty", "hard", "--json")[0]).everything.difficulty == 0.5


def test_a_column_of_strategies_is_taken(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", [{**row, "strategy": row["way"]} for row in world()])
    made = result(curate("--json")[0])
    assert made.labels == "column 'strategy'"
    assert made.cover == tuple(sorted(SHARES))


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
]  # fmt: skip


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
