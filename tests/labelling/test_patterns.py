"""What is done to patterns before Polars runs them."""

from __future__ import annotations

import polars as pl
import pytest

from stratagem.labelling.patterns import opening
from stratagem.labelling.rules import label_frame
from stratagem.labelling.ruleset import rule_set


@pytest.mark.parametrize(
    ("pattern", "letters"),
    [
        ("(?s)<answer>(.*?)</answer>", "<answer>"),
        (r"\\boxed\s*\{(x)\}", r"\boxed"),
        ("(?m)^####([^\n]+)", ""),
        ("(?i)answer(.)", ""),
        ("(?x)an swer(.)", ""),
        ("colou?r(.)", "colo"),
        ("xy{0}(.)", "x"),
        ("xy*(.)", "x"),
        (r"a\.b(.)", "a.b"),
        (r"a\<b(.)", "a"),
        (r"a\b(.)", "a"),
        ("ab|c", ""),
        ("(?:a|b)c", ""),
        ("é: (.)", "é: "),
    ],
)
def test_the_opening_is_what_every_match_begins_with(pattern: str, letters: str) -> None:
    assert opening(pattern) == letters


@pytest.mark.parametrize(
    "before", ["", "é <answer", "<answer>1</answer> ", "<answer><answer>", "12</answer>\n"]
)
def test_what_stands_before_an_answer_does_not_change_where_it_is(before: str) -> None:
    document = {
        "parts": {"answer": ["(?s)<answer>(.*?)</answer>"]},
        "strategies": {"guess": {"description": "", "any": ["never"]}},
        "behaviours": {
            "long": {"description": "", "any": ["[0-9]{2}"], "part": "answer"},
            "short": {"description": "", "any": ["^[0-9]$"], "part": "answer"},
            "signed": {"description": "", "all": ["-"], "part": "reasoning"},
        },
    }
    text = f"{before}-<answer>34</answer>"
    labelled = label_frame(
        pl.DataFrame({"completion": [text, text + "<answer>"]}), rule_set(document, "", "")
    )
    at = len(before) + len("-<answer>")
    marks = f'[{at},{at + 2},"long"]'
    if before != "<answer><answer>":
        assert labelled["behaviours"].to_list() == [["long", "signed"]] * 2
        assert all(marks in evidence for evidence in labelled["evidence"])
    else:  # the first of them opens the answer
        assert labelled["behaviours"].to_list() == [["long"]] * 2


def test_sixty_four_behaviours_have_each_a_place() -> None:
    names = [f"b{i}" for i in range(64)]
    document = {
        "strategies": {"other_way": {"description": "", "any": ["never"]}},
        "behaviours": {name: {"description": "", "any": [f"<{name}>"]} for name in names},
    }
    rules = rule_set(document, "", "")
    shown = [["b63"], [], ["b0", "b63"], names]
    texts = ["".join(f"<{name}>" for name in given) for given in shown]
    for evidence in (True, False):
        labelled = label_frame(pl.DataFrame({"completion": texts}), rules, evidence=evidence)
        assert labelled["behaviours"].to_list() == shown
