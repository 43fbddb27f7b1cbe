"""Splices: each model's part of a response is its own; a model spliced with itself is itself."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.records import Metrics, StratagemError
from stratagem.sampling.rollout import TABLE
from stratagem.sampling.splice import splice
from stratagem.settings import RolloutConfig, SFTConfig
from stratagem.training import sft
from tests.conftest import Run


def silent(what: str, done: int, total: int, metrics: Metrics) -> None: ...


@pytest.fixture(scope="module")
def forward_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped base, taught to go forward alone."""
    out = tmp_path_factory.mktemp("forward") / "sft"
    return sft.train(SFTConfig(strategy="F", size=256, epochs=3, steps=(1, 2)), out) / "model"


def texts(folder: Path) -> list[str]:
    return pl.read_parquet(folder / TABLE, glob=False).sort("problem_id", "sample")["completion"].to_list()


def test_the_likeliest_response_of_a_splice_with_itself_is_its_own(
    taught_model: Path, forward_model: Path, tmp_path: Path
) -> None:
    config = RolloutConfig(steps=(1, 2), size=40, samples=1, temperature=0.001, greedy=False)
    splice(config, tmp_path, (taught_model, forward_model), silent)
    before, after = texts(tmp_path / "before"), texts(tmp_path / "after")
    assert before != after
    for name, own in (("before", before), ("after", after)):
        # Two openings may be as likely as each other, to the rounding of a matrix product; the rest follows from them.
        itself = texts(tmp_path / f"{name}_{name}")
        same = [place for place, text in enumerate(itself) if text.split()[0] == own[place].split()[0]]
        assert len(same) >= 38
        assert [itself[place] for place in same] == [own[place] for place in same]
    mixed = texts(tmp_path / "after_before")
    assert {text.split()[0] for text in [*mixed, *after]} == {"forward"}
    # Where both would open alike, the rest is that of the model that goes on.
    alike = [place for place, text in enumerate(before) if text.split()[0] == "forward"]
    assert alike
    assert [mixed[place] for place in alike] == [before[place] for place in alike]


def test_what_a_splice_says(taught_model: Path, forward_model: Path, tmp_path: Path) -> None:
    """The terms by experiment add up to the gain of the splices, and placebos are near 0."""
    config = RolloutConfig(steps=(1, 2), size=120, samples=8, greedy=False)
    said = splice(config, tmp_path, (taught_model, forward_model), silent)
    right = said.spliced
    gain = right["after after"].value - right["before before"].value
    assert said.selection.value + said.improvement.value == pytest.approx(gain)
    for placebo in said.placebos.values():
        assert abs(placebo.value) < 4 * placebo.se + 1e-9
    # The openings of a model that only goes forward surprise it less than those of one that goes both ways.
    assert said.surprise["after after"] < 0.1 < said.surprise["before after"]
    again = splice(config, tmp_path, (taught_model, forward_model), silent)
    assert again == said


def test_the_command(stratagem: Run, taught_model: Path, tmp_path: Path) -> None:
    ran = stratagem(
        "splice",
        taught_model,
        taught_model,
        "--steps",
        "1-2",
        "--size",
        "12",
        "--samples",
        "2",
        "--out",
        "o",
        "--json",
    )
    assert ran.returncode == 0, ran.stderr
    said = json.loads(ran.stdout)
    assert set(said["spliced"]) == {"before before", "before after", "after before", "after after"}
    forced = stratagem("splice", taught_model, taught_model, "--force", "forward", "--out", "p")
    assert forced.returncode == 2
    assert "--force: " in forced.stderr


def test_force_is_refused(taught_model: Path, tmp_path: Path) -> None:
    with pytest.raises(StratagemError, match="--force"):
        splice(RolloutConfig(force="forward"), tmp_path, (taught_model, taught_model), silent)


def test_a_models_own_folder_is_not_written_to(forward_model: Path) -> None:
    with pytest.raises(StratagemError, match="holds a stage's result"):
        splice(RolloutConfig(), forward_model.parent, (forward_model, forward_model), silent)
