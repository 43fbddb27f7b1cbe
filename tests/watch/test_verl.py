"""The live page of a verl run, from the responses that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.integrations.verl import labelled
from stratagem.labelling.rules import read_rules
from stratagem.records import StratagemError
from stratagem.watch.page import Watched
from stratagem.watch.responses import Asked
from stratagem.watch.verl import VerlRun
from tests.watch.runs import KINDS, STRATEGIES


def responses(step: int, rng: np.random.Generator, drift: float = 0.0) -> list[dict[str, Any]]:
    """What verl 0.9 writes for a step, with the columns of `integrations.verl`: 16 problems, four responses each."""
    rows: list[dict[str, Any]] = []
    for problem in range(16):
        kind = KINDS[problem % 2]
        for _ in range(4):
            strategy = STRATEGIES[int(rng.random() < 0.5 - drift * step) ^ (problem % 2)]
            fits = (strategy == "forward") == (kind == "evaluation")
            right = float(rng.random() < (0.9 if fits else 0.1))
            row = {
                "input": "q",
                "output": "a",
                "gts": "1",
                "score": 2 * right - 1,
                "step": step,
                "acc": str(right),
            }
            row |= {
                "strategy": strategy,
                "problem_id": f"p{problem}",
                "kind": kind,
                "steps": str(2 + problem // 8),
            }
            rows.append(row)
    return rows


def write(folder: Path, step: int, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{step}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_verl_run_is_watched_by_its_responses(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    watched = Watched(tmp_path / "dump", Asked("acc"))
    assert "Waiting" in watched.show().html
    for step in range(1, 13):
        write(tmp_path / "dump", step, responses(step, rng, drift=0.03))
    watched._next = 0.0
    html = watched.show().html
    assert "by selecting strategies" in html
    assert "share, kind inversion" in html
    assert "<span>difficulty</span>" in html
    assert "left out" not in html


def test_counts_and_rewards_are_those_of_the_lines(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    rows = {step: responses(step, rng) for step in (1, 2, 3)}
    for step in rows:
        write(tmp_path / "dump", step, rows[step])
    run = VerlRun(tmp_path / "dump", Asked("acc")).poll()
    assert run.status.done == 3
    assert run.counts["n"].sum() == 3 * 64
    for step, lines in rows.items():
        right = sum(float(row["acc"]) for row in lines)
        assert run.counts.filter(update=step - 1)["right"].sum() == right
        assert run.scalars["reward"][step - 1] == pytest.approx(right / 64)
        by_problem = [{row["acc"] for row in lines if row["problem_id"] == f"p{i}"} for i in range(16)]
        assert run.scalars["no_signal"][step - 1] == pytest.approx(sum(len(x) == 1 for x in by_problem) / 16)


def test_lines_that_come_one_by_one_add_up(tmp_path: Path) -> None:
    """As several processes append to their files, a line may be half there at a look."""
    rng = np.random.default_rng(2)
    lines = [json.dumps(row) + "\n" for step in (1, 2, 3, 4) for row in responses(step, rng)]
    folder = tmp_path / "written"
    folder.mkdir()
    grown = VerlRun(folder, Asked("acc"))
    for i, part in enumerate(np.array_split(np.arange(len(lines)), 7)):
        text = "".join(lines[j] for j in part)
        with open(folder / f"host-{i % 2}.jsonl", "a") as file:
            file.write(text[:50])
            file.flush()
            grown.poll()
            file.write(text[50:])
        grown.poll()
    whole = VerlRun(folder, Asked("acc")).poll()
    assert grown.run.counts.equals(whole.counts)
    assert whole.counts["n"].sum() == len(lines)
    assert grown.run.gains == whole.gains


def test_a_file_that_is_written_anew_is_counted_once(tmp_path: Path) -> None:
    rows = responses(1, np.random.default_rng(6))
    for row in rows[:5]:
        del row["strategy"]
    write(tmp_path / "dump", 1, rows)
    run = VerlRun(tmp_path / "dump", Asked("acc"))
    run.poll()
    write(tmp_path / "dump", 1, rows[:32])
    assert run.poll().notes[0].startswith("5 lines ")
    assert run.run.counts["n"].sum() == 27


def test_a_later_value_that_is_no_number_costs_no_more_than_itself(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    write(tmp_path / "dump", 1, responses(1, rng))
    run = VerlRun(tmp_path / "dump", Asked("acc"))
    run.poll()
    later = responses(2, rng)
    later[0] |= {"steps": "many", "acc": "unknown"}
    write(tmp_path / "dump", 2, later)
    (tmp_path / "dump" / "3.jsonl").write_text("[" * 100_000 + "\n")
    assert run.poll().counts["n"].sum() == 2 * 64 - 1


def test_a_run_that_begins_again_in_the_same_folder_replaces_what_was_there(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    write(tmp_path / "dump", 1, responses(1, rng))
    run = VerlRun(tmp_path / "dump", Asked("acc"))
    run.poll()
    again = responses(1, rng)[:32]
    write(tmp_path / "dump", 1, again)
    assert run.poll().counts["n"].sum() == 32


def test_what_the_reward_function_writes_is_watched(tmp_path: Path) -> None:
    reward = labelled(
        lambda **given: float(given["solution_str"].endswith("7")),
        lambda text: "long" if len(text) > 10 else "short",
        by=("level",),
        write=tmp_path / "out",
    )
    for step in (1, 2, 3, 4):
        for index in range(8):
            for split in ("train", "test"):
                info = {"index": index, "level": index % 2, "split": split, "global_steps": step}
                reward(
                    data_source="x",
                    solution_str="x" * (step * index) + "7",
                    ground_truth="7",
                    extra_info=info | {"question": "?"},
                )
    run = VerlRun(tmp_path / "out").poll()
    assert run.notes == []
    assert run.counts["n"].sum() == 32  # those of validation are no training
    assert set(run.counts["strategy"]) == {"long", "short"}
    assert run.counts["right"].sum() == 32


def test_where_the_log_leaves_open_what_is_right_it_is_asked_for(tmp_path: Path) -> None:
    """As `diagnose` asks: verl's score lies within -1 and 1 here, and acc says something else."""
    rng = np.random.default_rng(4)
    for step in (1, 2):
        write(tmp_path / "dump", step, responses(step, rng))
    html = Watched(tmp_path / "dump").show().html
    assert "dump: several columns may say what is right: score (-1, 1), acc (0, 1)" in html
    assert "a gain needs to know what is right" in html
    assert "accuracy" not in html
    assert "several columns" not in Watched(tmp_path / "dump", Asked("acc")).show().html
    by_column = VerlRun(tmp_path / "dump", Asked("acc")).poll()
    by_condition = VerlRun(tmp_path / "dump", Asked(correct="score > 0")).poll()
    assert by_condition.counts.equals(by_column.counts)
    assert by_condition.gains == by_column.gains != {}
    assert "--score nothing: no such column" in Watched(tmp_path / "dump", Asked("nothing")).show().html


def test_the_page_says_how_many_updates_the_gain_compares(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    for step in range(1, 31):
        write(tmp_path / "dump", step, responses(step, rng))
    for window, compared in ((3, 3), (12, 12), (40, 15), (None, 10)):
        html = Watched(tmp_path / "dump", Asked("acc", window=window)).show().html
        assert f"the last {compared} updates against the first {compared}," in html


def test_a_dump_has_one_gain(tmp_path: Path) -> None:
    """On the page, by `diagnose` and by `decompose` in Python."""
    window, updates = 3, 8
    rng = np.random.default_rng(6)
    rows = {step: responses(step, rng, drift=0.03) for step in range(1, updates + 1)}
    for step, written in rows.items():
        write(tmp_path / "dump", step, written)
    watched = VerlRun(tmp_path / "dump", Asked("acc", window=window)).poll().gains[updates]
    look = Look(score="acc", by=("kind", "steps"), checkpoint="step", window=window)
    found = diagnose([tmp_path / "dump"], look, draws=0)
    table = pl.DataFrame([row for step in rows for row in rows[step]])
    table = table.with_columns(
        score=pl.col("acc").cast(pl.Float64), sample=0, length=1, checkpoint=pl.lit("x")
    )
    sides = [
        table.filter(pl.col("step").is_in(steps))
        for steps in (range(1, window + 1), range(updates - window + 1, updates + 1))
    ]
    split = decompose(*sides, by=("kind", "steps"), rng=np.random.default_rng(0), draws=0, stratified=False)
    assert watched["gain"][0] == pytest.approx(split.gain.value, abs=1e-9)
    assert found.gain.value == pytest.approx(split.gain.value, abs=1e-9)
    for name in ("selection", "improvement", "new_strategy"):
        expected = getattr(split, name).value
        assert watched[name][0] == pytest.approx(expected, abs=1e-9)
        assert getattr(found, name).value == pytest.approx(expected, abs=1e-9)
    write(tmp_path / "validation", 1, [row | {"step": 1} for row in rows[2]])
    with pytest.raises(StratagemError, match=r"two folders with the same step.*give one of the folders"):
        diagnose([tmp_path], look, draws=0)


def test_a_run_of_the_default_trainer_shows_by_rules(tmp_path: Path) -> None:
    """verl writes no strategy and no id there: rules name strategies, prompts tell problems."""
    rng = np.random.default_rng(7)
    by_hand = {}
    for step in range(1, 7):
        rows = responses(step, rng, drift=0.05)
        by_hand[step] = rows
        write(tmp_path / "labelled", step, rows)
        bare = [
            {
                "input": row["problem_id"],
                "output": f"I go {row['strategy']}.",
                "score": float(row["acc"]),
                "step": step,
            }
            for row in rows
        ]
        write(tmp_path / "bare", step, bare)
    rules = tmp_path / "way.py"
    rules.write_text("def way(text: str) -> str:\n    return text.removeprefix('I go ').removesuffix('.')\n")
    asked = Asked(rules=read_rules(f"{rules}:way"), where="step > 2")
    run = VerlRun(tmp_path / "bare", asked).poll()
    theirs = VerlRun(tmp_path / "labelled", Asked("acc", where="step > 2")).poll()
    counts = (
        theirs.counts.group_by("update", "strategy")
        .agg(pl.col("n", "right").sum())
        .sort("update", "strategy")
    )
    assert run.counts.select(counts.columns).equals(counts)
    assert set(run.counts["update"]) == {2, 3, 4, 5}
    assert run.gains.keys() == {6}
    assert run.gains[6]["gain"][0] == pytest.approx(theirs.gains[6]["gain"][0])
    html = Watched(tmp_path / "labelled", Asked("acc", where="stepp > 2")).show().html
    assert "did you mean" in html


def test_columns_that_differ_only_later_are_asked_for_then(tmp_path: Path) -> None:
    """At the start of a run all is wrong, and two rewards are the same column."""
    rows = {step: responses(step, np.random.default_rng(step)) for step in (1, 2)}
    for row in rows[1]:
        row |= {"score": 0.0, "acc": "0.0"}
    for row in rows[2]:
        row["score"] = 0.5
    write(tmp_path / "dump", 1, rows[1])
    run = VerlRun(tmp_path / "dump")
    assert run.poll().scored
    write(tmp_path / "dump", 2, rows[2])
    assert not run.poll().scored
    assert run.run.gains == {}


def test_lines_without_a_strategy_are_counted_and_named(tmp_path: Path) -> None:
    rows = responses(1, np.random.default_rng(5))
    for row in rows[:5]:
        del row["strategy"]
    write(tmp_path / "dump", 1, rows)
    (tmp_path / "dump/2.jsonl").write_text("no json\n")
    html = Watched(tmp_path / "dump").show().html
    assert "6 lines without a step, a problem_id or a strategy are left out" in html
