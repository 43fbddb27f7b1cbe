"""Discovery in worlds whose strategies are known."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.discovery.discover import discover, group
from stratagem.discovery.follow import explained
from stratagem.discovery.space import numbered
from stratagem.discovery.stability import rand_index
from stratagem.records import StratagemError
from tests.discovery import worlds

pytestmark = pytest.mark.timeout(300)


@pytest.mark.parametrize(
    ("task", "strategies"),
    [
        ("finite_field", ("forward", "backward")),
        ("sums", ("mental", "running", "tally")),
        ("five_ways", ("forward", "backward", "algebraic")),
    ],
)
def test_strategies_of_the_lab_are_told_on_problems_held_out(task: str, strategies: tuple[str, ...]) -> None:
    table = worlds.lab(task, strategies, seed=5, problems=160)
    held = worlds.held_out(table, seed=5)
    grouping, _ = group(table.filter(~held), most=6)
    assert grouping is not None
    assert grouping.clusters.groups == len(strategies)
    rest = table.filter(held)
    assert rand_index(numbered(rest["truth"].to_list()), grouping.label(rest)) >= 0.8


@pytest.mark.parametrize(
    ("task", "strategy"), [("finite_field", "forward"), ("sums", "tally"), ("five_ways", "guess")]
)
def test_a_log_of_one_strategy_has_none_to_propose(task: str, strategy: str) -> None:
    discovery = discover(worlds.lab(task, (strategy,), seed=3, problems=100), ["a", "b"], most=5)
    assert discovery.proposals == ()
    assert np.isnan(discovery.agreement)
    assert all(tried.reason for tried in discovery.tried)


def test_a_continuum_has_none_to_propose() -> None:
    rng = np.random.default_rng(0)
    ways = (
        [f"{c}{d}" * 3 for c in "abcdefg" for d in "xyz"],
        [f"{c}{d}" * 3 for c in "hijklmn" for d in "xyz"],
    )

    def text() -> str:
        share = rng.random()
        return " ".join(str(rng.choice(ways[rng.random() < share])) for _ in range(40))

    log = worlds.written([[text() for _ in range(8)] for _ in range(100)])
    assert discover(log, ["a"], most=4).proposals == ()


def test_words_at_random_have_none_to_propose() -> None:
    rng = np.random.default_rng(1)
    log = worlds.written([[worlds.chatter(rng) for _ in range(6)] for _ in range(80)])
    assert discover(log, ["a"], most=4).proposals == ()


def test_the_same_text_everywhere_has_none_to_propose() -> None:
    discovery = discover(worlds.written([["the same"] * 3 for _ in range(40)]), ["a"])
    assert discovery.proposals == ()


def test_what_follows_the_answer_form_or_the_length_is_marked() -> None:
    rng = np.random.default_rng(2)

    def boxed() -> str:
        text = worlds.chatter(rng)
        return (
            rf"{text} \boxed{{7}} closing words of the box"
            if rng.random() < 0.5
            else f"{text} #### 7 hashes here"
        )

    (first, second) = discover(
        worlds.written([[boxed() for _ in range(6)] for _ in range(80)]), ["a"], most=3
    ).proposals
    assert "answer form" in first.marks
    assert "answer form" in second.marks
    assert "length" not in first.marks

    def long() -> str:
        return worlds.chatter(rng, least=20, most=30) + (
            " indeed check once more over again" * 6 if rng.random() < 0.5 else ""
        )

    found = discover(worlds.written([[long() for _ in range(6)] for _ in range(80)]), ["a"], most=3).proposals
    assert all("length" in proposal.marks for proposal in found)
    assert len(found) == 2


def test_what_follows_the_data_set_is_marked() -> None:
    rng = np.random.default_rng(3)
    styles = [
        "we list every case in a table and read off the row",
        "let the unknown be solved by moving terms across",
    ]

    def text(which: float) -> str:
        return worlds.chatter(rng, least=5, most=10) + " " + styles[int(rng.random() < which)]

    sets = ["one", "two"] * 60
    log = worlds.written(
        [[text({"one": 0.08, "two": 0.92}[which]) for _ in range(6)] for which in sets], dataset=sets
    )
    (first, second) = discover(log, ["a"], ["dataset"], most=3).proposals
    assert first.marks == ("data set",)
    assert second.marks == ("data set",)
    assert 0.6 < first.follows["data set"] < 0.8  # (0.92 - 0.08)^2
    assert discover(log.drop("dataset"), ["a"], most=3).proposals[0].marks == ("problem",)


def test_shares_accuracies_phrases_and_examples() -> None:
    rng = np.random.default_rng(4)
    styles = [
        "we list every case in a table and read off the row",
        "let the unknown be solved by moving terms across",
    ]
    which = [[int(rng.random() < 0.3) for _ in range(6)] for _ in range(80)]
    log = worlds.written([[worlds.chatter(rng) + " " + styles[w] for w in row] for row in which])
    flat = np.array(which).ravel()
    log = log.with_columns(
        score=pl.Series(flat.astype(float)), side=pl.Series([str(i % 2) for i in range(len(flat))])
    )
    first, second = discover(log, ["before", "after"], most=3).proposals
    assert (first.name, second.name) == ("proposal_1", "proposal_2")
    for side in range(2):
        assert first.sides[side].share == pytest.approx(1 - flat[side::2].mean())
        assert (first.sides[side].accuracy, second.sides[side].accuracy) == (0.0, 1.0)
        assert all("table" in text for text in first.sides[side].examples)
        assert len(second.sides[side].examples) == 2
    words = {word for phrase in second.phrases for word in phrase.text.split()}
    assert words <= set(styles[1].split()) | {"the"}
    assert all(phrase.share > 0.9 and phrase.elsewhere < 0.1 for phrase in first.phrases)


def test_a_response_a_problem_is_too_few() -> None:
    with pytest.raises(StratagemError, match="5 problems have two responses or more, at least 20 are needed"):
        discover(worlds.written([["a b"] * (1 + (p < 5)) for p in range(60)]), ["a"])


def test_explained_is_free_of_chance() -> None:
    rng = np.random.default_rng(6)
    value_r = (rng.random(400) < 0.4).astype(float)
    assert np.mean([explained(value_r, rng.integers(0, 100, 400)) for _ in range(20)]) < 0.05
    assert explained(value_r, value_r.astype(np.int64)) == 1.0
    assert explained(np.ones(5), np.arange(5)) == 0.0


def test_two_texts_are_two_proposals() -> None:
    rng = np.random.default_rng(8)
    texts = ["begin at the start and go on", "work from its far end back"]
    log = worlds.written([[texts[int(rng.random() < 0.4)] for _ in range(4)] for _ in range(40)])
    discovery = discover(log, ["a"])
    assert len(discovery.proposals) == 2
    assert {proposal.sides[0].examples for proposal in discovery.proposals} == {(text,) for text in texts}
