"""The lens from Python: a log as a table, labels by one's own function, the split of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

import stratagem
from tests.lens.test_diagnose import log


def by_word(text: str) -> str | None:
    return "long way" if "backward" in text else None


def by_column(frame: pl.DataFrame) -> pl.Series:
    return pl.Series([by_word(text) or "other" for text in frame["completion"]])


def test_a_function_of_ones_own_labels_a_table(tmp_path: Path) -> None:
    before = stratagem.read_rollouts(
        log(tmp_path / "a.jsonl", {"forward": (0.5, 0.9), "backward": (0.5, 0.1)})
    )
    after = stratagem.read_rollouts(log(tmp_path / "b.jsonl", {"forward": (1.0, 0.9)}))
    tables = [stratagem.label(table, by_word) for table in (before, after)]
    assert tables[0].equals(stratagem.label(before, by_column))
    assert tables[0]["strategy"].value_counts(sort=True).get_column("strategy").to_list() in (
        ["other", "long way"], ["long way", "other"]
    )  # fmt: skip
    found = stratagem.decompose(tables[0], tables[1], by=(), rng=np.random.default_rng(0), draws=100)
    assert found.gain.value == found.selection.value == pytest.approx(0.4)
    assert "select, then improve" in str(found)
    with pytest.raises(stratagem.StratagemError, match="len: row 0: gave int"):
        stratagem.label(before, len)
