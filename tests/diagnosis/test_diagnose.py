"""From logs to the answer, on logs whose truth is known and on real ones."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from stratagem.diagnosis.diagnose import diagnose
from stratagem.diagnosis.side import Look
from stratagem.labelling.rules import read_rules
from stratagem.records import StratagemError
from stratagem.report.diagnosis import render

DATA = Path(__file__).parents[3] / "shared" / "data"
real = pytest.mark.skipif(not DATA.exists(), reason="real rollouts are not in this checkout")

RULES = """
[strategies.forward]
description = "goes forward"
any = ["forward"]

[strategies.backward]
description = "goes backward"
any = ["backward"]

[behaviours.checks]
description = "checks the answer"
any = ["let me check"]
"""


def log(
    path: Path,
    shares: dict[str, tuple[float, float]],
    problems: int = 60,
    samples: int = 4,
    seed: int = 0,
    **more: object,
) -> Path:
    """A log in which each strategy has the share and the accuracy given, exactly, by dealing responses in turn.

    Args:
        shares: strategy: (share, accuracy).
    """
    rng = np.random.default_rng(seed)
    names = [name for name, (share, _) in shares.items() for _ in range(round(share * problems * samples))]
    assert len(names) == problems * samples
    right = {
        name: rng.permutation(
            [1.0] * round(accuracy * names.count(name))
            + [0.0] * (names.count(name) - round(accuracy * names.count(name)))
        ).tolist()
        for name, (_, accuracy) in shares.items()
    }
    with path.open("w") as file:
        for i, name in enumerate(rng.permutation(names).tolist()):
            record = {
                "prompt": f"problem {i % problems}",
                "response": f"I go {name}. {'Let me check. let me check ' if i % 2 else ''}The end.",
                "score": right[name].pop(),
                **more,
            }
            file.write(json.dumps(record) + "\n")
    return path


@pytest.fixture
def rules(tmp_path: Path) -> Look:
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    return Look(rules=read_rules(path))


@pytest.fixture
def routed(tmp_path: Path) -> list[Path]:
    """Half and half before; after, forward alone, as good as it was: all of the gain is selection."""
    return [
        log(tmp_path / "before.jsonl", {"forward": (0.5, 0.9), "backward": (0.5, 0.1)}),
        log(tmp_path / "after.jsonl", {"forward": (1.0, 0.9)}, seed=1),
    ]


def test_a_pure_change_of_routing_is_selection(routed: list[Path], rules: Look) -> None:
    diagnosis = diagnose(routed, rules, draws=500)
    assert diagnosis.gain.value == pytest.approx(0.4)
    assert diagnosis.selection.value == pytest.approx(0.4)
    assert diagnosis.improvement.value == pytest.approx(0.0, abs=1e-12)
    assert diagnosis.lead == "selection"
    parts = (term.value for term in (diagnosis.selection, diagnosis.improvement, diagnosis.new_strategy))
    assert sum(parts) == pytest.approx(diagnosis.gain.value, abs=1e-12)
    shares = {row.strategy: [row.share_before.value, row.share_after.value] for row in diagnosis.strategies}
    assert shares == {"forward": pytest.approx([0.5, 1.0]), "backward": pytest.approx([0.5, 0.0])}
    assert "more by choice than by improvement, problem by problem" in diagnosis.verdict.sentence
    assert diagnosis.join == "prompt"
    assert diagnosis.problems == 60


def test_a_pure_change_of_execution_is_improvement(tmp_path: Path, rules: Look) -> None:
    before = log(tmp_path / "a.jsonl", {"forward": (0.5, 0.5), "backward": (0.5, 0.2)})
    after = log(tmp_path / "b.jsonl", {"forward": (0.5, 0.9), "backward": (0.5, 0.6)}, seed=1)
    diagnosis = diagnose([before, after], rules, draws=500)
    assert diagnosis.improvement.value == pytest.approx(0.4)
    assert diagnosis.selection.value == pytest.approx(0.0, abs=1e-12)
    assert diagnosis.lead == "improvement"


def test_swapping_the_sides_turns_the_gain_round(routed: list[Path], rules: Look) -> None:
    there = diagnose(routed, rules, draws=100)
    back = diagnose(routed[::-1], rules, draws=100)
    assert back.gain.value == -there.gain.value
    # What selection brought, reverse order, is what it takes away on the way back: here backward is gone, so bounds.
    low, high = back.symmetric.selection.ends
    assert low - 1e-12 <= 0 <= high + 1e-12 or high < 0


def test_the_same_log_twice_has_no_gain(routed: list[Path], rules: Look) -> None:
    diagnosis = diagnose([routed[0], routed[0]], rules, names=["a", "b"], draws=100)
    assert diagnosis.gain.value == 0
    assert diagnosis.gain.se == 0


def test_several_logs_are_compared_with_the_first_and_with_each_other(tmp_path: Path, rules: Look) -> None:
    logs = [
        log(tmp_path / f"{name}.jsonl", {"forward": (share, 0.9), "backward": (1 - share, 0.1)}, seed=i)
        for i, (name, share) in enumerate([("base", 0.25), ("sft", 0.5), ("rl", 1.0)])
    ]
    diagnosis = diagnose(logs, rules, draws=100)
    pairs = [(comparison.before, comparison.after) for comparison in diagnosis.comparisons]
    assert pairs == [("base", "sft"), ("base", "rl"), ("sft", "rl")]
    steps = [step.gain.value for step in diagnosis.path.steps]
    assert steps == pytest.approx([0.2, 0.4])
    assert diagnosis.gain.value == pytest.approx(0.6)  # the whole way stands at the top


def test_one_log_with_checkpoints_is_a_path(tmp_path: Path, rules: Look) -> None:
    parts = []
    for step, share in enumerate([0.25, 0.5, 1.0]):
        part = log(
            tmp_path / "part.jsonl",
            {"forward": (share, 0.9), "backward": (1 - share, 0.1)},
            seed=step,
            step=10 * step,
        )
        parts.append(part.read_text())
    whole = tmp_path / "whole.jsonl"
    whole.write_text("".join(parts))
    look = Look(rules=rules.rules, checkpoint="step")
    diagnosis = diagnose([whole], look, draws=100)
    assert [(step.before, step.after) for step in diagnosis.path.steps] == [("0", "10"), ("10", "20")]
    assert sum(step.gain.value for step in diagnosis.path.steps) == pytest.approx(0.6)
    assert diagnosis.gain.value == pytest.approx(0.6)


def test_a_training_log_that_repeats_no_problem_is_compared_by_strata(tmp_path: Path, rules: Look) -> None:
    text = ""
    for step, share in enumerate([0.25, 0.5, 0.75, 1.0]):
        for kind in ("easy", "hard"):
            shares = {"forward": (share, 0.9), "backward": (1 - share, 0.1)}
            part = log(tmp_path / "part.jsonl", shares, seed=step, step=10 * step, kind=kind)
            text += part.read_text().replace('"problem ', f'"problem {kind} {step} ')
    whole = tmp_path / "whole.jsonl"
    whole.write_text(text)
    diagnosis = diagnose([whole], Look(rules=rules.rules, checkpoint="step"), draws=200)
    assert (diagnosis.paired, diagnosis.by, diagnosis.problems) == (False, ("kind",), 120)
    assert diagnosis.selection.value == pytest.approx(0.6)
    assert diagnosis.selection.low > 0.5
    assert diagnosis.improvement.value == pytest.approx(0.0, abs=1e-12)
    assert diagnosis.lead == "selection"
    assert "The problems before are not those after" in diagnosis.verdict.sentence
    assert [row.behaviour for row in diagnosis.behaviours] == ["checks"]
    assert not diagnosis.path.paired
    assert diagnosis.path.along.gain.value == pytest.approx(0.6)
    page = render(diagnosis, None)
    assert "tried only where the problems are the same" in page


def test_other_problems_are_compared_by_strata_if_asked(routed: list[Path], rules: Look) -> None:
    pairs = diagnose(routed, rules, draws=200)
    apart = diagnose(routed, Look(rules=rules.rules, join="none"), draws=200)
    assert apart.paired is False
    assert apart.selection.value == pytest.approx(pairs.selection.value)
    assert apart.sample is not None
    assert apart.sample["problem_id"].n_unique() == 120  # no problem is on both sides
    other = routed[1].with_name("other.jsonl")
    other.write_text(routed[1].read_text().replace('"problem ', '"question '))
    with pytest.raises(StratagemError, match="with --join none"):
        diagnose([routed[0], other], rules)
    assert diagnose([routed[0], other], Look(rules=rules.rules, join="none"), draws=100).gain.low > 0


def test_many_checkpoints_are_joined_into_runs(tmp_path: Path, rules: Look) -> None:
    text = "".join(
        log(
            tmp_path / "part.jsonl",
            {"forward": (0.5, 0.5), "backward": (0.5, 0.5)},
            problems=8,
            samples=4,
            seed=step,
            step=step,
        ).read_text()
        for step in range(30)
    )
    whole = tmp_path / "whole.jsonl"
    whole.write_text(text)
    diagnosis = diagnose([whole], Look(rules=rules.rules, checkpoint="checkpoint"), draws=100)
    assert len(diagnosis.path.steps) == 9
    assert diagnosis.path.steps[0].before == "0-2"


def test_the_table_holds_every_response_and_no_text_means_none(
    routed: list[Path], rules: Look, tmp_path: Path
) -> None:
    table = tmp_path / "labelled.parquet"
    diagnosis = diagnose(routed, rules, draws=100, table=table)
    whole = pl.read_parquet(table)
    assert whole.height == 480
    assert whole["strategy"].value_counts().sort("strategy")["count"].to_list() == [120, 360]
    assert diagnosis.sample is not None
    assert set(diagnosis.sample["problem_id"]) <= {str(k) for k in whole["problem_id"]} | set(
        diagnosis.sample["problem_id"]
    )
    bare = diagnose(routed, rules, draws=100, table=table, texts=False)
    assert bare.sample is None
    assert not {"prompt", "completion", "evidence"} & set(pl.read_parquet(table).columns)
    assert bare.gain == diagnosis.gain
    assert not list(tmp_path.glob(".labelled*"))


def test_the_same_seed_gives_the_same_summary(routed: list[Path], rules: Look) -> None:
    assert diagnose(routed, rules, draws=200).as_dict() == diagnose(routed, rules, draws=200).as_dict()


def test_what_differs_between_the_sides_is_said(tmp_path: Path, rules: Look) -> None:
    logs = [
        log(tmp_path / f"{t}.jsonl", {"forward": (0.5, 0.5), "backward": (0.5, right)}, temperature=t)
        for t, right in ((0.6, 0.5), (1.0, 0.6))
    ]
    diagnosis = diagnose(logs, rules, names=["a", "b"], draws=100)
    assert diagnosis.warnings == ("temperature differs: a: 0.6; b: 1.0",)


@pytest.mark.parametrize(
    ("look", "said"),
    [
        (Look(by=("nope",)), "--by nope: no such column"),
        (Look(join="nope"), "--join nope: must be one of auto, id, prompt, normalised, none, or columns"),
        (Look(score="nope"), "--score nope: no such column"),
        (Look(checkpoint="checkpoint"), "--checkpoint goes with a single log"),
    ],
)
def test_mistakes_are_one_line_before_anything_long(routed: list[Path], look: Look, said: str) -> None:
    with pytest.raises(StratagemError, match=said):
        diagnose(routed, look, draws=100)


def test_one_log_alone_is_refused(routed: list[Path]) -> None:
    with pytest.raises(StratagemError, match="one log alone cannot be compared"):
        diagnose(routed[:1])


Figures = tuple[str, int, float, float, float, float]


@real
@pytest.mark.parametrize(
    "figures",
    [
        ("after_algorithmic", 500, 0.272333, 0.608333, 0.336000, 0.018227),
        ("after_games", 526, 0.262041, 0.513308, 0.251267, 0.017329),
    ],
)
@pytest.mark.parametrize("by", [(), ("dataset",)])
def test_published_figures_of_real_rollouts(figures: Figures, by: tuple[str, ...]) -> None:
    name, problems, before, after, gain, se = figures
    logs = [DATA / "algebra-rl" / f"{stem}.parquet" for stem in ("before", name)]
    diagnosis = diagnose(logs, Look(by=by), draws=100)
    assert diagnosis.problems == problems
    assert diagnosis.left_out_before == diagnosis.left_out_after == 599 - problems
    assert diagnosis.accuracy_before == pytest.approx(before, abs=5e-7)
    assert diagnosis.accuracy_after == pytest.approx(after, abs=5e-7)
    assert diagnosis.gain.value == pytest.approx(gain, abs=5e-7)
    assert diagnosis.gain.se == pytest.approx(se, abs=5e-7)
    assert sum(
        term.value for term in (diagnosis.selection, diagnosis.improvement, diagnosis.new_strategy)
    ) == pytest.approx(gain, abs=5e-7)


@real
def test_counts_without_texts_give_passk_and_no_strategies(stratagem: Callable[..., object]) -> None:
    logs = [DATA / "deepscaler-counts" / f"{name}.jsonl" for name in ("base", "rl")]
    done = stratagem("passk", *logs, "--k", "1,128", "--json")
    rows = json.loads(done.stdout)["passk"]  # type: ignore[attr-defined]
    assert rows[0]["difference"]["value"] == pytest.approx(0.0759581, abs=5e-8)
    assert rows[0]["difference"]["se"] == pytest.approx(0.00410378, abs=5e-9)
    assert rows[1]["difference"]["value"] == pytest.approx(-0.019811, abs=5e-7)
    assert rows[1]["difference"]["se"] == pytest.approx(0.006302, abs=5e-7)
    assert rows[0]["before"]["value"] == pytest.approx(0.604105, abs=5e-7)


def test_forms_of_the_answer_count_together_too(tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text(
        '[strategies.any]\ndescription = "any"\nany = ["[a-z]"]\n'
        '[behaviours.answer_long]\ndescription = "long"\nany = ["long"]\n'
        '[behaviours.answer_odd]\ndescription = "odd"\nany = ["odd"]\n'
    )
    texts = ["long", "odd", "long and odd", "plain"]
    for name in ("a", "b"):
        rows = [{"prompt": f"p{i}", "response": text, "score": 1} for i, text in enumerate(texts)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    look = Look(rules=read_rules(tmp_path / "rules.toml"))
    diagnosis = diagnose([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], look, draws=100)
    shares = {row.behaviour: row.share_before for row in diagnosis.behaviours}
    assert shares == {"answer_long": 0.5, "answer_odd": 0.5, "answer_not_plain": 0.75}


def test_counts_alone_claim_nothing_about_strategies(tmp_path: Path) -> None:
    for name, right in (("a", 2), ("b", 5)):
        rows = [{"id": str(i), "c": min(8, right + i % 3), "n": 8} for i in range(60)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    diagnosis = diagnose([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], draws=100)
    assert diagnosis.gain.value == pytest.approx(3 / 8)
    assert math.isnan(diagnosis.selection.value)
    assert math.isnan(diagnosis.improvement.value)
    assert diagnosis.lead is None
    assert diagnosis.strategies == diagnosis.robustness == diagnosis.cells == ()
    assert "selection and improvement cannot be told apart" in diagnosis.verdict.sentence
    assert diagnosis.verdict.action == "log the completions"
    assert [row.k for row in diagnosis.passk] == [1, 2, 4, 8]
