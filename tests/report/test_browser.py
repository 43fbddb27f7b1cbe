"""What the page's browser of rollouts is given: texts cut to fit, marks in the right place."""

from __future__ import annotations

import json

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.report import browser
from stratagem.report.browser import browser_data, cut, marks_of
from stratagem.report.page import embed
from tests.report.hostile import TEXTS
from tests.report.synthetic_diagnosis import make, rollouts, typed


def units(text: str, start: int, end: int) -> str:
    """A piece of a text as JavaScript's slice gives it."""
    return text.encode("utf-16-le")[2 * start : 2 * end].decode("utf-16-le")


def test_marks_of_rules_and_of_recognisers() -> None:
    evidence = json.dumps(
        {
            "marks": [
                [4, 9, "set_up", None],
                [0, 3, "verification"],
                [9, 12, None, None],
                [12, 13, "order", "x"],
            ]
        }
    )
    assert marks_of(evidence) == [
        (0, 3, "verification", None, False),
        (4, 9, "set up", None, True),
        (9, 12, None, None, False),
        (12, 13, "order", "x", True),
    ]


@pytest.mark.parametrize(
    "evidence", [None, "", "{", "[]", "null", '{"marks":[[0]]}', '{"marks":[["a",2,"b"]]}', '{"marks":3}']
)
def test_unreadable_evidence_marks_nothing(evidence: str | None) -> None:
    assert marks_of(evidence) == []


def test_marks_that_are_no_spans_are_left_out() -> None:
    assert marks_of('{"marks":[[5,5,"a"],[7,3,"a"],[-2,3,"a"],[1,2,"a"]]}') == [(1, 2, "a", None, False)]


def test_a_cut_text_keeps_its_ends_and_its_marks() -> None:
    text = "a" * 60 + "middle" * 100 + "the answer"
    kept, gap, marks = cut(
        text,
        [(0, 5, "start", None, False), (100, 120, "gone", None, False), (660, 670, "end", None, False)],
        100,
    )
    assert len(kept) == 100
    assert gap == [60, 570]
    assert kept.endswith("the answer")
    assert [(name, kept[start:end]) for start, end, name, _, _ in marks] == [
        ("start", "aaaaa"),
        ("end", "the answer"),
    ]


@given(
    st.text(max_size=60),
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), max_size=6),
    st.integers(4, 70),
)
def test_marks_stay_on_their_words(text: str, spans: list[tuple[int, int]], limit: int) -> None:
    """A mark that lies in what is kept marks the same characters as before; others are cut or left out."""
    marks = [(min(s), max(s), str(i), None, False) for i, s in enumerate(spans) if s[0] != s[1]]
    kept, gap, moved = cut(text, marks, limit)
    assert len(kept) == min(len(text), limit)
    for start, end, name, _, _ in moved:
        first, last = marks[[m[2] for m in marks].index(name)][:2]
        piece = units(kept, start, end)
        assert piece
        if gap is None:
            assert piece == text[first:last]
        else:
            assert len(piece) <= last - first
            assert set(piece) <= set(text[first:last])
    if gap is None:
        assert {name for *_, name, _, _ in [(0, *m) for m in moved]} == {
            m[2] for m in marks if m[1] <= len(text)
        }


def test_the_budget_holds_and_no_response_is_left_out_before_texts_are_cut() -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=20, samples=2, text="<b>" + "é\u2028" * 4000)
    whole = browser_data(sample, typed(diagnosis), 25_000_000)
    assert (whole.responses, whole.given, whole.cut) == (80, 80, 0)
    for budget in (700_000, 250_000):
        shown = browser_data(sample, typed(diagnosis), budget)
        assert len(shown.json.encode()) <= budget
        assert (shown.responses, shown.cut) == (80, 80)
    shown = browser_data(sample, typed(diagnosis), 20_000)
    assert len(shown.json.encode()) <= 20_000
    assert 0 < shown.responses < 80
    assert json.loads(shown.json)["given"] == 80
    assert len({row[0] for row in json.loads(shown.json)["rows"]}) == 2


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_json_in_a_page_comes_back_as_it_was(text: str) -> None:
    written = embed([text, {text: text}])
    assert json.loads(written) == [text, {text: text}]
    assert not set("<>&\u2028\u2029") & set(written)


def test_prompts_are_written_once_and_shown_after_what_they_share() -> None:
    diagnosis = make()
    data = json.loads(browser_data(rollouts(diagnosis, problems=8), typed(diagnosis), 10**7).json)
    assert len(data["prompts"]) == 8
    text, gap, skip = data["prompts"][0]
    assert gap is None
    assert text[skip:].startswith("0: what is")
    assert data["sides"] == ["base", "rl-step-100"]


def test_values_of_the_strata_can_be_filtered() -> None:
    diagnosis = make()
    sample = rollouts(diagnosis, problems=4)
    data = json.loads(browser_data(sample, typed(diagnosis), 10**7).json)
    assert [column["name"] for column in data["by"]] == ["dataset", "difficulty"]
    row = data["rows"][0]
    assert [column["values"][i] for column, i in zip(data["by"], row[13], strict=True)] == [
        sample["dataset"][0],
        sample["difficulty"][0],
    ]


def test_checkpoints_of_a_single_log_are_its_sides() -> None:
    diagnosis = make(2)
    diagnosis["sides"] = diagnosis["sides"][:1]
    sample = rollouts(make(2), problems=2)
    names = pl.Series(["base", "rl-step-100", "rl-step-200"])
    sample = sample.with_columns(checkpoint=names.gather(sample["side"]), side=pl.lit(0))
    data = json.loads(browser_data(sample.reverse(), typed(diagnosis), 10**7).json)
    assert data["sides"] == names.to_list()
    assert {row[0] for row in data["rows"]} == {0, 1, 2}


def test_a_sample_without_optional_columns() -> None:
    diagnosis = make(by=())
    sample = rollouts(diagnosis, problems=2).select("side", "problem_id", "strategy", "score", "completion")
    data = json.loads(browser_data(sample, typed(diagnosis), 10**7).json)
    assert len(data["rows"]) == sample.height
    assert data["prompts"] == []
    assert browser_data(sample.clear(), typed(diagnosis), 10).responses == 0


def test_marks_have_an_end() -> None:
    evidence = json.dumps({"marks": [[i, i + 1, "a" * 10_000] for i in range(5000)]})
    marks = marks_of(evidence)
    assert len(marks) == browser.MOST_MARKS
    assert max(len(mark[2] or "") for mark in marks) <= browser.LONGEST_NAME
