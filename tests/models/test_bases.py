"""The bases that ship beside the default one: found by name, with the words of their task."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import BASES, fingerprint, load_model, model_folder, shipped_base
from stratagem.models.vocabulary import vocabulary
from stratagem.tasks import make_task

NAMES = sorted(path.name for path in BASES.iterdir() if path.is_dir())


def test_there_are_bases() -> None:
    card = (BASES / "README.md").read_text()
    assert NAMES
    assert all(f"`{name}`" in card for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_base_is_found_by_its_name(name: str) -> None:
    folder = model_folder(BASES / name)
    assert model_folder(type(BASES)(name)) == folder
    model, tokenizer = load_model(folder)
    words = vocabulary(make_task("finite_field"))
    assert [tokenizer.id_to_token(number) for number in range(len(words))] == words
    assert sum(weight.numel() for weight in model.parameters()) < 1_000_000
    assert fingerprint(folder) != fingerprint(shipped_base(make_task("finite_field")))
