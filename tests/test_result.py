"""The types of a result and the schema that is made from them."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from stratagem.records import UNSET, Estimate
from stratagem.result import Runs, decode, schema
from tests.report.synthetic_diagnosis import make, typed

PUBLISHED = Path(__file__).parents[1] / "docs" / "diagnosis.schema.json"


def test_the_published_schema_of_several_runs_is_that_of_the_types() -> None:
    assert (PUBLISHED.parent / "pairs.schema.json").read_text() == schema(Runs)


def test_the_published_schema_is_that_of_the_types() -> None:
    command = "python -c 'from stratagem.result import schema; print(schema(), end=\"\")' > docs/diagnosis.schema.json"
    assert PUBLISHED.read_text() == schema(), f"run: {command}"


def test_what_is_not_defined_is_nan_here_and_null_there() -> None:
    term = msgspec.convert({"value": None, "low": -0.1, "high": 0.3, "bounds": [0.0, 0.2]}, Estimate)
    assert math.isnan(term.value)
    assert math.isnan(term.se)
    assert term.ends == (0.0, 0.2)
    assert term.as_dict() == {
        "value": None,
        "low": -0.1,
        "high": 0.3,
        "se": None,
        "n": 0,
        "bounds": [0.0, 0.2],
    }
    assert Estimate(0.5).ends == (0.5, 0.5)
    assert Estimate(0.5).bounds is UNSET
    assert "bounds" not in Estimate(0.5).as_dict()


def test_a_diagnosis_with_everything_in_it_is_read_as_it_was_written() -> None:
    findings = typed(make(2))
    assert findings.path is not None
    again = decode(msgspec.json.encode(findings.as_dict()))
    assert again.as_dict() == findings.as_dict()
    assert again.selection.low == findings.comparisons[1].selection.low


def test_what_is_no_diagnosis_is_named() -> None:
    with pytest.raises(msgspec.ValidationError, match=r"\$\.sides"):
        decode(msgspec.json.encode(make() | {"sides": 3}))
