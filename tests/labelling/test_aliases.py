"""Names that strategies of a starter set had before are read as those of today, and nobody else's are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.label_error.sheet import read_sheet, sheet, write_sheet
from stratagem.labelling.aliases import renamed
from stratagem.labelling.ruleset import rule_set
from stratagem.records import StratagemError

OLD = {"direct": "worked_out", "outline": "answer_only"}


def test_only_labels_of_a_starter_set_are_renamed() -> None:
    assert renamed(["direct", "outline", "equations", "other", None, "unparsed"]) == OLD
    assert renamed(["direct", "cases"]) == {"direct": "worked_out"}
    assert renamed(["worked_out", "direct"]) == {"direct": "worked_out"}
    assert renamed(["direct", "by_hand"]) == {}  # somebody's own labels
    assert renamed(["worked_out", "cases"]) == {}
    assert renamed([]) == {}


def responses(names: list[str]) -> pl.DataFrame:
    rows = 60
    return pl.DataFrame(
        {
            "problem_id": [f"p{i % 20:02d}" for i in range(rows)],
            "sample": [i // 20 for i in range(rows)],
            "prompt": [f"question {i % 20}" for i in range(rows)],
            "completion": [f"text {i}" for i in range(rows)],
            "score": [float(i % 3 > 0) for i in range(rows)],
            "strategy": [names[i % len(names)] for i in range(rows)],
        }
    )


def test_a_log_that_was_labelled_before_joins_one_of_today(tmp_path: Path) -> None:
    for name, strategies in (("old", ["direct", "outline"]), ("new", ["worked_out", "answer_only"])):
        rows = responses(strategies).to_dicts()
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = diagnose([tmp_path / "old.jsonl", tmp_path / "new.jsonl"], draws=100)
    assert {row.strategy for row in found.strategies} == set(OLD.values())
    assert found.unsupported == ()


def test_a_sheet_of_before_is_read_by_todays_names(tmp_path: Path) -> None:
    drawn = sheet(responses(["direct", "outline"]), 20, np.random.default_rng(0))
    write_sheet(drawn.with_columns(true_strategy=pl.col("strategy")), tmp_path / "sheet.csv")
    read = read_sheet(tmp_path / "sheet.csv")
    assert set(read["strategy"]) == set(read["true_strategy"]) == set(OLD.values())


@pytest.mark.parametrize("alias", ["b", "other", "seen"])
def test_an_alias_is_nobody_elses_name(alias: str) -> None:
    rule = {"description": "x", "any": ["x"]}
    document = {"strategies": {"a": rule | {"aliases": [alias]}, "b": rule}, "behaviours": {"seen": rule}}
    with pytest.raises(StratagemError, match=f"strategies.a: alias '{alias}' is the name of another"):
        rule_set(document, "mine", "mine.toml")
