"""The verdict in full sentences for typical comparisons, and what no sentence may ever do."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stratagem.decomposition.by_problem import HEADLINE
from stratagem.decomposition.parts import ByProblem, InTwo, Split, Unparsed
from stratagem.records import FORM, Estimate
from stratagem.report.format import signed
from stratagem.stats.min_sample import MIN_HEADROOM, MIN_PROBLEMS, drop_small_intervals
from stratagem.verdict import wording
from stratagem.verdict.facts import Carried, Facts, Lengths, Level, Room, Signal
from stratagem.verdict.places import Place
from stratagem.verdict.predicates import small
from stratagem.verdict.rules import ACTIONS, RULES, verdict
from tests.verdict.scenarios import BASE, SCENARIOS, est

DOCUMENT = Path(__file__).parents[2] / "docs" / "verdict.md"


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(name: str) -> None:
    changes, action, sentence, why = SCENARIOS[name]
    found = verdict(replace(BASE, **changes))
    assert (found.sentence, found.action, found.evidence[0]) == (sentence, action, why)


def test_every_rule_can_be_the_first_to_hold() -> None:
    first = {
        next(rule.name for rule in RULES if rule.holds(replace(BASE, **changes)))
        for changes, _, _, _ in SCENARIOS.values()
    }
    assert first == {rule.name for rule in RULES}


def test_the_document_has_every_rule_and_action() -> None:
    text = DOCUMENT.read_text()
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")
    ]
    assert [(row[1], row[3]) for row in rows if row[0].isdigit()] == [
        (rule.name, rule.action) for rule in RULES
    ]
    assert {rule.action for rule in RULES} == set(ACTIONS)


def test_where_levels_disagree_no_advice_rests_on_choice() -> None:
    changes = SCENARIOS["problems inside a stratum differ"][0]
    agreeing = msgspec.structs.replace(changes["by_problem"], disagrees=False)
    assert verdict(replace(BASE, **changes)).action != "rebalance the RL mix"
    assert verdict(replace(BASE, **changes | {"by_problem": agreeing})).action == "rebalance the RL mix"


def test_a_gain_is_small_where_two_tests_at_5_percent_say_so() -> None:
    """By hand: 0.9 + 1.645 x 0.66 = 1.99 points, and 1.96 x 0.66 would reach to 2.19; 0.9 + 1.645 x 0.68 = 2.02."""
    gains = [Estimate(0.009, 0.009 - 1.96 * se, 0.009 + 1.96 * se, se, 100_000) for se in (0.0066, 0.0068)]
    assert [small(replace(BASE, gain=gain)) for gain in gains] == [True, False]
    assert not small(replace(BASE, gain=Estimate(0.009)))  # without an interval


def test_labels_that_see_nothing_are_named_first() -> None:
    said = verdict(replace(BASE, largest=("direct", 0.86, 0.85))).sentence
    assert said.startswith(
        "These labels cannot show selection: direct has 86.0% of responses before and 85.0% after."
    )
    for largest in (("direct", 0.86, 0.84), ("direct", 0.5, 0.99), None):
        assert "cannot show" not in verdict(replace(BASE, largest=largest)).sentence


def test_equal_numbers_print_equal() -> None:
    """-11.25 as a sum of floats, from above and from below."""
    texts = {wording.signed(x) for x in (-0.1125, -0.11250000000000003, -0.11249999999999999)}
    assert len(texts) == 1
    assert len({signed(x) for x in (-0.1125, -0.11250000000000003, -0.11249999999999999)}) == 1
    shown = verdict(
        replace(BASE, gain=est(-0.11249999999999999, 0.03), improvement=est(-0.11250000000000003, 0.03))
    ).sentence
    assert shown.count("11.2 points") == 2


def test_weak_execution_is_not_told_from_a_hardest_problem_or_two() -> None:
    levels = (Level(2.0, 200, 0.7, 0.9, est(0.2, 0.04)), Level(6.0, 2, 0.1, 0.0, est(0.0, 0.03, 2)))
    exhausted = {"room_after": Room((0.0, 0.01), (0.02, 0.05)), "levels": levels}
    assert verdict(replace(BASE, **exhausted)).action == "continue RL on this mix"
    hard = (*levels[:1], replace(levels[1], problems=6))
    assert verdict(replace(BASE, **exhausted | {"levels": hard})).action == "raise the RL difficulty"


def test_estimates_from_a_handful_of_problems_lose_their_intervals() -> None:
    few, many = Estimate(-0.25, -0.25, -0.25, 0.0, MIN_PROBLEMS - 1), est(0.1, 0.02, MIN_PROBLEMS)
    found = drop_small_intervals(replace(BASE, gain=few, improvement=many))
    assert found.gain.value == -0.25
    assert math.isnan(found.gain.low + found.gain.high + found.gain.se)
    assert found.improvement == many
    assert math.isnan(drop_small_intervals(Estimate(math.nan, 0.0, 0.3, 0.05, 2, (0.1, 0.2))).low)


fractions = st.sampled_from([0.003, -0.005, 0.012]) | st.floats(-0.4, 0.4).map(lambda x: round(x, 3))


@st.composite
def estimates(draw: Any, problems: int = 400) -> Estimate:
    return est(draw(fractions), draw(st.sampled_from([0.0, 0.004, 0.02, 0.06, 0.3])), problems)


@st.composite
def by_problem(draw: Any) -> ByProblem:
    gap = draw(estimates())
    return ByProblem(
        choice=draw(estimates()),
        improvement=draw(estimates()),
        gap=gap,
        reverse=InTwo(draw(estimates()), draw(estimates())),
        lead="choice" if gap.low > 0 else "improvement" if gap.high < 0 else "undecided",
        order_dependent=draw(st.booleans()),
        disagrees=draw(st.booleans()),
        with_2=400,
        with_4=draw(st.integers(0, 400)),
        leads=draw(st.booleans()),
    )


@st.composite
def any_facts(draw: Any) -> Facts:
    gap = draw(estimates())
    rooms = st.none() | st.tuples(*[st.floats(0, 0.5)] * 4).map(
        lambda x: Room((min(x[:2]), max(x[:2])), (min(x[2:]), max(x[2:])))
    )
    share = st.floats(0, 1)
    carried = st.builds(
        Carried,
        st.sampled_from(["answer_in_latex", FORM]),
        share,
        share,
        share,
        share,
        estimates(),
        estimates(),
    )
    unparsed = st.builds(
        Unparsed,
        **{
            f"{what}_{side}": share for what in ("share", "right", "of_right") for side in ("before", "after")
        },
    ).map(
        # Where no response is unparsed, none of the right ones is.
        lambda x: msgspec.structs.replace(
            x,
            of_right_before=x.of_right_before * (x.share_before > 0),
            of_right_after=x.of_right_after * (x.share_after > 0),
        )
    )
    signal = st.builds(Signal, st.just(8), share, share, share, share)
    places = st.builds(
        Place,
        st.sampled_from(["easy", "hard"]),
        st.just(90),
        share,
        share,
        st.floats(-1, 1),
        st.floats(-1, 1),
    )
    lengths = st.builds(
        Lengths, st.floats(10, 99), st.floats(10, 999), st.just("tokens"), estimates(), estimates()
    )
    return Facts(
        gain=draw(estimates() | st.just(Estimate(0.1, n=1))),
        selection=draw(estimates()),
        improvement=draw(estimates()),
        new_strategy=draw(estimates()),
        gap=gap,
        lead="selection" if gap.low > 0 else "improvement" if gap.high < 0 else "undecided",
        problems=400,
        samples=draw(st.sampled_from([1.0, 4.0, 16.0])),
        accuracy_before=draw(share),
        accuracy_after=draw(share),
        by=draw(st.sampled_from([(), ("kind",), ("problem_id",)])),
        order_dependent=draw(st.booleans()),
        reverse=Split(draw(estimates()), draw(estimates())),
        by_problem=draw(by_problem()),
        strategies=draw(st.integers(0, 3)),
        largest=draw(st.none() | st.tuples(st.just("direct"), share, share)),
        other_share=draw(st.floats(0, 0.7)),
        unsupported_share=draw(share),
        chance=draw(st.none() | share),
        unread=draw(st.none() | carried),
        unparsed=draw(st.just(Unparsed()) | unparsed),
        forms=tuple(draw(st.lists(carried, max_size=2))),
        room_before=draw(rooms),
        room_after=draw(rooms),
        lengths=draw(st.none() | lengths),
        signal=draw(st.none() | signal),
        levels=tuple(
            draw(
                st.lists(
                    st.builds(Level, st.sampled_from([2.0, 6.0]), st.just(90), share, share, estimates()),
                    max_size=2,
                )
            )
        ),
        regrouped=draw(st.none() | st.tuples(*[st.integers(0, 9)] * 3)),
        places=tuple(draw(st.lists(places, max_size=4))),
        new=tuple(draw(st.lists(st.sampled_from(["forced", "cases"]), unique=True))),
    )


def test_what_a_gain_that_is_not_shown_could_have_been_is_said() -> None:
    line = "With so many problems a change of 5.7 points or more would have been detected (power 80%)."
    assert line in verdict(replace(BASE, gain=est(0.01, 0.04))).evidence
    assert line not in verdict(replace(BASE, gain=est(0.05, 0.04))).evidence  # it is shown
    assert not any("detected" in text for text in verdict(replace(BASE, gain=Estimate(0.01, n=4))).evidence)


def test_a_tiny_gain_stays_tiny_when_more_problems_tell_it_from_0() -> None:
    for reach in (0.012, 0.003):
        parts = {name: est(0.0025, reach) for name in ("selection", "improvement")}
        found = verdict(replace(BASE, gain=est(0.005, reach), gap=est(0, reach), lead="undecided", **parts))
        assert found.action == "change the RL data"


def numbers(value: Any) -> set[float]:
    """All numbers of the facts, as a sentence may show them: in points or percent, or whole."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()))
    if isinstance(value, list | tuple):
        return set().union(*map(numbers, value))
    if isinstance(value, str):
        return {float(x) for x in re.findall(r"\d+", value)}
    if value is None or isinstance(value, bool) or math.isnan(value):
        return set()
    return {abs(round(float(x), 1)) for x in (100 * value, value)} | {abs(float(f"{value:.0f}"))}


@settings(max_examples=150, deadline=None)
@given(any_facts())
def test_a_sentence_has_no_number_that_is_not_in_the_facts(facts: Facts) -> None:
    found = verdict(facts)
    assert found.action in ACTIONS
    needs = (facts.problems_for_gain, facts.problems_for_lead)
    known = numbers(msgspec.to_builtins(facts)) | numbers([*needs, *map(facts.samples_instead, needs)])
    known |= numbers([facts.detectable_gain])
    # "from 0", the size of a small change, the growth that counts as none, the power
    known |= {0.0, 2.0, 10.0, MIN_PROBLEMS, 80.0, HEADLINE, MIN_HEADROOM} | numbers(
        [1 - facts.accuracy_after]
    )
    for line in (found.sentence, *found.evidence, *found.key, found.aim):
        for text in re.findall(r"\d[\d,]*(?:\.\d+)?", line):
            value = float(text.replace(",", ""))
            assert min(abs(value - x) for x in known) < 0.051, (text, line)


CLAIM = re.compile(
    r"(selection|choice|improvement|new strategies|this change by itself|all else|accuracy) "
    r"(added|cost|rose by|fell by) ([\d.]+) points \((?:95% interval )?([\d.]+) to ([\d.]+)\)",
    re.IGNORECASE,
)


@settings(max_examples=150, deadline=None)
@given(any_facts())
def test_a_sentence_claims_no_direction_whose_interval_includes_0(facts: Facts) -> None:
    found = verdict(facts)
    carried = [one for one in (facts.unread, *facts.forms) if one is not None]
    sources = {
        "selection": [facts.selection],
        "choice": [facts.by_problem.choice],
        "improvement": [facts.improvement, facts.by_problem.improvement],
        "new strategies": [facts.new_strategy],
        "this change by itself": [one.part for one in carried],
        "all else": [one.rest for one in carried],
        "accuracy": [facts.gain] + ([facts.lengths.steady] if facts.lengths else []),
    }
    text = "\n".join((found.sentence, *found.evidence))
    for form in re.findall(r"^([\d.]+) of the [\d.]+ points \(([\d.]+) to", text, re.MULTILINE):
        assert any(
            min(abs(one.part.low), abs(one.part.high)) > 0
            and abs(abs(one.part.value) - float(form[0]) / 100) < 6e-4
            and one.part.value * facts.gain.value > 0
            for one in carried
        ), form
    for name, verb, *shown in CLAIM.findall(text):
        up = verb in ("added", "rose by")
        ends = [float(x) / 100 for x in shown]
        assert any(
            (e.low > 0 if up else e.high < 0)
            and abs(abs(e.value) - ends[0]) < 6e-4
            and abs(min(abs(e.low), abs(e.high)) - ends[1]) < 6e-4
            for e in sources[name.lower()]
        ), (name, verb, shown)
    claims = re.findall(r"\b(?:added|cost|rose|fell)\b", text)
    assert len(claims) == len(CLAIM.findall(text))
    if not facts.has_split:
        assert not re.search(
            r"(selection|choice|improvement|new strategies) (added|cost|is|cannot be told from)", text
        )
        assert "moved it more" not in found.sentence
        assert found.action == "fix the parts of the rules"
    if "more by" in found.sentence or "is larger in size" in found.sentence:
        gap = facts.by_problem.gap if facts.by_problem.leads else facts.gap
        assert gap.low > 0 or gap.high < 0
    if facts.lengths is not None:
        d = facts.lengths.difference
        assert "Answers grew" not in text or d.low > 0
        assert "Answers shrank" not in text or d.high < 0


@settings(max_examples=150, deadline=None)
@given(any_facts(), st.sampled_from([2, 10, 1000]))
def test_more_problems_with_the_same_effects_undo_no_decision(facts: Facts, times: int) -> None:
    def shrink(value: Any) -> Any:
        if not isinstance(value, Estimate):
            return value
        reach = (value.high - value.low) / 2 / math.sqrt(times)
        se, n = value.se / math.sqrt(times), times * value.n
        return Estimate(value.value, value.value - reach, value.value + reach, se, n)

    names = ("gain", "selection", "improvement", "new_strategy", "gap")
    changes: dict[str, Any] = {name: shrink(getattr(facts, name)) for name in names}
    gap = changes["gap"]
    changes["lead"] = "selection" if gap.low > 0 else "improvement" if gap.high < 0 else "undecided"
    changes["by_problem"] = msgspec.structs.replace(
        facts.by_problem,
        **{name: shrink(getattr(facts.by_problem, name)) for name in ("choice", "improvement", "gap")},
    )
    gap = changes["by_problem"].gap
    lead = "choice" if gap.low > 0 else "improvement" if gap.high < 0 else "undecided"
    changes["by_problem"] = msgspec.structs.replace(changes["by_problem"], lead=lead)
    for name in ("unread",):
        one = getattr(facts, name)
        changes[name] = one and replace(one, part=shrink(one.part), rest=shrink(one.rest))
    changes["forms"] = tuple(
        replace(one, part=shrink(one.part), rest=shrink(one.rest)) for one in facts.forms
    )
    if facts.lengths is not None:
        changes["lengths"] = replace(
            facts.lengths, difference=shrink(facts.lengths.difference), steady=shrink(facts.lengths.steady)
        )
    more = replace(facts, problems=facts.problems * times, **changes)
    # Where problems inside a stratum differ, it is responses to each that are missing, and more problems bring none.
    few = facts.by_problem.disagrees and facts.samples < MIN_HEADROOM
    if verdict(facts).action != "collect more samples" and not few:
        assert verdict(more).action != "collect more samples"
