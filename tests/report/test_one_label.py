"""Labels that see one strategy in nearly all responses: said first, in every place that says which part leads."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.one_label import largest, one_label
from stratagem.report import view
from stratagem.study_result import ArmGain
from stratagem.watch.gain import split_updates
from stratagem.watch.metrics import COUNTS
from stratagem.watch.parts import answer
from stratagem.watch.run import Kind, Run, Status

SAID = "These labels cannot show selection: A has {}% of responses before and {}% after. "
SAID += "Finer rules, learned labels or a judge could."
EXACT = "There is hardly anything to select from: nearly all responses are A."


def responses(share: int, right: int) -> pl.DataFrame:
    """Of each of 40 problems' 100 responses so many by A, the others by B; of either so many percent right."""
    rows = [
        (f"p{i}", name, n, n * right / 100)
        for i in range(40)
        for name, n in (("A", share), ("B", 100 - share))
    ]
    return pl.DataFrame(rows, schema=["problem_id", "strategy", "n", "right"], orient="row")


@pytest.mark.parametrize(("before", "after", "said"), [(85, 90, True), (84, 90, False), (90, 84, False)])
def test_decompose_says_it_first(before: int, after: int, said: bool) -> None:
    found = decompose(
        responses(before, 40), responses(after, 60), by=(), rng=np.random.default_rng(0), draws=50
    )
    first = str(found).splitlines()[0]
    assert first == SAID.format("85.0", "90.0") if said else first.startswith("40 problems")


def test_what_has_no_name_is_no_label() -> None:
    assert one_label(largest([("other", 0.95, 0.95), ("A", 0.05, 0.05)])) == ""
    assert one_label(largest([])) == ""


def test_a_study_says_it_first_of_the_shares_over_all_strata() -> None:
    """Of three quarters of the problems all, of the others 60%: 90% of the responses."""

    def cell(kind: str, name: str, share: float) -> dict[str, Any]:
        numbers = ("accuracy_before", "accuracy_after", "accuracy_forced", "selection", "improvement")
        rest = dict.fromkeys((*numbers, "new_strategy", "contribution"), 0.0)
        counts = {"responses_before": 1, "responses_after": 1}
        shares = {"share_before": share, "share_after": share}
        return {"stratum": {"kind": kind}, "strategy": name} | shares | rest | counts

    def stratum(kind: str, problems: int) -> dict[str, Any]:
        gain = {"value": 0.1, "low": 0.0, "high": 0.2, "se": 0.05, "n": problems}
        terms = dict.fromkeys(("gain", "selection", "improvement", "new_strategy"), gain)
        rates = {"accuracy_before": 0.4, "accuracy_after": 0.5}
        return {"stratum": {"kind": kind}, "problems": problems} | rates | terms

    result = msgspec.convert(
        {
            "lead": "undecided",
            "order_dependent": False,
            "strata": [stratum("x", 30), stratum("y", 10)],
            "cells": [cell("x", "A", 1.0), cell("y", "A", 0.6), cell("y", "B", 0.4)],
        },
        ArmGain,
    )
    (line,) = view.leads([view.Gain("F", "start", result)])
    assert line.lower() == f"f: {EXACT}".lower()


@pytest.mark.parametrize(("kind", "said"), [("rl", EXACT), ("trl", SAID)])
@pytest.mark.parametrize("share", [90, 80])
def test_the_page_of_a_run_says_it_first(share: int, kind: Kind, said: str) -> None:
    rng = np.random.default_rng(0)
    rows = [
        (update, "a", 1, name, n, float(rng.binomial(int(n), 0.3 + 0.02 * update)))
        for update in range(20)
        for name, n in (("A", float(share)), ("B", 100.0 - share))
    ]
    counts = pl.DataFrame(rows, schema=COUNTS, orient="row")
    gain = split_updates(counts.filter(pl.col("update") < 10), counts.filter(pl.col("update") >= 10))
    assert gain is not None
    run = Run("run", kind=kind, status=Status("done", done=20, total=20), counts=counts, gains={20: gain})
    text = answer(run)
    first = f"{said.format('90.0', '90.0')} " if share == 90 else ""
    assert text.startswith(f"{first}After 20 updates")


def test_where_the_labels_miss_the_answers_nothing_is_said_of_what_they_show() -> None:
    """Nine tenths are labelled A and wrong; the answers that the grader found right have no label."""

    def side(right: int) -> pl.DataFrame:
        rows = [
            (f"p{i}", name, n, r)
            for i in range(40)
            for name, n, r in (("A", 90, 0.0), ("unparsed", 10, right))
        ]
        return pl.DataFrame(
            rows,
            schema=["problem_id", "strategy", "n", "right"],
            orient="row",
            schema_overrides={"right": pl.Float64},
        )

    found = decompose(side(5), side(9), by=(), rng=np.random.default_rng(0), draws=50)
    assert found.lead is None
    assert np.isnan([found.new_or_rare.selection.low, found.new_or_rare.improvement.high]).all()
    assert "cannot show selection" not in str(found)
