"""Conditions that users write: what they may say, and what is refused before anything is opened."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.conditions import condition
from stratagem.records import StratagemError

TABLE = pl.DataFrame(
    {
        "score": [1.0, 0.0, None],
        "length": [10, 20, 30],
        "name": ["x", "it's", None],
        "kept": [True, False, None],
        "odd name": [1, 2, 3],
        "a.b": [1, 2, 3],
        "info": [{"depth": 1}, {"depth": 2}, {"depth": 3}],
        "text": ["a", "b", "c"],
    }
)


def values(text: str) -> list[bool | None]:
    expression = condition(text, TABLE.schema, "--where")
    return TABLE.select(expression.alias("held"))["held"].to_list()


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("score > 0", [True, False, None]),
        ("score == 1 and length<15", [True, False, False]),
        ("NOT (score > 0 OR length >= 30)", [False, True, False]),
        ("score IS NULL or score = .0", [False, True, True]),
        ("score > NULL", [None, None, None]),
        ("length BETWEEN 15 AND 3e1", [False, True, True]),
        ("name IN ('x', 'it''s')", [True, True, None]),
        ("LOWER(name) LIKE 'i%'", [False, True, None]),
        ("name ~ '^x$'", [True, False, None]),
        ("ABS(length - 20) + ROUND(score, 1) > 9", [True, False, None]),
        ("COALESCE(score, 0.5) <> 0.5", [True, True, False]),
        ("CASE WHEN kept THEN 1 ELSE 0 END = 1", [True, False, False]),
        ("kept", [True, False, None]),
        ('"odd name" >= 2 AND a.b < 3', [False, True, False]),
        ("info.depth % 2 = 1", [True, False, True]),
        ("text = 'b'", [False, True, False]),  # a column may be called as a type is
        ("CAST(length AS TEXT) = '10'", [True, False, False]),
        ("1 > 0", [True]),
    ],
)
def test_what_a_condition_may_say(text: str, held: list[bool | None]) -> None:
    assert values(text) == held


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("scor > 0", "no column 'scor'; did you mean 'score'?"),
        ("zzz > 0", "no column 'zzz'; the columns are score, length"),
        ("a > 0", "'a' is several columns: a.b"),
        ("info.width > 0", "not a condition such as 'score > 0'"),
        ("score", "gives Float64, it has to be a condition such as 'score > 0'"),
        ("score +", "not a condition such as 'score > 0'"),
        ("", "not a condition such as 'score > 0'"),
        ("score =< 0", "not a condition"),
        ("score > 1..2", "cannot read '1..2'"),
        ("score > 0; DROP TABLE x", "cannot read '; DROP TABLE x'"),
        ("rnd(score) > 0", "no function 'rnd'; did you mean 'round'?"),
        ("SUM(score) > 1", "no function 'SUM'"),
        ("COUNT(*) > 1", "no function 'COUNT'"),
        ("score > 0 AND kept OVER", "OVER has no place here"),
        ("score > (SELECT 1)", "SELECT has no place here; a condition holds no query"),
        ("name = 'x\\' OR '", "cannot read"),
        ("E'x' = name", "no column 'E'"),
        ("score > 0 -- and so on", "no column 'so'"),
        ("score > 0 /* 'a */", "cannot read"),
        ("length = 'x'", "not a condition"),
    ],
)
def test_what_it_may_not_say_is_one_line(text: str, said: str) -> None:
    with pytest.raises(StratagemError) as error:
        condition(text, TABLE.schema, "--where")
    assert said in str(error.value)
    assert str(error.value).startswith(f"--where {text!r}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text",
    [
        "score IN (SELECT score FROM read_csv('{0}'))",
        "score > (select max(score) from read_csv('{0}'))",
        "EXISTS (SELECT * FROM read_parquet('{0}'))",
        "read_csv('{0}') > 0",
        "\"read_csv\"('{0}') > 0",
        "score IN (FROM read_csv('{0}'))",
        'score IN (TABLE "{0}")',
    ],
)
def test_a_file_is_refused_and_not_looked_for(text: str) -> None:
    """Polars would open it while it parses, and fail to find it."""
    with pytest.raises(StratagemError, match=r"has no place here|no function|no column"):
        condition(text.format("/nowhere/x.csv"), TABLE.schema, "--where")


def test_polars_opens_files_while_it_parses() -> None:
    """Why words are checked before."""
    with pytest.raises(FileNotFoundError):
        pl.sql_expr("score IN (SELECT score FROM read_csv('/nowhere/x.csv'))")


WORDS = """score name 'x' ' " ( ) SELECT FROM read_csv AND OR NOT 1 .5 < = - / * ; \\ $ ` E -- /* */ , . :: over [ ]"""
PIECES = st.sampled_from([*WORDS.split(), "\n"])


@given(
    st.lists(PIECES, max_size=12).map(" ".join)
    | st.lists(PIECES, max_size=12).map("".join)
    | st.text(max_size=20)
)
def test_anything_is_a_condition_or_one_line(text: str) -> None:
    said = ""
    try:
        assert all(value in (True, False, None) for value in values(text))
    except StratagemError as error:
        said = str(error).replace(repr(text), "")
    assert "\n" not in said


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("a > 0", [None, False, True, None]),
        ("NOT a > 0", [None, True, False, None]),
        ("a = a", [None, True, True, None]),
        ("LN(a) > 0", [None, None, True, None]),
        ("LN(a) > 0 OR n = 1", [True, None, True, None]),
        ("n > 1 AND SQRT(a) > 1", [False, None, True, None]),
        ("a / n > 0.5", [None, False, True, None]),
        ("a NOT IN (4, 5)", [None, True, False, None]),
        ("a BETWEEN 0 AND 5", [None, False, True, None]),
        ("CAST(a > 0 AS BOOLEAN)", [None, False, True, None]),
        ("info.depth >= 0", [None, True, False, True]),
        ("(n - 1) / (n - 1) = 1", [None, True, True, True]),
    ],
)
def test_what_is_no_number_compares_with_nothing(text: str, held: list[bool | None]) -> None:
    """Polars has NaN for larger than all numbers."""
    nan = float("nan")
    table = pl.DataFrame(
        {
            "a": [nan, -1.0, 4.0, None],
            "n": [1, 2, 3, 4],
            "info": [{"depth": nan}, {"depth": 1.0}, {"depth": -1.0}, {"depth": 0.0}],
        }
    )
    expression = condition(text, table.schema, "--where")
    assert table.select(expression.alias("held"))["held"].to_list() == held


def test_null_alone_takes_no_row() -> None:
    assert TABLE.filter(condition("NULL", TABLE.schema, "--where")).is_empty()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" AND ".join(["n > 1"] * 1_000), "too many parts"),
        ("NOT " * 1_000 + "n > 1", ""),
        (" AND ".join(["n > 1"] * 50_000), "more than 4,000 words"),
        (f"n IN ({', '.join('1' * 6_000)})", "more than 4,000 words"),
    ],
    ids=["nested", "not", "longer than the stack", "list"],
)
def test_a_condition_that_is_too_long_is_one_line(text: str, said: str) -> None:
    with pytest.raises(StratagemError) as refused:
        condition(text, {"n": pl.Int64()}, "--where")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 5_000


def test_a_long_list_is_a_condition() -> None:
    text = f"n IN ({', '.join(map(str, range(1_500)))})"
    asked = condition(text, {"n": pl.Int64()}, "--where")
    assert pl.DataFrame({"n": [3, 1_500]}).select(asked.alias("_"))["_"].to_list() == [True, False]
