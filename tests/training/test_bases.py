"""A base of the recipe of five ways has the words of three tasks, and what it was made by is recorded."""

from __future__ import annotations

from pathlib import Path

import pytest

from stratagem.models import folder as folders
from stratagem.models.folder import load_model, model_folder
from stratagem.records import StratagemError
from stratagem.settings import BaseConfig, SFTConfig
from stratagem.tasks import make_task
from stratagem.tasks.five_ways import primitives
from stratagem.training import base, sft
from stratagem.workspace import read_json


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = BaseConfig(task="five_ways", updates=2, tokens=256)
    return base.train(config, tmp_path_factory.mktemp("base") / "base")


def test_its_recipe_is_recorded(made: Path) -> None:
    settings = read_json(made / "config.json")["settings"]
    assert (settings["task"], settings["primitives"]) == ("five_ways", primitives.VARIANTS[0])
    assert len((made / "metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("task", ["finite_field", "finite_field:p=13", "five_ways", "composition"])
def test_sft_of_every_task_that_it_has_the_words_of(task: str, made: Path, tmp_path: Path) -> None:
    config = SFTConfig(task=task, steps=(1, 2), size=8, epochs=1, batch=4)
    trained = sft.train(config, tmp_path / "sft", made)
    _, tokenizer = load_model(trained / "model")
    problem = make_task(task).generate("eval", 1, (1, 2))[0]
    assert tokenizer.decode(tokenizer.encode(problem.prompt).ids) == problem.prompt


def test_a_base_that_ships_is_found_by_its_name(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "BASES", made.parent / "base")
    monkeypatch.chdir(tmp_path)
    assert model_folder(Path("model")) == made / "model"
    (tmp_path / "model").mkdir()  # a folder that holds no model does not hide it
    assert model_folder(Path("model")) == made / "model"
    with pytest.raises(StratagemError, match="no model here"):
        model_folder(Path("other"))
    with pytest.raises(StratagemError, match="no model here"):
        model_folder(tmp_path / "model")
