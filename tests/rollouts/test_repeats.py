"""What a log holds twice is read once; samples that are alike are samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts import log as log_module
from stratagem.rollouts.log import read_rollouts
from tests.rollouts.logs import write_lines


def records(problems: int, samples: int = 4, **more: Any) -> list[dict[str, Any]]:
    """Samples of which every second is alike."""
    return [
        {
            "id": p,
            "prompt": f"What is {p} plus one?",
            "completion": f"We add one to the number {p}, way {s % 2}, and get {p + 1}.",
            "score": float(s % 2),
            **more,
        }
        for p in range(problems)
        for s in range(samples)
    ]


def read(path: Path, lines: list[dict[str, Any]]) -> tuple[int, int]:
    log = read_rollouts(write_lines(path / "log.jsonl", lines))
    return log.read().height, log.repeated


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(16, 24), size=st.sampled_from([5, 17, 50_000]))
def test_a_block_that_was_written_anew_is_read_once(
    cut: int, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lines = records(6)
    more = records(9)[24:]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(log_module, "BATCH_ROWS", size)
        log = read_rollouts(
            write_lines(tmp_path_factory.mktemp("again") / "log.jsonl", lines + lines[24 - cut :] + more)
        )
        table = log.read()
    assert log.repeated == cut
    assert table["completion"].to_list() == [record["completion"] for record in lines + more]


def test_a_few_rows_are_no_block(tmp_path: Path) -> None:
    lines = records(6)
    assert read(tmp_path, lines + lines[:8]) == (32, 0)


def test_samples_that_are_alike_are_samples(tmp_path: Path) -> None:
    assert read(tmp_path, records(6)) == (24, 0)
    letters = [{"id": p, "prompt": f"Which, {p}?", "completion": "B", "score": 1.0} for p in range(50)]
    assert read(tmp_path, letters * 4) == (200, 0)


def test_a_sample_with_its_number_is_read_once(tmp_path: Path) -> None:
    lines = [record | {"sample": i % 4} for i, record in enumerate(records(3))]
    assert read(tmp_path, lines + lines[2:4]) == (12, 2)


def test_another_step_is_another_response(tmp_path: Path) -> None:
    assert read(tmp_path, records(6, step=1) + records(6, step=2)) == (48, 0)


def test_the_same_response_with_another_score_is_refused(tmp_path: Path) -> None:
    lines = records(6)
    regraded = [record | {"score": 1.0} for record in lines]
    with pytest.raises(
        StratagemError, match=r"12 rows hold a response again with other scores \(problem '0'\)"
    ):
        read(tmp_path, lines + regraded)
