"""Logs that are cut short: refused in a line, or read with a line that says what is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.hostile import cut

pytestmark = pytest.mark.filterwarnings("error")


def test_every_container_cut_at_some_places(tmp_path: Path) -> None:
    counts, wrong = cut.run(cut.made_logs(), 12, tmp_path)
    assert not wrong, wrong
    came = Counter(came for _, came in counts.elements())
    assert min(came["refused"], came["said"], came["plain"]) > 20, came


@pytest.mark.skipif(not cut.shared_logs(), reason="small logs in many forms are not in this checkout")
def test_logs_of_many_forms_cut_at_some_places(tmp_path: Path) -> None:
    counts, wrong = cut.run(cut.read_shared_logs(), 2, tmp_path)
    assert not wrong, wrong
    assert counts


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_every_log_cut_at_many_places(tmp_path: Path) -> None:
    for logs, most in ((cut.made_logs(), 400), (cut.read_shared_logs(), 60)):
        counts, wrong = cut.run(logs, most, tmp_path)
        print(Counter(came for _, came in counts.elements()))
        assert not wrong, wrong


@pytest.mark.parametrize(
    ("rows", "left_out", "said"),
    [
        (9, 0, "in silence"),
        (11, 0, "11 rows, and 10"),
    ],
)
def test_what_is_missing_in_silence_is_seen(rows: int, left_out: int, said: str) -> None:
    """Else the suite would say nothing."""
    whole = cut.Said(10, 0)
    with pytest.raises(cut.Wrong, match=said):
        cut.check(None, whole, cut.Said(rows, left_out))
    with pytest.raises(cut.Wrong, match="a plain reader finds"):
        cut.check((8, 1), whole, cut.Said(8, 0))
    assert cut.check(None, whole, cut.Said(9, 1)) == "said"
