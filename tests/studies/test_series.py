"""All studies that ship at toy size: one after another, sharing stages, with one page over all claims."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.cli import run as command
from stratagem.records import StratagemError
from stratagem.settings import VERSIONS, recorded
from stratagem.studies import files, series
from stratagem.studies.plan import elsewhere
from stratagem.study_result import Overview

FIRST = """
title = "First"
question = "Is it first?"
rl = { updates = 2, prompts = 8, batch = 4, group = 4, steps = "1-2" }
presets.quick.sft = { size = 32, steps = "1-2", epochs = 1 }
presets.full.sft = { size = 64, steps = "1-2", epochs = 1 }
evaluations.held-out = { steps = "1-2", size = 8, samples = 2 }

[arms]
"SFT" = { sft = {} }
"RL" = { start = "SFT", rl = {} }

[published]
columns = ["all", "inversion", "evaluation"]
percent."RL" = [61.7, nan, nan]

[[claims]]
id = "1"
statement = "RL of 2 updates is <b>not</b> near perfect."
[[claims.parts]]
statement = "below 85%"
quantity = "accuracy('RL')"
below = 85
"""
SECOND = """
title = "Second"
question = "Is it second?"
like = "zeta"

[arms]
"SFT" = { sft = {} }
"one kind" = { start = "SFT", rl = { mix = "evaluation=1" } }

[[claims]]
id = "A"
statement = "It ends with rewards above 100%."
[[claims.parts]]
statement = "above 100%"
quantity = "accuracy('one kind', at='end')"
above = 100
"""


@pytest.fixture
def shipping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two toy studies in the place of those that ship; the second one by name is what the first is like."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "zeta.toml").write_text(FIRST)
    (home / "alpha.toml").write_text(SECOND)
    monkeypatch.setattr(files, "HERE", home)
    return tmp_path / "out"


def test_all_run_side_by_side_and_share_what_they_can(shipping: Path) -> None:
    seen: list[str] = []
    ended: list[str] = []
    told: list[float] = []
    overview = series.reproduce_all(
        shipping,
        workers=1,
        progress=lambda what, *_: seen.append(what),
        announce=told.append,
        ended=lambda name, _: ended.append(name),
    )
    assert ended == ["zeta", "alpha"]  # the one that the other is like goes first
    assert len(told) == 1
    assert {what for what in seen if what.startswith("alpha")} == {
        "alpha: one kind 0",
        "alpha: evaluate one kind 0",
        "alpha: report",
    }
    weights = Path("seed0/SFT/model/model.safetensors")
    assert (shipping / "zeta" / weights).read_bytes() == (shipping / "alpha" / weights).read_bytes()
    first, second = overview.studies
    assert first.command == f"stratagem reproduce zeta --out {shipping / 'zeta'} --preset quick"
    assert [claim.verdict for claim in first.claims] == ["upheld"]
    assert second.claims[0].verdict == "undecided"  # one update has no interval
    assert json.loads((shipping / "summary.json").read_text()) == overview.as_dict()

    page = (shipping / "report.html").read_text()
    assert "2 claims of 2 studies: 1 upheld, 1 undecided." in page
    assert 'href="zeta/report.html#claims"' in page
    assert "&lt;b&gt;not&lt;/b&gt;" in page
    assert "61.7" in page
    assert "<script>" not in page

    seen.clear()
    again = series.reproduce_all(shipping, workers=1, progress=lambda what, *_: seen.append(what))
    assert again.as_dict() == overview.as_dict()
    assert seen == []


def test_a_folder_of_one_study_is_not_written_over(shipping: Path) -> None:
    shipping.mkdir()
    (shipping / "study.json").write_text("{}")
    with pytest.raises(StratagemError, match="out: holds one study; choose another --out"):
        series.reproduce_all(shipping)
    assert [path.name for path in shipping.iterdir()] == ["study.json"]


def test_what_a_study_before_it_makes_costs_nothing(shipping: Path) -> None:
    listed = series.entries(shipping)
    alone = [series.costs([entry], 1, 1e11, everything=True)[0] for entry in listed]
    beside = series.costs(listed, 1, 1e11, everything=True)
    assert beside[0] == alone[0]
    assert beside[1] < alone[1]
    assert [entry.preset for entry in series.entries(shipping, "full")] == ["full", "full"]
    for job in (job for entry in listed for job in entry.jobs):
        job.out.mkdir(parents=True, exist_ok=True)
    assert series.costs(listed, 1, 1e11) == [0, 0]


def test_the_list_says_what_each_asks_and_costs(shipping: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["reproduce", "--list"]) == 0
    said = capsys.readouterr().out
    assert said.index("First: Is it first?") < said.index("Second: Is it second?")
    assert "reproduce --all: about" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["zeta", "--all"], "zeta: not with --all"),
        (["--all", "--preset", "huge"], "--preset huge: must be one of quick, full"),
        (["--all", "--workers", "0"], "--workers 0: must be from 1 to 1,024"),
        (["--all", "--replicates", "0"], "--replicates 0: must be from 1 to 1,000"),
        (["--all", "--settings", "own.toml"], "--settings own.toml: not with --all"),
    ],
)
def test_what_does_not_go_with_all_is_one_line(
    shipping: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["reproduce", *words]) == 2
    assert message in capsys.readouterr().err
    assert not shipping.exists()


def test_a_page_of_nothing_says_so() -> None:
    from stratagem.report.overview import render

    assert "0 claims of 0 studies: none." in render(Overview(()))


def test_studies_of_the_paper_take_table_1_from_beside_them() -> None:
    listed = {entry.name: entry for entry in series.entries(Path("out"), "quick")}
    table = {job.address for job in listed["table1"].jobs}
    trained = {
        name: [job.name for job in entry.jobs if job.stage in ("sft", "rl") and job.address not in table]
        for name, entry in listed.items()
    }
    assert trained["figures"] == []
    assert trained["amplification"] == ["75-25 0", "90-10 0"]
    assert len(trained["kl-free"]) == 3
    assert len(trained["gf13"]) == 6  # of another field: nothing is the same


def test_a_folder_of_other_settings_is_not_taken_whatever_its_address_says(tmp_path: Path) -> None:
    """As those of another field had the addresses of the usual one, in lists that older versions wrote."""
    ours, theirs = (
        {entry.name: entry for entry in series.entries(tmp_path, "quick")}[name]
        for name in ("table1", "gf13")
    )
    job = next(job for job in ours.jobs if job.stage == "rollout")
    other = next(job for job in theirs.jobs if job.stage == "rollout")
    other.out.mkdir(parents=True)
    (tmp_path / "gf13" / "stages.json").write_text(
        json.dumps({job.address: str(other.out.relative_to(tmp_path / "gf13"))})
    )

    def found(task: str) -> dict[str, Path]:
        settings = {**recorded(job.config), "task": task}
        config = {"stage": "rollout", "version": VERSIONS["rollout"], "settings": settings}
        (other.out / "config.json").write_text(json.dumps(config))
        return elsewhere(ours.jobs, tmp_path / "table1", "stages.json", "", {})

    assert found("finite_field") == {job.address: other.out}
    assert found("finite_field:p=13") == {}
