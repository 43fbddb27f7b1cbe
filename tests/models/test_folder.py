"""Reading a model's folder."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import BASES, CONFIG, read_shape
from stratagem.models.transformer import Transformer, parameter_sizes

LOADED = """
import sys
from pathlib import Path
from stratagem.models.folder import load_model, model_folder
load_model(model_folder(Path("base-0")))
assert "torch._dynamo" not in sys.modules
"""


def test_the_sizes_of_a_models_parameters() -> None:
    shape = read_shape(BASES / "base-0" / CONFIG)
    held = {name: list(parameter.shape) for name, parameter in Transformer(shape).named_parameters()}
    assert parameter_sizes(shape) == held


def test_reading_a_model_imports_no_compiler() -> None:
    """It takes a second or two, of each command that asks a model."""
    subprocess.run([sys.executable, "-c", LOADED], check=True)
