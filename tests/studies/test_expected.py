"""What a study will take: laws of the forecast, and its line on the screen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.settings import GRPOConfig, RolloutConfig, SFTConfig
from stratagem.studies import expected
from stratagem.studies.graph import Job
from stratagem.studies.plan import plan
from stratagem.studies.study import read_study


def jobs(preset: str, replicates: int, out: Path) -> list[Job]:
    return plan(read_study("table1"), preset, replicates, out, [(out, "")], {})


def test_a_study_of_more_updates_or_seeds_takes_longer(tmp_path: Path) -> None:
    def hours(preset: str, replicates: int, workers: int = 1, speed: float = 1e11) -> float:
        return expected.seconds(jobs(preset, replicates, tmp_path), workers, speed) / 3600

    quick, full = hours("quick", 1), hours("full", 1)
    assert 3 < full / quick < 6
    assert hours("quick", 3) == pytest.approx(3 * quick)
    assert hours("quick", 3, speed=5e10) == pytest.approx(6 * quick, rel=0.05)


def test_workers_share_the_work_but_not_a_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected.os, "cpu_count", lambda: 64)
    all_jobs = jobs("quick", 1, tmp_path)
    alone, two, many = (expected.seconds(all_jobs, workers, 1e11) for workers in (1, 2, 64))
    assert two == pytest.approx(alone / 2)
    longest = [job for job in all_jobs if job.name in ("F/SFT 0", "F/RL(6-9) 0", "evaluate F/RL(6-9) 0")]
    assert len(longest) == 3
    assert many == pytest.approx(expected.seconds(longest, 1, 1e11))
    monkeypatch.setattr(expected.os, "cpu_count", lambda: 2)
    assert expected.seconds(all_jobs, 64, 1e11) == two


def test_what_is_done_takes_no_time(tmp_path: Path) -> None:
    all_jobs = jobs("quick", 1, tmp_path)
    before = expected.seconds(all_jobs, 1, 1e11)
    all_jobs[0].out.mkdir(parents=True)
    after = expected.seconds(all_jobs, 1, 1e11)
    assert before - after == pytest.approx(expected.START + expected.cost(all_jobs[0].config))
    for job in all_jobs:
        job.out.mkdir(parents=True, exist_ok=True)
    assert expected.seconds(all_jobs, 1, 1e11) == 0


def test_a_budget_bounds_the_cost() -> None:
    whole = expected.cost(GRPOConfig(updates=100))
    assert expected.cost(GRPOConfig(updates=100, budget=10**9)) == whole
    assert expected.cost(GRPOConfig(updates=10_000, budget=1000)) < whole / 100


@given(st.integers(1, 5))
def test_cost_is_proportional(times: int) -> None:
    for config, name in (
        (SFTConfig(), "epochs"),
        (GRPOConfig(), "updates"),
        (RolloutConfig(), "size"),
    ):
        more = replace(config, **{name: times * getattr(config, name)})
        assert expected.cost(more) == pytest.approx(times * expected.cost(config))
