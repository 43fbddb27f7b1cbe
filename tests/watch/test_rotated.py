"""Logs that are rotated while they are watched: what is shown is right, and nothing is counted twice."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.watch.metrics import MetricsLog
from stratagem.watch.responses import Asked
from stratagem.watch.verl import VerlRun
from tests.watch import runs
from tests.watch.test_verl import responses

# --- how a log is put aside ---------------------------------------------------------------------------------------


def renamed(log: Path) -> None:
    log.rename(f"{log}.1")


def renamed_within(log: Path) -> None:
    """To a name that logs have too."""
    log.rename(log.with_name("old.jsonl"))


def renamed_and_compressed(log: Path) -> None:
    renamed(log)
    Path(f"{log}.1.gz").write_bytes(gzip.compress(Path(f"{log}.1").read_bytes()))


def copied_and_cut(log: Path) -> None:
    shutil.copy(log, f"{log}.1")
    os.truncate(log, 0)


def copied_within_and_cut(log: Path) -> None:
    shutil.copy(log, log.with_name("old.jsonl"))
    os.truncate(log, 0)


def deleted(log: Path) -> None:
    log.unlink()


def linked(log: Path) -> None:
    """A second name, as of a backup; the log goes on."""
    log.with_name("old.jsonl").hardlink_to(log)


Aside = Callable[[Path], None]
SEEN: list[Aside] = [renamed, renamed_within, renamed_and_compressed]  # the file that is read lives on
ALL: list[Aside] = [*SEEN, copied_and_cut, copied_within_and_cut, deleted, linked]


def append(log: Path, lines: list[bytes]) -> None:
    with open(log, "ab") as file:
        file.write(b"".join(lines))


# --- the log of a stage -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aside", ALL)
def test_a_log_that_goes_on_in_a_new_file(tmp_path: Path, aside: Aside) -> None:
    lines, log, path = runs.lines(20), MetricsLog(), tmp_path / "metrics.jsonl"
    append(path, lines[:8])
    log.poll(path)
    if aside in SEEN:  # what was written since the last look is found where the file is now
        append(path, lines[8:12])
    aside(path)
    log.poll(path)
    append(path, lines[12 if aside in SEEN else 8 :])
    log.poll(path)
    whole = MetricsLog()
    (tmp_path / "whole.jsonl").write_bytes(b"".join(lines))
    whole.poll(tmp_path / "whole.jsonl")
    assert log.counts.equals(whole.counts)
    assert log.scalars.equals(whole.scalars)
    assert (log.updates, log.damaged) == (20, 0)


@pytest.mark.parametrize("aside", [aside for aside in ALL if aside is not linked])
def test_a_log_that_begins_anew(tmp_path: Path, aside: Aside) -> None:
    first, second, log, path = runs.lines(20), runs.lines(7, seed=1), MetricsLog(), tmp_path / "metrics.jsonl"
    append(path, first)
    log.poll(path)
    aside(path)
    append(path, second)
    log.poll(path)
    new = MetricsLog()
    (tmp_path / "new.jsonl").write_bytes(b"".join(second))
    new.poll(tmp_path / "new.jsonl")
    assert log.counts.equals(new.counts)
    assert (log.updates, log.damaged) == (7, 0)


# --- responses of a verl run --------------------------------------------------------------------------------------


def dumped(step: int) -> list[bytes]:
    rng = np.random.default_rng(step)
    return [json.dumps(row).encode() + b"\n" for row in responses(step, rng)]


def counted(run: VerlRun) -> dict[int, int]:
    """Responses by step."""
    counts = run.poll().counts.group_by("update").agg(pl.col("n").sum())
    return {update + 1: int(n) for update, n in counts.rows()}


@pytest.mark.parametrize("aside", ALL)
@pytest.mark.parametrize("look", [True, False], ids=["looked at between", "not looked at"])
def test_responses_are_counted_once(tmp_path: Path, aside: Aside, look: bool) -> None:
    path = tmp_path / "host-0.jsonl"
    run = VerlRun(tmp_path, Asked("acc"))
    append(path, dumped(1))
    assert counted(run) == {1: 64}
    if aside in SEEN:
        append(path, dumped(2))
    aside(path)
    if look:
        counted(run)
    append(path, dumped(3))
    kept = {1: 64} if aside not in (copied_and_cut, deleted) else {}  # what no file holds is not shown
    expected = kept | ({2: 64} if aside in SEEN else {}) | {3: 64}
    assert counted(run) == expected
    if aside is not renamed_within:
        (tmp_path / "host-0.jsonl.1").unlink(missing_ok=True)  # once it is compressed
    assert counted(run) == expected
    append(path, dumped(4))
    assert counted(run) == expected | {4: 64}


def test_a_run_that_is_watched_later_shows_what_its_logs_hold(tmp_path: Path) -> None:
    for step, aside in ((1, renamed_and_compressed), (2, renamed_within)):
        append(tmp_path / "host-0.jsonl", dumped(step))
        aside(tmp_path / "host-0.jsonl")
    append(tmp_path / "host-0.jsonl", dumped(3))
    assert counted(VerlRun(tmp_path, Asked("acc"))) == {2: 64, 3: 64}
