"""A model is asked the task that it was trained on, where `--task` names none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stratagem.cli import run
from stratagem.commands.model_task import task_of, value_of, with_model_task
from stratagem.records import StratagemError


def stage(folder: Path, **config: Any) -> Path:
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_a_model_is_asked_its_own_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    monkeypatch.chdir(tmp_path)
    few = ["--steps", "3-4", "--size", 8]
    for words in (
        ["base", "train", "--task", "sums", "--updates", 1, "--out", "base"],
        ["sft", *few, "--epochs", 1, "--model", "base", "--out", "taught"],
        ["rollout", *few, "--samples", 1, "--model=taught", "--out", "asked"],
        ["splice", "taught", "taught", *few, "--samples", 2, "--out", "spliced"],
        [
            "rl",
            "--steps",
            "3-4",
            "--updates",
            1,
            "--prompts",
            2,
            "--batch",
            2,
            "--model",
            "taught",
            "--out",
            "trained",
        ],
    ):
        assert run([str(word) for word in words]) == 0, words
    made = [
        path
        for name in ("taught", "asked", "spliced", "trained")
        for path in (tmp_path / name).rglob("config.json")
    ]
    stages = [config for path in made if "stage" in (config := json.loads(path.read_text()))]
    assert {config["stage"] for config in stages} >= {"sft", "rollout", "rl"}
    assert {config["settings"]["task"] for config in stages} == {"sums"}


def test_the_task_of_a_folder(tmp_path: Path) -> None:
    settings = {"task": "finite_field:p=13"}
    taught = stage(tmp_path / "taught", stage="sft", settings=settings)
    assert task_of(taught) == task_of(taught / "model") == "finite_field:p=13"
    others = {
        "rollouts": {"stage": "rollout", "settings": settings},
        "model": {"model_type": "qwen2"},
        "no settings": {"stage": "sft"},
        "no task": {"stage": "sft", "settings": {}},
        "odd": {"stage": ["sft"], "settings": settings},
        "odder": {"stage": "rl", "settings": {"task": 3}},
    }
    for name, config in others.items():
        assert task_of(stage(tmp_path / name, **config)) is None, name
    assert task_of(tmp_path / "not there") is None
    (tmp_path / "odd" / "config.json").write_text("{")
    assert task_of(tmp_path / "odd") is None


def test_a_base_that_ships_is_for_its_task() -> None:
    pytest.importorskip("torch", reason="needs the lab extra")
    assert task_of(Path("five-0")) == "five_ways"
    assert task_of(Path("nobody")) is None


def test_models_of_different_tasks_are_asked_one_that_is_named(tmp_path: Path) -> None:
    models = [
        str(stage(tmp_path / name, stage="rl", settings={"task": name})) for name in ("sums", "five_ways")
    ]
    with pytest.raises(StratagemError, match="say with --task"):
        with_model_task(models, models)
    named = [*models, "--task=sums"]
    assert with_model_task(named, models) == named
    assert with_model_task(["a"], [models[0], None, "a"]) == ["a", "--task", "sums"]


def test_the_value_of_an_option() -> None:
    assert value_of("--model", ["a", "--model", "b", "--model=c"]) == "b"
    assert value_of("--model", ["--model=c"]) == "c"
    assert value_of("--model", ["--model"]) is None
