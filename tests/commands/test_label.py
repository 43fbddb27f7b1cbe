"""Any log labelled by a command of its own, and decomposed by the next."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Run
from tests.diagnosis.test_diagnose import RULES, log

SHARES = {"forward": (0.5, 0.9), "backward": (0.5, 0.1)}
BETTER = {"forward": (1.0, 0.9)}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rules.toml").write_text(RULES)
    return tmp_path


def rescored(path: Path, **columns: str) -> None:
    """The log's scores under other names, or, with ``signed``, as -1 and 1."""
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        score = record.pop("score")
        record.update({name: 2 * score - 1 if kind == "signed" else score for name, kind in columns.items()})
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def test_two_logs_of_one_folder_are_labelled_and_decomposed(stratagem: Run, folder: Path) -> None:
    for name, shares in (("before", SHARES), ("after", BETTER)):
        rescored(log(folder / f"{name}.jsonl", shares), accuracy_reward="as it is")
        done = stratagem("label", f"{name}.jsonl", "--strategies", "rules.toml")
        assert done.returncode == 0, done.stderr
        assert f"done {name}.labelled.parquet, right by column 'accuracy_reward'" in done.stderr
    assert done.stdout.split() == ["forward", "240", "90.0%", "correct"]
    table = pl.read_parquet(folder / "before.labelled.parquet")
    assert table["strategy"].value_counts().sort("strategy").rows() == [("backward", 120), ("forward", 120)]
    assert table["score"].mean() == pytest.approx(0.5)
    words = ("before.labelled.parquet", "after.labelled.parquet", "--draws", "200")
    found = json.loads(stratagem("decompose", *words, "--out", "new/gain.json", "--json").stdout)
    assert found["gain"]["value"] == found["selection"]["value"] == pytest.approx(0.4)
    assert json.loads((folder / "new" / "gain.json").read_text()) == found


def test_what_is_right_is_asked_for_as_in_diagnose(stratagem: Run, folder: Path) -> None:
    rescored(log(folder / "v.jsonl", SHARES), score="signed")
    rescored(log(folder / "f.jsonl", SHARES), format_reward="as it is")
    for name, said in (("v", "holds -1, outside [0, 1]"), ("f", "looks like a reward for form")):
        for command in (["label", f"{name}.jsonl", "--strategies", "math"], ["passk", f"{name}.jsonl"]):
            asked = stratagem(*command)
            assert asked.returncode == 2
            assert said in asked.stderr
            assert len(asked.stderr.strip().splitlines()) == 1
    assert not list(folder.glob("*.parquet"))
    words = ("label", "v.jsonl", "--strategies", "rules.toml", "--correct", "score > 0", "--json")
    shares = {row["strategy"]: row["accuracy"] for row in json.loads(stratagem(*words).stdout)["counts"]}
    assert shares == {"forward": pytest.approx(0.9), "backward": pytest.approx(0.1)}
    assert stratagem("label", "f.jsonl", "--strategies", "math", "--score", "format_reward").returncode == 0


def test_a_log_without_scores_is_labelled_but_not_decomposed(stratagem: Run, folder: Path) -> None:
    rescored(log(folder / "a.jsonl", SHARES))
    done = stratagem("label", "a.jsonl", "--strategies", "rules.toml")
    assert done.returncode == 0
    assert done.stdout.split() == ["backward", "120", "forward", "120"]
    assert "no column says what is right" in done.stderr
    done = stratagem("decompose", "a.labelled.parquet", "a.labelled.parquet")
    assert done.returncode == 2
    assert "column 'score' is empty; label the log again with --score" in done.stderr


def test_reading_options_are_those_of_diagnose(stratagem: Run, folder: Path) -> None:
    turns = [{"role": "assistant", "content": text} for text in ("I go forward.", "I go backward.")]
    rows = [{"asked": f"p{i}", "said": turns, "score": 1} for i in range(4)]
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{broken\n")
    words = ["label", "a.jsonl", "--strategies", "rules.toml", "--columns", "prompt=asked", "completion=said"]
    done = stratagem(*words, "--json")
    found = json.loads(done.stdout)
    assert [row["strategy"] for row in found["counts"]] == ["backward"]
    assert found["warnings"][0].startswith("a.jsonl: left out 1: ")
    both = json.loads(stratagem(*words, "--turns", "all", "--json").stdout)
    assert [row["strategy"] for row in both["counts"]] == ["forward"]
    strict = stratagem(*words, "--strict")
    assert strict.returncode == 2
    assert "row 5" in strict.stderr


def test_a_column_of_strategies_needs_no_rules(stratagem: Run, folder: Path) -> None:
    log(folder / "a.jsonl", SHARES, strategy="alpha")
    assert stratagem("label", "a.jsonl").stdout.split() == ["alpha", "240", "50.0%", "correct"]


def test_what_is_missing_is_said_with_the_command_that_mends_it(stratagem: Run, folder: Path) -> None:
    log(folder / "a.jsonl", SHARES)
    (folder / "logs").mkdir()
    log(folder / "logs" / "1.jsonl", SHARES)
    (folder / "counts.jsonl").write_text('{"id": "p", "c": 1, "n": 4}\n{"id": "q", "c": 2, "n": 4}\n')
    pl.read_ndjson(folder / "a.jsonl").write_parquet(folder / "a.parquet")
    (folder / "run").mkdir()
    pl.DataFrame({"prompt": ["x"]}).write_parquet(folder / "run" / "rollouts.parquet")
    name = "nothing says which strategies there are; name them: stratagem label a.jsonl --strategies math"
    run = "not labelled; run: stratagem label"
    for words, said in (
        (["label", "a.jsonl"], name),
        (["label", "counts.jsonl", "--strategies", "math"], "holds counts and no completions to label"),
        (
            ["label", "*.jsonl", "--strategies", "math"],
            "for a glob or several files name the table with --out",
        ),
        (["label", "a.parquet", "--strategies", "math", "--out", "a.parquet"], "is the log itself"),
        (
            ["decompose", "a.jsonl", "a.jsonl"],
            f"{run} a.jsonl --strategies math, and give a.labelled.parquet",
        ),
        (["decompose", "a.parquet", "a.jsonl"], f"{run} a.parquet --strategies math, and give a.labelled"),
        (["decompose", "logs", "logs"], f"{run} logs --strategies math, and give logs.labelled.parquet"),
        (["decompose", "run", "run"], f"{run} run"),
        (["decompose", "nope", "nope"], "nope: no such file"),
    ):
        done = stratagem(*words)
        assert done.returncode == 2, words
        assert said in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not list(folder.glob("*.labelled.parquet"))
    assert "strategy" not in pl.read_parquet_schema(folder / "a.parquet")


def test_hand_labels_correct_the_split(stratagem: Run, folder: Path) -> None:
    for name, shares in (("before", SHARES), ("after", BETTER)):
        log(folder / f"{name}.jsonl", shares)
        assert stratagem("label", f"{name}.jsonl", "--strategies", "rules.toml").returncode == 0
    tables = ("before.labelled.parquet", "after.labelled.parquet")
    drawn = stratagem("validate-labels", tables[0], "--size", "80", "--out", "sheet.csv")
    assert drawn.returncode == 0, drawn.stderr
    sheet = pl.read_csv(folder / "sheet.csv", infer_schema=False)
    sheet.with_columns(true_strategy="strategy").write_csv(folder / "sheet.csv")
    words = ("decompose", *tables, "--draws", "200", "--labels", "sheet.csv")
    found = json.loads(stratagem(*words, "--json").stdout)
    assert found["corrected"]["condition"] == pytest.approx(1.0)
    for name in ("gain", "selection", "improvement"):
        assert found["corrected"][name]["value"] == pytest.approx(found[name]["value"], abs=1e-9)
    assert (
        found["corrected"]["selection"]["se"] > found["selection"]["se"]
    )  # the hand labels' own error is in it
    assert "corrected for label error" in stratagem(*words).stdout
