"""The rules of the claims and the language of quantities, on numbers whose verdict is known beforehand."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stratagem.records import ALL, Estimate, StratagemError
from stratagem.stats.uncertainty import mean_estimate, t_interval
from stratagem.studies.claims import REFUTED, UNDECIDED, UPHELD, judge, verdict, weakest
from stratagem.studies.form import Part
from stratagem.studies.quantities import Name, Quantity, Vector, at_level
from stratagem.studies.study import read_study

STUDY = read_study("table1")
CHANCE = STUDY.asked.chance
assert STUDY.published is not None
PUBLISHED = {arm: (row[1] / 100, row[2] / 100) for arm, row in STUDY.published.percent.items()}


def term(value: float, se: float = 0.005) -> Estimate:
    return Estimate(value, value - 2 * se, value + 2 * se, se, 400)


GAINS = {
    "FB/RL(6-9)": {"selection": term(0.2), "improvement": term(0.28), "gap": term(-0.08)},
    "FB/RL(2-5)": {"selection": term(0.15), "improvement": term(-0.02), "gap": term(0.13)},
}


@dataclass
class Made:
    """Problem accuracies around (inversion, evaluation) of each arm, and terms as they are given."""

    arms: dict[str, tuple[float, float]] = field(default_factory=lambda: PUBLISHED)
    gains: dict[str, dict[str, Estimate]] = field(default_factory=lambda: GAINS)
    replicates: int = 1
    chance: float = CHANCE

    def problems(self, name: Name, replicate: int) -> Vector:
        places = {ALL: (0, 1), "inversion": (0,), "evaluation": (1,)}[name.kind]
        noise = np.random.default_rng([replicate, *name.arm.encode()])
        return np.concatenate(
            [np.clip(self.arms[name.arm][i] + 0.1 * noise.standard_normal(200), 0, 1) for i in places]
        )

    def updates(self, name: Name, replicate: int) -> Vector:
        """Of ten updates; an arm of 2-5 steps was trained for fewer."""
        size = 6 if "2-5" in name.arm else 10
        return self.problems(name, replicate)[:size] + (name.at == "end") * 0.1

    def term(self, name: Name, replicate: int | None) -> Estimate:
        return self.gains[name.arm][name.what]


def verdicts(source: Made) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in judge(STUDY.claims, source)}


@pytest.mark.parametrize("replicates", [1, 3])
def test_the_studys_own_numbers_uphold_its_claims(replicates: int) -> None:
    assert verdicts(Made(replicates=replicates)) == dict.fromkeys("1234", UPHELD)


def test_a_single_strategy_model_that_learns_the_other_refutes_claim_1() -> None:
    assert verdicts(Made(PUBLISHED | {"F/RL(6-9)": (0.9, 0.99)}))["1"] == REFUTED


def test_execution_that_improves_on_easy_problems_refutes_claims_2_and_3() -> None:
    gains = GAINS | {"FB/RL(2-5)": {"selection": term(0.15), "improvement": term(0.2), "gap": term(-0.05)}}
    judged = verdicts(Made(PUBLISHED | {"B/RL(2-5)": (0.7, 0.1)}, gains))
    assert judged["2"] == judged["3"] == REFUTED


def test_noise_leaves_claims_undecided() -> None:
    unsure = {"selection": term(0.15), "improvement": term(0.04, se=0.05), "gap": term(0.08, se=0.05)}
    assert verdicts(Made(gains=GAINS | {"FB/RL(2-5)": unsure}))["3"] == UNDECIDED


def test_a_lead_of_less_than_a_wide_margin_refutes_a_wide_margin() -> None:
    assert verdicts(Made(PUBLISHED | {"F/RL(6-9)": (0.91, 0.91)}))["1"] == REFUTED


def test_a_limit_of_chance_is_said_in_the_statement() -> None:
    part = judge(STUDY.claims, Made())[0].parts[2]
    assert part.statement == "B on evaluation is near chance (below 17%)"
    assert part.below == CHANCE + 0.08


def test_verdicts_of_parts() -> None:
    wide, high, low = Estimate(0.1, -0.1, 0.3), Estimate(0.5, 0.4, 0.6), Estimate(-0.5, -0.6, -0.4)
    above, below = Part("", "x", above=0), Part("", "x", below=5)
    assert [verdict(above, estimate, 0.0) for estimate in (wide, high, low)] == [UNDECIDED, UPHELD, REFUTED]
    assert [verdict(below, estimate, 0.05) for estimate in (wide, high, low)] == [UNDECIDED, REFUTED, UPHELD]
    rise = Estimate(0.05, 0.02, 0.08)  # but none by over 10
    assert verdict(Part("", "x", above=10), rise, 0.10) == REFUTED
    nothing = Estimate(math.nan)
    assert verdict(above, nothing, 0.0) == verdict(below, nothing, 0.05) == UNDECIDED
    assert weakest([UPHELD, UNDECIDED]) == weakest([]) == UNDECIDED
    assert weakest([REFUTED, UNDECIDED]) == REFUTED
    assert weakest([UPHELD, UPHELD]) == UPHELD


# -- quantities --------------------------------------------------------------------------------------------


def value(text: str, source: Made | None = None, level: float = 0.95) -> Estimate:
    return Quantity.parse(text).estimate(source or Made(), level)


def test_one_replicate_has_intervals_over_problems_and_several_over_replicates() -> None:
    text = "accuracy('FB/RL(6-9)') - accuracy('FB/SFT')"
    alone, three = Made(), Made(replicates=3)
    after, before = (Name("accuracy", arm) for arm in ("FB/RL(6-9)", "FB/SFT"))
    differences = [three.problems(after, i) - three.problems(before, i) for i in range(3)]
    assert value(text, alone) == mean_estimate(differences[0])
    assert value(text, three) == t_interval([d.mean() for d in differences])
    assert value(text, three, 0.9) == t_interval([d.mean() for d in differences], level=0.9)


def test_kinds_together_have_other_problems_and_no_interval_of_one_replicate() -> None:
    text = "accuracy('B/SFT', 'inversion') - accuracy('B/SFT', 'evaluation')"
    alone = value(text)
    assert alone.value == pytest.approx(0.27, abs=0.02)
    assert math.isnan(alone.low)
    assert value(text, Made(replicates=3)).n == 3


def test_terms_are_taken_as_they_are_and_narrowed_to_other_levels() -> None:
    assert value("improvement('FB/RL(6-9)')") == GAINS["FB/RL(6-9)"]["improvement"]
    narrow = value("improvement('FB/RL(6-9)')", level=0.9)
    assert narrow.high - narrow.value == pytest.approx(1.6487 * 0.005, rel=1e-3)
    assert at_level(term(0.1), 0.9, replicates=3).high - 0.1 == pytest.approx(2.92 * 0.005, rel=1e-3)


def test_training_is_measured_over_updates() -> None:
    made = Made()
    start, end = (Name("accuracy", "B/RL(6-9)", kind="inversion", at=at) for at in ("start", "end"))
    text = "accuracy('B/RL(6-9)', 'inversion', at='end') - accuracy('B/RL(6-9)', 'inversion', at='start')"
    assert value(text) == mean_estimate(made.updates(end, 0) - made.updates(start, 0))
    assert value("share('FB/RL(6-9)', 'forward', at='end')").n == 10
    # Kinds are paired by update; with a run of other length there is nothing to pair, nor with held-out problems.
    kinds = "accuracy('B/RL(6-9)', 'inversion', at='end') - accuracy('B/RL(6-9)', 'evaluation', at='end')"
    assert not math.isnan(value(kinds).low)
    for other in ("accuracy('B/RL(2-5)', 'inversion', at='end')", "accuracy('B/RL(6-9)', 'inversion')"):
        apart = value(f"accuracy('B/RL(6-9)', 'inversion', at='end') - {other}")
        assert math.isnan(apart.low)
        assert not math.isnan(apart.value)


def test_runs_of_replicates_may_end_at_different_updates() -> None:
    """The second replicate of one arm made fewer updates: its mean counts all the same."""

    class Shorter(Made):
        def updates(self, name: Name, replicate: int) -> Vector:
            whole = super().updates(name, replicate)
            return whole[:7] if replicate == 1 and name.arm.startswith("FB") else whole

    made = Shorter(replicates=3)
    names = [Name("accuracy", arm, at="end") for arm in ("FB/RL(6-9)", "B/RL(6-9)")]
    text = "accuracy('FB/RL(6-9)', at='end') - accuracy('B/RL(6-9)', at='end')"
    means = [made.updates(names[0], i).mean() - made.updates(names[1], i).mean() for i in range(3)]
    assert Quantity.parse(text).estimate(made) == t_interval(means)


def test_an_interval_of_a_difference_of_shares_ends_at_100_points() -> None:
    """Two replicates, one of which differs by nearly all: a t interval alone would go far beyond."""

    class Two(Made):
        def problems(self, name: Name, replicate: int) -> Vector:
            return np.full(4, 0.9 if replicate and name.arm.startswith("FB") else 0.1)

    for sign, bound in ((1, 1.0), (-1, -1.0)):
        pair = ("FB/RL(6-9)", "B/RL(6-9)")[::sign]
        estimate = Quantity.parse(f"accuracy('{pair[0]}') - accuracy('{pair[1]}')").estimate(
            Two(replicates=2)
        )
        assert (estimate.low, estimate.high) == (-1.0, 1.0)
        assert estimate.value == pytest.approx(0.4 * bound)


def test_numbers_are_points() -> None:
    assert Quantity.parse("chance + 8").limit(Made()) == CHANCE + 0.08
    assert Quantity.parse(85).limit(Made()) == 0.85
    shifted = value("accuracy('B/SFT') - 50 - chance")
    plain = value("accuracy('B/SFT')")
    assert shifted.value == pytest.approx(plain.value - 0.5 - CHANCE)
    assert shifted.high - shifted.low == pytest.approx(plain.high - plain.low)


@given(st.lists(st.sampled_from(["B/SFT", "F/SFT", "FB/SFT"]), min_size=1, max_size=4), st.data())
def test_a_sum_is_the_sum_of_its_parts(arms: list[str], data: st.DataObject) -> None:
    signs = data.draw(st.lists(st.sampled_from([1, -1]), min_size=len(arms), max_size=len(arms)))
    text = " ".join(
        f"{'+' if sign > 0 else '-'} accuracy('{arm}')" for sign, arm in zip(signs, arms, strict=True)
    )
    expected = sum(sign * value(f"accuracy('{arm}')").value for sign, arm in zip(signs, arms, strict=True))
    assert value(text.removeprefix("+ ")).value == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accuracy(", "not of the form"),
        ("acuracy('FB/SFT')", "neither a number, chance, nor one of accuracy"),
        ("accuracy(FB)", "each in quotes"),
        ("accuracy('FB/SFT', kinds='inversion')", r"write accuracy\(ARM, KIND\)"),
        ("accuracy('FB/SFT') * 2", "neither a number"),
        ("__import__('os').system('true')", "neither a number"),
        ("accuracy('FB/SF')", "no arm 'FB/SF'; there are F/SFT"),
        ("accuracy('FB/SFT', 'inverse')", "no kind 'inverse'"),
        ("accuracy('FB/SFT', on='long')", "no evaluation 'long'; there are held-out"),
        ("share('FB/SFT', 'sideways')", "no strategy 'sideways'"),
        ("selection('FB/SFT')", "starts from no arm"),
        ("accuracy('FB/RL(6-9)', at='middle')", "at = 'middle' must be one of start, end"),
        ("accuracy('FB/RL(6-9)', at='end', on='held-out')", "leave one out"),
        ("accuracy('FB/SFT', at='end')", "'FB/SFT' is no RL"),
        ("loss('FB/SFT', on='held-out')", r"write loss\(ARM, KIND\)"),
        ("(" * 500 + "1" + ")" * 500, "not of the form"),
    ],
)
def test_what_is_no_quantity_is_said(text: str, message: str) -> None:
    with pytest.raises(StratagemError, match=message):
        Quantity.parse(text).check(STUDY.tree, STUDY.asked, list(STUDY.evaluations))
