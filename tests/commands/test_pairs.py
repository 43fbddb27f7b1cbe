"""Several runs at once: the file of pairs, a folder each, a table of all, and nothing made twice."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from stratagem.commands.pairs import read_pairs
from stratagem.records import Estimate, StratagemError
from stratagem.report.runs import headline, larger, render
from stratagem.result import Run, Runs
from tests.diagnosis.test_diagnose import RULES, log
from tests.report.test_study import Reader

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    folder.mkdir()
    (tmp_path / "rules.toml").write_text(RULES)
    log(folder / "before.jsonl", {"forward": (0.5, 0.9), "backward": (0.5, 0.1)})
    log(folder / "chosen.jsonl", {"forward": (1.0, 0.9)}, seed=1)
    log(folder / "worse.jsonl", {"forward": (0.5, 0.3), "backward": (0.5, 0.1)}, seed=2)
    (folder / "pairs.csv").write_text(
        "name,before,after\nchosen,before.jsonl,chosen.jsonl\nworse,before.jsonl,worse.jsonl\n"
    )
    return folder


OPTIONS = ("--strategies", "rules.toml", "--draws", "100", "--out", "all")


def test_a_table_of_runs_and_a_folder_each(stratagem: Command, runs: Path, tmp_path: Path) -> None:
    done = stratagem("diagnose", "--pairs", "runs/pairs.csv", *OPTIONS)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert said.startswith(
        "2 runs: accuracy rose in 1 and fell in 1; the larger part was choice in 1 and improvement in 1."
    )
    assert "chosen: In these logs accuracy rose by" in said
    assert "Next: go back to an earlier checkpoint." in said
    result = json.loads((tmp_path / "all" / "pairs.json").read_text())
    assert [run["name"] for run in result["runs"]] == ["chosen", "worse"]
    for run in result["runs"]:
        own = json.loads((tmp_path / "all" / run["name"] / "diagnosis.json").read_text())
        assert run["gain"] == own["gain"]
        assert run["choice"] == own["by_problem"]["choice"]
        assert run["level"] == "problem by problem"
        assert run["action"] == own["verdict"]["action"]
        assert own["verdict"]["sentence"].startswith(run["sentence"].rstrip("."))
    page = (tmp_path / "all" / "report.html").read_text()
    links = {value for _, name, value in Reader(page).attributes if name == "href"}
    assert links == {"chosen/report.html", "worse/report.html"}
    assert all((tmp_path / "all" / link).is_file() for link in links)
    assert "default-src 'none'" in page


def test_what_is_done_is_not_made_again(stratagem: Command, runs: Path, tmp_path: Path) -> None:
    def times() -> dict[str, int]:
        return {
            name: (tmp_path / "all" / name / "diagnosis.json").stat().st_mtime_ns
            for name in ("chosen", "worse")
        }

    words = ("diagnose", "--pairs", "runs/pairs.csv", *OPTIONS)
    first = stratagem(*words, "--json")
    made = times()
    again = stratagem(*words, "--json")
    assert (first.returncode, again.returncode) == (0, 0)
    assert times() == made
    assert again.stdout == first.stdout
    assert "chosen: taken from all/chosen" in again.stderr
    # A log that changed, and a pair that was interrupted, are made again; the other is not.
    log(runs / "worse.jsonl", {"forward": (0.5, 0.6), "backward": (0.5, 0.1)}, seed=3)
    assert stratagem(*words).returncode == 0
    assert times()["chosen"] == made["chosen"]
    assert times()["worse"] > made["worse"]
    made = times()
    (tmp_path / "all" / "chosen" / "report.html").unlink()
    assert stratagem(*words).returncode == 0
    assert times()["chosen"] > made["chosen"]
    assert times()["worse"] == made["worse"]
    # Other settings, or other rules, are another result.
    made = times()
    assert stratagem(*words, "--seed", "5").returncode == 0
    assert all(times()[name] > made[name] for name in made)


def test_fail_if_looks_at_every_run(stratagem: Command, runs: Path) -> None:
    done = stratagem("diagnose", "--pairs", "runs/pairs.csv", *OPTIONS, "--fail-if", "gain < 0", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["fail_if"] == {"condition": "gain < 0", "holds": True, "runs": ["worse"]}
    assert (
        stratagem("diagnose", "--pairs", "runs/pairs.csv", *OPTIONS, "--fail-if", "gain < -0.9").returncode
        == 0
    )


def test_a_pair_that_fails_is_named_and_those_before_it_stay(
    stratagem: Command, runs: Path, tmp_path: Path
) -> None:
    (runs / "broken.jsonl").write_text("{}\n")
    with (runs / "pairs.csv").open("a") as file:
        file.write("broken,before.jsonl,broken.jsonl\n")
    done = stratagem("diagnose", "--pairs", "runs/pairs.csv", *OPTIONS)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .startswith("stratagem diagnose: runs/pairs.csv, row 4 (broken): ")
    )
    assert (tmp_path / "all" / "worse" / "report.html").is_file()
    mixed = stratagem("diagnose", "runs/before.jsonl", "runs/worse.jsonl", "--pairs", "runs/pairs.csv")
    assert (mixed.returncode, mixed.stderr.count("\n")) == (2, 1)
    assert "without BEFORE AFTER" in mixed.stderr
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    other = stratagem("diagnose", "--pairs", "runs/pairs.csv", "--out", "mine")
    assert (other.returncode, "choose another --out" in other.stderr) == (2, True)


def test_toml_says_the_same_and_takes_lists(runs: Path) -> None:
    text = '[pairs.chosen]\nbefore = "before.jsonl"\nafter = ["chosen.jsonl", "worse.jsonl"]\n'
    (runs / "pairs.toml").write_text(text)
    (pair,) = read_pairs(runs / "pairs.toml")
    assert (pair.name, pair.before) == ("chosen", (str(runs / "before.jsonl"),))
    assert pair.after == (str(runs / "chosen.jsonl"), str(runs / "worse.jsonl"))
    (runs / "several.csv").write_text(
        'name,after,before\r\nx,"chosen.jsonl,worse.jsonl",before.*\r\n', encoding="utf-8-sig"
    )
    (pair,) = read_pairs(runs / "several.csv")
    assert pair.after == (f"{runs / 'chosen.jsonl'},{runs / 'worse.jsonl'}",)
    assert pair.before == (str(runs / "before.*"),)


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("a.csv", "", "columns none; it has to have name, before, after"),
        ("a.csv", "name,before\nx,y\n", "columns name, before; it has to have"),
        ("a.csv", "name,before,after\n", "no pair in it"),
        ("a.csv", "name,before,after\nx,before.jsonl\n", "a.csv, row 2: no after"),
        ("a.csv", "name,before,after\nx,before.jsonl,chosen.jsonl,worse.jsonl\n", "row 2: more than three values"),
        ("a.csv", "name,before,after\nx,before.jsonl,none.jsonl\n", "row 2: after: "),
        ("a.csv", "name,before,after\n../x,before.jsonl,chosen.jsonl\n", "row 2: name '../x'"),
        ("a.csv", "name,before,after\nx,before.jsonl,chosen.jsonl\nX,before.jsonl,worse.jsonl\n", "row 3: name 'X' is"),
        ("a.toml", "[pairs.x\n", "not TOML"),
        ("a.toml", "[runs.x]\nbefore = 'a'\n", "write each pair as a section [pairs.NAME]"),
        ("a.toml", "[pairs.x]\nbefore = 'before.jsonl'\n", "[pairs.x]: has to have before and after"),
        ("a.toml", "[pairs.x]\nbefore = 'before.jsonl'\nafter = 'none*'\n", "no file matches"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_a_file_of_pairs(runs: Path, file: str, text: str, said: str) -> None:
    (runs / file).write_text(text)
    with pytest.raises(StratagemError) as caught:
        read_pairs(runs / file)
    assert said in str(caught.value)
    assert str(runs / file) in str(caught.value)
    assert "\n" not in str(caught.value)


def run(name: str, low: float, lead: str) -> Run:
    gain = Estimate(low + 0.05, low, low + 0.1, 0.025, 100)
    return Run(
        name=name,
        report=f"{name}/report.html",
        before="a",
        after="b",
        problems=100,
        gain=gain,
        choice=gain,
        lead=lead,
    )


def test_the_headline_counts_the_runs() -> None:
    several = Runs(
        runs=(
            run("a", 0.1, "choice"),
            run("b", -0.2, "improvement"),
            run("c", -0.05, "undecided"),
            run("d", 0.1, "selection"),
        )
    )
    assert headline(several) == (
        "4 runs: accuracy rose in 2, fell in 1 and no change can be shown in 1; the larger part was choice in 2 and "
        "improvement in 1."
    )
    assert (
        headline(Runs(runs=(run("a", -0.05, "undecided"),)))
        == "1 run: no change can be shown in any of them."
    )
    assert larger(run("n", 0.1, "new_strategy")) == "new strategies"


def test_names_are_no_markup_on_the_page() -> None:
    hostile = Run(
        name="x",
        report="x/report.html",
        before="",
        after="",
        problems=0,
        sentence="<img src=x onerror=alert(1)>\u202e",
    )
    html = render(Runs(runs=(hostile,)))
    assert "<img src=x" not in html
    assert "⟨U+202E⟩" in html
    assert "–" in Reader(html).text
