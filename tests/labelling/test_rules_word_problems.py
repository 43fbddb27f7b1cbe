"""The set word-problems on real responses, against labels of two readers (docs/rules.md says how)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from stratagem.labelling.rules import label_frame, read_rules

DATA = Path(__file__).parents[3] / "shared" / "data" / "gsm8k-rl"
LABELS = pl.read_csv(Path(__file__).parent / "fixtures" / "word_problem_labels.csv")
# What was measured, by part of the sample: responses, and those labelled as the readers did.
MEASURED = {"written": (100, 97), "held out": (100, 93), "drawn later": (100, 94)}
COUNTED = {"several_attempts", "many_attempts", "switches_strategy", "returns_to_strategy"}

needs_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"needs {DATA}: real responses, not part of the project"
)


def responses(side: str) -> pl.DataFrame:
    with gzip.open(DATA / f"{side}.jsonl.gz", "rt") as lines:
        rows = [json.loads(line) for line in lines]
    return pl.DataFrame(
        {"side": side, "idx": [r["idx"] for r in rows], "completion": [r["code"][0] for r in rows]}
    )


def test_the_two_readers_agree() -> None:
    """Kappa of 200 responses, from its definition; docs/rules.md has it with its interval."""
    both = LABELS.drop_nulls("reader_b")
    assert both.height == 200
    same = float((both["reader_a"] == both["reader_b"]).mean())  # type: ignore[arg-type]
    shares = [
        dict(both[reader].value_counts(normalize=True).iter_rows()) for reader in ("reader_a", "reader_b")
    ]
    by_chance = sum(share * shares[1].get(name, 0.0) for name, share in shares[0].items())
    assert (same - by_chance) / (1 - by_chance) == pytest.approx(0.983, abs=5e-4)
    strategies = {rule.name for rule in read_rules("word-problems").strategies}
    assert set(LABELS["strategy"]) <= strategies


@needs_data
def test_labels_agree_with_the_readers() -> None:
    texts = pl.concat([responses("before"), responses("after")])
    joined = LABELS.rename({"strategy": "by_readers"}).join(texts, on=["side", "idx"], maintain_order="left")
    labelled = label_frame(joined, read_rules("word-problems"))
    for (part,), rows in labelled.group_by("part"):
        n, right = MEASURED[str(part)]
        agree = rows["strategy"] == rows["by_readers"]
        assert rows.height == n
        assert agree.sum() >= right, rows.filter(~agree).select("side", "idx", "by_readers", "strategy")


@needs_data
@pytest.mark.parametrize("side", ["before", "after"])
def test_word_problems_do_not_end_in_one_strategy(side: str) -> None:
    labelled = label_frame(responses(side), read_rules("word-problems"), evidence=False)
    shares = dict(labelled["strategy"].value_counts(normalize=True).iter_rows())
    assert max(shares.values()) < 0.56
    assert shares.get("other", 0.0) == shares.get("answer_only", 0.0) == 0.0
    # Four responses after RL were cut off before they gave an answer; none is lost where the server cut the tag.
    assert labelled.filter(pl.col("strategy") == "unparsed").height == {"before": 0, "after": 4}[side]


@needs_data
@pytest.mark.parametrize("tail", ["</answer>", "</answer", "</", "<", ""])
def test_an_answer_is_read_wherever_the_server_cut_its_tag(tail: str) -> None:
    texts = responses("after").with_columns(pl.col("completion") + tail)
    assert (
        label_frame(texts, read_rules("word-problems"), evidence=False)["strategy"] == "unparsed"
    ).sum() == 4


def test_what_both_sets_have_is_the_same_in_both() -> None:
    math, finer = read_rules("math"), read_rules("word-problems")
    assert (finer.parts, finer.unfit) == (math.parts, math.unfit)
    ours = {rule.name: rule for rule in finer.behaviours}
    assert [ours[rule.name] for rule in math.behaviours] == list(math.behaviours)
    assert set(ours) - {rule.name for rule in math.behaviours} == COUNTED | {"check_by_substitution"}
