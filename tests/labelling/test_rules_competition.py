"""The set math on answers to MATH-500, against labels of readers (docs/rules.md says how)."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stratagem.label_error.quality import validate
from stratagem.labelling.rules import label_frame, read_rules

DATA = Path(__file__).parents[3] / "shared" / "data" / "math-500"
FIXTURES = Path(__file__).parent / "fixtures"
# What was measured, by part of the sample: responses, and those labelled as by the first reader.
MEASURED = {"first": (100, 74), "written": (100, 74), "held out": (100, 73)}

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs {DATA}: benchmarks/public_rollouts.py makes it, not part of the project"
)


def hand() -> pl.DataFrame:
    first, later = (
        pl.read_csv(FIXTURES / f"math_500_{name}_labels.csv", schema_overrides={"problem_id": pl.String})
        for name in ("hand", "later")
    )
    return pl.concat([first.with_columns(part=pl.lit("first")).select(later.columns), later])


def test_the_labels_are_names_of_the_set_for_responses_to_different_problems() -> None:
    names = {rule.name for rule in read_rules("math").strategies} | {"other", "unparsed"}
    labels = hand()
    assert set(labels["strategy"]) | set(labels["second"].drop_nulls()) <= names
    later = labels.filter(pl.col("part") != "first")
    assert later["problem_id"].n_unique() == later.height
    assert not set(later["problem_id"]) & set(labels.filter(part="first")["problem_id"])


@pytest.mark.parametrize(("part", "agreement", "kappa"), [("first", 0.94, 0.92), ("held out", 0.97, 0.96)])
def test_two_readers_agree(part: str, agreement: float, kappa: float) -> None:
    rows = hand().filter(part=part).select(true_strategy="strategy", strategy="second")
    whole = validate(rows).overall
    assert whole.agreement.value == pytest.approx(agreement)
    assert whole.kappa.value == pytest.approx(kappa, abs=0.005)


@needs_data
def test_labels_agree_with_the_reader() -> None:
    logs = [
        pl.read_ndjson(DATA / f"{side}.jsonl").with_columns(
            pl.col("problem_id").cast(pl.String), side=pl.lit(side)
        )
        for side in ("before", "after")
    ]
    joined = hand().rename({"strategy": "by_hand"}).join(pl.concat(logs), on=["side", "problem_id"])
    labelled = label_frame(joined, read_rules("math"), evidence=False)
    for (part,), rows in labelled.group_by("part"):
        n, right = MEASURED[str(part)]
        assert rows.height == n
        assert (rows["strategy"] == rows["by_hand"]).sum() >= right
