"""The math set on real responses, against labels made by hand (docs/rules.md says how)."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from stratagem.labelling.aliases import renamed
from stratagem.labelling.rules import label_frame, read_rules

DATA = Path(__file__).parents[3] / "shared" / "data" / "algebra-rl"
HAND = Path(__file__).parent / "fixtures" / "algebra_hand_labels.csv"
# What was measured, by part of the sample: responses, those labelled as by hand, macro-averaged recall.
MEASURED = {"written": (72, 70, 0.969), "held out": (72, 72, 1.0), "drawn later": (54, 54, 1.0)}

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs {DATA}: real responses, not part of the project"
)


def labelled() -> pl.DataFrame:
    hand = pl.read_csv(HAND).rename({"strategy": "by_hand"})
    hand = hand.with_columns(
        pl.col("by_hand").replace(renamed(hand["by_hand"]))
    )  # labelled when names were others
    texts = pl.concat(
        pl.read_parquet(DATA / f"{name}.parquet").with_columns(file=pl.lit(name))
        for name in hand["file"].unique()
    ).select("file", "prompt_id", "sample", "completion")
    keys = ["file", "prompt_id", "sample"]
    joined = hand.join(texts.unique(keys, maintain_order=True), on=keys, how="left", maintain_order="left")
    assert joined["completion"].null_count() == 0
    return label_frame(joined, read_rules("math"))


def test_labels_agree_with_those_made_by_hand() -> None:
    for (part,), rows in labelled().group_by("part"):
        n, right, recall = MEASURED[str(part)]
        agree = rows["strategy"] == rows["by_hand"]
        by_class = rows.group_by("by_hand").agg(
            (pl.col("strategy") == pl.col("by_hand")).mean().alias("recall")
        )
        assert rows.height == n
        assert agree.sum() >= right, rows.filter(~agree).select("file", "prompt_id", "by_hand", "strategy")
        assert by_class["recall"].mean() >= recall - 5e-4  # type: ignore[operator]


def test_verification_agrees_with_the_hand() -> None:
    rows = labelled()
    verifies = rows["behaviours"].list.contains("verification")
    assert verifies.sum() == (verifies & rows["verification"]).sum() == rows["verification"].sum() == 3


def test_the_three_logs_hold_what_was_seen() -> None:
    rules = read_rules("math")
    shares: dict[str, dict[str, float]] = {}
    for name in ("before", "after_algorithmic", "after_games"):
        rows = label_frame(pl.read_parquet(DATA / f"{name}.parquet"), rules, evidence=False)
        counts = dict(rows["strategy"].value_counts(normalize=True).iter_rows())
        forms = rows["behaviours"].explode().value_counts()
        shares[name] = counts | {key: n / rows.height for key, n in forms.drop_nulls().iter_rows()}
        assert counts.get("other", 0) < 0.005
    # Before RL more than a third only says what is to be done, and a fifth answers with an equation.
    assert shares["before"]["answer_only"] > 0.35 > 0.06 > shares["after_algorithmic"]["answer_only"]
    assert shares["before"]["answer_as_equation"] > 0.15 > 0.01 > shares["after_games"]["answer_as_equation"]
    assert shares["before"]["unparsed"] > 0.01 > shares["after_games"]["unparsed"]
