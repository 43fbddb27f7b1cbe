"""What --fail-if takes."""

from __future__ import annotations

import re

import msgspec
import pytest

from stratagem.commands.condition import Condition
from stratagem.records import UNDEFINED, StratagemError
from tests.hostile.long_form import limit
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


@pytest.mark.parametrize("text", ["improvement.low < 0", "improvement > -1", "NOT improvement > -1"])
def test_what_hangs_on_a_number_that_is_not_defined_is_refused(text: str) -> None:
    """A gate that never fires on few problems, which have no intervals, would be a trap."""
    with pytest.raises(StratagemError, match=r"improvement(\.low)? is not known from these logs"):
        Condition.parse(text).holds(RESULT)
    assert Condition.parse(f"{text} OR gain > 0").holds(RESULT)


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


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gain IN (SELECT a FROM read_parquet('/nowhere/x'))", "SELECT has no place here"),
        ("EXISTS (FROM read_csv('/nowhere/x'))", "no function 'EXISTS'|EXISTS has no place here"),
        ("read_parquet('/nowhere/x') > gain", "no function 'read_parquet'"),
        ("\"read_csv\"('/nowhere/x') > gain", "no number 'read_csv'"),
        (" AND ".join(["gain > 0"] * 5_000), "more than 4,000 words"),
        (" AND ".join(["gain > 0"] * 900), "too many parts"),
        (" + ".join(["gain"] * 1_900) + " > 0", "too many parts"),
        ("gain" + "::float" * 900 + " > 0", "too many parts"),
        ("(" * 1_900 + "gain > 0" + ")" * 1_900, "not a condition"),
        ("ABS(" * 900 + "gain" + ")" * 900 + " > 0", "not a condition"),
        ("NOT " * 3_000 + "gain > 0", "not a condition"),
        ("gain > " + "9" * 50_000, "more than 38 digits; use an exponent"),
        ("gain > 0." + "9" * 50_000, "more than 38 digits; use an exponent"),
        ("g" * 50_000 + " > 0", "no number"),
        ('"' + "g" * 50_000 + '" > 0', "no number"),
        ("g" * 50_000 + "(gain) > 0", "no function"),
        (".".join(["gain"] * 10_000) + " > 0", "no number"),
        ("gain > '" + "x" * 50_000 + "'", "not a condition"),
        ("'" * 50_001, "cannot read"),
        ("frobnicate(gain) > 0", "no function 'frobnicate'"),
        ("'\ud800' = '\ud800'", "cannot read"),
        ("\udc80 > 0", "cannot read"),
        ('"\udc80" > 0', "no number"),
        ("[red]gain[/red] > 0", "no number 'red'"),
        ("<script>gain</script> > 0", "no number 'script'"),
        ("\x1b[31m > 0", "cannot read"),
        (" \t\n", "not a condition"),
        ("'x'", "gives String"),
        ("1", "gives Int32"),
        ("gain > [1]", "only columns, literals"),
        ("CASE WHEN gain > 0 THEN 'x' END", "gives String"),
        ("NULL", "neither true nor false"),
        ("1 > NULL", "neither true nor false"),
        ("0 / 0 > 0", "neither true nor false"),
        ("SQRT(-1) > 0", "neither true nor false"),
        ("NOT POWER(-1, 0.5) < 0", "neither true nor false"),
        ("CAST('nan' AS FLOAT) > 1", "neither true nor false"),
        ("CAST('x' AS FLOAT) > 1", "not a condition"),
    ],
    ids=lambda text: text[:20].encode("ascii", "backslashreplace").decode() if len(text) > 20 else None,
)
def test_what_is_meant_to_do_harm_is_one_short_line(text: str, said: str) -> None:
    with limit(5), pytest.raises(StratagemError, match=said) as error:
        Condition.parse(text)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1_500


@pytest.mark.parametrize(
    "text",
    [
        "LN(selection) > 0",  # of a negative number
        "NOT LN(selection) > 0",
        "(gain - gain) / (gain - gain) < 5",
        "gain > NULL",
        "NULLIF(gain, gain) > 0",
        "gain % 0 > 1",
        "CASE WHEN gain > 100 THEN TRUE END",
    ],
)
def test_what_is_neither_true_nor_false_of_known_numbers_is_refused(text: str) -> None:
    with pytest.raises(StratagemError, match="neither true nor false, though its numbers are defined"):
        Condition.parse(text).holds(RESULT)
    assert Condition.parse(f"{text} OR gain > 0").holds(RESULT)
    assert not Condition.parse(f"gain < 0 AND {text}").holds(RESULT)


def test_what_polars_cannot_tell_is_one_line() -> None:
    with pytest.raises(StratagemError, match=r"^--fail-if 'CAST\(.*conversion from") as error:
        Condition.parse("CAST(EXP(gain * 10000) AS INT) > 0").holds(RESULT)
    assert "\n" not in str(error.value)


def test_many_parts_take_little_time() -> None:
    """Within a few seconds, where Polars' optimizations take the cube of their number."""
    with limit(5):
        assert Condition.parse(" AND ".join(["gain > 0"] * 400)).holds(RESULT)
