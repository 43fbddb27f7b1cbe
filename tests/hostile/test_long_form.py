"""Generated inputs of every kind through the command line: read as a plain reader does, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.hostile.forms import Found, Row
from tests.hostile.inputs import Input
from tests.hostile.long_form import ALL, Wrong, make, outcome, run, table

pytestmark = pytest.mark.filterwarnings("error")


def test_some_hundred_inputs(tmp_path: Path) -> None:
    counts, faults = run(range(250), tmp_path)
    assert not faults, faults
    assert sum(number for (_, came), number in counts.items() if came == "read") > 150, table(counts)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_twenty_thousand_inputs(tmp_path: Path) -> None:
    counts, faults = run(range(20_000), tmp_path)
    print(table(counts))
    assert not faults, faults


def test_a_number_is_an_input(tmp_path: Path) -> None:
    """The same one each time, and every kind is among the first few hundred."""
    for number in range(30):
        for place in ("a", "b"):
            (tmp_path / place / str(number)).mkdir(parents=True)
        one, again = (make(number, tmp_path / place / str(number)) for place in ("a", "b"))
        assert one == again
    kinds = {kind for kind, (weight, _) in ALL.items() if weight >= 1}
    assert len(kinds) > 10


def log(folder: Path, rows: int) -> None:
    lines = [
        {"problem_id": f"p{i // 2}", "prompt": f"q{i // 2}", "completion": f"c{i}", "score": i % 2}
        for i in range(rows)
    ]
    (folder / "log").write_text("".join(json.dumps(line) + "\n" for line in lines))


def found(rows: int, right: float = 1.0) -> Found:
    return Found([Row(f"p{i // 2}", f"q{i // 2}", i % 2 * right) for i in range(rows)], 0)


@pytest.mark.parametrize("command", ["rollouts", "passk"])
def test_a_wrong_number_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    """Else the suite would say nothing."""
    monkeypatch.chdir(tmp_path)
    log(tmp_path, 10)
    assert outcome(Input("", (command, "log"), found(10))) == "read"
    for other in (
        found(10, right=0.5),
        found(9),
        Found(found(10).rows, 1) if command == "rollouts" else found(8, right=0),
    ):
        with pytest.raises(Wrong, match="a plain reader finds"):
            outcome(Input("", (command, "log"), other))


def test_a_refusal_of_what_can_be_read_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "log").write_text("no log\n")
    with pytest.raises(Wrong, match="10 rows are whole"):
        outcome(Input("", ("rollouts", "log"), found(10)))
    with pytest.raises(Wrong, match="names none of"):
        outcome(Input("", ("rollouts", "log"), named=("another",)))
    assert outcome(Input("", ("rollouts", "log"))) == "refused"
