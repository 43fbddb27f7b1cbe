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
    ("text", "message"),
    [
        ("[evaluation]\nsmaples = 8", r"\[evaluation\] has no setting 'smaples'; there are checkpoint, "),
        ('[quick.rl]\nupdates = "many"', r"\[quick.rl\] Expected `int`, got `str` - at `\$.updates`"),
        ("[full.sft]\nlr = 0", r"\[full.sft\] --size, .* --lr above 0"),
        ("stratgies = []", "stratgies"),
        ("[probe", "no TOML: Expected"),
        ("[quick.rm]\nx = 1", "rm"),
        ('[quick.rl]\nsteps = "6-15"', r"\[quick.rl\] steps: is not for the file to say there"),
        ("quick = 3", r"Expected `object`, got `int` - at `\$.quick`"),
        ("quick.rl = 3", r"Expected `object`, got `int` - at `\$.quick.rl`"),
        ("llm = 3", r"got `int` - at `\$.llm`"),
        ("[evaluation]\nsteps = 6", r"\[evaluation\] steps 6: must be as"),
        ('rl_steps = ["6-15"]', "rl_steps: is what the study is about"),
        ('[quick.sft]\nsteps = "9-2"', r"\[quick.sft\] .*9-2"),
        ("[llm]\nrank = 8", r"\[llm\] rank: is an option of the command"),
    ],
)
def test_a_wrong_setting_is_one_line_with_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "own.toml").write_text(text)
    with pytest.raises(StratagemError, match=f"own.toml: .*{message}") as caught:
        read_study(TABLE1, tmp_path / "own.toml")
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own_changes_what_it_names_and_the_report_says_so(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[quick.rl]\nupdates = 300\nbeta = 0.1\n[evaluation]\nsize = 96")
    study, usual = read_study(TABLE1, tmp_path / "own.toml"), read_study()
    assert study.rl("quick", "6-9", 0).updates == 300
    assert study.rollouts("x").size == 96
    assert study.sft("quick", "FB", 0) == usual.sft("quick", "FB", 0)
    assert study.rl("full", "6-9", 0) == usual.rl("full", "6-9", 0)
    reasons = {one["setting"]: one["reason"] for one in study.deviations("quick", 1)}
    assert reasons["rl.beta"] == reasons["rl.updates"] == "set in own.toml"
    assert reasons["rl.lr"] == usual.reasons["rl.lr"]


def test_training_and_evaluation_share_a_field(tmp_path: Path) -> None:
    (tmp_path / "own.toml").write_text("[evaluation]\np = 13\n[quick.sft]\np = 13\n[quick.rl]\np = 13")
    study = read_study(TABLE1, tmp_path / "own.toml")
    study.check_field("quick")
    with pytest.raises(
        StratagemError, match=r"p is 11, 11, 13 in \[full.sft\], \[full.rl\] and \[evaluation\]"
    ):
        study.check_field("full")


def test_a_budget_outside_the_study_s_own_is_a_deviation(tmp_path: Path) -> None:
    for updates, told in ((300, True), (700, False)):
        (tmp_path / "own.toml").write_text(f"[full.rl]\nupdates = {updates}")
        found = read_study(TABLE1, tmp_path / "own.toml").deviations("full", 1)
        assert ("rl.updates" in {one["setting"] for one in found}) == told
