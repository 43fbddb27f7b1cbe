"""Splices as stages of a study: who opens and who goes on, over replicates, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.decomposition.splices import PAIRS
from stratagem.records import StratagemError
from stratagem.studies.plan import plan
from stratagem.studies.run import reproduce, start_of
from stratagem.studies.study import read_study
from stratagem.study_result import Summary

SPLICED = """
title = "Spliced"
replicates = 2
sft = { size = 256, steps = "1-2", epochs = 3, strategy = "FB" }
rl = { updates = 4, prompts = 64, batch = 8, group = 4, steps = "1-2", lr = 1e-3 }
splices = ["RL"]
evaluations.held-out = { steps = "1-2", size = 24, samples = 4 }

[arms]
"SFT" = { sft = {} }
"RL" = { start = "SFT", rl = {} }

[[claims]]
id = "1"
statement = "x"
[[claims.parts]]
statement = "other openings"
quantity = "spliced('RL', 'after', 'before') - spliced('RL', 'before', 'before')"
above = 0
[[claims.parts]]
statement = "beside accounting"
quantity = "spliced('RL', 'after', 'before') - spliced('RL', 'before', 'before') - selection('RL')"
below = 100
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spliced") / "spliced.toml"
    path.write_text(SPLICED)
    return path


@pytest.fixture(scope="module")
def out(study: Path) -> Path:
    return study.parent / "out" / "spliced"


@pytest.fixture(scope="module")
def summary(study: Path, out: Path) -> Summary:
    return reproduce(study, out)


def right(out: Path, replicate: int, place: str) -> float:
    table = pl.read_parquet(out / f"seed{replicate}" / place / "rollouts.parquet", glob=False)
    return float(pl.Series(table.filter(mode="sampled")["score"]).mean())  # pyright: ignore[reportArgumentType]


def test_terms_are_means_over_replicates_of_what_lies_in_the_folders(summary: Summary, out: Path) -> None:
    spliced = summary.splices["RL"]
    rates = {
        pair: [right(out, i, f"splices/RL_{pair.replace(' ', '_')}") for i in range(2)] for pair in PAIRS
    }
    for pair in PAIRS:
        assert spliced.spliced[pair].value == pytest.approx(sum(rates[pair]) / 2, abs=1e-12)
    by_hand = [a - b for a, b in zip(rates["after before"], rates["before before"], strict=True)]
    assert spliced.selection.value == pytest.approx(sum(by_hand) / 2, abs=1e-12)
    assert spliced.selection.n == 2
    assert summary.claims[0].parts[0].value == pytest.approx(sum(by_hand) / 2, abs=1e-12)
    own = [right(out, i, "rollouts/SFT") for i in range(2)]
    placebo = [a - b for a, b in zip(rates["before before"], own, strict=True)]
    assert spliced.placebos["before"].value == pytest.approx(sum(placebo) / 2, abs=1e-12)
    assert spliced.accounted_selection.value == pytest.approx(summary.gains["RL"].selection.value, abs=1e-12)
    beside = summary.claims[0].parts[1]
    assert beside.value == pytest.approx(
        spliced.selection.value - spliced.accounted_selection.value, abs=1e-12
    )
    assert beside.low < beside.value < beside.high
    assert all(0 < nats < 10 for nats in spliced.surprise.values())


def test_the_report_has_both_splits(summary: Summary, out: Path) -> None:
    page = (out / "report.html").read_text()
    for said in ("By experiment", "By accounting", "Surprise, nats"):
        assert said in page


def test_a_splice_is_named_by_both_of_its_models(tmp_path: Path) -> None:
    """The two models of a splice the other way round make another splice; equal ones are taken from another study."""
    path = tmp_path / "spliced.toml"
    path.write_text(SPLICED)
    study = read_study(path)
    start = start_of(study, "native", None, None)
    jobs = plan(study, "standard", 1, tmp_path / "out", start.bases, start.inputs)
    splices = {job.name: job for job in jobs if job.opener is not None}
    assert list(splices) == [f"splice RL {pair} 0" for pair in PAIRS]
    addresses = {job.address for job in jobs}
    assert len(addresses) == len(jobs)
    both = splices["splice RL after before 0"]
    assert (both.opener, both.model) == (tmp_path / "out/seed0/RL", tmp_path / "out/seed0/SFT")
    assert both.needs == ("RL 0", "SFT 0")


def test_equal_splices_are_taken_from_a_study_beside(summary: Summary, study: Path, out: Path) -> None:
    second = study.with_name("second.toml")
    second.write_text(SPLICED.replace('"Spliced"', '"Again"'))
    seen: list[str] = []
    again = reproduce(second, out.with_name("second"), progress=lambda what, *_: seen.append(what))
    assert set(seen) == {"report"}
    assert again.splices == summary.splices


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('["RL"]', '["SFT"]', r"splices: 'SFT' is no arm that starts from another; there are RL"),
        ('["RL"]', '["MR"]', r"splices: 'MR' is no arm"),
        ('["RL"]', "[]", r"claims '1', part 1: .*'RL' is not spliced; name it in `splices`"),
        ("'after', 'before') - s", "'later', 'before') - s", r"must be one of 'before', 'after'"),
        ("'after', 'before') - s", "'after') - s", r"write spliced\(ARM, OPENER, OTHER, KIND\)"),
    ],
)
def test_a_wrong_file_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(SPLICED.replace(old, new))
    with pytest.raises(StratagemError, match=rf"wrong\.toml: .*{message}"):
        read_study(path)


def test_no_language_model_is_spliced(tmp_path: Path) -> None:
    path = tmp_path / "spliced.toml"
    path.write_text(SPLICED)
    with pytest.raises(StratagemError, match="splices: not with --engine trl"):
        start_of(read_study(path, engine="trl"), "trl", "some/model", None)
