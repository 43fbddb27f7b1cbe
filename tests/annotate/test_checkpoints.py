"""A single log of several checkpoints: its first and last ones are asked about, as two logs of them would be."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.pool import Responses, read_pool
from stratagem.annotate.session import Session
from stratagem.cli import run
from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.learned.labels import LearnedLabels
from stratagem.records import StratagemError
from tests.annotate.logs import write_logs

LOOK = Look(checkpoint="step")
SHOWN = ["side", "problem_id", "prompt", "completion", "score", "outcome", "weight"]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_logs(tmp_path_factory.mktemp("logs"), 60, 4)


def as_one(logs: list[Path], place: Path, middle: bool = False) -> Path:
    """The two logs as steps 9 and 10 of one, the later one first, with a step between them or without."""
    before, after = (pl.read_ndjson(path).drop("sample") for path in logs)
    steps = [after.with_columns(step=10), before.with_columns(step=9)]
    if middle:
        steps.append(before.with_columns(step=9.5))
        steps = [step.with_columns(pl.col("step").cast(pl.Float64)) for step in steps]
    path = place / "one.jsonl"
    pl.concat(steps).write_ndjson(path)
    return path


def labelled(responses: Responses, true: dict[tuple[str, ...], str], sheet: Path) -> LearnedLabels:
    session = Session(responses, {}, sheet)
    texts = responses.table.select("side", "prompt", "completion")
    for _ in range(60):
        assert session.question
        session.answer(session.question.row, true[texts.row(session.question.row)])
        session.wait()
    assert session.progress.settling is not None
    session.close()
    return LearnedLabels.read(sheet)


@pytest.mark.parametrize("middle", [False, True])
def test_the_pool_is_that_of_two_logs(logs: list[Path], tmp_path: Path, middle: bool) -> None:
    two = read_pool([[path] for path in logs], Look(), ["a", "b"])
    one = read_pool([[as_one(logs, tmp_path, middle)]], LOOK, ["one"])
    assert one.table.select(SHOWN).sort(SHOWN).equals(two.table.select(SHOWN).sort(SHOWN))
    assert (one.read, one.cut, one.by) == (two.read, two.cut, two.by)
    assert one.table.select("side", "problem_id", "sample").is_unique().all()


def test_a_diagnosis_of_checkpoints_takes_the_error_of_each(logs: list[Path], tmp_path: Path) -> None:
    """From the same labels, the same corrected split as of two logs."""
    true: dict[tuple[str, ...], str] = {}
    for side, path in enumerate(logs):
        rows = pl.concat(
            [pl.read_ndjson(path), pl.read_csv(path.with_suffix(".truth.csv"))["true_strategy"].to_frame()],
            how="horizontal",
        )
        true |= {
            (str(side), prompt, completion): way
            for prompt, completion, way in rows.select("prompt", "completion", "true_strategy").iter_rows()
        }
    one = as_one(logs, tmp_path)
    learned = labelled(read_pool([[one]], LOOK, ["one"]), true, tmp_path / "one.csv")
    assert learned.sides == {"0", "1"}
    ones = diagnose([[one]], look=LOOK, labels=learned, draws=200)
    twos = diagnose([[path] for path in logs], labels=learned, draws=200)
    assert ones.label_error is not None
    assert twos.label_error is not None
    left, right = ones.label_error.corrected, twos.label_error.corrected
    assert left is not None
    assert right is not None
    assert left.selection.value == pytest.approx(right.selection.value, abs=1e-12)


def test_what_cannot_be_is_said(logs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(StratagemError, match="--checkpoint goes with a single log"):
        read_pool([[path] for path in logs], LOOK, ["a", "b"])
    only = tmp_path / "only.jsonl"
    pl.read_ndjson(logs[0]).with_columns(step=1).write_ndjson(only)
    for command in ("annotate", "discover"):
        assert run([command, str(only), "--checkpoint", "step"]) == 2
        assert "--checkpoint step: holds one value only" in capsys.readouterr().err
        assert run([command, str(only), "--checkpoint", "epoch"]) == 2
        assert "--checkpoint epoch: no such column" in capsys.readouterr().err
