"""Which of a log's numbers says that a response is right: asked for where the log leaves it open, never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from stratagem.conditions import condition
from stratagem.records import StratagemError

# Rewards for the form of a response, by their usual names: no measure of its answer.
FORM = re.compile(
    r"format|xml|think|length|overlong|style|structure|repetition|penalty|punish|language"
    r"|(?<![a-z])(?:len|tags?)(?![a-z])",
    re.IGNORECASE,
)

# Words that grade a response as right.
RIGHT = frozenset({"correct", "right", "pass", "passed", "true", "yes", "success", "accepted", "c"})


@dataclass(frozen=True, slots=True)
class Correctness:
    """How a response's `score` is made of a log's columns, and the words for it."""

    expression: pl.Expr
    text: str


def choose(
    names: Sequence[str],
    sample: pl.DataFrame,
    score: str | None = None,
    correct: str | None = None,
    where: str = "log",
) -> Correctness:
    """The measure of correctness of a log.

    Args:
        names: the log's score columns.
        sample: its first rows, with all columns.
        score: a column with values in [0, 1] that the user names.
        correct: a condition that the user gives, in SQL, such as ``score > 0``; null counts as no score.
        where: what the log is called in messages.

    Raises:
        StratagemError: several columns may be meant, the only one is a reward for form by its name, a value lies
            outside [0, 1], no such column, or the condition cannot be read; the message lists the candidates.
    """
    if score is not None and correct is not None:
        raise StratagemError("--score and --correct: give one of them")
    if correct is not None:
        return _condition(correct, sample, where)
    if score is not None:
        if score not in sample.columns:
            raise StratagemError(f"{where}: --score {score}: no such column; {_candidates(names, sample)}")
        return _column(score, sample, where, names)
    if not names:
        raise StratagemError(f"{where}: no column says what is right; {_advice(sample)}")
    distinct = _without_copies(names, sample)
    # A reward for form that never changes decides nothing.
    deciding = [name for name in distinct if not FORM.search(name) or sample[name].n_unique() > 1]
    distinct = deciding if len(deciding) == 1 else distinct
    if len(distinct) > 1:
        raise StratagemError(
            f"{where}: several columns may say what is right: {_candidates(distinct, sample)}; "
            "name one with --score COLUMN, or give a condition with --correct 'COLUMN > 0'"
        )
    # Of copies too: a total that equals a reward for form is no more than that.
    copies = [name for name in names if sample[name].equals(sample[distinct[0]], check_names=False)]
    if any(FORM.search(name) for name in copies):
        raise StratagemError(
            f"{where}: the only score looks like a reward for form, not for the answer: "
            f"{_candidates(names, sample)}; --score {names[0]} takes it all the same"
        )
    return _column(distinct[0], sample, where, names)


def _column(name: str, sample: pl.DataFrame, where: str, names: Sequence[str]) -> Correctness:
    try:
        values = sample[name].cast(pl.Float64)
    except pl.exceptions.PolarsError:
        raise StratagemError(
            f"{where}: column {name!r} holds no numbers; {_candidates(names, sample)}"
        ) from None
    outside = values.filter(~values.is_between(0, 1) & values.is_not_nan())
    if outside.len():
        raise StratagemError(
            f"{where}: column {name!r} holds {outside[0]:g}, outside [0, 1], so it does not say what is right; "
            f"give a condition such as --correct '{quoted(name)} {_threshold(values)}'"
        )
    fractions = values.filter((values > 0) & (values < 1)).len()
    note = " (fractions count as such)" if fractions else ""
    return Correctness(pl.col(name).cast(pl.Float64), f"column {name!r}{note}")


def _condition(text: str, sample: pl.DataFrame, where: str) -> Correctness:
    expression = condition(text, sample.schema, f"{where}: --correct")
    try:
        sample.select(expression)
    except pl.exceptions.PolarsError as error:
        raise StratagemError(f"{where}: --correct {text!r}: {str(error).splitlines()[0]}") from None
    return Correctness(expression.cast(pl.Float64), f"condition {text!r}")


def _threshold(values: pl.Series) -> str:
    """The condition that may be meant by scores outside [0, 1]: of -1 and 1 above 0, of 0 to 100 the full ones, and the
    largest where none is 0 or less."""
    seen = values.drop_nulls().drop_nans()
    low, high = (float(end or 0.0) for end in (seen.min(), seen.max()))  # type: ignore[arg-type]
    return f">= {high:g}" if low > 0 or high in (10.0, 100.0) else "> 0"


def _advice(sample: pl.DataFrame) -> str:
    """What to do where no column is called like a score: words as grades are shown, with the condition for them."""
    for name, dtype in sample.schema.items():
        words = sample[name].drop_nulls().unique() if dtype == pl.String else pl.Series([""])
        if 1 <= words.len() <= 4 and (
            right := [word for word in words.sort() if word.strip().lower() in RIGHT]
        ):
            return f"column {name!r} may: --correct \"{quoted(name)} = '{right[0]}'\""
    return f"name one with --score, or give --correct 'COLUMN > 0'; {_columns(sample)}"


def _columns(sample: pl.DataFrame) -> str:
    return f"the columns are {', '.join(held_columns(sample))}"


def held_columns(sample: pl.DataFrame) -> list[str]:
    """The columns that hold something."""
    return [name for name in sample.columns if sample[name].null_count() < sample.height]


def _without_copies(names: Sequence[str], sample: pl.DataFrame) -> list[str]:
    """The columns, without those that hold the same values as one before them (a total of a single reward)."""
    kept: list[str] = []
    for name in names:
        if not any(sample[name].equals(sample[other], check_names=False) for other in kept):
            kept.append(name)
    return kept


def _candidates(names: Sequence[str], sample: pl.DataFrame) -> str:
    """Each column with the values that it holds, those for form named as such."""
    if not names:
        return _columns(sample)
    parts: list[str] = []
    for name in names:
        values = sample[name].drop_nulls().drop_nans().unique().sort()
        if values.len() == 0:
            held = "empty"
        elif values.len() <= 3:
            held = ", ".join(f"{value:g}" for value in values)
        else:
            held = f"{values[0]:g} to {values[-1]:g}"
        parts.append(f"{name} ({'form; ' if FORM.search(name) else ''}{held})")
    return ", ".join(parts)


def quoted(name: str) -> str:
    """A column's name as SQL takes it."""
    return name if re.fullmatch(r"[A-Za-z_]\w*", name) else f'"{name}"'
