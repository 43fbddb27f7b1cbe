"""A set of rules as one plan of Polars expressions: no Python sees a row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import polars as pl

from stratagem.labelling.ruleset import Rule, RuleSet, around_answer
from stratagem.records import OTHER, TRUNCATED, UNPARSED

ADDED = ("strategy", "behaviours", "evidence")
# Columns of the plan's own; dropped at its end.
TEXT, PLAIN, MATCH, ANSWER, ANSWER_AT, REASONING, LABEL = (
    f"__stratagem_{name}" for name in ("text", "plain", "match", "answer", "answer_at", "reasoning", "label")
)


def plan(
    rows: pl.LazyFrame, columns: Sequence[str], rules: RuleSet, *, evidence: bool, form: bool = True
) -> pl.LazyFrame:
    """The rows with strategy, behaviours and, if wanted, evidence.

    Args:
        columns: the rows' own, completion among them, and maybe finish_reason.
        form: whether responses can be unparsed; else a text without an answer is its own answer (for examples).
    """
    used = {rule.part for rule in rules.strategies + rules.behaviours}
    rows = rows.with_columns(pl.col("completion").fill_null("").alias(TEXT))
    if evidence:
        rows = rows.with_columns((pl.col(TEXT).str.len_bytes() == pl.col(TEXT).str.len_chars()).alias(PLAIN))
    rows = _find_answer(rows, rules, used, evidence, form)

    early = pl.lit(None, pl.String)
    if form:
        missing = pl.col(ANSWER).is_null() if rules.parts.answer else pl.col("completion").is_null()
        if rules.parts.unparsed:
            missing = missing | _any_matches(pl.col(TEXT), rules.parts.unparsed)
        early = pl.when(missing).then(pl.lit(UNPARSED))
    if "finish_reason" in columns:
        early = pl.when(pl.col("finish_reason") == "length").then(pl.lit(TRUNCATED)).otherwise(early)
    rows = rows.with_columns(early.alias(LABEL))
    # A rule looks only at the rows that no rule before it has taken.
    for rule in rules.strategies:
        left = pl.when(pl.col(LABEL).is_null()).then(_part(rule))
        rows = rows.with_columns(
            pl.when(holds(rule, left)).then(pl.lit(rule.name)).otherwise(pl.col(LABEL)).alias(LABEL)
        )
    rows = rows.with_columns(pl.col(LABEL).fill_null(OTHER))

    flags = [f"__stratagem_is_{rule.name}" for rule in rules.behaviours]
    rows = rows.with_columns(
        holds(rule, _part(rule)).fill_null(False).alias(flag)
        for rule, flag in zip(rules.behaviours, flags, strict=True)
    )
    names = [
        pl.when(flag).then(pl.lit(rule.name)) for rule, flag in zip(rules.behaviours, flags, strict=True)
    ]
    has = pl.concat_list(names).list.drop_nulls() if names else pl.lit([], dtype=pl.List(pl.String))
    added = [pl.col(LABEL).alias("strategy"), has.alias("behaviours")]
    if evidence:
        decided = [(rule, pl.col(LABEL) == rule.name) for rule in rules.strategies]
        decided += [(rule, pl.col(flag)) for rule, flag in zip(rules.behaviours, flags, strict=True)]
        rows, marks = _with_marks(rows, decided)
        joined = pl.concat_str(marks, separator=",", ignore_nulls=True) if marks else pl.lit("")
        added.append(pl.concat_str(pl.lit('{"marks":['), joined, pl.lit("]}")).alias("evidence"))
    return rows.select(*(name for name in columns if name not in ADDED), *added)


def _find_answer(
    rows: pl.LazyFrame, rules: RuleSet, used: set[str], evidence: bool, form: bool
) -> pl.LazyFrame:
    text = pl.col(TEXT)
    rows = rows.with_columns(pl.lit(None, pl.String).alias(MATCH), pl.lit(None, pl.String).alias(ANSWER))
    place = evidence and "answer" in used
    if place:
        rows = rows.with_columns(pl.lit(None, pl.String).alias(ANSWER_AT))
    for pattern in map(ascii_classes, rules.parts.answer):
        # Later patterns look only at the texts in which the earlier ones found nothing.
        left = pl.when(pl.col(ANSWER).is_null()).then(text)
        rows = rows.with_columns(left.str.extract_all(pattern).list.last().alias(MATCH + "_new"))
        split = around_answer(pattern)
        new = pl.col(MATCH + "_new")
        columns = [pl.coalesce(MATCH, new).alias(MATCH)]
        columns.append(pl.coalesce(ANSWER, new.str.extract(split, 2), new).alias(ANSWER))
        if place:
            columns.append(pl.coalesce(ANSWER_AT, new.str.extract(split, 1)).alias(ANSWER_AT))
        rows = rows.with_columns(columns).drop(MATCH + "_new")
    if "reasoning" in used or place:
        tail = text.str.split(pl.col(MATCH)).list.last()
        before = text.str.len_chars() - tail.str.len_chars() - pl.col(MATCH).str.len_chars()
        columns = [
            pl.when(pl.col(MATCH).is_null()).then(text).otherwise(text.str.slice(0, before)).alias(REASONING)
        ]
        if place:
            columns.append((before + pl.col(ANSWER_AT).str.len_chars()).fill_null(0).alias(ANSWER_AT))
        rows = rows.with_columns(columns)
    if not form:
        rows = rows.with_columns(pl.col(ANSWER).fill_null(text))
    return rows


def _part(rule: Rule) -> pl.Expr:
    return pl.col({"all": TEXT, "reasoning": REASONING, "answer": ANSWER}[rule.part])


def holds(rule: Rule, text: pl.Expr) -> pl.Expr:
    """Whether a rule holds for a part of a response; null where there is none."""
    conditions = [_any_matches(text, rule.any)] if rule.any else []
    conditions += [text.str.contains(ascii_classes(pattern)) for pattern in rule.all]
    if rule.none:
        conditions.append(~_any_matches(text, rule.none))
    return pl.all_horizontal(conditions)


def _any_matches(text: pl.Expr, patterns: Sequence[str]) -> pl.Expr:
    return pl.any_horizontal(text.str.contains(pattern) for pattern in merged(tuple(patterns)))


def _with_marks(
    rows: pl.LazyFrame, decided: Sequence[tuple[Rule, pl.Expr]]
) -> tuple[pl.LazyFrame, list[str]]:
    """The rows with a column ``[start,end,"name"]`` for the first of `any` and for each of `all`, of every rule.

    Args:
        decided: each rule with the rows where it holds.
    """
    places: list[pl.Expr] = []
    marks: list[pl.Expr] = []
    for rule, where in decided:
        text = pl.when(where).then(_part(rule))
        shift = pl.col(ANSWER_AT) if rule.part == "answer" else pl.lit(0)
        for pattern in merged(rule.any) + tuple(map(ascii_classes, rule.all)):
            at, what, mark = (f"__stratagem_{kind}_{len(marks)}" for kind in ("at", "what", "mark"))
            places += [text.str.find(pattern).alias(at), text.str.extract(pattern, 0).alias(what)]
            # `find` counts bytes; so the text before is counted in characters, where it is not all ASCII.
            before = pl.when(~pl.col(PLAIN)).then(text).cast(pl.Binary).bin.slice(0, pl.col(at))
            start = shift + pl.when(PLAIN).then(at).otherwise(before.cast(pl.String).str.len_chars())
            end = start + pl.col(what).str.len_chars()
            marks.append(pl.format(f'[{{}},{{}},"{rule.name}"]', start, end).alias(mark))
    # Two steps, so that each pattern is looked for once.
    rows = rows.with_columns(places).with_columns(marks)
    names = [f"__stratagem_mark_{i}" for i in range(len(marks))]
    return rows, names


_ASCII: dict[str, str] = {
    "b": r"(?-u:\b)",
    "d": "[0-9]",
    "D": "[^0-9]",
    "w": "[0-9A-Za-z_]",
    "W": "[^0-9A-Za-z_]",
    "s": r"[ \t\n\r\f\v]",
    "S": r"[^ \t\n\r\f\v]",
}
_TOKEN = re.compile(r"\\.|\[\^?\]?|\]|[^\\\[\]]+", re.S)


@lru_cache(maxsize=1024)
def ascii_classes(pattern: str) -> str:
    r"""The pattern with ``\b \d \w \s`` as ASCII, as Python's re.ASCII has them.

    Rust's regex leaves its fast engine where a Unicode word boundary meets a text that is not ASCII.
    """
    parts: list[str] = []
    inside = False
    tokens: list[str] = _TOKEN.findall(pattern)
    for token in tokens:
        if token[0] == "\\":
            plain = _ASCII.get(token[1], token)
            if inside:
                plain = plain[1:-1] if token[1] in "dws" else token
            parts.append(plain)
        else:
            parts.append(token)
            if token[0] == "[":
                inside = True
            elif token == "]":
                inside = False
    return "".join(parts)


@lru_cache(maxsize=1024)
def merged(patterns: tuple[str, ...]) -> tuple[str, ...]:
    """The patterns as one, which is faster; as they are where that cannot be compiled (names twice, too large)."""
    patterns = tuple(map(ascii_classes, patterns))
    if len(patterns) < 2:
        return patterns
    whole = "|".join(f"(?:{pattern})" for pattern in patterns)
    try:
        pl.Series([""]).str.contains(whole)
    except pl.exceptions.ComputeError:
        return patterns
    return (whole,)
