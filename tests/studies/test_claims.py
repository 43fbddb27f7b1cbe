"""The rules of the claims, on numbers whose verdict is known beforehand."""

from __future__ import annotations

import copy
import math

import numpy as np
import polars as pl
import pytest

from stratagem.records import Estimate
from stratagem.studies.claims import (
    REFUTED,
    UNDECIDED,
    UPHELD,
    Accuracies,
    above,
    at_90,
    below,
    judge,
    weakest,
)
from stratagem.studies.config import read_study

CHANCE = 1 / 11
PUBLISHED = read_study().published


def table(
    cells: dict[str, tuple[float, float]], seeds: int = 1, problems: int = 400, noise: float = 0.1
) -> Accuracies:
    """Problem accuracies around (inversion, evaluation) of each cell."""
    rng = np.random.default_rng(0)
    rows = []
    for seed in range(seeds):
        for cell, means in cells.items():
            for kind, mean in zip(("inversion", "evaluation"), means, strict=True):
                values = np.clip(mean + noise * rng.standard_normal(problems // 2), 0, 1)
                rows += [(seed, cell, kind, f"{kind}{i}", v) for i, v in enumerate(values)]
    names = ["seed", "cell", "kind", "problem_id", "accuracy"]
    return Accuracies(pl.DataFrame(rows, schema=names, orient="row"))


def term(value: float, se: float = 0.005) -> dict:
    return Estimate(value, value - 2 * se, value + 2 * se, se, 400).as_dict()


STUDY = {cell: (row[1] / 100, row[2] / 100) for cell, row in PUBLISHED.items()}
GAINS = {
    "FB/RL(6-9)": {"selection": term(0.2), "improvement": term(0.28)},
    "FB/RL(2-5)": {"selection": term(0.15), "improvement": term(-0.02)},
}


def verdicts(cells: dict[str, tuple[float, float]], gains: dict, **options) -> dict[str, str]:
    return {claim["id"]: claim["verdict"] for claim in judge(table(cells, **options), gains, CHANCE)}


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_studys_own_numbers_uphold_its_claims(seeds: int) -> None:
    assert verdicts(STUDY, GAINS, seeds=seeds) == dict.fromkeys("1234", UPHELD)


def test_a_single_strategy_model_that_learns_the_other_refutes_claim_1() -> None:
    cells = STUDY | {"F/RL(6-9)": (0.9, 0.99)}
    assert verdicts(cells, GAINS)["1"] == REFUTED


def test_execution_that_improves_on_easy_problems_refutes_claims_2_and_3() -> None:
    gains = copy.deepcopy(GAINS)
    gains["FB/RL(2-5)"]["improvement"] = term(0.2)
    found = verdicts(STUDY | {"B/RL(2-5)": (0.7, 0.1)}, gains)
    assert found["2"] == found["3"] == REFUTED


def test_noise_leaves_claims_undecided() -> None:
    gains = copy.deepcopy(GAINS)
    gains["FB/RL(2-5)"]["improvement"] = term(0.04, se=0.05)
    assert verdicts(STUDY, gains)["3"] == UNDECIDED


def test_verdicts_of_parts() -> None:
    wide, high, low = Estimate(0.1, -0.1, 0.3), Estimate(0.5, 0.4, 0.6), Estimate(-0.5, -0.6, -0.4)
    assert [above("", e, 0.0).verdict for e in (wide, high, low)] == [UNDECIDED, UPHELD, REFUTED]
    assert [below("", e, 0.05).verdict for e in (wide, high, low)] == [UNDECIDED, REFUTED, UPHELD]
    # Between the threshold and its opposite lies what is neither shown nor refuted.
    assert above("", Estimate(0.05, 0.02, 0.08), 0.10, 0.0).verdict == UNDECIDED
    nothing = Estimate(math.nan)
    assert above("", nothing, 0.0).verdict == below("", nothing, 0.0).verdict == UNDECIDED
    assert weakest([above("", high, 0.0), above("", wide, 0.0)]) == UNDECIDED
    assert weakest([above("", low, 0.0), above("", wide, 0.0)]) == REFUTED


def test_one_seed_has_intervals_over_problems_and_several_over_seeds() -> None:
    cells = {"a": (0.3, 0.5), "b": (0.6, 0.7)}
    one, three = table(cells), table(cells, seeds=3)
    assert one.difference("b", "a").n == 400
    assert three.difference("b", "a").n == 3
    assert one.difference("b", "a", "inversion").value == pytest.approx(0.3, abs=0.03)


def test_a_90_interval_lies_within_the_95_one() -> None:
    estimate = Estimate(0.1, 0.1 - 1.966 * 0.02, 0.1 + 1.966 * 0.02, 0.02, 400)
    narrow = at_90(estimate, seeds=1)
    assert estimate.low < narrow.low < narrow.high < estimate.high
    assert narrow.high - 0.1 == pytest.approx(1.6487 * 0.02, rel=1e-3)
