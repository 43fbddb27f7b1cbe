"""Every study file reads, and says where it leaves the study's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratagem.records import StratagemError
from stratagem.studies.config import PRESETS, TABLE1, read_study

FILES = sorted(TABLE1.parent.glob("*.toml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
@pytest.mark.parametrize("preset", PRESETS)
def test_every_file_makes_every_setting(path: Path, preset: str) -> None:
    study = read_study(path)
    for strategy in study.strategies:
        assert study.sft(preset, strategy, 0).strategy == strategy
    for steps in study.rl_steps:
        assert "{}-{}".format(*study.rl(preset, steps, 1).steps) == steps
    assert study.rollouts("x").samples >= 8
    assert study.rollouts("x").temperature == study.rl(preset, "6-9", 0).temperature
    for deviation in study.deviations(preset, 1):
        assert deviation["ours"] != deviation["study"]
        assert deviation["reason"] != "see the study file", deviation["setting"]


def test_published_numbers_are_those_of_the_paper() -> None:
    published = read_study().published
    assert len(published) == 9
    assert published["FB/RL(6-9)"] == (95.7, 94.1, 97.1)
    assert published["B/SFT"] == (24.5, 38.9, 11.9)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("samples = 8", "samples = 8\nsmaples = 8", "smaples"),
        ("strategies = ", "stratgies = ", "stratgies"),
        ("[probe]", "[probe", "table1"),
    ],
)
def test_a_wrong_key_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "table1.toml"
    path.write_text(TABLE1.read_text().replace(old, new, 1))
    with pytest.raises((StratagemError, TypeError), match=message):
        read_study(path).rollouts("x")
