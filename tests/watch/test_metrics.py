"""A log that grows, is cut, is damaged, or is not there: each whole line counts once."""

from __future__ import annotations

import fcntl
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.watch.metrics import MetricsLog, read_line
from stratagem.watch.stage import StageRun
from tests.watch import runs
from tests.watch.runs import line, lines


def test_a_begun_line_waits_for_its_end(tmp_path: Path) -> None:
    log, path = MetricsLog(), tmp_path / "metrics.jsonl"
    first, second = lines(2)
    path.write_bytes(first + second[:50])
    log.poll(path)
    assert (log.updates, log.damaged) == (1, 0)
    with open(path, "ab") as file:
        file.write(second[50:])
    log.poll(path)
    assert (log.updates, log.damaged) == (2, 0)


def test_a_log_that_is_cut_and_grows_again_is_read_again(tmp_path: Path) -> None:
    """As a resumed run does it: the updates after its saved state are made again, with other lengths."""
    path = tmp_path / "metrics.jsonl"
    before, after = lines(30, seed=1), lines(60, seed=2)
    path.write_bytes(b"".join(before))
    log = MetricsLog()
    log.poll(path)
    resumed = [*before[:20], *after[20:60]]
    path.write_bytes(b"".join(resumed))
    log.poll(path)
    fresh = MetricsLog()
    fresh.poll(path)
    assert log.updates == 60
    assert log.counts.equals(fresh.counts)
    assert log.scalars.equals(fresh.scalars)
    assert log.rewound == 1


def test_a_shorter_log_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(lines(30)))
    log = MetricsLog()
    log.poll(path)
    path.write_bytes(b"".join(lines(5)))
    log.poll(path)
    assert log.updates == 5
    assert log.counts["update"].max() == 4


def test_updates_that_come_again_replace_what_came_after(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join([*lines(10, seed=1), *lines(8, seed=2)[4:]]))
    log = MetricsLog()
    log.poll(path)
    expected = MetricsLog()
    (tmp_path / "other").write_bytes(b"".join([*lines(4, seed=1), *lines(8, seed=2)[4:]]))
    expected.poll(tmp_path / "other")
    assert log.counts.equals(expected.counts)
    assert log.updates == 8


def test_a_log_that_is_gone_keeps_what_was_read(tmp_path: Path) -> None:
    """Between the rename of NAME.partial and the next look."""
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b"".join(lines(3)))
    log = MetricsLog()
    log.poll(path)
    path.rename(tmp_path / "elsewhere")
    log.poll(path)
    assert log.updates == 3
    log.poll(tmp_path / "elsewhere")
    assert (log.updates, log.rewound) == (3, 0)


@pytest.mark.parametrize(
    "damaged",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b"3",
        b"null",
        b'{"update": "1"}',
        b'{"update": true}',
        b'{"update": -1}',
        b'{"reward": 0.5}',
        b'{"update": 5, "cells": 3}',
        b'{"update": 5, "cells": [["evaluation", 2, "forward", 8]]}',
        b'{"update": 5, "cells": [["evaluation", 2, "forward", 8, 9]]}',
        b'{"update": 5, "cells": [["evaluation", "2", "forward", 8, 1]]}',
        b'{"update": 5, "cells": [["evaluation", 2, "forward", NaN, 1]]}',
        b'{"update": 5, "live": [1]}',
        b"[" * 100_000,
        b"\0" * 4096,
    ],
)
def test_damaged_lines_are_counted_and_left_out(tmp_path: Path, damaged: bytes) -> None:
    assert read_line(damaged) is None
    path, good = tmp_path / "metrics.jsonl", lines(6)
    path.write_bytes(b"".join([*good[:5], damaged + b"\n", good[5]]))
    log = MetricsLog()
    log.poll(path)
    assert (log.updates, log.damaged) == (6, 1)


def test_numbers_that_are_none_are_missing() -> None:
    entry = read_line(b'{"update": 0, "reward": null, "kl": "x", "entropy": NaN, "length": 3}')
    assert entry is not None
    assert entry.scalars == {"length": 3.0}


def test_counts_and_numbers_are_those_of_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    rng = np.random.default_rng(3)
    path.write_bytes(
        line(0, rng) + b'{"update": 1, "reward": 0.5, "cells": [["evaluation", 4, "mixed", 8, 3]]}\n'
    )
    log = MetricsLog()
    log.poll(path)
    row = log.counts.filter(pl.col("update") == 1).row(0, named=True)
    assert row == {
        "update": 1,
        "kind": "evaluation",
        "difficulty": 4,
        "strategy": "mixed",
        "n": 8,
        "right": 3,
    }
    assert log.scalars.filter(pl.col("update") == 1)["reward"].to_list() == [0.5]
    assert log.scalars.filter(pl.col("update") == 1)["kl"].to_list() == [None]


def test_a_gain_that_the_run_split_itself_is_taken(tmp_path: Path) -> None:
    """As TRL's runs log it, by problem; lines without one, where it was not split, have none."""
    terms = {"gain": 0.3, "selection": 0.2, "improvement": 0.1, "new_strategy": 0.0}
    live = {"share/forward": 0.5, **terms, "gain/low": 0.1, "gain/high": 0.5}
    runs.stage(
        tmp_path / "run",
        runs.line(0, np.random.default_rng(0), live={"share/forward": 0.5})
        + runs.line(1, np.random.default_rng(1), live=live),
    )
    gains = StageRun(tmp_path / "run").poll().gains
    assert list(gains) == [2]
    assert gains[2]["gain"] == (0.3, 0.1, 0.5)
    assert gains[2]["selection"] == (0.2, None, None)


def test_a_stage_whose_folder_is_locked_by_none_has_stopped(tmp_path: Path) -> None:
    if not Path("/proc/locks").exists():
        pytest.skip("only Linux tells who holds a lock")
    runs.stage(tmp_path / "run.partial", b"".join(lines(3)))
    run = StageRun(tmp_path / "run")
    lock = tmp_path / "run.partial" / ".lock"
    assert run.poll().status.state == "stopped"
    with open(lock, "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run.poll().status.state == "running"
    assert run.poll().status.state == "stopped"
