"""The mean of a training's weights: what it is, that a resumed training has the same one, and where training ends."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from stratagem.models.transformer import Shape, Transformer
from stratagem.records import StratagemError
from stratagem.settings import BaseConfig
from stratagem.training import base

WEIGHTS = "model/model.safetensors"
CONFIG = BaseConfig(updates=5, tokens=256, seed=3)


def test_it_is_the_plain_mean_at_first_and_forgets_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "AVERAGED", 4)
    model = Transformer(Shape(20))
    average = base.Average(model, None)
    expected, weight = 0.0, next(iter(model.parameters()))
    for number in range(1, 9):
        with torch.no_grad():
            weight.fill_(number)
        average.take(model)
        expected = sum(range(1, number + 1)) / number if number <= 4 else 0.75 * expected + 0.25 * number
        assert next(iter(average.model.parameters())).mean().item() == pytest.approx(expected, rel=1e-6)
    again = base.Average(Transformer(Shape(20)), None)
    again.restore(average.state())
    assert again.updates == 8
    for mean, restored in zip(average.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(mean, restored)


def test_a_training_ends_where_its_model_is_good_and_is_the_one_of_so_many_updates(tmp_path: Path) -> None:
    asked: list[int] = []

    def good(model: Transformer, updates: int) -> bool:
        asked.append(updates)
        return updates == 3

    ended = base.train(CONFIG, tmp_path / "ended", good=good)
    assert asked == [0, 1, 2, 3]
    short = base.train(BaseConfig(updates=3, tokens=256, seed=3), tmp_path / "short")
    assert (ended / WEIGHTS).read_bytes() == (short / WEIGHTS).read_bytes()


def test_a_training_that_was_stopped_ends_with_the_same_bits(tmp_path: Path) -> None:
    config = BaseConfig(updates=204, tokens=256)

    def stopped(model: Transformer, updates: int) -> bool:
        if updates == 202:  # behind the state that is saved at 200
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        base.train(config, tmp_path / "stopped", good=stopped)
    resumed, straight = (base.train(config, tmp_path / name) for name in ("stopped", "straight"))
    assert (resumed / WEIGHTS).read_bytes() == (straight / WEIGHTS).read_bytes()
    assert (resumed / "metrics.jsonl").read_bytes() == (straight / "metrics.jsonl").read_bytes()


def test_a_training_cannot_go_beyond_its_rate() -> None:
    with pytest.raises(
        StratagemError, match="--updates 9000: more than --horizon 8000, where the rate is zero"
    ):
        BaseConfig(updates=9000)
