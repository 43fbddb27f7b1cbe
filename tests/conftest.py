"""What several tests share: a small random model, and commands run as a user runs them."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.forked import Command, commands

Run = Callable[..., subprocess.CompletedProcess[str]]

# Machines are shared and slow at times: no test is about time.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(7200))


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    try:
        import torch
    except ModuleNotFoundError:
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained model with the vocabulary of the base, of one small layer."""
    torch = pytest.importorskip("torch", reason="needs the lab extra")
    from stratagem.models.folder import save_model
    from stratagem.models.transformer import Shape, Transformer
    from stratagem.models.vocabulary import make_tokenizer, vocabulary
    from stratagem.tasks import FiniteField

    words = vocabulary(FiniteField())
    torch.manual_seed(7)
    shape = Shape(
        len(words), hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=4
    )
    folder = tmp_path_factory.mktemp("random") / "model"
    save_model(Transformer(shape), make_tokenizer(words), folder)
    return folder


@pytest.fixture(scope="session")
def taught_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped base after a little SFT: right often enough for RL to have a signal."""
    pytest.importorskip("torch", reason="needs the lab extra")
    from stratagem.settings import SFTConfig
    from stratagem.training import sft

    out = tmp_path_factory.mktemp("taught") / "sft"
    return sft.train(SFTConfig(size=512, epochs=3, steps=(1, 2)), out) / "model"


@pytest.fixture(scope="session")
def _command() -> Iterator[Command]:
    with commands() as command:
        yield command


@pytest.fixture
def stratagem(_command: Command, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run a `stratagem` command in an empty folder."""
    outputs = tmp_path_factory.mktemp("printed")

    def run(*words: str | Path, timeout: int = 120) -> subprocess.CompletedProcess[str]:
        return _command(tmp_path, [*map(str, words)], outputs, timeout)

    return run
