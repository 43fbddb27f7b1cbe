"""`diagnose` on mutated logs: an answer over the rows that a plain reader finds, or one clear line."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.labelling.rules import read_rules
from stratagem.records import StratagemError
from tests.rollouts import reference


def fuzz(numbers: range, folder: Path) -> int:
    """How many pairs of mutated logs were compared."""
    look = Look(rules=read_rules("math"), score="score")
    answered, refusals = 0, {}
    for number in numbers:
        rng = random.Random(number)
        paths = [folder / f"{name}.jsonl" for name in ("before", "after")]
        expected = []
        for path in paths:
            data = reference.mutated(reference.log(rng), rng)
            path.write_bytes(data)
            expected.append(reference.read(data)[0])
        try:
            diagnosis = diagnose([[path] for path in paths], look, draws=100, sample=0)
        except StratagemError as error:
            refusals[number] = str(error)
            continue
        answered += 1
        for side, rows in zip(diagnosis.sides, expected, strict=True):
            scores = [row[3] for row in rows if row[3] is not None]
            assert side.responses == len(scores), number
    assert [refusal for refusal in refusals.items() if "\n" in refusal[1]] == []
    return answered


def test_mutated_logs_are_diagnosed_or_refused_in_one_line(tmp_path: Path) -> None:
    assert fuzz(range(40), tmp_path) > 30


@pytest.mark.slow
def test_many_mutated_logs_are_diagnosed(tmp_path: Path) -> None:
    assert fuzz(range(1_000, 3_000), tmp_path) > 1_800
