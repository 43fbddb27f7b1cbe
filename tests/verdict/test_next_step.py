"""What stands beside the sentence, and how much the next action needs and where, in full."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.decomposition.decompose import decompose
from stratagem.records import FORM
from stratagem.stats.pairs import pair
from stratagem.verdict.facts import Carried, Lengths, facts_from
from stratagem.verdict.next_step import AIMS, aim, command
from stratagem.verdict.places import Place
from stratagem.verdict.rules import ACTIONS, verdict
from stratagem.verdict.wording import KEY, apart, key, length
from tests.decomposition.tables import draw
from tests.verdict.scenarios import BASE, SCENARIOS, est

PLACES = (
    Place("easy", 100, 0.9, 0.05, 0.3, 0.1),
    Place("hard", 100, 0.4, 0.3, -0.02, -0.17),
    Place("odd", 100, 0.7, 0.1, 0.1, -0.05),
)
FACTS: dict[str, Any] = {
    "accuracy_after": 0.55,
    "places": PLACES,
    "forms": (Carried(FORM, 0.4, 0.14, 0.1, 0.2, est(0.07, 0.01), est(0.05, 0.02)),),
    "lengths": Lengths(400.0, 900.0, "tokens", est(500.0, 30.0), est(0.1, 0.02, 120)),
    "new": ("cases", "program"),
    "largest": ("direct", 0.7, 0.9),
    "other_share": 0.6,
}
LEFT = (
    "Of the 45.0 points still to be won, 30.0 lie in hard (40.0% right), 10.0 in odd (70.0% right) and 5.0 in easy "
    "(90.0% right)."
)


@pytest.mark.parametrize(
    ("action", "said"),
    [
        ("continue RL on this mix", LEFT),
        ("raise the RL difficulty", LEFT),
        ("rebalance the RL mix", "Choice cost most in hard: 17.0 points over 100 problems."),
        ("go back to an earlier checkpoint", "Most was lost in hard: 2.0 points over 100 problems."),
        (
            "lower the RL difficulty",
            "easy is right most often, in 90.0% of responses: most of the others are harder.",
        ),
        ("fix the format first", "It concerns 14.0% of responses after, 40.0% before."),
        ("refine the strategy rules", "Read responses labelled other: they are 60.0% of one side's."),
        (
            "compare at one token budget",
            "Sample both on these 400 problems with the same limit: answers have 900 tokens now, and had 400.",
        ),
        ("probe the new strategies", "Begin responses of the old checkpoint with cases or program."),
        ("diversify the SFT data", "direct has 70.0% of responses before and 90.0% after."),
        ("log the completions", ""),
    ],
)
def test_an_action_says_how_much_and_where(action: str, said: str) -> None:
    facts = replace(BASE, **FACTS)
    assert aim(action, facts) == said


def test_more_samples_says_how_many() -> None:
    changes, action, sentence, _ = SCENARIOS["undecided"]
    found = verdict(replace(BASE, **changes))
    assert action == "collect more samples"
    assert "problems like these" in found.aim
    assert found.aim in sentence


def test_only_what_is_known_is_said() -> None:
    assert set(AIMS) <= set(ACTIONS)
    assert all("nan" not in aim(action, BASE) and "None" not in aim(action, BASE) for action in ACTIONS)


def test_beside_the_sentence_stand_three_pieces_and_answer_forms_are_one() -> None:
    others = tuple(
        Carried(f"answer_{x}", 0.2, 0.1, 0.1, 0.2, est(0.03, 0.005), est(0.09, 0.02)) for x in "abcd"
    )
    facts = replace(BASE, **FACTS | {"forms": (*others, *FACTS["forms"])})
    shown = key(facts)
    assert len(shown) <= KEY == 3
    form = (
        "7.0 of the 12.0 points (6.0 to 8.0) are answer format: 40.0% of responses before and 14.0% after give an "
        "answer that is not plain; all else added 5.0 points (3.0 to 7.0)."
    )
    assert form in shown
    assert sum("answer" in line and "all else" in line for line in (*shown, *verdict(facts).evidence)) <= 2
    assert not any('show "answer' in line for line in (*shown, *verdict(facts).evidence))


def test_a_form_that_hardly_any_response_had_before_is_not_priced() -> None:
    """All answers in tags after RL, hardly any before: the whole gain would count as the form's."""
    new = Carried(FORM, 0.017, 0.997, 0.6, 0.85, est(0.12, 0.01), est(0.0, 0.01))
    facts = replace(BASE, forms=(new,))
    without = verdict(replace(BASE, forms=()))
    said = verdict(facts)
    assert (said.action, said.sentence, said.evidence[0]) == (
        without.action,
        without.sentence,
        without.evidence[0],
    )
    line = (
        "1.7% of responses before and 99.7% after give an answer that is not plain: too few did so before to tell "
        "what this change is worth."
    )
    assert line in said.evidence
    assert key(facts)[0] == line
    dropped = replace(new, share_before=0.96, share_after=0.0)
    assert any("too few did otherwise before" in text for text in key(replace(BASE, forms=(dropped,))))
    # As many as one in twenty: their accuracy is a number that one may go by.
    known = replace(new, share_before=0.05)
    assert verdict(replace(BASE, forms=(known,))).action == "fix the format first"


def test_places_hold_all_that_is_still_wrong() -> None:
    rng = np.random.default_rng(7)
    sides: list[pl.DataFrame] = []
    for checkpoint in ("0", "1"):
        parts = [
            draw(
                rng,
                checkpoint,
                [f"{kind}{i}" for i in range(30 + 10 * n)],
                {"F": 0.5, "B": 0.5},
                {"F": 0.9, "B": 0.3},
                4,
            ).with_columns(kind=pl.lit(kind))
            for n, kind in enumerate(("u", "v"))
        ]
        sides.append(pl.concat(parts))
    split = decompose(*sides, by=("kind",), rng=rng, draws=50)
    facts = facts_from(split, pair(*sides, split.by))
    assert [place.name for place in facts.places] == ["u", "v"]
    assert sum(place.wrong for place in facts.places) == pytest.approx(1 - split.accuracy_after)
    assert sum(p.gain * p.problems for p in facts.places) / split.problems == pytest.approx(split.gain.value)


def test_lengths_are_told_apart() -> None:
    assert apart(468.4, 994.8) == ("468", "995")
    assert apart(30.4, 29.6) == ("30.4", "29.6")
    assert apart(30.04, 30.01) == ("30.04", "30.01")
    assert apart(30.0, 30.0) == ("30", "30")
    shorter = Lengths(30.4, 29.6, "tokens", est(-0.8, 0.1), est(0.1, 0.02, 120))
    assert "Answers shrank from 30.4 to 29.6 tokens." in length(replace(BASE, lengths=shorter))
    same = Lengths(66.0, 66.001, "characters", est(0.001, 0.01), est(0.1, 0.02, 120))
    assert length(replace(BASE, lengths=same)) == "Answers are 66 characters long on both sides."


@pytest.mark.parametrize("action", ACTIONS)
def test_a_command_acts_where_one_does(action: str) -> None:
    said = command(action, "my logs/after.jsonl", ["--correct", "score > 0"])
    acts = "RL difficulty" in action or action == "change the RL data"
    expected = "PROMPTS --rollouts 'my logs/after.jsonl' --correct 'score > 0' --keep-signal 0.9"
    assert said == (f"stratagem curate prompts {expected}" if acts else "")
