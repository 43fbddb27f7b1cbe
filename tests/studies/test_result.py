"""The types of a study's result: their schema, and what of several replicates becomes one."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from stratagem.records import StratagemError
from stratagem.result import schema
from stratagem.stats.uncertainty import t_interval
from stratagem.studies.summary import merged, over_replicates
from stratagem.study_result import ArmGain, Summary, decode
from tests.report.synthetic_study import make

SCHEMA = Path(__file__).parents[2] / "docs" / "study.schema.json"


def test_the_schema_is_what_the_types_give() -> None:
    """`python -m tests.studies.test_result` writes it again."""
    assert SCHEMA.read_text() == schema(Summary)


def test_a_summary_survives_json() -> None:
    summary = decode(make(problems=4, samples=1, updates=2).summary, "summary.json")
    again = decode(json.loads(json.dumps(summary.as_dict())), "summary.json")
    assert again.as_dict() == summary.as_dict()
    assert again.gains["FB/RL(6-9)"].reverse.selection.bounds == (0.12, 0.46)
    assert math.isnan(again.gains["FB/RL(6-9)"].reverse.selection.value)


def test_an_older_summary_is_refused_in_a_line() -> None:
    with pytest.raises(StratagemError, match=r"out/summary.json: not a summary of this version .*again"):
        decode({"answer": "x"}, "out/summary.json")


def test_replicates_become_one() -> None:
    gains = [decode(make(seed).summary, "x").gains["FB/RL(6-9)"] for seed in range(3)]
    whole = over_replicates(gains)
    assert isinstance(whole, ArmGain)
    assert over_replicates(gains[:1]) is gains[0]
    for name in ("selection", "improvement"):
        expected = t_interval([getattr(gain, name).value for gain in gains])
        assert getattr(whole, name) == expected
    assert whole.reverse.selection.bounds == pytest.approx((0.12, 0.46))
    assert len(whole.strata) == len(gains[0].strata)
    row = next(row for row in whole.strata if row.stratum == gains[0].strata[0].stratum)
    assert row.selection == t_interval([gain.strata[0].selection.value for gain in gains])
    assert row.problems == 60


def test_what_differs_between_replicates() -> None:
    assert merged(["selection", "improvement"]) == "undecided"
    assert merged([["few"], ["few", "sparse"]]) == ["few", "sparse"]
    assert merged([True, False]) is True
    assert merged([480, 480]) == 480
    assert merged([None, 1.0]) == 1.0


if __name__ == "__main__":
    SCHEMA.write_text(schema(Summary))
