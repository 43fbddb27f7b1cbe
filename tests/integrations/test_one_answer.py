"""One run, one answer: the same gain and terms wherever a run is looked at."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the llm extra")

from datasets import Dataset
from transformers import TrainerCallback

from stratagem.decomposition.decompose import decompose
from stratagem.integrations.trl import Live
from stratagem.watch.live import LiveRun
from stratagem.watch.responses import Asked
from stratagem.watch.trl import TRLRun
from tests.integrations.test_trl import TASK, even, opening, tiny, trainer

__all__ = ["tiny"]  # a fixture

# Deprecations between TRL and transformers are theirs.
pytestmark = pytest.mark.filterwarnings(
    "default::FutureWarning", "default::DeprecationWarning", "default::UserWarning"
)

WINDOW, UPDATES, EVALUATED = 3, 9, 5
TERMS = ("gain", "selection", "improvement", "new_strategy")
Run = Callable[..., subprocess.CompletedProcess[str]]


def short(completions: list[str], **_: Any) -> list[float]:
    """A second reward, which says nothing of what is right."""
    return [float(len(text) < 10) for text in completions]


class Evaluating(TrainerCallback):
    """Evaluates once, between the two windows: TRL writes evaluations over its table of the update before."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_evaluate = state.global_step == EVALUATED


@pytest.fixture(scope="module")
def run(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, float]]]:
    """A folder with a run that logged every update, and what it logged."""
    folder = tmp_path_factory.mktemp("run")
    problems = TASK.generate("rl", 8, (1, 2))
    data = Dataset.from_list(
        [{"prompt": p.prompt, "kind": p.kind, "steps": p.difficulty, "problem": p.id} for p in problems]
    )
    live = Live(opening, by=("kind", "steps"), problem="problem", window=WINDOW, write=folder / "responses")
    made = trainer(
        tiny,
        folder / "trl",
        live,
        [live.reward(even), short],
        data.select(range(5)),
        data.select(range(3, 8)),
        per_device_train_batch_size=16,
        per_device_eval_batch_size=8,
        max_steps=UPDATES,
        log_completions=True,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=UPDATES,
    )
    made.add_callback(Evaluating())
    made.train()
    return folder, [line for line in made.state.log_history if "stratagem/gain" in line]


def values(terms: Any) -> dict[str, float]:
    """The terms as numbers: of one that the data only bound the middle of its bounds."""
    return {name: sum(getattr(terms, name).ends) / 2 for name in TERMS}


def headline(result: dict[str, Any]) -> dict[str, float]:
    """The gain and its terms, select then improve."""
    return {name: result[name]["value"] for name in TERMS}


def test_a_run_has_one_gain(run: tuple[Path, list[dict[str, float]]], stratagem: Run, tmp_path: Path) -> None:
    folder, logs = run
    logged = {name: logs[-1][f"stratagem/{name}"] for name in TERMS}
    assert logs[-1]["step"] == UPDATES
    assert any(abs(logged[name]) > 1e-3 for name in TERMS)

    table = pl.concat(
        pl.read_parquet(path) for path in sorted((folder / "responses").glob("*_train.parquet"))
    )
    table = table.with_columns(sample=pl.lit(0), length=pl.lit(0))
    sides = [
        table.filter(pl.col("step").is_in(steps)).with_columns(checkpoint=pl.lit("x"))
        for steps in (range(1, WINDOW + 1), range(UPDATES - WINDOW + 1, UPDATES + 1))
    ]
    split = decompose(*sides, by=("kind", "steps"), rng=np.random.default_rng(0), draws=0, stratified=False)
    terms = {name: getattr(split, name) for name in TERMS}
    in_python = {name: sum(term.ends) / 2 for name, term in terms.items()}
    assert logged == pytest.approx(in_python, abs=1e-9)

    for run_folder, watched in (
        ("responses", LiveRun(folder / "responses")),
        ("trl", TRLRun(folder / "trl", Asked("even", window=WINDOW))),
    ):
        gains = watched.poll().gains
        shown = {name: gains[UPDATES][name][0] for name in TERMS}
        assert shown == pytest.approx(logged, abs=1e-9), run_folder

    done = stratagem(
        "diagnose", folder / "responses", "--checkpoint", "step", "--json", "--out", tmp_path / "own"
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert headline(found) == pytest.approx(logged, abs=1e-9)
    assert found["by"] == ["kind", "steps"]
    assert found["sides"][0]["responses"] == 16 * UPDATES
    assert any("40 of 'eval'" in note for note in found["warnings"]), found["warnings"]

    words = ("--checkpoint", "step", "--score", "even", "--by", "kind,steps", "--window", WINDOW, "--json")
    done = stratagem("diagnose", folder / "trl" / "completions", *words, "--out", tmp_path / "theirs")
    assert done.returncode == 0, done.stderr
    theirs = json.loads(done.stdout)
    assert headline(theirs) == pytest.approx(logged, abs=1e-9)
    assert theirs["sides"][0]["responses"] == 16 * (UPDATES - 1)
    assert any("128 of the 144 responses that training had drawn" in note for note in theirs["warnings"])
    assert any("32 of 'eval'" in note for note in theirs["warnings"]), theirs["warnings"]


def test_evaluations_have_one_gain(
    run: tuple[Path, list[dict[str, float]]], stratagem: Run, tmp_path: Path
) -> None:
    folder, _ = run
    state = json.loads((folder / "trl" / f"checkpoint-{UPDATES}" / "trainer_state.json").read_text())
    logged = next(line for line in state["log_history"] if "eval_stratagem/gain" in line)
    words = ("--where", "split = 'eval'", "--checkpoint", "step", "--json", "--out", tmp_path / "evaluations")
    done = stratagem("diagnose", folder / "responses", *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["sides"][0]["responses"] == 40
    assert found["warnings"] == []
    terms = {name: found[name]["value"] for name in ("selection", "new_strategy", "improvement", "gain")}
    assert logged["eval_stratagem/gain"] == pytest.approx(terms["gain"], abs=1e-9)
    assert logged["eval_stratagem/improvement"] == pytest.approx(terms["improvement"], abs=1e-9)
    choice = terms["selection"] + terms["new_strategy"]
    assert logged["eval_stratagem/choice"] == pytest.approx(choice, abs=1e-9)


def test_the_commands_read_what_live_wrote_and_ask_nothing(
    run: tuple[Path, list[dict[str, float]]], stratagem: Run, tmp_path: Path
) -> None:
    responses = run[0] / "responses"
    done = stratagem("label", responses, "--out", tmp_path / "labelled.parquet")
    assert done.returncode == 0, done.stderr
    assert "not 40 of 'eval'" in done.stderr
    labelled = pl.read_parquet(tmp_path / "labelled.parquet")
    written = pl.concat(pl.read_parquet(path) for path in sorted(responses.glob("*_train.parquet")))
    for name in ("problem_id", "strategy", "score", "kind", "steps"):
        assert labelled[name].to_list() == written[name].to_list()
    done = stratagem("rollouts", responses, "--where", "split = 'eval' AND step > 0", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["logs"][0]["rows"] == 20
    done = stratagem("rollouts", responses, "--where", "splits = 'eval'")
    assert done.returncode == 2
    assert "did you mean 'split'?" in done.stderr
    done = stratagem("diagnose", responses, "--checkpoint", "step", "--where", "step > 99")
    assert done.returncode == 2
    assert "is true for no response" in done.stderr
