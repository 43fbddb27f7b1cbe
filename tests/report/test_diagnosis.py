"""The page of a diagnosis holds what it should, and nothing in it can run."""

from __future__ import annotations

import copy
import json
import re
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.diagnosis.diagnose import diagnose
from stratagem.report import diagnosis as page_of
from stratagem.report.diagnosis import render
from stratagem.report.diagnosis_view import apart, headline, seen, short, tidy
from tests.report.hostile import MARKUP
from tests.report.synthetic_diagnosis import STRATEGIES, make, rollouts, typed, undefined
from tests.report.test_study import Reader, specs


@pytest.fixture(scope="module")
def one() -> dict[str, Any]:
    return make()


@pytest.fixture(scope="module")
def page(one: dict[str, Any]) -> str:
    return render(typed(one), rollouts(one))


# -- what the page says ------------------------------------------------------------------------------------


def test_the_answer_comes_first_and_every_part_is_there(page: str, one: dict[str, Any]) -> None:
    text = Reader(page).text
    verdict = one["verdict"]
    order = [
        verdict["sentence"][:40],
        "Selection by choosing other strategies",
        *verdict["key"],
        "Next " + verdict["action"],
        verdict["evidence"][0],
        verdict["aim"],
        "2 warnings about the logs",
        "In full Right and wrong Strategies",  # the contents
        "The answer in full",
        *verdict["evidence"][1:],
        "its share there may still be up to 6.5% to 7.1%",
        "Every way to account for the gain",
        "What became right, and what wrong",
        "211 are right more often",
        "67 are right less often",
        "Which strategy followed which",
        "Strategies",
        "Unused is not unable",
        "before 4.0 6.5",
        "after 4.0 7.1",
        "Strata",
        "Behaviours",
        "Headroom",
        "pass@k",
        "Other strategies, same answer?",
        "In 6 of 7 other groupings",
        "Error of the labels",
        "Rollouts",
        "What was read",
        one["warnings"][1],
        "verl",
        "7: line is not JSON",
        "Rows left out of base",
        "Method",
    ]
    at = 0
    for part in order:
        assert part in text[at:], part
        at += text[at:].index(part) + len(part)
    for name in STRATEGIES:
        assert name in text
    assert f"{100 * one['gain']['value']:+.1f}" in text
    assert " … " in text  # bounds


def test_every_chart_has_a_place_and_values(page: str) -> None:
    charts = specs(page)
    assert sorted(re.findall(r'<div class="chart" id="([^"]+)"', page)) == sorted(charts)
    assert len(charts) == 7
    assert all(spec["layer"] for spec in charts.values())


def test_nothing_is_fetched(page: str) -> None:
    for tag, name, value in Reader(page).attributes:
        assert name not in ("src", "srcset", "data", "poster", "action"), (tag, name, value)
        assert name != "href" or value.startswith("#"), (tag, value)
    ids = set(re.findall(r' id="([^"]+)"', page))
    links = {value[1:] for _, name, value in Reader(page).attributes if name == "href"}
    assert {link for link in links if not link.startswith("show?")} <= ids
    style = re.search(r"<style>(.*?)</style>", page, re.S)
    assert style
    assert "url(" not in style[1]
    assert "default-src 'none'" in page
    assert "unsafe-eval" not in page


def test_what_is_left_to_win_leads_to_responses(page: str) -> None:
    """Headroom to those that are wrong, pass@k to those that are right, differences of it to pairs."""
    (room,) = re.findall(r'<section id="room">.*?</section>', page, re.S)
    asked = [parse_qs(unescape(link)) for link in re.findall(r'href="#show\?([^"]*)"', room)]
    outcomes = [words["outcome"][0] for words in asked if "outcome" in words]
    assert outcomes.count("wrong") >= 2
    assert outcomes.count("right") >= 2
    assert any("outcome" not in words and words for words in asked)


def test_without_texts_no_prompt_and_no_completion_is_there(one: dict[str, Any]) -> None:
    html = render(typed(one), None)
    assert 'id="rollouts"' not in html
    assert "Rollouts" not in Reader(html).text
    assert "apples" not in html
    assert 'href="#show?' not in html
    assert "No prompt and no response is in this page." in Reader(html).text
    assert len(specs(html)) == 7


def test_five_afters_stand_side_by_side() -> None:
    diagnosis = make(5)
    html = render(typed(diagnosis), None)
    text = Reader(html).text
    overview, path = list(specs(html).values())[:2]
    rows = [r for layer in [overview, *overview["layer"]] for r in layer.get("data", {}).get("values", [])]
    assert len({row["run"] for row in rows if "run" in row}) == 5
    assert html.count("<option value=") == 15
    assert html.count('class="one"') == 15 * 6
    assert len(re.findall(r'class="one" data-of="\d+">', html)) == 6  # one comparison is open in each part
    assert "From one log to the next" in text
    assert '"from"' in json.dumps(path)  # ranges are drawn
    assert "rl-step-500" in text[:400]  # the whole way is the answer


def test_many_checkpoints_are_lines() -> None:
    diagnosis = make(12, by=())
    whole = [
        one for one in diagnosis["comparisons"] if (one["before"], one["after"]) == ("base", "rl-step-1200")
    ]
    diagnosis |= {"sides": diagnosis["sides"][:1], "comparisons": whole}
    html = render(typed(diagnosis), None)
    assert "Over checkpoints" in Reader(html).text
    path = list(specs(html).values())[1]
    assert "points of accuracy gained so far" in json.dumps(path)


def test_the_error_of_the_labels(one: dict[str, Any]) -> None:
    def text(error: dict[str, Any] | None) -> str:
        diagnosis = copy.deepcopy(one)
        diagnosis["comparisons"][0]["label_error"] = error
        found = Reader(render(typed(diagnosis), None)).text
        start = found.index("Error of the labels")
        return found[start : found.index("What was read", start)]

    doubt = one["comparisons"][0]["label_error"]
    found = text(doubt)
    assert "A label error of 12% in one direction" in found
    assert "Selection includes 0 from, % 12% of 'cases' were truly 'worked_out' 12.0 –" in found
    assert "4% of all labels" not in found  # it changes nothing
    assert "was not measured" in found
    assert "was not measured" in text(None)
    cases = {"strategy": "cases", "precision": {"value": 0.87}, "recall": {"value": None}}
    scope = {"side": None, "outcome": None, "labelled": 123, "agreement": {"value": 0.91}, "confusion": []}
    scope |= {"kappa": {"value": 0.8}, "strategies": [cases]}
    hand = {"quality": {"level": 0.95, "designed": True, "sides": ["0", "1"], "scopes": [scope]}}
    corrected: dict[str, Any] = dict.fromkeys(("condition", "moved", "alone"), 1.0)
    corrected |= {name: {"value": 0.0625} for name in ("gain", "selection", "improvement", "new_strategy")}
    found = text(doubt | hand | {"corrected": corrected | {"lead": "selection"}})
    assert "123 responses were labelled by hand; the labels agree with 91.0 % of them" in found
    assert "cases 87.0 –" in found
    assert "Corrected for it, selection is the larger part" in found
    assert "corrected +6.2 +6.2 +6.2 +6.2" in found
    assert "not measured" not in found
    assert "not corrected for it: near-singular" in text(doubt | hand | {"refused": "near-singular"})


def test_missing_numbers_are_dashes_and_never_zero(one: dict[str, Any]) -> None:
    html = render(undefined(typed(one)), None)
    table = re.search(r'<table class="wide numbers">(.*?)</table>', html, re.S)
    assert table
    text = Reader(table[1]).text
    assert "–" in text
    assert "0.0" not in text
    assert "nan" not in Reader(html).text.lower().split()


@pytest.mark.parametrize(
    "gone", ["comparisons", "path", "sides", "warnings", "by", "strategy_names", "verdict"]
)
def test_parts_may_be_missing(gone: str) -> None:
    diagnosis = make(2)
    sample = rollouts(diagnosis, problems=2)
    diagnosis[gone] = [] if isinstance(diagnosis[gone], list) else None
    text = Reader(render(typed(diagnosis), sample)).text
    assert "What was read" in text
    assert ("Nothing to compare" in text) == (gone == "comparisons")


LISTS = ("strategies", "strata", "cells", "unsupported", "behaviours", "passk", "robustness")


@pytest.mark.parametrize("gone", [*LISTS, "headroom", "label_error", "verdict", "all"])
def test_parts_of_a_comparison_may_be_missing(gone: str, one: dict[str, Any]) -> None:
    diagnosis = copy.deepcopy(one)
    comparison = diagnosis["comparisons"][0]
    for name in set(comparison) - {"before", "after"} if gone == "all" else {gone}:
        del comparison[name]
    assert "Method" in Reader(render(typed(diagnosis), None)).text


def test_one_stratum_and_one_strategy() -> None:
    diagnosis = make(by=(), strategies=("direct",))
    html = render(typed(diagnosis), rollouts(diagnosis, problems=2))
    text = Reader(html).text
    assert "All problems are one stratum" in text
    assert "Each strategy in each stratum" not in text


def test_wide_tables_end_somewhere() -> None:
    diagnosis = make(levels=200)
    html = render(typed(diagnosis), None)
    assert len(diagnosis["comparisons"][0]["strata"]) == 600
    assert "400 more are in diagnosis.json" in Reader(html).text
    assert len(html) < 4_000_000


def test_a_diagnosis_of_logs_becomes_a_page(tmp_path: Path) -> None:
    """The shape of what the lens finds is the shape that the page reads."""
    rng = np.random.default_rng(0)
    for name, rate in (("before", 0.3), ("after", 0.6)):
        rows = [
            {
                "id": f"p{p}",
                "prompt": f"What is {p} + {p}?",
                "score": int(answer == 2 * p),
                "dataset": "ab"[p % 2],
                "completion": f"Let x be {p}. Then 2 x = {answer}.\nCheck: {p} + {p} = {answer}. \\boxed{{{answer}}}",
            }
            for p in range(24)
            for answer in np.where(rng.random(4) < rate, 2 * p, 2 * p + 1)
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    diagnosis = diagnose([tmp_path / "before.jsonl", tmp_path / "after.jsonl"], draws=100)
    html = render(diagnosis, diagnosis.sample)
    text = Reader(html).text
    assert diagnosis.verdict.action in text
    for row in diagnosis.strategies:
        share = row.share_after
        assert f"{100 * share.value:.1f} [{100 * share.low:.1f}, {100 * share.high:.1f}]" in text
    data = json.loads(html.split('id="rollouts">')[1].split("</script>")[0])
    assert len(data["rows"]) == 192
    assert data["sides"] == ["before", "after"]
    assert any(row[10] for row in data["rows"])  # evidence


# -- what is safe ------------------------------------------------------------------------------------------


def test_what_models_and_users_wrote_is_escaped() -> None:
    def everywhere(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                name: entry if name in ("lead", "kind", "side") else everywhere(entry)
                for name, entry in value.items()
            }
        if isinstance(value, list):
            return [everywhere(entry) for entry in value]
        return f"{MARKUP}{value}" if isinstance(value, str) else value

    diagnosis = everywhere(make(2, by=()))
    sample = rollouts(make(2, by=()), problems=3, text=MARKUP).with_columns(
        pl.lit(MARKUP).alias(name) for name in ("prompt", "problem_id", "strategy", "finish_reason")
    )
    html = render(typed(diagnosis), sample)
    assert MARKUP not in html
    assert "img" not in Reader(html).tags
    assert html.count("<script") == 5 == html.count("</script>")
    assert "{{ 7*7 }}" in Reader(html).text


def test_what_is_unseen_in_names_is_spelled_out() -> None:
    diagnosis = make()
    diagnosis["sides"][0]["name"] = diagnosis["comparisons"][0]["before"] = "run\u202egnp.exe\x00\udc80"
    html = render(typed(diagnosis), rollouts(diagnosis, problems=1))
    assert "run⟨U+202E⟩gnp.exe⟨U+0000⟩⟨U+DC80⟩" in html
    assert not re.search("[\u202e\x00\udc80]", html)
    assert html.encode()


def test_the_page_has_a_limit(monkeypatch: pytest.MonkeyPatch, one: dict[str, Any]) -> None:
    monkeypatch.setattr(page_of, "LIMIT", 1_500_000)
    html = render(typed(one), rollouts(one, problems=40, text="\u202e<&>" * 20_000))
    assert 1_300_000 < len(html.encode()) <= 1_500_000


def test_two_thousand_long_responses_fit(one: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(32, 1000, 3000))) * 7 for _ in range(20)]
    sample = rollouts(one, problems=250, samples=4)
    sample = sample.with_columns(completion=pl.Series([texts[i % 20] for i in range(sample.height)]))
    html = render(typed(one), sample)
    assert sample.height == 2000
    assert 15_000_000 < len(html.encode()) <= 25_000_000


# -- parts -------------------------------------------------------------------------------------------------


def test_headline() -> None:
    assert headline("It rose by 3.5 points. Answers grew.") == ("It rose by 3.5 points.", "Answers grew.")
    assert headline("It rose") == ("It rose", "")
    long = "Accuracy rose " + "very " * 30 + "much: selection added 3 points. More."
    assert headline(long) == ("Accuracy rose " + "very " * 30 + "much.", "Selection added 3 points. More.")


def test_sides_are_called_by_what_tells_them_apart() -> None:
    assert apart(["a/b/s1/x", "a/b/s2/x"]) == {"a/b/s1/x": "s1", "a/b/s2/x": "s2"}
    assert apart(["a/s1/x", "a/s2/y"]) == {"a/s1/x": "s1/x", "a/s2/y": "s2/y"}
    for names in (["base", "rl"], ["a/b"], ["a/x", "a/x/y"], ["a//b", "a/b"], ["x/a", "y/a", "z"], []):
        assert list(apart(names)) == names
        assert len(set(apart(names).values())) == len(names)
        assert all(apart(names).values())
    names = tuple(f"runs/grpo/global_step_{i}/rollouts" for i in (0, 100, 200))
    diagnosis = make(2, names=names)
    html = render(typed(diagnosis), rollouts(diagnosis, problems=1))
    text = Reader(html).text
    assert "global_step_0 → global_step_200" in text
    assert "Full name runs/grpo/global_step_0/rollouts" in text
    assert "runs/grpo/global_step_0/rollouts →" not in text
    data = json.loads(html.split('id="rollouts">')[1].split("</script>")[0])
    assert data["sides"] == ["global_step_0", "global_step_100", "global_step_200"]


@given(st.lists(st.text("ab/", min_size=1, max_size=9), min_size=1, max_size=4, unique=True))
def test_names_stay_apart(names: list[str]) -> None:
    found = apart(names)
    assert len(set(found.values())) == len(names)
    assert all(short and short in name for name, short in found.items())


def test_short_and_seen() -> None:
    assert short("abcdefghij", 10) == "abcdefghij"
    assert short("abcdefghijk", 10) == "abcd…ghijk"
    assert seen("a\tb\nc") == "a\tb\nc"
    assert seen("\u2066\x9b") == "⟨U+2066⟩⟨U+009B⟩"
    assert len(tidy(["x" * 10**6])[0]) < 1100


# -- the right word ----------------------------------------------------------------------------------------


def test_no_attempts_have_their_own_reason(one: dict[str, Any]) -> None:
    def reason(paired: bool) -> str:
        diagnosis = copy.deepcopy(one)
        for part in (diagnosis, diagnosis["comparisons"][0]):
            part |= {"passk": [], "paired": paired}
        return Reader(render(typed(diagnosis), None)).text

    assert "Some scores lie between 0 and 1" in reason(True)
    assert "Some scores" not in reason(False)
    assert "these logs have different ones" in reason(False)


def test_an_accuracy_of_other_problems_is_said_to_be_so(one: dict[str, Any]) -> None:
    said = "“Accuracy now” is of the problems counted here"
    assert (
        said in Reader(render(typed(one), None)).text
    )  # before and after have one headroom in the made-up page
    alike = copy.deepcopy(one)
    for part in (alike, alike["comparisons"][0]):
        for side in ("before", "after"):
            part["headroom"][side] = part["headroom"][side] | {"accuracy": part[f"accuracy_{side}"]}
    assert said not in Reader(render(typed(alike), None)).text


def test_checkpoints_are_not_called_steps() -> None:
    for afters in (3, 12):
        names = tuple(f"epoch {i}" for i in range(afters + 1))
        path = list(specs(render(typed(make(afters, by=(), names=names)), None)).values())[1]
        assert "step" not in json.dumps([layer.get("encoding") for layer in [path, *path["layer"]]])
