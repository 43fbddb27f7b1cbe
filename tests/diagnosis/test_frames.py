"""The lens from Python: a log as a table, labels by one's own function, the split of it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stratagem
from stratagem.diagnosis.table import read_rows
from tests.diagnosis.test_diagnose import log


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
    result = stratagem.decompose(tables[0], tables[1], by=(), rng=np.random.default_rng(0), draws=100)
    assert result.gain.value == result.selection.value == pytest.approx(0.4)
    assert "select, then improve" in str(result)
    with pytest.raises(stratagem.StratagemError, match="len: row 0: gave int"):
        stratagem.label(before, len)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
def test_rows_of_a_table_in_any_row_groups(sizes: list[int], data: st.DataObject) -> None:
    table = pl.DataFrame({"n": range(sum(sizes)), "names": [[str(i)] * (i % 3) for i in range(sum(sizes))]})
    chosen = data.draw(st.sets(st.integers(0, table.height - 1), min_size=1).map(sorted))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.parquet"
        with pq.ParquetWriter(path, table.to_arrow().schema) as writer:
            start = 0
            for size in sizes:
                writer.write_table(table[start : start + size].to_arrow())
                start += size
        assert read_rows(path, np.array(chosen)).equals(table[chosen])
