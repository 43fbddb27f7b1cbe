"""Cross-entropy of held-out demonstrations against whole rows, one by one."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

torch = pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.models.folder import load_model  # noqa: E402
from stratagem.models.vocabulary import EOS_ID, encode  # noqa: E402
from stratagem.settings import SFTConfig, ValidationConfig  # noqa: E402
from stratagem.tasks import FiniteField  # noqa: E402
from stratagem.training.packing import pack  # noqa: E402
from stratagem.training.validation import nats_of, validate  # noqa: E402

ROWS = [([5, 6, 7], [8, 9, 1]), ([10, 11], [12, 1]), ([5, 6, 7], [8, 13, 14, 1]), ([5, 6, 7], [8, 9, 1])]


def nats_of_row(model, prompt: list[int], response: list[int]) -> float:
    logits = model(torch.tensor([prompt + response]))[0, len(prompt) - 1 : -1]
    return float(torch.nn.functional.cross_entropy(logits, torch.tensor(response), reduction="sum"))


def test_each_row_has_its_own_nats_however_it_is_packed(random_model) -> None:
    model, _ = load_model(random_model)
    with torch.no_grad():
        packed = torch.zeros(len(ROWS))
        for part in pack(ROWS, tokens=8):
            packed[part.members] = nats_of(model, part)
        torch.testing.assert_close(packed, torch.tensor([nats_of_row(model, *row) for row in ROWS]))


def test_the_table_is_of_held_out_problems_and_their_gold_responses(random_model, tmp_path: Path) -> None:
    config = ValidationConfig(strategy="B", steps=(2, 3), size=6)
    table = pl.read_parquet(validate(config, tmp_path / "out", random_model) / "losses.parquet")
    problems = FiniteField().generate("eval", 6, (2, 3))
    assert table["problem_id"].to_list() == [problem.id for problem in problems]
    assert not {p.id for p in problems} & {p.id for p in FiniteField().generate("sft", 64, SFTConfig().steps)}
    model, tokenizer = load_model(random_model)
    texts = FiniteField().demonstrations(problems, "B")
    with torch.no_grad():
        for problem, text, row in zip(problems, texts, table.to_dicts(), strict=True):
            response = [*encode(tokenizer, text), EOS_ID]
            assert row["tokens"] == len(response)
            assert row["nats"] == pytest.approx(
                nats_of_row(model, encode(tokenizer, problem.prompt), response), rel=1e-4
            )
    before = (tmp_path / "out" / "losses.parquet").stat().st_mtime_ns
    validate(config, tmp_path / "out", random_model)
    assert (tmp_path / "out" / "losses.parquet").stat().st_mtime_ns == before
