"""stratagem probe: one forced rollout a strategy, and what the terminal says of them."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from tests.conftest import Run


def test_each_strategy_is_tried_on_the_same_problems(
    stratagem: Run, tmp_path: Path, taught_model: Path
) -> None:
    words = ["probe", "--model", taught_model, "--steps", "1-2", "--size", 24, "--samples", 2, "--no-greedy"]
    done = stratagem(*words, "--out", "probes")
    assert done.returncode == 0, done.stderr
    tables = {
        name: pl.read_parquet(tmp_path / "probes" / name / "rollouts.parquet")
        for name in ("forward", "backward")
    }
    assert tables["forward"]["problem_id"].to_list() == tables["backward"]["problem_id"].to_list()
    for name, table in tables.items():
        assert table["completion"].str.starts_with(name).all()
        assert f"begun {name:<8} {100 * table['score'].mean():5.1f}% correct" in done.stderr + done.stdout
    again = stratagem(*words, "--out", "probes", "--json")
    probes = json.loads(again.stdout)["probes"]
    right = probes["forward"]["all"]["right"]
    assert right["value"] == pytest.approx(tables["forward"]["score"].mean())
    assert right["low"] <= right["value"]
    for kind in ("evaluation", "inversion"):
        of_kind = tables["forward"].filter(kind=kind)["score"].mean()
        assert probes["forward"][kind]["right"]["value"] == pytest.approx(of_kind)
    # A model of two strategies keeps to the opening that it is given.
    assert min(probes[name]["all"]["kept_to"]["value"] for name in probes) > 0.8


def test_a_probe_forces_every_strategy(stratagem: Run, tmp_path: Path) -> None:
    done = stratagem("probe", "--model", "fb", "--force", "backward", "--out", "x")
    assert done.returncode == 2
    assert "stratagem rollout --force" in done.stderr
    assert not (tmp_path / "x").exists()
