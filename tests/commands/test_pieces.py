"""Each command as a user runs it: reading what the one before wrote, and refusing what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Run


def test_problems_are_shown_and_exported(stratagem: Run, tmp_path: Path) -> None:
    shown = stratagem("problems", "--size", 2, "--strategy", "FB")
    assert shown.returncode == 0
    assert "; evaluate :" in shown.stdout
    assert "answer last" in shown.stdout or "answer guess" in shown.stdout
    listed = json.loads(stratagem("problems", "--size", 3, "--json").stdout)
    assert len(listed["problems"]) == 3
    done = stratagem(
        "problems", "--split", "rl", "--steps", "6-9", "--size", 20, "--instruction", "--out", "rl.jsonl"
    )
    assert done.returncode == 0
    rows = [json.loads(line) for line in (tmp_path / "rl.jsonl").read_text().splitlines()]
    assert len({row["problem_id"] for row in rows}) == 20
    assert all("GF(11)" in row["prompt"] and 6 <= row["difficulty"] <= 9 for row in rows)


def test_the_pieces_work_together(stratagem: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    for words in (
        ["sft", "--strategy", "FB", "--size", 32, "--epochs", 1, "--out", "fb"],
        ["rl", "--model", "fb", "--steps", "2-3", "--updates", 2, "--prompts", 8, "--batch", 4, "--group", 4,
         "--keep-rollouts", "--out", "fb-rl"],
        ["rollout", "--model", "fb", "--size", 16, "--samples", 4, "--checkpoint", "before", "--out", "before"],
        ["rollout", "--model", "fb-rl", "--size", 16, "--samples", 4, "--checkpoint", "after", "--out", "after"],
        ["rollout", "--model", "fb", "--size", 8, "--samples", 2, "--force", "backward", "--no-greedy",
         "--out", "forced"],
        ["label", "before"],
        ["label", "after"],
        ["decompose", "before", "after", "--draws", 200],
    ):  # fmt: skip
        done = stratagem(*words)
        assert done.returncode == 0, f"{words}: {done.stderr}"
    kept = pl.concat(
        pl.read_parquet(path) for path in sorted((tmp_path / "fb-rl" / "rollouts").glob("*.parquet"))
    )
    assert len(kept) == 2 * 4 * 4
    assert kept["update"].unique().sort().to_list() == [0, 1]
    assert kept.group_by("update", "group").len()["len"].unique().to_list() == [4]
    assert kept.group_by("update", "group").n_unique()["problem_id"].unique().to_list() == [1]
    assert kept["strategy"].null_count() == 0
    forced = pl.read_parquet(tmp_path / "forced" / "rollouts.parquet")
    assert forced["completion"].str.starts_with("backward").all()
    decomposition = json.loads(stratagem("decompose", "before", "after", "--json").stdout)
    parts = sum(decomposition[name]["value"] for name in ("selection", "improvement", "new_strategy"))
    assert parts == pytest.approx(decomposition["gain"]["value"], abs=1e-12)
    # Greedy responses are never mixed with sampled ones, whatever command reads them.
    diagnosis = json.loads(
        stratagem("diagnose", "before", "after", "--draws", 200, "--json", "--out", "own").stdout
    )
    assert diagnosis["sides"][0]["responses"] == 16 * 4
    assert any(
        "sampled responses alone are read, and not 16 of 'greedy'" in note for note in diagnosis["warnings"]
    )
    for name in ("gain", "selection", "improvement", "new_strategy"):
        assert diagnosis[name]["value"] == pytest.approx(decomposition[name]["value"], abs=1e-12), name
    again = stratagem("sft", "--strategy", "FB", "--size", 32, "--epochs", 1, "--out", "fb", "--json")
    assert json.loads(again.stdout)["settings"]["strategy"] == "forward,backward"


BAD = {
    "not a command": ["slect"],
    "p is not prime": ["problems", "--task", "finite_field:p=12"],
    "field without words": ["base", "train", "--task", "finite_field:p=17", "--out", "x"],
    "no such task": ["problems", "--task", "sudoku"],
    "no such option of a task": ["problems", "--task", "finite_field:q=3"],
    "no mix": ["problems", "--mix", "evaluation"],
    "no such kind": ["problems", "--mix", "sideways=1"],
    "no steps": ["problems", "--steps", "0-3"],
    "steps the wrong way": ["problems", "--steps", "9-6"],
    "too long": ["problems", "--steps", "6-30"],
    "no such split": ["problems", "--split", "test"],
    "too few problems exist": ["problems", "--task", "finite_field:p=2", "--steps", "1-1", "--size", 5000],
    "unknown strategy": ["sft", "--strategy", "X", "--out", "x"],
    "steps of zero": ["sft", "--steps", "0-0", "--out", "x"],
    "field that the model does not know": ["sft", "--task", "finite_field:p=7", "--out", "x"],
    "no such model": ["rl", "--model", "nowhere", "--out", "x"],
    "group of one": ["rl", "--model", "nowhere", "--group", 1, "--out", "x"],
    "unknown loss": ["rl", "--model", "nowhere", "--loss", "ppo", "--out", "x"],
    "no such file": ["label", "nothing.parquet"],
    "no such study": ["report", "nowhere"],
    "no such study that ships": ["reproduce", "table7"],
    "no study named": ["reproduce"],
    "unknown preset": ["reproduce", "table1", "--preset", "fast"],
    "no replicates": ["reproduce", "table1", "--replicates", 0],
    "no such option": ["rl", "--updats", 3],
    "no number": ["rl", "--model", "x", "--out", "x", "--updates", "many"],
    "nothing that is required": ["rl"],
    "no workers": ["reproduce", "table1", "--workers", 0],
}


@pytest.mark.parametrize("name", BAD)
def test_impossible_settings_get_one_line_and_code_2(stratagem: Run, tmp_path: Path, name: str) -> None:
    if BAD[name][0] in ("sft", "rl", "reproduce"):
        pytest.importorskip("torch", reason="needs the lab extra")
    done = stratagem(*BAD[name])
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir()), "something was left behind"


def test_a_folder_that_is_not_ours_is_kept(stratagem: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    for words in (["sft", "--out", "mine"], ["reproduce", "table1", "--out", "mine"]):
        done = stratagem(*words)
        assert done.returncode == 2
        assert "choose another --out" in done.stderr
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_corrupt_checkpoint_is_named(stratagem: Run, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    assert stratagem("sft", "--size", 8, "--epochs", 1, "--out", "fb").returncode == 0
    weights = tmp_path / "fb" / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    done = stratagem("rl", "--model", "fb", "--out", "rl")
    assert done.returncode == 2
    assert "model.safetensors: corrupt" in done.stderr
    assert not (tmp_path / "rl").exists()


def test_tables_that_are_none_are_named(stratagem: Run, tmp_path: Path) -> None:
    (tmp_path / "text.parquet").write_text("not parquet")
    done = stratagem("label", "text.parquet")
    assert done.returncode == 2
    assert "text.parquet: neither JSON, CSV, Parquet nor Arrow" in done.stderr
    pl.DataFrame({"prompt": ["x"]}).write_parquet(tmp_path / "other.parquet")
    done = stratagem("label", "other.parquet")
    assert done.returncode == 2
    assert "other.parquet: no known format; its columns are prompt" in done.stderr


def test_help_is_quick_and_complete(stratagem: Run) -> None:
    from stratagem.cli import COMMANDS

    text = stratagem("--help").stdout
    for name in COMMANDS:
        assert name in text
        page = stratagem(name, "--help")
        assert page.returncode == 0
        assert "Examples:" in page.stdout
