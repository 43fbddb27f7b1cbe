"""A set of rules as one plan of Polars expressions: no Python sees a row."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from stratagem.labelling.attempts import attempts
from stratagem.labelling.calculation import outline
from stratagem.labelling.patterns import ascii_classes, merged, opening
from stratagem.labelling.ruleset import COUNTED, Rule, RuleSet, around_answer
from stratagem.records import OTHER, TRUNCATED, UNPARSED

ADDED = ("strategy", "behaviours", "evidence")
# Columns of the plan's own; dropped at its end.
TEXT, PLAIN, MATCH, ANSWER, ANSWER_AT, REASONING, LABEL, END = (
    f"__stratagem_{name}"
    for name in ("text", "plain", "match", "answer", "answer_at", "reasoning", "label", "end")
)
ATTEMPTS, LAST, OUTLINE, ROW = (f"__stratagem_{name}" for name in ("attempts", "last", "outline", "row"))
COUNT = {name: f"__stratagem_{name}_made" for name in COUNTED}


def plan(
    rows: pl.LazyFrame, columns: Sequence[str], rules: RuleSet, *, evidence: bool, form: bool = True
) -> pl.LazyFrame:
    """The rows with strategy, behaviours and, if wanted, evidence.

    Args:
        columns: the rows' own, completion among them, and maybe finish_reason.
        form: whether responses can be unparsed; else a text without an answer is its own answer (for examples).
    """
    every = rules.strategies + rules.behaviours
    used: set[str] = {rule.part for rule in every}
    outlined, counted = (
        any(rule.calculation for rule in every),
        {name for rule in every for name in rule.counts},
    )
    if outlined or counted:
        used.add("last attempt")
    rows = rows.with_columns(pl.col("completion").fill_null("").alias(TEXT))
    if evidence:
        rows = rows.with_columns((pl.col(TEXT).str.len_bytes() == pl.col(TEXT).str.len_chars()).alias(PLAIN))
    rows = _find_answer(rows, rules, used, evidence, form)
    if "last attempt" in used:
        rows = rows.with_columns(attempts(pl.col(REASONING), rules.parts.turns).alias(ATTEMPTS))
        rows = rows.with_columns(pl.col(ATTEMPTS).list.last().alias(LAST))
        rows = _outlined(rows, outlined)

    early = pl.lit(None, pl.String)
    if form:
        missing = pl.col(ANSWER).is_null() if rules.parts.answer else pl.col("completion").is_null()
        if rules.parts.unparsed:
            missing = missing | _any_matches(pl.col(TEXT), rules.parts.unparsed)
        early = pl.when(missing).then(pl.lit(UNPARSED))
    if "finish_reason" in columns:
        early = pl.when(pl.col("finish_reason") == "length").then(pl.lit(TRUNCATED)).otherwise(early)
    rows = rows.with_columns(early.alias(LABEL))
    rows = _named(rows, rules.strategies, evidence).with_columns(pl.col(LABEL).fill_null(OTHER))
    if counted:
        rows = _counted(rows, rules, outlined, counted)

    flags = [f"__stratagem_is_{rule.name}" for rule in rules.behaviours]
    if evidence:
        rows = rows.with_columns(
            _part(rule).str.find(pattern).alias(_place(rule))
            for rule in rules.behaviours
            if (pattern := _alone(rule))
        )
    rows = rows.with_columns(
        _behaves(rule, evidence).fill_null(False).alias(flag)
        for rule, flag in zip(rules.behaviours, flags, strict=True)
    )
    has = _names(flags, [rule.name for rule in rules.behaviours])
    added = [pl.col(LABEL).alias("strategy"), has.alias("behaviours")]
    if evidence:
        decided = [(rule, pl.col(LABEL) == rule.name) for rule in rules.strategies]
        decided += [(rule, pl.col(flag)) for rule, flag in zip(rules.behaviours, flags, strict=True)]
        rows, marks = _with_marks(rows, decided)
        joined = pl.concat_str(marks, separator=",", ignore_nulls=True) if marks else pl.lit("")
        added.append(pl.concat_str(pl.lit('{"marks":['), joined, pl.lit("]}")).alias("evidence"))
    return rows.select(*(name for name in columns if name not in ADDED), *added)


def _names(flags: Sequence[str], names: Sequence[str]) -> pl.Expr:
    """The lists of those names whose flags are true. Each list is made once for all the rows that have it."""
    if not names:
        return pl.lit([], dtype=pl.List(pl.String))
    powers = [pl.lit(2**i, pl.UInt64) for i in range(len(names))]
    bits = [
        pl.when(flag).then(power).otherwise(pl.lit(0, pl.UInt64))
        for flag, power in zip(flags, powers, strict=True)
    ]

    def lists(numbers: pl.Series) -> pl.Series:
        different = numbers.unique().sort().alias("number")
        shown = [
            pl.when(pl.col("number") // power % 2 == 1).then(pl.lit(name))
            for name, power in zip(names, powers, strict=True)
        ]
        made = different.to_frame().select(pl.concat_list(shown).list.drop_nulls()).to_series()
        return made.gather(different.search_sorted(numbers))

    return pl.sum_horizontal(bits).map_batches(lists, pl.List(pl.String), is_elementwise=True)


def _find_answer(
    rows: pl.LazyFrame, rules: RuleSet, used: set[str], evidence: bool, form: bool
) -> pl.LazyFrame:
    text = pl.col(TEXT)
    place = evidence and "answer" in used
    parts = (MATCH, ANSWER, END, *([ANSWER_AT] if place else []))
    rows = rows.with_columns(pl.lit(None, pl.String).alias(name) for name in parts)
    for pattern in map(ascii_classes, rules.parts.answer):
        # Later patterns look only at the texts in which the earlier ones found nothing.
        left = pl.when(pl.col(ANSWER).is_null()).then(text)
        rows = rows.with_columns(_from(left, opening(pattern)).alias(END + "_new"))
        last = pl.col(END + "_new").str.extract_all(pattern).list.last()
        rows = rows.with_columns(last.alias(MATCH + "_new"))
        split = around_answer(pattern)
        new = pl.col(MATCH + "_new")
        columns = [
            pl.coalesce(MATCH, new).alias(MATCH),
            pl.coalesce(ANSWER, new.str.extract(split, 2), new).alias(ANSWER),
            pl.when(new.is_not_null()).then(END + "_new").otherwise(END).alias(END),
        ]
        if place:
            columns.append(pl.coalesce(ANSWER_AT, new.str.extract(split, 1)).alias(ANSWER_AT))
        rows = rows.with_columns(columns).drop(MATCH + "_new", END + "_new")
    if used & {"reasoning", "last attempt"} or place:
        tail = pl.col(END).str.split(pl.col(MATCH)).list.last()
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


def _from(text: pl.Expr, letters: str) -> pl.Expr:
    """A text from the first place of some letters on, null where they are not in it; the text itself for no letters.

    Where a match ends is soon found, where it began is looked for back to the text's start: here that is near.
    """
    if not letters:
        return text
    return text.cast(pl.Binary).bin.slice(text.str.find(letters, literal=True)).cast(pl.String)


def _outlined(rows: pl.LazyFrame, outlined: bool) -> pl.LazyFrame:
    if not outlined:
        return rows
    return rows.with_columns(pl.col(LAST).map_batches(outline, pl.String).alias(OUTLINE))


def _named(rows: pl.LazyFrame, strategies: Sequence[Rule], evidence: bool = False) -> pl.LazyFrame:
    """The rows with the first strategy that holds; a rule looks only at the rows that no rule before it has taken.

    Args:
        evidence: whether the places are kept too of those that are found by looking for one.
    """
    for rule in strategies:
        left = pl.col(LABEL).is_null()
        # Polars searches what stands behind a null too; an empty text costs nothing.
        text = pl.when(left).then(_part(rule)).otherwise(pl.lit(""))
        held = holds(rule, text)
        if evidence and (pattern := _alone(rule)):
            rows = rows.with_columns(text.str.find(pattern).alias(_place(rule)))
            held = pl.col(_place(rule)).is_not_null()
        rows = rows.with_columns(
            pl.when(left & held).then(pl.lit(rule.name)).otherwise(pl.col(LABEL)).alias(LABEL)
        )
    return rows


def _alone(rule: Rule) -> str:
    """The pattern that decides a rule alone, so that looking for its place is enough; empty if more does."""
    patterns = merged(rule.any)
    return patterns[0] if len(patterns) == 1 and rule.patterns == rule.any and not rule.counts else ""


def _place(rule: Rule) -> str:
    return f"__stratagem_place_{rule.name}"


def _counted(rows: pl.LazyFrame, rules: RuleSet, outlined: bool, counted: set[str]) -> pl.LazyFrame:
    """The rows with the numbers of attempts, of switches between strategies from one to the next, and of returns to
    an earlier strategy. An attempt's strategy is the first of those with `part = "last attempt"` that holds for it."""
    rows = rows.with_columns(pl.col(ATTEMPTS).list.len().alias(COUNT["attempts"]))
    if counted == {"attempts"}:
        return rows
    # Both branches of the join below would compute anew what stands above it.
    rows = rows.with_row_index(ROW).collect().lazy()
    several = (
        rows.filter(pl.col(COUNT["attempts"]) > 1).select(ROW, pl.col(ATTEMPTS).alias(LAST)).explode(LAST)
    )
    several = _outlined(several, outlined).with_columns(pl.lit(None, pl.String).alias(LABEL))
    tried = _named(several, [rule for rule in rules.strategies if rule.part == "last attempt"])
    another = (pl.col(LABEL) != pl.col(LABEL).shift(1)).fill_null(True)
    ways = tried.drop_nulls(LABEL).group_by(ROW, maintain_order=True).agg(pl.col(LABEL).filter(another))
    ways = ways.select(
        ROW,
        (pl.col(LABEL).list.len() - 1).alias(COUNT["switches"]),
        (pl.col(LABEL).list.len() - pl.col(LABEL).list.n_unique()).alias(COUNT["returns"]),
    )
    return rows.join(ways, on=ROW, how="left", maintain_order="left")


def _behaves(rule: Rule, evidence: bool) -> pl.Expr:
    if evidence and _alone(rule):
        return pl.col(_place(rule)).is_not_null()
    enough = [pl.col(COUNT[name]) >= least for name, least in rule.counts.items()]
    return pl.all_horizontal(*enough, *([holds(rule, _part(rule))] if rule.patterns else []))


def _part(rule: Rule) -> pl.Expr:
    return pl.col({"all": TEXT, "reasoning": REASONING, "answer": ANSWER, "last attempt": LAST}[rule.part])


def holds(rule: Rule, text: pl.Expr) -> pl.Expr:
    """Whether a rule holds for a part of a response; null where there is none."""
    conditions = [_any_matches(text, rule.any)] if rule.any else []
    conditions += [pl.col(OUTLINE).str.contains(ascii_classes(pattern)) for pattern in rule.calculation]
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
        if rule.part == "last attempt":
            shift = pl.col(REASONING).str.len_chars() - pl.col(LAST).str.len_chars()
        for pattern in merged(rule.any) + tuple(map(ascii_classes, rule.all)):
            at, what, mark = (f"__stratagem_{kind}_{len(marks)}" for kind in ("at", "what", "mark"))
            place = pl.when(where).then(_place(rule)) if _alone(rule) else text.str.find(pattern)
            places += [place.alias(at), text.str.extract(pattern, 0).alias(what)]
            # `find` counts bytes; so the text before is counted in characters, where it is not all ASCII.
            before = pl.when(~pl.col(PLAIN)).then(text).cast(pl.Binary).bin.slice(0, pl.col(at))
            start = shift + pl.when(PLAIN).then(at).otherwise(before.cast(pl.String).str.len_chars())
            end = start + pl.col(what).str.len_chars()
            marks.append(pl.format(f'[{{}},{{}},"{rule.name}"]', start, end).alias(mark))
    # Two steps, so that each pattern is looked for once.
    rows = rows.with_columns(places).with_columns(marks)
    names = [f"__stratagem_mark_{i}" for i in range(len(marks))]
    return rows, names
