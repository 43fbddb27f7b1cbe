"""What --fail-if takes."""

from __future__ import annotations

import re

import msgspec
import pytest

from stratagem.commands.condition import Condition
from stratagem.records import UNDEFINED, StratagemError
from tests.report.synthetic_diagnosis import make, typed

ROOM = {"selection": {"value": 0.1, "low": 0.0, "high": 0.2}, "improvement": {"value": 0.4}, "accuracy": 0.5}
ROOM |= dict.fromkeys(("problems", "left_out", "halved"), 0)

RESULT = typed(
    make()
    | {
        "gain": {"value": 0.2, "low": 0.1, "high": 0.3},
        "selection": {"value": -0.01, "low": -0.05, "high": 0.02},
        "improvement": {"value": None, "low": None},
        "problems": 500,
        "headroom": {"before": None, "after": ROOM},
    }
)


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
        ("NOT improvement > -1", False),
        ("improvement.low < 0 OR gain > 0", True),
        ("headroom.after.selection > 0.05", True),
        ("selection.low < 0 AND gain < 0.25", True),
        ("ABS(selection) + gain > 0.2", True),
        ("headroom.after.selection.high - selection.low > 0.24", True),
        ("1 > 0", True),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert Condition.parse(text).holds(RESULT) is holds


@pytest.mark.parametrize("text", ["", "gain", "gain <", "gain < 1..2", "gain < 0 and", "gain =< 0"])
def test_what_is_not_a_condition_is_one_line(text: str) -> None:
    with pytest.raises(StratagemError, match=r"a condition such as 'gain > 0'|cannot read") as error:
        Condition.parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seletion.low < 0", "no number 'seletion.low'; did you mean 'selection.low'?"),
        ("gain > 0 or selection.lo < 0", "no number 'selection.lo'; did you mean 'selection.low'?"),
        ("nope < 0", "no number 'nope'; the numbers are gain, selection"),
        (
            "reverse < 0",
            "'reverse' is several numbers: reverse.selection, reverse.improvement, reverse.new_strategy",
        ),
        ("by < 0", "no number 'by'"),
        ("order_dependent < 1", "no number 'order_dependent'"),
        ("gain IN (SELECT a FROM read_csv('x.csv'))", "SELECT has no place here"),
    ],
)
def test_a_number_that_no_result_has_is_named_before_there_is_a_result(text: str, said: str) -> None:
    with pytest.raises(StratagemError, match=re.escape(said)) as error:
        Condition.parse(text)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["selection.low < 0", "selection < 0"])
def test_what_counts_cannot_say_is_not_known_from_them(text: str) -> None:
    counts = msgspec.structs.replace(RESULT, strategies_from="counts alone", selection=UNDEFINED)
    with pytest.raises(
        StratagemError, match=r"selection.* is not known from counts alone; log the completions"
    ):
        Condition.parse(text).holds(counts)
    assert Condition.parse(f"gain > 0 or {text}").holds(counts)


@pytest.mark.parametrize("text", ["headroom.before.selection.low < 0", "path.along.gain < 0"])
def test_a_part_that_the_logs_leave_open_is_named(text: str) -> None:
    with pytest.raises(StratagemError, match=re.escape(f"{text[:-4]} is not known from these logs")):
        Condition.parse(text).holds(RESULT)
