"""A diagnosis, a log and pass@k in a terminal of 80 columns."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import convert
from msgspec.structs import replace
from rich.cells import cell_len
from rich.console import Console

from stratagem.records import Estimate
from stratagem.report.terminal import show_diagnosis, show_passk, show_survey
from stratagem.result import Attempts, AttemptsOfLogs, AttemptsTogether, LeftOut, Spread, Surveyed, Unread
from tests.report.hostile import TEXTS
from tests.report.synthetic_diagnosis import estimate, make, typed, undefined

SURVEY = Surveyed(
    taken={"prompt": "column 'prompt'"},
    files=("runs/a.jsonl", "runs/b.jsonl"),
    format="TRL",
    rows=12_800,
    problems=1600,
    checkpoints=3,
    samples=Spread(4, 8.0, 8),
    groups=None,
    scores={"accuracy_reward": (0.0, 1.0), "format_reward": (-0.5, 0.5)},
    finish_reasons={"length": 12, "stop": 0},
    columns={"prompt": "String", "completion": "String", "accuracy_reward": "Float64"},
    facts={"temperature": ("0.6",), "max_tokens": ("4096",)},
    repeated=0,
    left_out={"line is not JSON": 2},
    left_out_examples=(LeftOut("runs/a.jsonl", 17, "line is not JSON"),),
    skipped=(Unread("runs/readme.txt", "no rollouts in it"),),
)
SIDES = typed(make()).sides
PASSK = AttemptsOfLogs(
    logs=SIDES,
    problems=400,
    left_out=(3, 0),
    passk=tuple(
        Attempts(
            k,
            *(convert(estimate(rate * k), Estimate) for rate in (0.3, 0.35, 0.05)),
            together=AttemptsTogether(
                Estimate(0.3 * k, 0.0, 1.0), difference=Estimate(0.05 * k, 0.031, 0.123)
            ),
        )
        for k in (1, 2)
    ),
    warnings=(),
)


def shown(show: Callable[[Any, Console], None], what: Any, width: int = 120) -> str:
    out = io.StringIO()
    show(what, Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(cell_len, text.splitlines())) <= 80
    return text


def test_the_verdict_comes_first_then_the_table_then_warnings() -> None:
    diagnosis = make()
    text = " ".join(shown(show_diagnosis, typed(diagnosis)).split())
    order = [
        diagnosis["verdict"]["sentence"],
        "Next: raise the RL difficulty. Choice is exhausted and execution still weak. Of the 41.2 points still",
        "- 3.1 of the 12.3 points (1.1 to 5.1) are answer format",
        "Gain in points and its terms, with 95% intervals",
        "Strata by dataset, difficulty.",
        "Strategy Share, %",
        "In 6 of 7 other groupings",
        "A label error of 12%",
        "! temperature differs",
        "base: 3190 responses to 412 problems in 7 files, verl, right by column 'acc'; 10 left out",
    ]
    places = [text.index(part) for part in order]
    assert places[0] == 0
    assert places == sorted(places)
    assert f"{100 * diagnosis['gain']['value']:+.1f}" in text
    for row in diagnosis["strategies"]:
        ends = [row[f"share_{side}"] for side in ("before", "after")]
        assert f"{row['strategy']} {100 * ends[0]['value']:.1f} {100 * ends[1]['value']:.1f} " in text
        assert (
            f"[{100 * ends[0]['low']:.1f},{100 * ends[0]['high']:.1f}] [{100 * ends[1]['low']:.1f}," in text
        )


@pytest.mark.parametrize("afters", [2, 5])
def test_several_comparisons(afters: int) -> None:
    diagnosis = make(afters)
    text = shown(show_diagnosis, typed(diagnosis))
    assert text.count("Next: ") == afters
    assert f"base → rl-step-{100 * (afters - 1)}: " in text
    # All pairs only where they are few; steps, between neighbours, always.
    assert text.count("rl-step-100 →") == (2 if afters == 2 else 1)
    assert "all together" in text


def test_the_widest_numbers_and_names_fit() -> None:
    names = tuple(f"checkpoints/qwen2.5-7b-grpo/global_step_{i}/rollouts" for i in (0, 100, 200))
    diagnosis = make(
        2, names=names, strategies=tuple("a_long_name_of_a_strategy_of_a_function" + c for c in "abcd")
    )
    for one in diagnosis["comparisons"]:
        for term in ("gain", "selection", "improvement", "new_strategy"):
            one[term] = {"value": -1.0, "low": -1.0, "high": -1.0}
        for row in one["strategies"]:
            rates = ("share_before", "share_after", "accuracy_before", "accuracy_after")
            row |= {key: {"value": 1.0} for key in rates}
            row["contribution"] = -1.0
    text = shown(show_diagnosis, typed(diagnosis))
    assert "[−100.0,−100.0]" in text
    assert "−100.0…" not in text


def test_nothing_is_shown_as_dashes() -> None:
    text = shown(show_diagnosis, undefined(typed(make())))
    assert "–" in text
    assert "nan" not in text.lower().split()
    assert "0.0" not in text


@pytest.mark.parametrize("gone", ["comparisons", "sides", "warnings", "by"])
def test_parts_may_be_missing(gone: str) -> None:
    text = shown(show_diagnosis, typed(make() | {gone: []}))
    assert ("Nothing to compare" in text) == (gone == "comparisons")


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_names_are_no_markup_and_no_control(text: str) -> None:
    name = "[bold red]" + text
    diagnosis = make(names=(name, "after"))
    diagnosis["warnings"] = [name]
    found = shown(show_diagnosis, typed(diagnosis)) + shown(
        show_survey, replace(SURVEY, files=(name,), format=name)
    )
    assert "[bold red]" in found
    assert not set("\x1b\x07\x00\x7f\u202e\u2066") & set(found)


def test_a_log() -> None:
    text = " ".join(shown(show_survey, SURVEY).split())
    for part in (
        "runs/a.jsonl and 1 more",
        "format TRL",
        "responses 12,800",
        "responses a problem 4 to 8, median 8",
        "accuracy_reward from 0 to 1; format_reward from -0.5 to 0.5",
        "checkpoints 3",
        "ended 12 by length",
        "temperature 0.6",
        "prompt, completion, accuracy_reward",
        "! left out 2: line is not JSON",
        "runs/a.jsonl, row 17: line is not JSON",
        "not read: runs/readme.txt: no rollouts in it",
    ):
        assert part in text
    bare = replace(SURVEY, samples=None, scores={}, problems=None, facts={}, columns={})
    assert "scores none" in " ".join(shown(show_survey, bare).split())


def test_pass_at_k() -> None:
    text = shown(show_passk, PASSK)
    assert "400 problems" in text
    assert "27.8, 32.2" in text.replace(",", ", ").replace(",  ", ", ")
    assert "+10.0" in text
    assert "all k at once" in text
    assert "[+3.1,+12.3]" in text
    assert f"{SIDES[0].name}: 3 problems of no other log left out" in text
    one = AttemptsOfLogs(
        logs=SIDES[:1], problems=4, left_out=(0,), passk=(Attempts(1, Estimate(0.5)),), warnings=()
    )
    assert "50.0" in shown(show_passk, one)
    assert "all k at once" not in shown(show_passk, one)
