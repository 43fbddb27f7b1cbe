"""What holds of any text: one strategy, the same as Python's `re` finds, whatever the order and the batches."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.labelling.rules import RuleSet, label_frame, read_rules, starter_sets
from tests.labelling import reference

SETS = {name: read_rules(name) for name in starter_sets()}
SPECIAL = {"other", "unparsed", "truncated"}


def fragments(rules: RuleSet) -> list[str]:
    members = rules.strategies + rules.behaviours
    return [text for rule in members for text in rule.examples + rule.counter_examples]


def responses(rules: RuleSet) -> st.SearchStrategy[str]:
    """Texts that meet the rules: their own examples, tags, symbols of every width, and anything else."""
    tags = st.sampled_from(
        [
            "<think>",
            "</think>",
            "<answer>",
            "</answer>",
            r"\boxed{",
            "}",
            "#### ",
            "```python\n",
            "```",
            "\n",
            "= ",
        ]
    )
    wide = st.sampled_from(["∫", "≈ 3", "é", "日本", "𝑥", "e\u0301", "\u2028", "\x85", "\xa0"])
    piece = st.one_of(st.sampled_from(fragments(rules)), tags, wide, st.text(max_size=12))
    return st.lists(piece, max_size=8).map("".join)


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_labels_are_those_of_python_re(name: str, data: st.DataObject) -> None:
    rules = SETS[name]
    texts = data.draw(st.lists(responses(rules), min_size=1, max_size=12))
    ends = data.draw(
        st.lists(st.sampled_from(["stop", "length", None]), min_size=len(texts), max_size=len(texts))
    )
    frame = pl.DataFrame(
        {"completion": texts, "finish_reason": ends}, schema_overrides={"finish_reason": pl.String}
    )
    labelled = label_frame(frame, rules)
    known = {rule.name for rule in rules.strategies} | SPECIAL
    assert labelled["strategy"].is_in(known).all()
    labels = list(labelled.select("strategy", "behaviours").iter_rows())
    assert labels == [reference.label(text, rules, end) for text, end in zip(texts, ends, strict=True)]
    assert label_frame(frame, rules, evidence=False).equals(labelled.drop("evidence"))


@pytest.mark.parametrize("name", SETS)
@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_evidence_is_where_python_re_finds_it(name: str, data: st.DataObject) -> None:
    rules = SETS[name]
    text = data.draw(responses(rules))
    row = label_frame(pl.DataFrame({"completion": [text]}), rules).row(0, named=True)
    marks = [tuple(mark) for mark in json.loads(row["evidence"])["marks"]]
    expected = reference.marks(text, rules, (row["strategy"], row["behaviours"]))
    by_name = {rule.name: rule for rule in rules.strategies + rules.behaviours}
    assert [name for *_, name in marks] == [name for *_, name in expected]
    for mark, other in zip(marks, expected, strict=True):
        start, end, rule = mark
        assert 0 <= start <= end <= len(text)
        assert text[start:end] == text[other[0] : other[1]]
        if by_name[rule].part != "answer":  # the same answer may stand in the text twice
            assert mark == other


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_order_and_batches_do_not_matter(data: st.DataObject) -> None:
    rules = SETS["math"]
    texts = data.draw(st.lists(responses(rules), min_size=1, max_size=20))
    frame = pl.DataFrame({"completion": texts}).with_row_index("row")
    whole = label_frame(frame, rules)
    order = data.draw(st.permutations(range(len(texts))))
    assert label_frame(frame[order], rules).sort("row").equals(whole)
    size = data.draw(st.integers(1, len(texts)))
    assert pl.concat([label_frame(batch, rules) for batch in frame.iter_slices(size)]).equals(whole)


@settings(max_examples=25, deadline=None)
@given(before=st.text(alphabet="é∫𝑥日 \n", max_size=30), after=st.text(alphabet="é∫𝑥日 \n", max_size=30))
def test_evidence_counts_characters(before: str, after: str) -> None:
    text = f"{before}We subtract 3 from both sides: x = 4.{after}<answer>x = 4</answer>"
    row = label_frame(pl.DataFrame({"completion": [text]}), SETS["math"]).row(0, named=True)
    shown = {name: text[start:end] for start, end, name in json.loads(row["evidence"])["marks"]}
    assert shown["equations"] == "both sides"
    assert shown["answer_as_equation"] == "="
    at = {name: start for start, _, name in json.loads(row["evidence"])["marks"]}
    assert at["answer_as_equation"] == text.rindex("=")
