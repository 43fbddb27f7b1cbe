"""Advice where strata do not tell choice from execution: labels that move alone, and problems of hidden types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.result import Findings

from .test_doubts import looking, said, write

TEXTS = ("I go forward. 4", "I go backward. 4")


def log(
    path: Path, seed: int, share: tuple[float, float], rates: object, problems: int, samples: int
) -> Path:
    """Responses of problems of two kinds, by turns; `share` of the first strategy, `rates` of both, by kind."""
    rng = np.random.default_rng(seed)
    table = np.array(rates)

    def answer(i: int, _: int) -> dict[str, object]:
        s = int(rng.random() >= share[i % 2])
        return said(TEXTS[s], bool(rng.random() < table[i % 2, s]))

    return write(path, answer, range(problems), samples)


def hidden(tmp_path: Path, samples: int) -> Findings:
    rates = ((0.85, 0.1), (0.15, 0.8))
    logs = [
        log(tmp_path / f"{name}.jsonl", seed, share, rates, 150, samples)
        for seed, (name, share) in enumerate((("a", (0.5, 0.5)), ("b", (0.8, 0.2))))
    ]
    return diagnose(logs, looking(tmp_path), draws=200)


@pytest.mark.parametrize("back", [False, True])
def test_a_label_that_moves_alone_asks_for_a_forced_strategy_probe(tmp_path: Path, back: bool) -> None:
    """Half of the responses are right before and after; only how outcomes are labelled differs."""
    marks = [(0.6, 0.2), (0.9, 0.6)]
    logs: list[Path] = []
    for seed, (right, wrong) in enumerate(marks[::-1] if back else marks):
        share = (right + wrong) / 2
        rates = ((0.5 * right / share, 0.5 * (1 - right) / (1 - share)),) * 2
        logs.append(log(tmp_path / f"{seed}.jsonl", seed, (share, share), rates, 300, 8))
    found = diagnose(logs, looking(tmp_path), draws=200).verdict
    assert found.action == "run a forced-strategy probe"
    assert "A label that moves while nothing else does looks the same" in found.evidence[0]


def test_with_few_responses_headroom_is_not_used_where_problems_differ(tmp_path: Path) -> None:
    found = hidden(tmp_path, 8)
    assert found.by_problem.disagrees
    assert found.verdict.action == "collect more samples"
    assert not any("Headroom in points" in line for line in found.verdict.evidence)


def test_with_sixteen_responses_headroom_is_that_of_each_problem(tmp_path: Path) -> None:
    """By stratum the two strategies are equally good; by problem a fifth of the responses take the wrong one."""
    found = hidden(tmp_path, 16)
    assert found.by_problem.disagrees
    assert found.headroom.after is not None
    assert found.headroom.after.selection.low == 0
    assert found.verdict.action == "continue RL on this mix"
    assert "Headroom in points, problem by problem: before" in found.verdict.evidence[0]
