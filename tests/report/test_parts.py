"""Number formats, reduced frames, traces, pictures and the terminal."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from stratagem.records import StratagemError
from stratagem.report import charts, format, frames, terminal, traces, view
from tests.report.synthetic_study import CELLS, Inputs, make, typed
from tests.report.test_study import emptied

KINDS = ("inversion", "evaluation")


@pytest.mark.parametrize(
    ("x", "expected"),
    [(None, "–"), (0.0, "0.0"), (-0.0001, "0.0"), (0.957, "+95.7"), (-0.031, "−3.1")],
)
def test_signed(x: float | None, expected: str) -> None:
    assert format.signed(x) == expected


@pytest.mark.parametrize(
    "entry", [None, math.nan, {"value": math.nan, "low": None}, {}, "1", True, {"value": math.inf}]
)
def test_undefined_numbers_have_no_value(entry: object) -> None:
    assert format.number(entry).value is None
    assert format.percent(format.number(entry).value) == "–"
    assert format.interval(format.number(entry)) == ""


def test_plain() -> None:
    assert [format.plain(x) for x in (None, True, 20000, 3e-4, [0, 1], math.nan)] == [
        "–",
        "yes",
        "20,000",
        "0.0003",
        "0, 1",
        "–",
    ]
    assert [format.duration(s) for s in (None, 9.6, 812, 7260)] == ["–", "10 s", "13 min 32 s", "2 h 1 min"]


def test_rates_pool_counts_and_not_rates() -> None:
    frame = pl.DataFrame(
        {
            "difficulty": [6, 6, 6],
            "seed": [0, 1, 0],
            "update": [0, 0, 1],
            "part": [1, 9, 0],
            "whole": [1, 99, 0],
        }
    )
    rates = frames.rates(frame, "difficulty")
    assert rates.filter(pl.col("seed").is_null())["rate"].to_list() == [
        10.0
    ]  # 10 of 100; update 1 had nothing
    assert rates.filter(pl.col("seed") == 0)["rate"].to_list() == [100.0]


def test_a_long_run_has_few_points() -> None:
    data = make(problems=2, samples=1, updates=1001)
    rates = frames.reward_rates(data.curves, "FB/RL(6-9)", "inversion")
    assert rates["update"].n_unique() <= frames.BINS


def test_a_strategy_that_was_not_used_in_an_update_has_share_zero() -> None:
    curves = pl.DataFrame(
        {"cell": ["a"] * 3, "seed": [0] * 3, "update": [0, 0, 1], "kind": ["k"] * 3, "difficulty": [6] * 3}
        | {"strategy": ["forward", "backward", "forward"], "n": [1, 3, 4], "right": [1, 1, 1]}
    )
    rates = frames.strategy_rates(curves, "a", "k").filter(
        pl.col("seed") == 0, pl.col("strategy") == "backward"
    )
    assert rates.sort("update")["rate"].to_list() == [75.0, 0.0]


def test_error_shares_count_every_response_and_keep_what_was_not_read() -> None:
    rollouts = pl.DataFrame(
        {"checkpoint": ["c"] * 4, "kind": ["k"] * 4, "mode": ["sampled"] * 4, "score": [1.0, 0.0, 0.0, 0.0]}
        | {"strategy": ["forward", "forward", "truncated", "other"], "error": [None, "order", None, None]}
    )
    shares = {row["error"]: row["share"] for row in frames.error_shares(rollouts).to_dicts()}
    assert shares == {"order": 0.25, "truncated": 0.25, frames.UNREAD: 0.25}


def test_pass_at_k_by_hand() -> None:
    rollouts = pl.DataFrame(
        {
            "checkpoint": ["c"] * 4,
            "seed": [0] * 4,
            "problem_id": ["p", "p", "q", "q"],
            "mode": ["sampled"] * 4,
        }
        | {"score": [1.0, 0.0, 0.0, 0.0]}
    )
    curve = frames.pass_at_k(rollouts)
    assert curve["k"].to_list() == [1, 2]
    assert curve["value"].to_list() == [25.0, 50.0]
    alone = frames.pass_at_k(rollouts.filter(pl.col("problem_id") == "p"))
    assert alone.select("value", "low", "high").row(0) == (50.0, None, None)  # one problem: no interval
    assert frames.pass_at_k(rollouts.with_columns(score=0.5)).is_empty()
    assert frames.pass_at_k(rollouts.unique("problem_id")).is_empty()  # one response a problem


def test_highlight_escapes_and_marks() -> None:
    evidence = json.dumps(
        {"error": "order", "step": 0, "marks": [[0, 2, None, "x"], [3, 6, "carried_state", '"<e1>']]}
    )
    html = traces.highlight("ab <i> c", evidence)
    assert html == (
        '<span class="read">ab</span> <mark title="carried state: expected &#34;&lt;e1&gt;">&lt;i&gt;'
        "<ins>&#34;&lt;e1&gt;</ins></mark> c"
    )


@pytest.mark.parametrize(
    "evidence",
    [
        None,
        "",
        "{",
        "null",
        "[]",
        '{"marks":[[0]]}',
        '{"marks":[[5,2,null,null],[0,99,"order",null],[-3,1,"order","x"]]}',
    ],
)
def test_unreadable_evidence_marks_nothing(evidence: str | None) -> None:
    assert traces.highlight("a < b", evidence) == "a &lt; b"


def test_overlapping_marks_keep_the_text_whole() -> None:
    html = traces.highlight("abcdef", json.dumps({"marks": [[2, 5, "order", None], [0, 3, None, None]]}))
    assert html == '<span class="read">abc</span>def'


def test_traces_pair_the_same_problem(inputs: Inputs) -> None:
    pairs = traces.pairs(inputs.rollouts, "FB/SFT", "FB/RL(6-9)", KINDS, {"guessed_start"})
    first = pairs[0]
    assert first.story == "Now right, by another strategy"
    assert not first.before.right
    assert first.after.right
    assert first.before.strategy != first.after.strategy
    assert traces.pairs(inputs.rollouts, "FB/SFT", "no such", KINDS, ()) == []


def test_no_strategy_has_the_colour_of_what_is_none() -> None:
    names = ["forward", "backward", "meet", "guess", "algebra", "mixed", "other", "unparsed", "truncated"]
    colours = charts.strategy_colours(names)
    assert list(colours) == names
    assert len(set(colours.values())) == len(names)
    assert {name: colours[name] for name in charts.VALUE_COLOURS} == charts.VALUE_COLOURS
    assert charts.strategy_colours(names[:2]) == {name: colours[name] for name in names[:2]}


def test_step_colours_run_from_cold_to_warm() -> None:
    four = [colour.upper() for colour in charts.step_colours([2, 3, 4, 5]).values()]
    assert four == [colour.upper() for colour in charts.COLD_TO_WARM]
    assert charts.step_colours([6]) == {6: charts.COLD_TO_WARM[0]}
    assert len(set(charts.step_colours(list(range(6, 16))).values())) == 10


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_save_overview(inputs: Inputs, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"overview{suffix}"
    charts.save_overview(typed(inputs.summary), path)
    assert path.read_bytes().startswith(b"\x89PNG" if suffix == ".png" else b"<svg")
    charts.save_overview(typed(emptied(inputs.summary)), path)


def test_save_overview_names_what_it_can_write(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StratagemError, match=r"\.png or \.svg"):
        charts.save_overview(typed(inputs.summary), tmp_path / "overview.gif")


def shown(summary: dict[str, Any]) -> str:
    out = io.StringIO()
    terminal.show(typed(summary), Console(file=out, width=120))
    return out.getvalue()


def test_the_terminal_says_the_answer_first_in_80_columns(inputs: Inputs) -> None:
    text = shown(inputs.summary)
    assert text.startswith("RL on harder problems did both")
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for cell in CELLS:
        assert cell in text
    for word in (
        "✓ upheld",
        "✗ refuted",
        "? undecided",
        "+29.6",
        "[+25.9,+33.3]",
        "95.7",
        "Level: kind x difficulty",
    ):
        assert word in text


def test_the_terminal_fits_the_widest_numbers(inputs: Inputs) -> None:
    summary = json.loads(json.dumps(inputs.summary))
    for row in summary["cells"].values():
        for entry in row.values():
            entry.update(value=1.0, low=1.0, high=1.0)
    for row in summary["study"].values():
        row.update(dict.fromkeys(row, 100.0))
    for gain in summary["gains"].values():
        for name in ("gain", *view.TERMS):
            gain[name] = {"value": -1.0, "low": -1.0, "high": -1.0, "se": 0.0, "n": 480}
    text = shown(summary)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text


def test_the_terminal_shows_dashes_for_nothing(inputs: Inputs) -> None:
    text = shown(emptied(inputs.summary))
    assert "–" in text
    assert "0.0" not in text
    assert "nan" not in text
