"""`stratagem curate demonstrations`, as a user runs it: the profile, the choice and its files."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.curation.demonstrations.result import decode
from stratagem.curation.written import SUFFIX
from tests.commands.demonstrations.sets import (
    RULES,
    SAID,
    SHAPES,
    SHARES,
    Curate,
    lab,
    lines,
    result,
    rows_of,
    world,
)


def test_the_profile_says_what_is_there(curate: Curate, here: Path) -> None:
    out, _ = curate("--strategies", "ways.toml", "--json")
    made = result(out)
    true = Counter(row["way"] for row in world())
    assert {s.name: s.demonstrations for s in made.everything.strategies} == {**true, "drawn": 0}
    share = np.array(list(true.values())) / 800
    assert made.everything.effective.value == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    ways: dict[str, set[str]] = {}
    for row in world():
        ways.setdefault(row["prompt"], set()).add(row["way"])
    assert made.everything.problems == made.everything.several == 400
    assert made.everything.ways == sum(len(shown) > 1 for shown in ways.values())
    assert made.cover == ("by_parts", "in_one", "by_trial")
    assert any("never shown: drawn" in note for note in made.notes)
    assert not any(path.is_dir() for path in here.iterdir())  # without --out nothing is written
    shown, _ = curate("--strategies", "ways.toml")
    assert "800 of 800 demonstrations may be taken" in shown


def test_a_choice_covers_strategies_and_keeps_types_difficulty_and_quality(
    curate: Curate, here: Path
) -> None:
    before = hashlib.sha256((here / "sft.jsonl").read_bytes()).hexdigest()
    words = ["--strategies", "ways.toml", "--by", "source", "--quality", "grade", "--size", "80"]
    shown, _ = curate(*words, "--out", "chosen")
    assert "80 of 800 demonstrations are chosen" in shown
    made = decode((here / "chosen" / "curation.json").read_bytes())
    assert made.chosen is not None
    assert made.control is not None
    assert made.chosen.effective.value > 2.3 > 1.9 > made.control.effective.value
    assert made.inputs == {"sft.jsonl": before}
    assert hashlib.sha256((here / "sft.jsonl").read_bytes()).hexdigest() == before
    chosen, control = rows_of(here / "chosen" / "chosen.jsonl"), rows_of(here / "chosen" / "control.jsonl")
    assert len(chosen) == len(control) == 80
    assert [row for row in world() if row in chosen] == chosen  # whole rows, in their order
    for part in (chosen, control):
        assert abs(sum(row["source"] == "sums" for row in part) - 60) <= 1
    assert abs(made.chosen.difficulty - made.everything.difficulty) < 0.15
    assert abs(made.chosen.quality - made.everything.quality) < 0.06
    # Every demonstration has its reason.
    table = pl.read_parquet(here / "chosen" / "demonstrations.parquet")
    assert table["reason"].null_count() == 0
    assert table.filter(decision="chosen").height == 80
    assert [world()[row - 1] for row in table.filter(decision="chosen")["row"]] == chosen
    assert [world()[row - 1] for row in table.filter("control")["row"]] == control
    assert table["strategy"].to_list() == [row["way"] for row in world()]
    # What is to be asked for: prompts of the type, which do not have the strategy.
    asked = rows_of(here / "chosen" / "ask.jsonl")
    assert sum(lack.asked for lack in made.missing) == len(asked)
    shown_in = {(row["prompt"], row["way"]) for row in world()}
    assert asked
    for ask in asked:
        assert (ask["prompt"], ask["strategy"]) not in shown_in
        assert world()[ask["row"] - 1]["prompt"] == ask["prompt"]


def test_the_same_command_takes_what_is_there_and_other_settings_are_refused(
    curate: Curate, here: Path
) -> None:
    words = ["--strategies", "ways.toml", "--size", "80", "--out", "chosen", "--json"]
    first, _ = curate(*words)
    stamp = (here / "chosen" / "chosen.jsonl").stat().st_mtime_ns
    again, _ = curate(*words)
    assert json.loads(first) == json.loads(again)
    assert (here / "chosen" / "chosen.jsonl").stat().st_mtime_ns == stamp
    _, said = curate(*words, "--rare", "0.5", code=2)
    assert "made with other settings (rare was 0.05, now 0.5)" in said
    (here / "ways.toml").write_text(RULES.replace("sketch", "drawing"))
    _, said = curate(*words, code=2)
    assert "made with other settings (labels was" in said
    config = json.loads((here / "chosen" / "config.json").read_text())
    assert config["settings"]["size"] == 80
    assert len(config["settings"]["inputs"]) == 1


@pytest.mark.parametrize("form", ["jsonl", "parquet", "csv", "dataset"])
@pytest.mark.parametrize("source", ["jsonl", "parquet", "csv", "dataset"])
def test_every_form_in_and_out(curate: Curate, here: Path, source: str, form: str) -> None:
    if "dataset" in (source, form):
        datasets = pytest.importorskip("datasets", reason="needs the llm extra")
    data = here / f"data{SUFFIX[source]}"  # type: ignore[index]
    if source == "jsonl":
        lines(data, world())
    elif source == "dataset":
        datasets.Dataset.from_list(world()).save_to_disk(data)  # type: ignore[reportPossiblyUnbound]
    else:
        getattr(pl.DataFrame(world()), f"write_{source}")(data)
    words = ["--strategies", "ways.toml", "--size", "60", "--format", form, "--out", "chosen", "--json"]
    out, _ = curate(*words, data=data.name)
    written = here / "chosen" / f"chosen{SUFFIX[form]}"  # type: ignore[index]
    if form == "jsonl":
        rows = rows_of(written)
    elif form == "dataset":
        rows = list(datasets.load_from_disk(written))  # type: ignore[reportPossiblyUnbound]
    else:
        rows = getattr(pl, f"read_{form}")(written).to_dicts()
    assert len(rows) == 60
    texts = [row["completion"] for row in rows]
    assert [row["completion"] for row in world() if row["completion"] in texts] == texts
    assert len(result(out).everything.strategies) == 4


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_every_shape_of_a_demonstration_says_the_same(
    curate: Curate, here: Path, shape: str, form: str
) -> None:
    rows = [SHAPES[shape](row) for row in world()]
    if form == "jsonl":
        lines(here / "other.jsonl", rows)
    else:
        pl.DataFrame(rows).write_parquet(here / "other.parquet")
    made = [
        result(curate("--strategies", "ways.toml", "--json", data=name)[0])
        for name in (f"other.{form}", "sft.jsonl")
    ]
    first, second = (part.everything for part in made)
    assert first.strategies == second.strategies
    assert (first.problems, first.ways, first.effective) == (second.problems, second.ways, second.effective)


def test_weights(curate: Curate, here: Path) -> None:
    words = ["--strategies", "ways.toml", "--choose", "weights", "--out", "chosen", "--json"]
    made = result(curate(*words)[0])
    rows = rows_of(here / "chosen" / "weighted.jsonl")
    assert [{k: v for k, v in row.items() if k != "weight"} for row in rows] == world()
    assert np.mean([row["weight"] for row in rows]) == pytest.approx(1)
    total = Counter[str]()
    for row in rows:
        total[row["way"]] += row["weight"]
    share = np.array(list(total.values())) / 800
    assert made.weighted == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert made.weighted > made.everything.effective.value
    assert made.ess < 800


def test_a_function_names_strategies(curate: Curate, here: Path) -> None:
    (here / "ways.py").write_text("def way(text: str) -> str:\n    return text.split(':')[0][5:]\n")
    made = result(curate("--strategies", "ways.py:way", "--json")[0])
    true = Counter(SAID[row["way"]] for row in world())
    assert {s.name: s.demonstrations for s in made.everything.strategies} == true


def test_a_named_difficulty_counts_before_that_of_the_task(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", [{**row, "difficulty": 70, "hard": 0.5} for row in lab()])
    assert 3 <= result(curate("--json")[0]).everything.difficulty <= 5
    assert result(curate("--difficulty", "hard", "--json")[0]).everything.difficulty == 0.5


def test_a_column_of_strategies_is_taken(curate: Curate, here: Path) -> None:
    lines(here / "sft.jsonl", [{**row, "strategy": row["way"]} for row in world()])
    made = result(curate("--json")[0])
    assert made.labels == "column 'strategy'"
    assert made.cover == tuple(sorted(SHARES))
