"""What makes a finished folder a stage's result: what differs from the defaults, in any version's words."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.settings import (
    GRPOConfig,
    LLMConfig,
    RolloutConfig,
    SFTConfig,
    defaults,
    recorded,
    stage,
)
from stratagem.workspace import Stage, differs, essence

# config.json of four stages of a study as they were before tasks had names: defaults in the key, p, inversion.
OLD = json.loads((Path(__file__).parent / "golden" / "configs_0.1.json").read_text())
MODEL = "0123456789abcdef"


def folder(tmp_path: Path, config: Any) -> Path:
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.json").write_text(json.dumps(config))
    return out


@pytest.mark.parametrize(
    ("name", "config", "inputs"),
    [
        ("sft", SFTConfig(strategy="FB", tune="embeddings"), {}),
        ("rl", GRPOConfig(lr=3e-4), {"keep_rollouts": False}),
        ("rollout", RolloutConfig(checkpoint="FB/SFT"), {}),
        ("probe", RolloutConfig(checkpoint="FB/SFT", force="forward", samples=4, greedy=False), {}),
    ],
)
def test_folders_of_before_tasks_had_names_are_recognised(
    tmp_path: Path, name: str, config: Any, inputs: dict[str, Any]
) -> None:
    old = OLD[name]
    model = old["settings"]["model"]
    out = folder(tmp_path, old)
    kind = old["stage"]
    assert stage(kind, config, out, model=model, **inputs).done
    with pytest.raises(StratagemError, match=r"made with other settings \(seed was 0, now 1\)"):
        stage(kind, replace(config, seed=1), out, model=model, **inputs)
    with pytest.raises(StratagemError, match=r"task was 'finite_field', now 'finite_field:p=13'"):
        stage(kind, replace(config, task="finite_field:p=13"), out, model=model, **inputs)
    with pytest.raises(StratagemError, match=r"model was '\w+', now 'another'"):
        stage(kind, config, out, model="another", **inputs)


def test_old_words_for_the_field_and_the_mix(tmp_path: Path) -> None:
    old = OLD["rl"]
    changed = old | {"settings": old["settings"] | {"p": 13, "inversion": 0.25}}
    config = GRPOConfig(task="finite_field:p=13", lr=3e-4, mix="evaluation=0.75,inversion=0.25")
    out = folder(tmp_path, changed)
    assert stage("rl", config, out, model=old["settings"]["model"], keep_rollouts=False).done


def test_a_new_option_leaves_finished_folders_valid(tmp_path: Path) -> None:
    settings = {"lr": 0.1, "size": 4}
    stage = Stage("sft", 1, settings, tmp_path / "x", defaults={"lr": 0.1, "size": 2})
    with stage.open():
        pass
    defaults = {"lr": 0.1, "size": 2, "polish": False}
    again = Stage("sft", 1, settings | {"polish": False}, tmp_path / "x", defaults=defaults)
    assert again.done
    assert again.key == stage.key
    with pytest.raises(StratagemError, match="polish was False, now True"):
        Stage("sft", 1, settings | {"polish": True}, tmp_path / "x", defaults=defaults)


def test_a_default_that_changes_does_not_make_an_old_folder_valid(tmp_path: Path) -> None:
    with Stage("sft", 1, {"lr": 0.1}, tmp_path / "x", defaults={"lr": 0.1}).open():
        pass
    with pytest.raises(StratagemError, match=r"lr was 0.1, now 0.2"):
        Stage("sft", 1, {"lr": 0.2}, tmp_path / "x", defaults={"lr": 0.2})


def stop(folder: Stage, state: str) -> None:
    """Leave a stage's folder as an interrupt does."""
    with contextlib.suppress(KeyboardInterrupt), folder.open() as work:
        (work / "state").write_text(state)
        raise KeyboardInterrupt


def test_an_interrupted_folder_of_the_same_settings_goes_on(tmp_path: Path) -> None:
    interrupted = Stage("sft", 1, {"lr": 0.1}, tmp_path / "x", defaults={"lr": 0.1})
    stop(interrupted, "half")
    again = Stage("sft", 1, {"lr": 0.1, "new": 0}, tmp_path / "x", defaults={"lr": 0.1, "new": 0})
    with again.open() as work:
        assert (work / "state").read_text() == "half"
    other = Stage("sft", 1, {"lr": 0.3}, tmp_path / "y", defaults={"lr": 0.1})
    stop(other, "of other settings")
    with Stage("sft", 1, {"lr": 0.4}, tmp_path / "y", defaults={"lr": 0.1}).open() as work:
        assert sorted(path.name for path in work.iterdir()) == [".lock", "config.json"]


def test_the_key_is_what_differs_from_the_defaults() -> None:
    config = SFTConfig(lr=1e-3)
    assert essence(recorded(config), defaults(config, {})) == {"lr": 1e-3}
    other = SFTConfig(task="finite_field:p=13", lr=1e-3)
    assert essence(recorded(other), defaults(other, {})) == {"lr": 1e-3, "task": "finite_field:p=13"}
    parts = GRPOConfig(task="composition", steps=(3, 5))  # whose problems never have the usual 6-9 steps
    assert essence(recorded(parts), defaults(parts, {})) == {"task": "composition", "steps": (3, 5)}
    assert essence(recorded(GRPOConfig(sampler="dapo")), defaults(GRPOConfig(), {})) == {"sampler": "dapo"}
    rollouts = RolloutConfig(split="rl")
    assert essence(recorded(rollouts), defaults(rollouts, {})) == {"split": "rl"}
    llm = {"llm": LLMConfig(rank=8).key()}
    assert essence(recorded(config) | llm, defaults(config, llm)) == {"lr": 1e-3, "llm": {"rank": 8}}


@pytest.mark.parametrize(
    "recorded", [[], None, {}, {"stage": "sft"}, {"stage": "sft", "version": 1, "settings": 3}]
)
def test_what_is_no_config_of_a_stage_is_said(recorded: Any) -> None:
    assert differs(recorded, "sft", 1, {}, {}) == "its config.json is not a stage's"
