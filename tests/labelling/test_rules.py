"""Rules: what they label, what their files may hold, and what is said of one that is wrong."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stratagem.labelling.rules import Rule, RuleSet, check_rules, label_frame, read_rules, starter_sets
from stratagem.labelling.ruleset import STARTERS, around_answer, rule_set
from stratagem.records import StratagemError

SMALL = """
[parts]
answer = ['<a>(.*?)</a>', 'so: ([0-9]+)']
unparsed = ['broken']

[strategies.first]
description = "one"
any = ['alpha', 'beta']
none = ['gamma']

[strategies.second]
description = "two"
all = ['alpha', 'delta']

[strategies.third]
description = "three"
any = ['[0-9]']
part = "answer"

[strategies.fourth]
description = "four"
any = ['zeta']
part = "reasoning"

[behaviours.doubt]
description = "doubts"
any = ['wait']
"""


def small(text: str = SMALL) -> RuleSet:
    return rule_set(tomllib.loads(text), "small", "small.toml")


def label(text: str | None, rules: RuleSet, **columns: Any) -> dict[str, Any]:
    frame = pl.DataFrame({"completion": [text], **columns}, schema_overrides={"completion": pl.String})
    return label_frame(frame, rules).row(0, named=True)


@pytest.mark.parametrize(
    ("text", "strategy"),
    [
        ("beta <a>x</a>", "first"),
        ("alpha gamma delta <a>x</a>", "second"),
        ("alpha gamma <a>x</a>", "other"),
        ("7 <a>x</a>", "other"),  # third looks only at the answer
        ("<a>7</a>", "third"),
        ("<a>7</a> so: 8 <a>x</a>", "other"),  # the last match of the first pattern that matches
        ("no tags so: 8", "third"),
        ("zeta <a>x</a>", "fourth"),
        ("<a>x</a> zeta", "other"),  # behind the answer is no reasoning
        ("alpha", "unparsed"),
        ("alpha broken <a>x</a>", "unparsed"),
        ("", "unparsed"),
        (None, "unparsed"),
    ],
)
def test_the_first_strategy_that_holds(text: str | None, strategy: str) -> None:
    assert label(text, small())["strategy"] == strategy


def test_a_response_cut_off_is_truncated_whatever_it_says() -> None:
    for end, strategy in (("length", "truncated"), ("stop", "first"), (None, "first")):
        assert label("alpha <a>1</a>", small(), finish_reason=[end])["strategy"] == strategy
    assert label("nothing", small(), finish_reason=["length"])["strategy"] == "truncated"


def test_without_a_pattern_for_answers_nothing_is_unparsed() -> None:
    rules = small("[strategies.a]\ndescription = 'a'\nany = ['x']")
    assert label("x", rules)["strategy"] == "a"
    assert label("y", rules)["strategy"] == "other"
    assert label(None, rules)["strategy"] == "unparsed"


def test_evidence_and_behaviours() -> None:
    row = label("∫é alpha, wait, delta gamma <a>12</a>", small())
    assert (row["strategy"], row["behaviours"]) == ("second", ["doubt"])
    assert json.loads(row["evidence"]) == {"marks": [[3, 8, "second"], [16, 21, "second"], [10, 14, "doubt"]]}
    row = label("∫é <a>12</a>", small())
    assert json.loads(row["evidence"]) == {"marks": [[6, 7, "third"]]}
    assert json.loads(label("<a>x</a>", small())["evidence"]) == {"marks": []}
    # The answer's text may stand elsewhere in its match, and its match elsewhere in the response.
    rules = small().__class__(
        **{f: getattr(small(), f) for f in RuleSet.__slots__} | {"strategies": (A_RULE,)}
    )
    assert json.loads(label("<a>b</a> <a>a</a>", rules)["evidence"])["marks"] == [[12, 13, "a"]]


A_RULE = Rule(description="a", any=("a",), part="answer", name="a")


def test_labelling_keeps_the_frame_and_replaces_old_labels() -> None:
    frame = pl.DataFrame(
        {"strategy": ["old"], "completion": ["alpha <a>1</a>"], "__text": [1], "score": [0.5]}
    )
    labelled = label_frame(frame, small())
    assert labelled.columns == ["completion", "__text", "score", "strategy", "behaviours", "evidence"]
    assert labelled["strategy"].to_list() == ["first"]
    empty = label_frame(frame.clear(), small())
    assert empty.schema == labelled.schema
    assert empty.is_empty()


@pytest.mark.parametrize("name", starter_sets())
def test_the_starter_sets_pass_their_own_examples(name: str) -> None:
    rules = read_rules(name)
    assert [str(failure) for failure in check_rules(rules)] == []
    for rule in rules.strategies + rules.behaviours:
        assert rule.description
        assert rule.examples
        assert rule.counter_examples


def test_the_starter_sets_are_the_promised_ones() -> None:
    assert starter_sets() == ("code", "math", "word-problems")
    names = {name: {rule.name for rule in read_rules(name).strategies} for name in starter_sets()}
    assert names["math"] >= {
        "worked_out",
        "answer_only",
        "equations",
        "enumerate",
        "backward",
        "cases",
        "program",
    }
    assert names["code"] >= {
        "brute_force", "dynamic_programming", "recursion", "library", "simulation", "closed_form"
    }  # fmt: skip


def test_check_rules_names_the_rule_and_the_example() -> None:
    text = SMALL.replace(
        "any = ['zeta']", "any = ['zeta']\nexamples = ['alpha zeta']\ncounter_examples = ['zeta']"
    )
    text += "examples = ['I stop']\ncounter_examples = ['await']"
    failures = [str(failure) for failure in check_rules(small(text))]
    assert failures == [
        "strategies.fourth: example 'alpha zeta' is labelled first",
        "strategies.fourth: counter-example 'zeta' is labelled fourth",
        "behaviours.doubt: example 'I stop' is labelled none",
        "behaviours.doubt: counter-example 'await' is labelled doubt",
    ]


def test_the_fingerprint_is_of_what_decides() -> None:
    same = small(SMALL.replace('"one"', '"another description"') + "examples = ['x']")
    assert same.fingerprint == small().fingerprint
    changed = {
        small(SMALL.replace(old, new)).fingerprint
        for old, new in [("'beta'", "'theta'"), ("first", "prime"), ('"answer"', '"all"'), ("so:", "thus:")]
    }
    assert len(changed | {small().fingerprint}) == 5
    moved = SMALL.replace("[strategies.fourth]", "[strategies.z]").replace(
        "[strategies.third]", "[strategies.fourth]"
    )
    assert small(moved).fingerprint != small().fingerprint


RULE = "[strategies.a]\ndescription = 'd'\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1", "unknown key 'x'"),
        ("description = 'nothing'", "add a section [strategies.NAME]"),
        ("strategies = ['a']", "write each rule as a section [strategies.NAME]"),
        ("[strategies.a]\nany = ['x']", "strategies.a: add the key 'description'"),
        (RULE, "strategies.a: no pattern"),
        (RULE + "any = 'x'", "strategies.a.any: expected a list"),
        (RULE + "any = [1]", "strategies.a.any[0]: expected text"),
        (RULE + "any = ['x']\nsome = 1", "strategies.a: unknown key 'some'"),
        (RULE + "any = ['x']\nname = 'b'", "unknown key 'name'"),
        (RULE + "any = ['x']\npart = 'end'", "strategies.a.part: invalid enum value 'end'"),
        (RULE + "any = ['x']\npart = 'answer'", "needs [parts]"),
        (RULE + "any = ['ok', '(']", "strategies.a.any[1]: '(': not a regular expression: unclosed group"),
        (RULE + "none = ['x(?=y)']", "strategies.a.none[0]: 'x(?=y)': look-around"),
        (RULE + r"all = ['(a)\1']", "backreferences cannot be run"),
        (RULE + "any = ['(a{1000}){1000}']", "too large when compiled"),
        (RULE + "any = ['x*']", "is found in every text"),
        (RULE + f"any = ['{'x' * 3000}']", "3000 characters, at most 2000"),
        (RULE + f"any = {['x'] * 400}", "400 patterns, at most 300"),
        (
            "".join(f"[strategies.a{i}]\ndescription=''\nany=['x']\n" for i in range(99)),
            "99 strategies, at most 64",
        ),
        (RULE.replace(".a", ".other") + "any = ['x']", "has a meaning of its own"),
        (RULE.replace(".a", '."a b"') + "any = ['x']", "a name has letters"),
        (RULE + "any = ['x']\n" + RULE.replace("strategies", "behaviours") + "any = ['x']", "rename one"),
        (RULE + "any = ['x']\n[parts]\nanswer = ['x']", "parts.answer[0]: 'x': has to have one group"),
        (RULE + "any = ['x']\n[parts]\nanswer = ['(x)(y)']", "has to have one group"),
        (RULE + "any = ['x']\n[parts]\nanswer = ['(?:(x)y)']", "has to have one group"),
        (RULE + "any = ['x']\n[parts]\nanswer = ['(x)|y']", "has to have one group"),
        (RULE + 'any = ["\\d"]', "write a pattern between '"),
        (RULE + "any = ['x']\nattempts = 2", "strategies.a.attempts: is counted for behaviours alone"),
        (RULE + "any = ['x']\nfiner = 'maths'", "strategies.a.finer: 'maths' is no starter set"),
        (RULE + "calculation = ['x*']", "strategies.a.calculation[0]: 'x*': is found in every text"),
        (
            RULE + "any = ['x']\n[behaviours.b]\ndescription = ''\nreturns = -1",
            "b.returns: -1, has to be 1 or more",
        ),
        (RULE + "any = ['x']\n[behaviours.b]\ndescription = ''\nreturns = 'x'", "expected a whole number"),
        (RULE + "any = ['x']\n[unfit.b]\ndescription = ''\ncalculation = ['x']", "looks at whole responses"),
        (RULE + "any = ['x']\n[parts]\nturns = ['(']", "parts.turns[0]: '(': not a regular expression"),
        (RULE + "any = ['x']\n[parts]\nturns = ['(?P<a>b)']", "write its groups as (?:…)"),
        ("[", "not TOML"),
        ("a = " + "[" * 100_000, "not TOML"),
    ],
)
def test_a_wrong_file_gets_one_clear_line(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(StratagemError) as caught:
        read_rules(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_file_of_rules(tmp_path: Path) -> None:
    for name, content, said in (
        ("binary.toml", b"\xff\xfe", "not UTF-8"),
        ("large.toml", b"#" * 2_000_000, "larger than 1 MB"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(StratagemError, match=said):
            read_rules(tmp_path / name)
    for source in ("missing.toml", str(tmp_path / "folder.toml")):
        (tmp_path / "folder.toml").mkdir(exist_ok=True)
        with pytest.raises(StratagemError, match="no such file"):
            read_rules(source)
    with pytest.raises(StratagemError, match="must be one of code, math, word-problems, a TOML file, or"):
        read_rules("maths")


def test_a_copy_of_a_starter_set_labels_as_it_does(tmp_path: Path) -> None:
    copy = tmp_path / "mine.toml"
    copy.write_bytes((STARTERS / "math.toml").read_bytes())
    assert read_rules(copy).fingerprint == read_rules("math").fingerprint


@pytest.mark.parametrize(
    ("pattern", "split"),
    [
        ("<a>(.*?)</a>", "(<a>)(.*?)</a>"),
        (r"(?s)\(x\) [(](y)", r"(?s)(\(x\) [(])(y)"),
        ("[]()](y)", "([]()])(y)"),
        ("(?:a|b)(?P<n>c)d", "((?:a|b))(?P<n>c)d"),
        ("(a(?:b|(?:c)))", "()(a(?:b|(?:c)))"),
    ],
)
def test_an_answers_pattern_is_split_before_its_group(pattern: str, split: str) -> None:
    assert around_answer(pattern) == split


def test_word_boundaries_are_ascii() -> None:
    rules = small(r"""[strategies.a]
description = "a"
any = ['\bx\b']""")
    assert label("éx!", rules)["strategy"] == "a"
    assert label("ax!", rules)["strategy"] == "other"


def test_a_group_named_twice_in_a_rule_still_labels() -> None:
    rules = small("[strategies.a]\ndescription = 'a'\nany = ['(?P<n>x)', '(?P<n>y)']")
    labelled = label_frame(pl.DataFrame({"completion": ["x", "y", "z"]}), rules)
    assert labelled["strategy"].to_list() == ["a", "a", "other"]
    assert labelled["behaviours"].to_list() == [[], [], []]


def test_a_frame_without_completions() -> None:
    with pytest.raises(StratagemError, match="no column 'completion'"):
        label_frame(pl.DataFrame({"text": ["x"]}), small())
    with pytest.raises(StratagemError, match="holds Int64"):
        label_frame(pl.DataFrame({"completion": [1]}), small())
