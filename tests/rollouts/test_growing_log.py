"""A log that grows: its further files, or the lines that were added to one, read in the columns that are settled."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts.log import open_log, read_rollouts
from stratagem.rollouts.readers.containers import lines_source, parquet_source, sources
from stratagem.rollouts.readers.files import Found
from stratagem.rollouts.readers.row import ReadOptions

FIXTURES = Path(__file__).parent / "fixtures"


@pytest.mark.parametrize("folder", ["trl/trl-1.16/text", "trl/trl-1.16/chat", "trl/trl-1.10/chat"])
def test_file_by_file_is_as_all_at_once(folder: str) -> None:
    log = read_rollouts(FIXTURES / folder)
    files = [Path(name) for name in log.files]
    assert len(files) > 1
    assert pl.concat(log.rows_of(parquet_source(path)) for path in files).equals(log.read())


@given(st.data())
def test_lines_in_any_parts_are_as_all_at_once(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "1.jsonl"
    records = [
        {"input": f"q{i % 3}", "output": f"a{i}", "gts": "1", "score": i % 2, "step": 1, "acc": str(i % 2)}
        for i in range(data.draw(st.integers(1, 12)))
    ]
    lines = [json.dumps(record) if i % 5 != 4 else "{broken" for i, record in enumerate(records)]
    path.write_text("".join(line + "\n" for line in lines))
    log = read_rollouts(path)
    whole = log.read()
    left_out = log.left_out.total()
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lines)), max_size=4)) | {0, len(lines)})
    parts = ["\n".join(lines[a:b]).encode() for a, b in itertools.pairwise(cuts)]
    grown = open_log([(lines_source(path, parts[0]), Found(path, True))], ReadOptions())
    tables = [grown.rows_of(lines_source(path, part)) for part in parts]
    assert pl.concat(tables).drop("checkpoint").equals(whole.drop("checkpoint"))
    assert grown.left_out.total() == left_out


def completions(path: Path, **more: list[Any]) -> None:
    columns: dict[str, list[Any]] = {"step": [1, 1], "prompt": ["p", "q"], "completion": ["a", "b"]}
    pl.DataFrame(columns | more | {"advantage": [0.0, 0.0]}).write_parquet(path)


def test_texts_that_are_not_read_are_empty_and_all_else_is_the_same(tmp_path: Path) -> None:
    path = tmp_path / "completions_00001.parquet"
    completions(path, right=[1.0, 0.0], problem_id=["p0", "p1"])
    (source,) = sources(path)
    whole = open_log([(source, Found(path, True))], ReadOptions()).read()
    lean = parquet_source(path, ("prompt", "completion"))
    table = open_log([(lean, Found(path, True))], ReadOptions(format="trl")).rows_of(lean)
    assert set(table["prompt"]) == set(table["completion"]) == {""}
    assert table.drop("prompt", "completion").equals(
        whole.drop("prompt", "completion").select(
            [name for name in table.columns if name not in ("prompt", "completion")]
        )
    )


def test_a_half_written_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "completions_00001.parquet"
    completions(path, right=[1.0, 0.0])
    log = read_rollouts(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StratagemError, match="not a readable Parquet file"):
        log.rows_of(parquet_source(path))


def test_whole_numbers_beside_rewards_of_trl_are_no_rewards(tmp_path: Path) -> None:
    path = tmp_path / "completions_00001.parquet"
    completions(path, right=[1.0, 0.0], level=[2, 3])
    log = read_rollouts(path)
    assert log.score_names == ("right",)
    assert log.read()["level"].to_list() == [2, 3]
