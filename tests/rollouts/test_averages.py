"""A log without samples says so, and where the samples are."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import read_rollouts

INSPECT = {"version": 2, "status": "success", "eval": {"run_id": "r", "task": "t"}, "results": {"scores": []}}
FILES: dict[str, tuple[Any, str]] = {
    "results_2026-01-01T00-00-00.json": (
        {
            "results": {"gsm8k": {"alias": "gsm8k", "exact_match,strict-match": 0.71}},
            "configs": {"gsm8k": {"doc_to_text": "Q: {{question}}\nA:" * 9}},
            "versions": {"gsm8k": 3.0},
            "n-shot": {"gsm8k": 5},
        },
        "results of lm-evaluation-harness: averages and no responses; run it with --log_samples",
    ),
    "results.json": (
        {"config_general": {"model_name": "m"}, "results": {"gsm8k|0": {"extractive_match": 0.7}}},
        "results of lighteval: averages and no responses; run it with --save-details",
    ),
    "report.json": (
        {"name": "m@g", "dataset_name": "g", "model_name": "m", "score": 0.7, "metrics": [{"score": 0.7}]},
        "a report of evalscope: averages and no responses; give the folder reviews/",
    ),
    "metrics.json": (
        {"gsm8k": {"pass@1": {"num_entries": 1319, "symbolic_correct": 71.0}}},
        "averages ('gsm8k.pass@1.num_entries', 'gsm8k.pass@1.symbolic_correct') and no responses; give the file with",
    ),
    "trainer_state.json": (
        {"global_step": 9, "log_history": [{"step": 1, "reward": 0.4}]},
        "the state of a trainer: averages and no responses; responses of training are written with log_completions",
    ),
    "wandb-summary.json": (
        {"_step": 9, "train/reward": 0.5},
        "averages ('train/reward') and no responses; responses of training are written with log_completions=True",
    ),
    "per_instance_stats.json": (
        [{"instance_id": "id1", "train_trial_index": 0, "stats": [{"name": {"name": "em"}, "mean": 1.0}]}],
        "statistics of HELM and no responses; give the run's scenario_state.json, with this file beside it",
    ),
    "events.json": (
        [
            {
                "run_id": "r",
                "event_id": 0,
                "sample_id": "s.0",
                "type": "sampling",
                "data": {"sampled": ["It is 4."]},
            }
        ],
        "events of OpenAI's evals without the line of the run's spec, which is the first; give the file",
    ),
    "eval_results.json": (
        {
            "date": "",
            "hash": "",
            "eval": {"HumanEval/0": {"nfiles": 1, "base": [["pass", [True]]], "plus": []}},
        },
        "results of an EvalPlus before 0.2: no responses; evaluate them again with a newer one",
    ),
    "inspect.json": (INSPECT, "a log of inspect_ai without samples: run the evaluation with --log-samples"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("in_folder", [False, True])
def test_averages_are_told_from_a_log(name: str, in_folder: bool, tmp_path: Path) -> None:
    content, said = FILES[name]
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(StratagemError) as refused:
        read_rollouts(tmp_path if in_folder else tmp_path / name)
    assert said in str(refused.value)


def test_an_archive_of_inspect_without_samples(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(INSPECT))
    with pytest.raises(StratagemError, match=r"x\.eval: a log of inspect_ai without samples"):
        read_rollouts(tmp_path / "x.eval")


def test_records_that_may_be_a_log_are_not_called_averages(tmp_path: Path) -> None:
    lines = [{"zz": "a text that nobody knows the meaning of " * 3, "score": 0.5}] * 3
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(StratagemError, match="no known format; its columns are zz, score"):
        read_rollouts(tmp_path / "x.jsonl")


def test_responses_without_a_problem_are_not_called_averages(tmp_path: Path) -> None:
    lines = [{"response": f"x = {i}", "reward": i % 2} for i in range(4)]
    (tmp_path / "x.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    said = "x.jsonl: responses in 'response', and neither a prompt nor an id says to which problem: name one with "
    with pytest.raises(
        StratagemError, match=said + "--columns prompt=COLUMN or id=COLUMN; the columns are response, "
    ):
        read_rollouts(tmp_path / "x.jsonl")
