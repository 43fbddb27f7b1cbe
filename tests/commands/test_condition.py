"""What --fail-if takes."""

from __future__ import annotations

import pytest

from stratagem.commands.condition import Condition
from stratagem.records import StratagemError

RESULT = {
    "gain": {"value": 0.2, "low": 0.1, "high": 0.3},
    "selection": {"value": -0.01, "low": -0.05, "high": 0.02},
    "improvement": {"value": None, "low": None},
    "problems": 500,
    "order_dependent": True,
    "by": ["kind"],
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("selection.low < 0", True),
        ("selection.low<0 and gain.low > 0.2", False),
        ("gain < 0.1 or selection.high >= 0.02", True),
        ("gain > .1 and problems >= 1e2 or gain < 0", True),
        ("gain < 0 and problems > 1 or problems == 500", True),
        ("gain < 0 or problems > 1 and gain > 1", False),
        ("gain == 0.2", True),
        ("problems != 500", False),
        ("improvement.low < 0", False),  # not defined: no comparison holds
        ("improvement > -1", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert Condition.parse(text).holds(RESULT) is holds


@pytest.mark.parametrize(
    "text", ["", "gain", "gain <", "0 < gain", "gain < x", "gain < 1..2", "gain < 0 and", "gain =< 0"]
)
def test_what_is_not_a_condition_is_one_line(text: str) -> None:
    with pytest.raises(StratagemError, match=r"is not of the form 'selection\.low < 0'"):
        Condition.parse(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nope < 0", "no 'nope' in the result; there is gain, selection"),
        ("gain.middle < 0", "no 'middle' in the result; there is value, low, high"),
        ("problems.low < 0", "no 'low' in the result; there is nothing below it"),
        ("by < 0", "by is not a number"),
        ("order_dependent < 1", "order_dependent is not a number"),
    ],
)
def test_a_number_that_is_not_there_is_named(text: str, said: str) -> None:
    with pytest.raises(StratagemError, match=said):
        Condition.parse(text).holds(RESULT)
