"""The bases that ship: found by name, with the words of their task, each another model."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import BASES, SHIPPED, fingerprint, load_model, model_folder, shipped_bases
from stratagem.models.vocabulary import vocabulary
from stratagem.tasks import make_task

BASES_OF = {task: shipped_bases(make_task(task)) for task in SHIPPED}
FOLDERS = [folder for folders in BASES_OF.values() for folder in folders]


def test_all_folders_ship_and_are_other_models() -> None:
    assert sorted(FOLDERS) == sorted(path for path in BASES.iterdir() if path.is_dir())
    assert len({fingerprint(folder) for folder in FOLDERS}) == len(FOLDERS)


@pytest.mark.parametrize(
    ("task", "folder"),
    [(task, folder) for task, folders in BASES_OF.items() for folder in folders],
    ids=[folder.name for folder in FOLDERS],
)
def test_a_base_is_found_by_its_name(task: str, folder: Path) -> None:
    assert f"`{folder.name}`" in (BASES / "README.md").read_text()
    assert model_folder(Path(folder.name)) == folder
    model, tokenizer = load_model(folder)
    words = vocabulary(make_task(task))
    assert [tokenizer.id_to_token(number) for number in range(len(words))] == words
    assert sum(weight.numel() for weight in model.parameters()) < 1_000_000
