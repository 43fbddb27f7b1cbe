"""What a log holds twice is read once; samples that are alike are samples."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.records import StratagemError
from stratagem.rollouts import log as log_module
from stratagem.rollouts.log import read_rollouts
from tests.rollouts.frameworks import HERE as FIXTURES
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


def test_samples_of_a_retried_evaluation_are_read_once(tmp_path: Path) -> None:
    """`inspect eval-retry` writes the samples that were done into its own log too, under the same uuid."""
    log = json.loads((FIXTURES / "inspect_ai" / "sums.json").read_text())
    whole = log["samples"]
    for name, samples in (("a", whole[:5]), ("b", whole)):
        (tmp_path / f"{name}.json").write_text(json.dumps(log | {"samples": samples}))
    log_once = read_rollouts(tmp_path / "b.json")
    once = log_once.read()
    both = read_rollouts(tmp_path)
    assert both.read().drop("file").sort("uuid").equals(once.sort("uuid"))
    assert both.repeated == sum(uuid in {s["uuid"] for s in whole[:5]} for uuid in once["uuid"]) > 0
    assert log_once.repeated == 0


def samples_of(filters: tuple[str, ...]) -> list[dict[str, Any]]:
    """As lm-evaluation-harness logs 10 problems, with a line for each filter."""
    return [
        {
            "doc_id": i,
            "doc": {"question": f"What is {i}?"},
            "target": str(i),
            "arguments": [[f"Q: What is {i}?\nA:", {"until": ["Q:"]}]],
            "resps": [[f"We add up what there is for number {i} and get {i}."]],
            "filtered_resps": [str(i)],
            "filter": name,
            "metrics": ["exact_match"],
            "exact_match": float(i % 2 if name == "strict-match" else 1),
            "doc_hash": f"hash {i}",
        }
        for name in filters
        for i in range(10)
    ]


def test_lines_of_several_filters_are_no_repeats_and_a_run_that_was_merged_twice_is(tmp_path: Path) -> None:
    lines = samples_of(("strict-match", "flexible-extract"))
    assert read(tmp_path, lines) == (20, 0)
    assert read(tmp_path, lines + lines) == (20, 20)


def test_counts_of_a_sample_with_its_number_are_read_once(tmp_path: Path) -> None:
    lines = [{"id": p, "sample": s, "score": float(s % 2)} for p in range(3) for s in range(4)]
    assert read(tmp_path, lines + lines[2:5]) == (12, 3)
    without = [{"id": line["id"], "score": line["score"]} for line in lines]
    assert read(tmp_path, without + without) == (24, 0)  # samples that are alike
    with pytest.raises(StratagemError, match="1 rows hold a response again with other scores"):
        read(tmp_path, [*lines, lines[0] | {"score": 1.0}])
