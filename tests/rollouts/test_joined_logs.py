"""HELM and OpenAI's evals write responses and grades apart: they are joined."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from stratagem.records import StratagemError
from stratagem.rollouts.log import Log, read_rollouts
from tests.conftest import Run


def state(instance: str, text: str, trial: int = 0, **more: Any) -> dict[str, Any]:
    """A request as HELM writes it, without what is None."""
    return {
        "instance": {
            "id": instance,
            "split": "test",
            "input": {"text": f"What is {instance}?"},
            **more.pop("of", {}),
        },
        "train_trial_index": trial,
        "request": {"model": "m", "prompt": f"Question: {instance}\nAnswer:", "temperature": 0.0},
        "result": {"success": True, "completions": [{"text": text, "finish_reason": {"reason": "length"}}]},
        "num_train_instances": 5,
        **more,
    }


def stats(instance: str, right: float, trial: int = 0, of: dict[str, Any] | None = None) -> dict[str, Any]:
    means = {
        "exact_match": right,
        "num_prompt_tokens": 40,
        "inference_runtime": 0.5,
        "finish_reason_length": 1,
    }
    return {
        "instance_id": instance,
        "train_trial_index": trial,
        **(of or {}),
        "stats": [
            {"name": {"name": name, "split": "test", **(of or {})}, "count": 1, "sum": mean, "mean": mean}
            for name, mean in means.items()
        ],
    }


CHANGED: dict[str, Any] = {"perturbation": {"name": "typos", "robustness": True, "prob": 0.1}}
MORE: dict[str, Any] = {"perturbation": {"name": "typos", "robustness": True, "prob": 0.5}}


def write_helm(folder: Path, states: list[dict[str, Any]], grades: list[dict[str, Any]]) -> Path:
    folder.mkdir(exist_ok=True)
    adapter = {"method": "generation", "model": "lab/m", "temperature": 0.0, "max_tokens": 400}
    (folder / "scenario_state.json").write_text(
        json.dumps({"adapter_spec": adapter, "request_states": states}, indent=2)
    )
    (folder / "per_instance_stats.json").write_text(json.dumps(grades, indent=2))
    (folder / "stats.json").write_text(
        json.dumps([{"name": {"name": "exact_match"}, "count": 1, "mean": 0.5}])
    )
    (folder / "run_spec.json").write_text(json.dumps({"name": "gsm", "adapter_spec": adapter}))
    return folder


def cells(log: Log, *names: str) -> list[tuple[Any, ...]]:
    return log.read().select(names).rows()


def test_helm(tmp_path: Path) -> None:
    """Grades of another metric come in a list of their own; a perturbed instance has grades of its own."""
    folder = write_helm(
        tmp_path / "run",
        [
            state("id1", "It is 4."),
            state("id2", "5"),
            state("id2", "6", of=CHANGED),
            state("id2", "7", of=MORE),
        ],
        [
            stats("id2", 1.0),
            stats("id1", 0.0),
            {
                "instance_id": "id1",
                "train_trial_index": 0,
                "stats": [{"name": {"name": "judged"}, "mean": 0.25}],
            },
            stats("id2", 0.0, of=CHANGED),
            stats("id2", 1.0, of=MORE),
        ],
    )
    log = read_rollouts(folder)
    assert log.format == "HELM"
    assert log.score_names == ("exact_match", "judged")
    assert cells(log, "id", "completion", "exact_match", "finish_reason") == [
        ("id1", "It is 4.", 0.0, "length"),
        ("id2", "5", 1.0, "length"),
        ("id2/typos", "6", 0.0, "length"),
        ("id2/typos", "7", 1.0, "length"),
    ]
    assert log.facts == {"model": {"lab/m"}, "temperature": {"0.0"}, "max_tokens": {"400"}}


def test_helm_by_its_file_packed_or_not(tmp_path: Path) -> None:
    folder = write_helm(
        tmp_path / "run", [state("id1", "4"), state("id1", "5", 1)], [stats("id1", 1), stats("id1", 0, 1)]
    )
    assert cells(read_rollouts(folder / "scenario_state.json"), "completion", "exact_match") == [
        ("4", 1.0),
        ("5", 0.0),
    ]
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert cells(read_rollouts(folder / "scenario_state.json.gz"), "exact_match") == [(1.0,), (0.0,)]


@pytest.mark.parametrize(
    ("request_state", "said"),
    [
        (state("id9", "4"), "instance.id: not in per_instance_stats.json"),
        (state("id1", "4", reference_index=1), "reference_index: a request for a probability, no response"),
        (
            state("id1", "4", request_mode="calibration"),
            "reference_index: a request for a probability, no response",
        ),
        (state("id1", "4", result={"success": False, "completions": []}), "result: failed"),
    ],
)
def test_a_request_of_helm_without_response_or_grade_is_counted(
    request_state: dict[str, Any], said: str, tmp_path: Path
) -> None:
    log = read_rollouts(write_helm(tmp_path / "run", [state("id1", "4"), request_state], [stats("id1", 1.0)]))
    assert cells(log, "completion") == [("4",)]
    assert dict(log.left_out) == {said: 1}


def test_helm_without_grades_beside_it(tmp_path: Path) -> None:
    folder = write_helm(tmp_path / "run", [state("id1", "4")], [])
    (folder / "per_instance_stats.json").unlink()
    with pytest.raises(
        StratagemError, match="its grades are not beside it; copy the run's per_instance_stats"
    ):
        read_rollouts(folder / "scenario_state.json")


def event(sample: str, kind: str, **data: Any) -> dict[str, Any]:
    return {"run_id": "r", "event_id": 0, "sample_id": sample, "type": kind, "data": data, "created_by": ""}


def write_evals(path: Path, *events: dict[str, Any]) -> Path:
    spec = {
        "completion_fns": ["m"],
        "eval_name": "sums.dev.v0",
        "base_eval": "sums",
        "split": "dev",
        "run_id": "r",
    }
    lines = [{"spec": spec}, *events, {"final_report": {"accuracy": 0.5}}]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]


def test_evals_join_a_match_to_what_was_sampled(tmp_path: Path) -> None:
    """Threads write the events of several samples in any order."""
    path = write_evals(
        tmp_path / "log.jsonl",
        event("sums.dev.0", "sampling", prompt=ASKED, sampled=["It is 4."]),
        event("sums.dev.1", "sampling", prompt="3+3?", sampled=["7"]),
        event("sums.dev.1", "match", correct=False, expected="6", picked=None, sampled="7"),
        event("sums.dev.0", "match", correct=True, expected="4", picked="4"),
    )
    log = read_rollouts(path)
    assert log.format == "OpenAI evals"
    assert cells(log, "id", "question", "completion", "correct", "expected") == [
        ("sums.dev.0", "2+2?", "It is 4.", 1.0, "4"),
        ("sums.dev.1", None, "7", 0.0, "6"),
    ]
    assert log.facts == {"model": {"m"}, "environment": {"sums.dev.v0"}}


def test_evals_that_a_model_grades_and_that_try_again(tmp_path: Path) -> None:
    path = write_evals(
        tmp_path / "log.jsonl",
        event("a.0", "sampling", prompt="p", sampled=["the answer"]),
        event("a.0", "sampling", prompt="grade it", sampled=["Y"]),
        event("a.0", "metrics", choice="Y", score=1.0),
        event("a.0", "sampling", prompt="p", sampled=["another"]),
        event("a.0", "match", correct=False),
        event("a.0", "metrics", score=0.0),
    )
    assert cells(read_rollouts(path), "completion", "score", "correct") == [
        ("the answer", 1.0, None),
        ("another", 0.0, 0.0),
    ]


def test_evals_without_grade_or_response_are_counted(tmp_path: Path) -> None:
    path = write_evals(
        tmp_path / "log.jsonl",
        event("a.0", "sampling", prompt="p", sampled=["x"]),
        event("a.0", "match", correct=True),
        event("a.1", "sampling", prompt="p", sampled=["y"]),
        event("a.2", "error", type="RateLimitError", message="slow down"),
        event("a.3", "sampling", prompt="p", sampled=["x", "y"]),
        event("a.3", "match", correct=True),
    )
    with path.open("a") as file:
        file.write("{broken\n")
    log = read_rollouts(path)
    assert cells(log, "completion") == [("x",)]
    assert dict(log.left_out) == {
        "type: no match or metrics follows": 1,
        "error: RateLimitError": 1,
        "data.sampled: no response, or several with one grade": 1,
        "line: not a JSON object": 1,
    }


def test_a_gain_from_two_runs_of_helm(stratagem: Run, tmp_path: Path) -> None:
    """Of ten problems three are right before and eight after."""
    for name, right in (("before", 3), ("after", 8)):
        write_helm(
            tmp_path / name,
            [state(f"id{i}", f"So x = {i}, and 2 + {i} is {2 + i}.") for i in range(10)],
            [stats(f"id{i}", float(i < right)) for i in range(10)],
        )
    done = stratagem("diagnose", "before", "after", "--out", "why", "--json")
    assert json.loads(done.stdout)["gain"]["value"] == pytest.approx(0.5)
