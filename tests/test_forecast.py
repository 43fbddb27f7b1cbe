"""The mean-field dynamics of selection: laws, and agreement with GRPO run on a policy that is a table."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stratagem.forecast import course, signal
from stratagem.records import StratagemError

FRACTIONS = st.floats(0, 1)
UPDATES = np.array([0.0, 1.0, 10.0, 50.0])


def shares(strata: int, strategies: int) -> st.SearchStrategy[np.ndarray]:
    parts = arrays(float, (strata, strategies), elements=st.floats(0.01, 1))
    return parts.map(lambda values: values / values.sum(-1, keepdims=True))


@given(st.integers(2, 32), st.floats(0.02, 0.98))
def test_signal_is_what_groups_show(group: int, accuracy: float) -> None:
    """Against advantages of drawn groups, as torch would compute them."""
    rng = np.random.default_rng(0)
    right = rng.random((20_000, group)) < accuracy
    spread = right.std(1, ddof=1)
    advantages = np.where(
        spread[:, None] > 0, (right - right.mean(1, keepdims=True)) / np.where(spread, spread, 1)[:, None], 0
    )
    # The mean gradient of the log odds of being right: p (1 - p) S.
    drawn = (advantages * (right - accuracy)).mean()
    expected = signal(np.array([accuracy]), group)[0] * accuracy * (1 - accuracy)
    assert drawn == pytest.approx(expected, abs=0.02)


def test_signal_at_the_ends() -> None:
    """A response that alone is right among wrong ones still has a signal: there is none only where it cannot differ."""
    ends = signal(np.array([0.0, 1.0]), 8)
    assert ends == pytest.approx(np.sqrt(7 / 8) * np.sqrt(7))
    assert signal(np.array([0.3]), 4, "none") == pytest.approx(0.75)


@settings(deadline=None)
@given(shares(3, 4), arrays(float, (3, 4), elements=FRACTIONS), st.floats(0, 1), st.floats(0, 0.2))
def test_shares_stay_shares(shares_tk: np.ndarray, right: np.ndarray, coupled: float, beta: float) -> None:
    coupling = np.full((3, 3), coupled) + (1 - coupled) * np.eye(3)
    weights = np.array([0.5, 0.3, 0.2])
    path = course(shares_tk, right, weights, coupling, UPDATES, group=8, rate=0.3, beta=beta)
    assert path.shape == (4, 3, 4)
    assert path.sum(-1) == pytest.approx(1)
    assert path[0] == pytest.approx(shares_tk)


@settings(deadline=None)
@given(shares(1, 3), arrays(float, (1, 3), elements=st.floats(0.05, 0.95)))
def test_accuracy_rises(shares_tk: np.ndarray, right: np.ndarray) -> None:
    path = course(shares_tk, right, np.ones(1), np.eye(1), UPDATES, group=8, rate=0.3)
    assert (np.diff((path * right).sum((1, 2))) >= -1e-6).all()


@settings(deadline=None)
@given(shares(1, 2), arrays(float, (1, 2), elements=st.floats(0.05, 0.95)))
def test_the_better_of_two_gains(shares_tk: np.ndarray, right: np.ndarray) -> None:
    path = course(shares_tk, right, np.ones(1), np.eye(1), UPDATES, group=8, rate=0.3)
    assert (np.diff(path[:, 0, right[0].argmax()]) >= -1e-6).all()


def test_nothing_moves_where_all_is_right() -> None:
    """The mean of accuracies of 1 may be more than 1 by rounding."""
    shares_tk = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    assert (shares_tk.sum(-1) > 1).any()
    weights = np.full(200, 1 / 200)
    path = course(shares_tk, np.ones((200, 4)), weights, np.eye(200), UPDATES, group=8, rate=0.3)
    assert path == pytest.approx(np.repeat(shares_tk[None], len(UPDATES), 0))


def test_a_rare_strategy_may_lose_though_it_is_the_best() -> None:
    """Its gradient is as small as its share: another that is better than the mean takes over first."""
    path = course(
        np.array([[0.49, 0.48, 0.03]]),
        np.array([[0.5, 0.25, 0.75]]),
        np.ones(1),
        np.eye(1),
        np.array([0.0, 50.0]),
        group=8,
        rate=0.3,
    )
    assert path[1, 0, 2] < path[0, 0, 2] < path[1, 0, 0]


@settings(deadline=None)
@given(shares(2, 3), FRACTIONS)
def test_nothing_moves_where_strategies_are_alike(shares_tk: np.ndarray, right: float) -> None:
    path = course(
        shares_tk, np.full((2, 3), right), np.array([0.6, 0.4]), np.ones((2, 2)), UPDATES, group=8, rate=1
    )
    assert path[-1] == pytest.approx(shares_tk, abs=1e-6)


def test_what_is_never_used_stays_unused() -> None:
    path = course(
        np.array([[1.0, 0.0]]), np.array([[0.1, 1.0]]), np.ones(1), np.eye(1), UPDATES, group=8, rate=1
    )
    assert path[-1].tolist() == [[1.0, 0.0]]


def test_the_weaker_strategy_takes_all_where_strata_are_not_told_apart() -> None:
    """Inversion problems are better backward, but most prompts pay forward: with full coupling both go forward."""
    half, right = np.full((2, 2), 0.5), np.array([[0.9, 0.1], [0.1, 0.5]])
    weights, updates = np.array([0.9, 0.1]), np.array([200.0])
    coupled = course(half, right, weights, np.ones((2, 2)), updates, group=8, rate=0.5)
    apart = course(half, right, weights, np.eye(2), updates, group=8, rate=0.5)
    assert coupled[0, 1, 0] > 0.9
    assert apart[0, 1, 0] < 0.5


@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_grpo_on_a_table_follows_the_mean_field(beta: float) -> None:
    """A softmax policy over three strategies in two strata, trained by GRPO with its own rollouts."""
    rng = np.random.default_rng(5)
    start = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]])
    right = np.array([[0.8, 0.3, 0.1], [0.2, 0.4, 0.7]])
    group, prompts, rate, updates = 8, 4_000, 0.5, 40
    z = np.log(start)
    for _ in range(updates):
        pi = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
        moved = np.zeros_like(z)
        for t in range(2):
            chosen = rng.choice(3, size=(prompts // 2, group), p=pi[t])
            score = rng.random(chosen.shape) < right[t][chosen]
            spread = score.std(1, ddof=1, keepdims=True)
            advantage = np.where(
                spread > 0, (score - score.mean(1, keepdims=True)) / np.where(spread, spread, 1), 0
            )
            ratio = np.log(pi[t] / start[t])
            advantage = advantage - beta * ratio[chosen]
            for k in range(3):
                moved[t, k] = 0.5 * (advantage * ((chosen == k) - pi[t, k])).mean()
        z += rate * moved
    trained = np.exp(z) / np.exp(z).sum(-1, keepdims=True)
    path = course(
        start,
        right,
        np.array([0.5, 0.5]),
        np.eye(2),
        np.array([float(updates)]),
        group=group,
        rate=rate,
        beta=beta,
    )
    assert path[0] == pytest.approx(trained, abs=0.015)


def test_bad_fractions_are_refused() -> None:
    with pytest.raises(StratagemError, match="accuracies: must be from 0 to 1"):
        course(np.ones((1, 1)), np.full((1, 1), 2.0), np.ones(1), np.eye(1), UPDATES, group=8, rate=1)
    with pytest.raises(StratagemError, match="add up to 1"):
        course(np.full((1, 2), 0.4), np.full((1, 2), 0.5), np.ones(1), np.eye(1), UPDATES, group=8, rate=1)


def test_the_example_of_the_docs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parents[1] / "docs" / "forecast.md").read_text()
    code = re.findall(r"```(?:python)?\n(.*?)```", text, re.S)
    exec(code[0], {})
    assert capsys.readouterr().out.strip() == code[1].strip()
    exec(code[0].replace("np.array([0.9, 0.1])", "np.array([0.5, 0.5])"), {})
    even = capsys.readouterr().out.split("\n")[3]
    assert [float(share) > 0.9 for share in even.strip(" []").split()] == [True, False]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"rate": np.nan}, "finite"),
        ({"beta": np.inf}, "finite"),
        ({"coupling_tt": np.array([[np.nan]])}, "finite"),
        ({"coupling_tt": np.eye(2)}, "coupling: has the shape"),
        ({"accuracies_tk": np.ones((1, 3))}, "accuracies: has the shape"),
        ({"updates_u": np.array([3.0, 1.0])}, "updates: begin at 0"),
        ({"updates_u": np.array([])}, "updates: begin at 0"),
        ({"updates_u": np.array([-1.0])}, "updates: begin at 0"),
        ({"updates_u": np.array([np.nan])}, "updates: begin at 0"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(changed: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "shares_tk": np.array([[0.4, 0.6]]),
        "accuracies_tk": np.array([[0.5, 0.2]]),
        "weights_t": np.ones(1),
        "coupling_tt": np.eye(1),
        "updates_u": UPDATES,
        "group": 8,
        "rate": 1.0,
    }
    with pytest.raises(StratagemError, match=message):
        course(**given | changed)
