"""What learned labels say of a gain, where the truth is known; and the commands that use them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn", reason="needs the extra learn")

from stratagem.annotate.session import Session
from stratagem.cli import run
from stratagem.decomposition.decompose import decompose_pairs
from stratagem.label_error.calibration import Calibration
from stratagem.label_error.correction import correct_pairs
from stratagem.label_error.quality import validate
from stratagem.learned.sheet import read_labels, text_id
from stratagem.records import TRUNCATED
from stratagem.stats.counts import tally
from stratagem.stats.pairs import pair
from tests.annotate.logs import pool, truth, write_logs
from tests.learned.sessions import learn
from tests.learned.worlds import NAMES, log
from tests.learned.worlds import truth as world_truth


def rows(rng: np.random.Generator, number: int, sides: int = 2) -> pl.DataFrame:
    """Random hand labels, wrong one time in four."""
    true = rng.integers(0, 3, number)
    label = np.where(rng.random(number) < 0.75, true, rng.integers(0, 3, number))
    return pl.DataFrame(
        {
            "side": [str(i) for i in rng.integers(0, sides, number)],
            "outcome": [("wrong", "right")[i] for i in rng.integers(0, 2, number)],
            "strategy": [NAMES[i] for i in label],
            "true_strategy": [NAMES[i] for i in true],
        }
    )


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**16), st.integers(1, 40))
def test_calibrations_are_probabilities_and_gains_stay(seed: int, number: int) -> None:
    rng = np.random.default_rng(seed)
    error = Calibration.of(rows(rng, number), [*NAMES, TRUNCATED], ["0", "1"], {TRUNCATED})
    for table in (error.table, error.draws(rng, 5)):
        assert table.sum(axis=-1) == pytest.approx(1)
        assert (table >= 0).all()
        assert (table[..., -1, :-1] == 0).all()
    logs = [log(rng, side, 12, 3).with_columns(strategy="true_strategy") for side in (0, 1)]
    pairs = pair(*(tally(table, (), "") for table in logs), ())
    corrected = correct_pairs(pairs, error, rng=rng, draws=20)
    plain = decompose_pairs(pairs, rng=rng, draws=20)
    parts = corrected.selection.value + corrected.improvement.value + corrected.new_strategy.value
    assert parts == pytest.approx(corrected.gain.value, abs=1e-12)
    assert corrected.gain.value == pytest.approx(plain.gain.value, abs=1e-12)
    assert (corrected.alone, corrected.moved) == (0.0, 0.0)


def test_a_sheet_of_every_response_gives_the_true_shares() -> None:
    rng = np.random.default_rng(0)
    logs = [log(rng, side, 400, 4) for side in (0, 1)]
    flipped = rng.random(1600) < 0.3
    labels = [
        table.with_columns(
            strategy=pl.when(pl.Series(flipped)).then(pl.lit(NAMES[0])).otherwise("true_strategy"),
            outcome=pl.when(pl.col("score") >= 0.5).then(pl.lit("right")).otherwise(pl.lit("wrong")),
        )
        for table in logs
    ]
    error = Calibration.of(pl.concat(labels), NAMES, ["0", "1"])
    seen = pair(*(tally(table, (), "") for table in labels), ())
    true = pair(*(tally(t.with_columns(strategy="true_strategy"), (), "") for t in logs), ())
    corrected = correct_pairs(seen, error, rng=rng, draws=0)
    known = decompose_pairs(true, rng=rng, draws=0)
    # But for the prior, which weighs one response of a cell.
    as_labelled = decompose_pairs(seen, rng=rng, draws=0)
    assert abs(as_labelled.selection.value - known.selection.value) > 0.03
    for name in ("selection", "improvement", "new_strategy"):
        assert getattr(corrected, name).value == pytest.approx(getattr(known, name).value, abs=0.01)


def test_quality_is_that_of_the_random_sample_weighted_by_what_it_stands_for() -> None:
    rng = np.random.default_rng(1)
    whole = pl.concat([log(rng, side, 60, 3) for side in (0, 1)])
    learned = learn(whole, rng, 80)
    labelled = learned.label(whole)
    counts = [tally(labelled.filter(side=side), (), "") for side in "01"]
    quality, _ = learned.measured(counts, ("0", "1"), 0.95)
    assert quality.overall.labelled == (learned.hand["asked"] == "random").sum()
    assert quality.overall.confusion.sum() == pytest.approx(whole.height, rel=0.1)
    # By hand: each random row weighs as many responses as the log holds of its side, outcome and label.
    random = learned.hand.filter(asked="random")
    cell = ["side", "outcome", "strategy"]
    right = pl.when(pl.col("score") >= 0.5).then(pl.lit("right")).otherwise(pl.lit("wrong"))
    sizes = labelled.with_columns(outcome=right).group_by(cell).len()
    weighed = random.join(sizes, on=cell).with_columns(weight=pl.col("len") / pl.len().over(cell))
    same = weighed.filter(pl.col("strategy") == pl.col("true_strategy"))["weight"].sum()
    assert quality.overall.agreement.value == pytest.approx(same / weighed["weight"].sum())


def test_hand_labelled_responses_get_the_label_of_a_model_that_has_not_seen_them() -> None:
    rng = np.random.default_rng(2)
    whole = pl.concat([log(rng, side, 30, 3) for side in (0, 1)])
    learned = learn(whole, rng, 60)
    labelled = learned.label(whole.with_columns(finish_reason=pl.lit("stop")))
    ids = [text_id(*texts) for texts in whole.select("prompt", "completion").iter_rows()]
    given = dict(zip(ids, labelled["strategy"], strict=True))
    assert [given[name] for name in learned.hand["text_id"]] == learned.hand["strategy"].to_list()
    assert (learned.hand["strategy"] != learned.hand["true_strategy"]).any()
    cut = learned.label(whole.with_columns(finish_reason=pl.lit("length")))
    assert set(cut["strategy"]) == {TRUNCATED}


@pytest.mark.slow
def test_corrected_intervals_hold_the_truth() -> None:
    known, held = world_truth(), []
    for seed in range(100):
        rng = np.random.default_rng([seed, 5])
        logs = [log(rng, side, 150, 4) for side in (0, 1)]
        learned = learn(pl.concat(logs), rng, 150)
        counts = [tally(learned.label(table), (), "") for table in logs]
        _, error = learned.measured(counts, ("0", "1"), 0.95)
        found = correct_pairs(pair(*counts, ()), error, rng=rng, draws=300)
        terms = zip((found.selection, found.improvement), known, strict=True)
        held.append([term.low <= true <= term.high for term, true in terms])
    assert (np.mean(held, axis=0) >= 0.9).all()


def labelled_sheet(folder: Path, name: str = "labels.csv", number: int = 60, slip: float = 0.0) -> Path:
    """A sheet by somebody who errs as often as `slip`."""
    logs = [folder / f"{side}.jsonl" for side in ("before", "after")]
    responses = pool(logs)
    known, rng = truth(logs, responses), np.random.default_rng(3)
    session = Session(responses, {}, folder / name)
    for _ in range(number):
        assert session.question
        wrong = rng.random() < slip
        session.answer(session.question.row, NAMES[0] if wrong else known[session.question.row])
        session.wait()
    session.close()
    return folder / name


def test_diagnose_and_decompose_learn_from_the_sheet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path, 60)
    labelled_sheet(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert (
        run(["diagnose", "before.jsonl", "after.jsonl", "--labels", "labels.csv", "--draws", "200", "--json"])
        == 0
    )
    result = json.loads(capsys.readouterr().out)
    assert result["strategies_from"] == "labels.csv"
    error = result["comparisons"][0]["label_error"]
    assert error["refused"] is None
    corrected = error["corrected"]
    assert corrected["selection"]["low"] < corrected["selection"]["value"] < corrected["selection"]["high"]
    assert error["quality"]["scopes"][0]["labelled"] == 24
    plain = result["comparisons"][0]["selection"]
    assert corrected["selection"]["high"] - corrected["selection"]["low"] > plain["high"] - plain["low"]
    assert "Cohen's kappa" in (tmp_path / "diagnosis" / "report.html").read_text()
    for name in ("before", "after"):
        assert run(["label", f"{name}.jsonl", "--strategies", "labels.csv"]) == 0
    capsys.readouterr()
    tables = [f"{name}.labelled.parquet" for name in ("before", "after")]
    assert run(["decompose", *tables, "--labels", "labels.csv", "--draws", "200", "--json"]) == 0
    split = json.loads(capsys.readouterr().out)
    assert split["selection"]["value"] == pytest.approx(plain["value"])
    assert split["corrected"]["selection"]["value"] == pytest.approx(corrected["selection"]["value"])
    assert run(["decompose", *tables, "--labels", "labels.csv", "--draws", "200"]) == 0
    said = capsys.readouterr().out
    assert "24 responses labelled by hand" in said
    assert run(["validate-labels", "labels.csv"]) == 0
    assert "Cohen's kappa" in capsys.readouterr().out
    assert (
        run(["diagnose", "before.jsonl", "after.jsonl", "--labels", "labels.csv", "--strategies", "math"])
        == 2
    )
    assert "leave out --strategies" in capsys.readouterr().err


def test_two_people_s_sheets_merge_with_their_agreement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path)
    mine = read_labels(labelled_sheet(tmp_path, "mine.csv", 40))
    hers = read_labels(labelled_sheet(tmp_path, "hers.csv", 30, slip=0.3))
    monkeypatch.chdir(tmp_path)
    assert run(["validate-labels", "mine.csv", "hers.csv", "--out", "both.csv", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    both = mine.join(hers, on="text_id", suffix="_hers")
    differ = both.filter(pl.col("true_strategy") != pl.col("true_strategy_hers"))
    assert said["both"] == both.height >= 20
    assert len(said["apart"]) == differ.height > 0
    oracle = validate(both.select(strategy="true_strategy_hers", true_strategy="true_strategy"))
    assert said["kappa"]["value"] == pytest.approx(oracle.overall.kappa.value)
    merged = read_labels(tmp_path / "both.csv")
    assert merged.height == said["responses"] == mine.height + hers.height - both.height - differ.height
    assert not set(merged["text_id"]) & set(differ["text_id"])
    asked = [tmp_path / f"{name}.jsonl" for name in ("before", "after")]
    session = Session(pool(asked), {}, tmp_path / "both.csv")
    assert session.labelled == merged.height
    session.close()
    assert run(["validate-labels", "mine.csv", "hers.csv", "--out", "both.csv"]) == 2
    assert "exists" in capsys.readouterr().err
    assert run(["validate-labels", "mine.csv", "hers.csv"]) == 0
    assert "called differently" in capsys.readouterr().out


def test_bad_sheets_and_missing_scikit_learn_are_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_logs(tmp_path, 10)
    path = labelled_sheet(tmp_path, number=3)
    monkeypatch.chdir(tmp_path)
    assert run(["diagnose", "before.jsonl", "after.jsonl", "--labels", "labels.csv"]) == 2
    assert "too few labels to learn from" in capsys.readouterr().err
    path.write_text(path.read_text(encoding="utf-8-sig").replace('"random"', '"sometime"'))
    assert run(["validate-labels", "labels.csv"]) == 2
    assert "must be random or chosen" in capsys.readouterr().err
    for words in (["annotate"], ["annotate", "before.jsonl", "--out", "x.txt"], ["annotate", "none.jsonl"]):
        assert run(words) == 2
        assert capsys.readouterr().err.count("\n") == 1
    code = (
        "import sys\n"
        "sys.modules['sklearn'] = sys.modules['sklearn.linear_model'] = None\n"
        "from stratagem.learned.model import fit\n"
        "from stratagem.learned.features import read_texts\n"
        "fit(read_texts(['a'] * 4, [''] * 4), ['a', 'a', 'b', 'b'])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "pip install 'stratagem[learn]'" in done.stderr
