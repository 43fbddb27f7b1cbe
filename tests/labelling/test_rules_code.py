"""The set code on rollouts of HumanEval, against labels of one reader (docs/rules.md says how)."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stratagem.labelling.rules import label_frame, read_rules

DATA = Path(__file__).parents[3] / "shared" / "data" / "humaneval"
HAND = Path(__file__).parent / "fixtures" / "humaneval_hand_labels.csv"
# What was measured, by part of the sample: responses, and those labelled as by hand.
MEASURED = {"written": (75, 60), "held out": (75, 56)}

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs {DATA}: benchmarks/public_rollouts.py makes it, not part of the project"
)


def test_the_hand_labels_are_names_of_the_set() -> None:
    names = {rule.name for rule in read_rules("code").strategies} | {"other", "unparsed"}
    assert set(pl.read_csv(HAND)["strategy"]) <= names


@needs_data
def test_labels_agree_with_the_reader() -> None:
    logs = [
        pl.read_ndjson(DATA / f"{side}.jsonl").with_columns(side=pl.lit(side)) for side in ("before", "after")
    ]
    hand = pl.read_csv(HAND).rename({"strategy": "by_hand"})
    joined = hand.join(pl.concat(logs), on=["side", "problem_id", "sample"], maintain_order="left")
    labelled = label_frame(joined, read_rules("code"))
    for (part,), rows in labelled.group_by("part"):
        n, right = MEASURED[str(part)]
        assert rows.height == n
        assert (rows["strategy"] == rows["by_hand"]).sum() >= right
