"""Conditions that users write, such as ``score > 0 AND length < 4096``: one grammar, a part of SQL, for every option.

Polars parses them. It also opens the files that a subquery names while it parses, and knows aggregates, which mean
nothing in a log that is read in batches: so only what is listed
here gets that far, and what comes back is checked again.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

import polars as pl

from stratagem.records import StratagemError

WORDS = frozenset(
    (
        *("and", "or", "not", "is", "null", "true", "false", "in", "between", "like", "ilike"),
        *("case", "when", "then", "else", "end", "cast", "as"),
        *("int", "integer", "bigint", "float", "double", "text", "varchar", "boolean"),
    )
)
FUNCTIONS = frozenset(
    (
        *(
            "abs",
            "ceil",
            "coalesce",
            "ends_with",
            "exp",
            "floor",
            "greatest",
            "least",
            "length",
            "ln",
            "lower",
        ),
        *("nullif", "power", "round", "sign", "sqrt", "starts_with", "trim", "upper"),
    )
)
OF_QUERIES = frozenset(("select", "from", "exists", "values", "table", "with", "over"))
TOKEN = re.compile(
    r"""\s*(?:
      (?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)
    | (?P<quoted>"[^"]+")
    | (?P<other>
        (?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?(?!\w|\.)   # a number
      | '(?:[^'\\\ud800-\udfff]|'')*'                         # a text, without halves of surrogate pairs
      | <=|>=|<>|!=|==|::|!?~\*?|\|\||[-+*/%<>=(),\[\]]
      )
    )""",
    re.VERBOSE,
)
SHOWN = 300  # letters of a text in a message
MOST = 4_000  # words of a condition: Polars takes stack for each, and ends the process where there is no more
BEFORE_PARENTHESIS = WORDS | FUNCTIONS


def condition(text: str, columns: Mapping[str, pl.DataType], option: str, noun: str = "column") -> pl.Expr:
    """A condition as an expression that is true, false or null.

    Args:
        text: comparisons of columns and literals, arithmetic, `FUNCTIONS`, IS NULL, IN, BETWEEN, LIKE, regular
            expressions (``~``), CASE, joined by AND, OR and NOT. A name with dots is a column of that name, or a field.
        columns: what it may speak of, with types.
        option, noun: what it was given by, and what a name in it stands for; for messages.

    Raises:
        StratagemError: it is none, or speaks of another column; the message is one line with the fix.
    """
    where = f"{option} {shown(text)!r}"
    query = " ".join(_tokens(text, columns, where, noun))
    try:
        expression = pl.sql_expr(query)
        node = json.loads(expression.meta.serialize(format="json"))
        _check(node, where)
        expression = _defined(expression, node, columns)
        dtype = values(pl.DataFrame(schema=columns), expression).dtype
    except RecursionError:
        raise StratagemError(
            f"{where[:80]}…: too many parts; write alternatives as COLUMN IN (…), or add a column to the log"
        ) from None
    except (pl.exceptions.PolarsError, ValueError, TypeError) as error:
        said = shown(str(error).splitlines()[0])
        raise StratagemError(f"{where}: not a condition such as {_example(columns)}: {said}") from None
    if dtype not in (pl.Boolean, pl.Null):
        raise StratagemError(f"{where}: gives {dtype}, it has to be a condition such as {_example(columns)}")
    return expression.cast(pl.Boolean)  # NULL alone has no type


def values(frame: pl.DataFrame, expression: pl.Expr) -> pl.Series:
    """What a condition, or a part of one, is for each row of a table; a single value where it speaks of no column.

    Polars' optimizations are left out: they take a time that grows with the cube of a condition's parts.

    Raises:
        PolarsError: it cannot be told of a value, such as a text that is cast to a number.
    """
    plan = frame.lazy().select(expression.alias("_"))
    return plan.collect(optimizations=pl.QueryOptFlags.none()).to_series()


def shown(text: str) -> str:
    """A text in a message, without its middle where it is long."""
    return text if len(text) <= SHOWN else f"{text[: SHOWN // 2]} … {text[-SHOWN // 2 :]}"


def _tokens(text: str, columns: Mapping[str, pl.DataType], where: str, noun: str) -> list[str]:
    """The words of a condition, names of columns in quotation marks.

    Raises:
        StratagemError: a word that no condition has, a function that is none of `FUNCTIONS`, or no such column.
    """
    tokens: list[str] = []
    at = 0
    end = len(text.rstrip())
    while at < end:
        if len(tokens) == MOST:
            raise StratagemError(f"{where[:80]}…: more than {MOST:,} words; add a column to the log instead")
        match = TOKEN.match(text, at)
        if match is None:
            raise StratagemError(f"{where}: cannot read {shown(text[at:].strip())!r}")
        at = match.end()
        opens = text[at:].lstrip().startswith("(")
        name, quoted, other = match["name"], match["quoted"], match["other"]
        if name is not None and name.lower() in OF_QUERIES and name not in columns:
            raise StratagemError(f"{where}: {name.upper()} has no place here; a condition holds no query")
        if other is not None:
            tokens.append(other)
        elif name is not None and opens:
            if name.lower() not in BEFORE_PARENTHESIS:
                raise StratagemError(
                    f"{where}: no function {shown(name)!r}; {near(name.lower(), sorted(FUNCTIONS), 'function')}"
                )
            tokens.append(name)
        elif name is not None and name.lower() in WORDS and name not in columns:
            tokens.append(name)
        else:
            tokens.append(_column(name or quoted[1:-1], columns, where, noun))
    return tokens


def _column(name: str, columns: Mapping[str, pl.DataType], where: str, noun: str) -> str:
    """A column, or a field of one, as SQL takes it."""
    first, *fields = name.split(".")
    if name in columns:
        return f'"{name}"'
    if fields and isinstance(columns.get(first), pl.Struct):
        return ".".join(f'"{part}"' for part in (first, *fields))
    if below := [
        other for other in columns if other.startswith(f"{name}.") and other.count(".") == len(fields) + 1
    ]:
        raise StratagemError(f"{where}: {name!r} is several {noun}s: {', '.join(below)}")
    raise StratagemError(f"{where}: no {noun} {shown(name)!r}; {near(name, columns, noun)}")


def _check(node: Any, where: str) -> None:
    """
    Raises:
        StratagemError: the parsed expression is made of more than columns, literals, operators and functions.
    """
    match node:
        case {"Column": _} | {"Literal": _}:
            return
        case {"BinaryExpr": {"left": left, "right": right}}:
            operands = [left, right]
        case {"Function": {"input": operands}}:
            pass
        case {"Cast": {"expr": operand}}:
            operands = [operand]
        case {"Ternary": {"predicate": predicate, "truthy": truthy, "falsy": falsy}}:
            operands = [predicate, truthy, falsy]
        case _:
            raise StratagemError(f"{where}: only columns, literals, operators and functions make a condition")
    for operand in operands:
        _check(operand, where)


def _defined(expression: pl.Expr, node: Any, columns: Mapping[str, pl.DataType]) -> pl.Expr:
    """A condition that is neither true nor false where what it compares is NaN, such as 0 / 0 and LN(-1): Polars takes
    NaN for larger than all numbers, and for equal to itself.

    Args:
        node: the expression, serialized. What is asked within CASE stays as it is.
    """
    parts = expression.meta.pop()[::-1]
    match node:
        case {"BinaryExpr": {"left": left, "op": "And" | "Or" as operator, "right": right}}:
            first, second = _defined(parts[0], left, columns), _defined(parts[1], right, columns)
            return first & second if operator == "And" else first | second
        case {"Function": {"input": [operand], "function": {"Boolean": "Not"}}}:
            return ~_defined(parts[0], operand, columns)
        case {"Cast": {"expr": operand, "dtype": {"Literal": "Boolean"}}}:
            return _defined(parts[0], operand, columns).cast(pl.Boolean)
        case {"BinaryExpr": {"left": left, "right": right}}:
            operands = [left, right]
        case {"Function": {"input": operands, "function": {"Sql": _}}}:
            pass
        case _:
            return expression
    undefined = [
        part.is_nan()
        for part, operand in zip(parts, operands, strict=True)
        if "Literal" not in operand and _type_of(part, operand, columns).is_float()
    ]
    return pl.when(pl.any_horizontal(undefined)).then(None).otherwise(expression) if undefined else expression


def _type_of(part: pl.Expr, node: Any, columns: Mapping[str, pl.DataType]) -> pl.DataType:
    name = node.get("Column")
    return columns[name] if name in columns else values(pl.DataFrame(schema=columns), part).dtype


def _example(columns: Mapping[str, pl.DataType]) -> str:
    """A condition on the first of the columns that holds numbers."""
    first = next((name for name, dtype in columns.items() if dtype.is_numeric()), "score")
    return f"'{first} > 0'"


def near(name: str, names: Collection[str], noun: str) -> str:
    """``did you mean 'score'?``, or what there is; of names with dots their first parts."""
    close = difflib.get_close_matches(name, list(names), 1)
    firsts = dict.fromkeys(other.split(".")[0] for other in names)
    return f"did you mean {close[0]!r}?" if close else f"the {noun}s are {', '.join(firsts)}"
