"""When an arm selected and when it improved: worlds of known course, and the gain that the terms add up to."""

from __future__ import annotations

import polars as pl
import pytest

from stratagem.studies.paths import PARTS, TERMS, paths
from stratagem.study_result import PathResult

UPDATES, ASKED = 20, 1000  # responses of each kind at every update


def run(course: list[tuple[float, float, float]], seed: int = 0, arm: str = "RL") -> pl.DataFrame:
    """Counts of a run whose strategy `good` has this share and accuracy at each update, and `bad` this accuracy; on the
    kind ``easy`` everything is right."""
    rows: list[tuple[str, int, int, str, str, int, float]] = []
    for update, (share, good, bad) in enumerate(course):
        for strategy, part, accuracy in (("good", share, good), ("bad", 1 - share, bad)):
            n = round(part * ASKED)
            if n:
                rows.append((arm, seed, update, "hard", strategy, n, float(round(accuracy * n))))
        rows.append((arm, seed, update, "easy", "good", ASKED, float(ASKED)))
    names = ["cell", "seed", "update", "kind", "strategy", "n", "right"]
    return pl.DataFrame(rows, schema=names, orient="row")


def lines(path: PathResult) -> dict[str, list[float]]:
    return {term: [estimate.value for estimate in getattr(path, term)] for term in TERMS}


def test_first_it_selects_then_it_improves() -> None:
    """Half of the responses are hard. The share of `good`, right .8 to .2, goes from .2 to .8 in the first half of the
    run: selection .5 x .6 x .6 = .18; then `good` goes from .8 to 1: improvement .5 x .8 x .2 = .08."""
    half = UPDATES // 2
    course = [(0.2 + 0.6 * u / (half - 1), 0.8, 0.2) for u in range(half)] + [(0.8, 1.0, 0.2)] * half
    (path,) = paths(run(course), ["kind"])
    terms = lines(path)
    assert path.arm == "RL"
    assert path.updates == tuple(range(1, UPDATES, UPDATES // PARTS))
    first = sum(share for share, _, _ in course[:2]) / 2  # the start is the mean of the first part
    selected = 0.5 * 0.6 * (course[half - 2][0] / 2 + course[half - 1][0] / 2 - first)
    assert terms["selection"][half // 2 - 1] == pytest.approx(selected, abs=2e-3)
    assert terms["improvement"][half // 2 - 1] == pytest.approx(0, abs=2e-3)
    left = 0.5 * 0.6 * (0.8 - sum(share for share, _, _ in course[half - 2 : half]) / 2)
    assert terms["selection"][-1] - terms["selection"][half // 2 - 1] == pytest.approx(left, abs=0.01)
    assert terms["improvement"][-1] == pytest.approx(0.5 * 0.8 * 0.2, abs=0.01)


def test_the_terms_add_up_to_the_gain_in_reward() -> None:
    course = [(0.1 + 0.04 * u, 0.5 + 0.02 * u, 0.4 - 0.01 * u) for u in range(UPDATES)]
    counts = run(course)
    (path,) = paths(counts, ["kind"])
    reward = counts.group_by("update").agg(pl.col("right").sum() / pl.col("n").sum()).sort("update")["right"]
    means = [float(reward[i : i + 2].mean()) for i in range(0, UPDATES, 2)]  # type: ignore[arg-type]
    for i, mean in enumerate(means):
        assert sum(values[i] for values in lines(path).values()) == pytest.approx(mean - means[0], abs=1e-9)


def test_a_strategy_that_was_never_used_before_is_new() -> None:
    course = [(0.0, 0.9, 0.3)] * 10 + [(0.5, 0.9, 0.3)] * 10
    (path,) = paths(run(course), ["kind"])
    terms = lines(path)
    assert terms["new_strategy"][-1] == pytest.approx(0.5 * 0.5 * (0.9 - 0.3), abs=1e-9)
    assert terms["improvement"][-1] == pytest.approx(0, abs=1e-9)


def test_several_replicates_have_an_interval_over_them() -> None:
    gains = [0.1, 0.2, 0.3]
    runs = [
        run([(0.5, 0.4 + gain * (u >= 10), 0.4) for u in range(UPDATES)], seed)
        for seed, gain in enumerate(gains)
    ]
    (path,) = paths(pl.concat(runs), ["kind"])
    last = path.improvement[-1]
    assert last.value == pytest.approx(0.5 * 0.5 * 0.2)
    assert last.n == 3
    assert last.high - last.value == pytest.approx(
        4.303 * 0.025 / 3**0.5, rel=1e-3
    )  # t with two degrees of freedom


def test_a_kind_that_stops_being_asked_leaves_the_others() -> None:
    course = [(0.5, 0.4, 0.4)] * 10 + [(0.5, 0.8, 0.4)] * 10
    counts = run(course).filter((pl.col("kind") == "hard") | (pl.col("update") < 15))
    (path,) = paths(counts, ["kind"])
    assert lines(path)["improvement"][-1] > 0.08


def test_a_run_of_one_update_has_no_path() -> None:
    assert paths(run([(0.5, 0.4, 0.4)]), ["kind"]) == ()


def test_a_run_whose_parts_have_no_stratum_in_common_has_no_path() -> None:
    counts = run([(0.5, 0.4, 0.4)] * UPDATES)
    assert paths(counts.with_columns(kind=pl.col("update").cast(pl.String)), ["kind"]) == ()
