"""Strategies in a verl run: what a reward function gives, what verl makes of it, and what `diagnose` reads."""

from __future__ import annotations

import asyncio
import inspect
import json
import pickle
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stratagem.integrations.verl import RESERVED, Lines, Together, labelled
from stratagem.records import UNPARSED, StratagemError
from stratagem.tasks import FiniteField
from tests.integrations.verl_calls import (
    INSTALLED,
    QUIET,
    REAL,
    STAND_IN,
    Characters,
    dumped,
    response,
    validation,
)

TASK = FiniteField(11)
CALLS = [
    pytest.param(STAND_IN, id="stand-in"),
    pytest.param(REAL, id="verl", marks=(INSTALLED, QUIET)),
]


def is_right(
    data_source: str, solution_str: str, ground_truth: Any, extra_info: dict[str, Any], **_: Any
) -> float:
    return float(TASK.answer_of(solution_str) == ground_truth)


async def is_right_later(**arguments: Any) -> float:
    await asyncio.sleep(0)
    return is_right(**arguments)


def rows(forward: float, samples: int = 4, size: int = 24, seed: int = 0) -> list[dict[str, Any]]:
    """Responses to problems of the field: demonstrations, forward ones with this probability, some of them spoilt."""
    rng = np.random.default_rng(seed)
    problems = TASK.generate("rl", size, (2, 4))
    texts = {name: TASK.demonstrations(problems, name, 0) for name in ("F", "B")}
    calls = []
    for i, problem in enumerate(problems):
        for _ in range(samples):
            name = "F" if rng.random() < forward else "B"
            spoilt = rng.random() < (0.1 if name == "F" else 0.5)
            calls.append(
                {
                    "data_source": "field",
                    "ground_truth": "none" if spoilt else problem.answer,
                    "solution": texts[name][i],
                    "extra_info": {
                        "question": problem.prompt,
                        "index": i,
                        "split": "train",
                        "kind": problem.kind,
                        "steps": problem.difficulty,
                    },
                }
            )
    return calls


def call(function: Callable[..., Any], **info: Any) -> Any:
    given = {
        "data_source": "d",
        "solution_str": "a text",
        "ground_truth": "g",
        "extra_info": {"index": 3, **info},
    }
    return function(**given)


def simple(score: Any) -> Callable[..., Any]:
    return lambda **_: score


def test_a_number_gets_what_verl_gives_it_and_the_strategy() -> None:
    fields = call(labelled(simple(0.5), lambda text: text[:1], by=("level",)), level=4, split="test")
    assert fields == {"score": 0.5, "acc": 0.5, "strategy": "a", "problem_id": "d/test/3", "level": "4"}


def test_a_dict_keeps_all_that_is_in_it() -> None:
    given = {"score": -1.0, "pred": "7", "format": True}
    fields = call(labelled(simple(given), lambda _: "s"))
    assert fields == {**given, "strategy": "s", "problem_id": "d/3"}
    assert "strategy" not in given


def test_correctness_of_another_scale() -> None:
    function = labelled(simple({"score": -1.0}), lambda _: "s", correct=lambda score: score > 0)
    assert call(function)["acc"] == 0.0
    assert call(function)["score"] == -1.0


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("function", [is_right, is_right_later])
def test_every_response_has_its_strategy_however_verl_calls(calls: Any, function: Callable[..., Any]) -> None:
    """Demonstrations are recognised as what they are; the reward is the function's own."""
    wrapped = labelled(function, "finite_field", by=("kind", "steps"))
    assert inspect.iscoroutinefunction(wrapped) == inspect.iscoroutinefunction(function)
    for name, forward in (("forward", 1.0), ("backward", 0.0)):
        given = rows(forward, samples=1)
        rewarded = calls.extra(wrapped, given)
        assert {info["strategy"] for _, info in rewarded} == {name}
        for row, (reward, info) in zip(given, rewarded, strict=True):
            arguments = {"data_source": "", "solution_str": row["solution"], "extra_info": {}}
            assert reward == is_right(**arguments, ground_truth=row["ground_truth"]) == info["acc"]
            assert info["kind"] == row["extra_info"]["kind"]


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("trainer", ["v0", "v1"])
def test_what_verl_writes_is_diagnosed(
    stratagem: Callable[..., Any], tmp_path: Path, calls: Any, trainer: str
) -> None:
    """From a reward function to a diagnosis: shares of strategies move from one step's dump to the other's.

    v1's training dumps have no columns of the reward function: their texts are labelled when they are read.
    """
    wrapped = labelled(is_right, "finite_field", by=("kind", "steps"))
    for step, forward in ((1, 0.3), (20, 0.9)):
        given = rows(forward, seed=step)
        rewarded = calls.extra(wrapped, given)
        if trainer == "v0":
            extra = dumped([info for _, info in rewarded])
        else:
            extra = {"uid": [f"u{i // 4}_{i % 4}_0" for i in range(len(given))]}
        calls.write(tmp_path / "rollouts", step, given, [reward for reward, _ in rewarded], extra)
    line = json.loads((tmp_path / "rollouts/20.jsonl").read_text().splitlines()[0])
    assert ("strategy" in line) == (trainer == "v0")
    by = ("--by", "kind,steps") if trainer == "v0" else ()
    strategies = () if trainer == "v0" else ("--strategies", str(rules(tmp_path)))
    done = stratagem(
        "diagnose", "rollouts", "--checkpoint", "step", "--out", "out", "--json", *by, *strategies
    )
    assert done.returncode == 0, done.stderr
    diagnosis = json.loads((tmp_path / "out/diagnosis.json").read_text())
    assert diagnosis["comparisons"] or diagnosis["path"]
    shares = shares_of(tmp_path)
    assert shares["1"] == pytest.approx(0.3, abs=0.15)
    assert shares["20"] == pytest.approx(0.9, abs=0.1)


def rules(folder: Path) -> Path:
    """A user's own rules, by how a demonstration begins."""
    path = folder / "mine.toml"
    path.write_text(
        "[strategies.backward]\ndescription = 'Guesses the start'\nany = ['^backward']\n"
        "[strategies.forward]\ndescription = 'Computes'\nany = ['^forward']\n"
        "[behaviours.sums]\ndescription = 'Adds'\nany = ['[+]']\n"
    )
    return path


def shares_of(folder: Path) -> dict[str, float]:
    """The share of forward at each step, from the table that `diagnose` wrote."""
    table = pl.read_parquet(folder / "out" / "labelled.parquet")
    shares = table.group_by("checkpoint").agg(share=(pl.col("strategy") == "forward").mean())
    return dict(shares.iter_rows())


@pytest.mark.parametrize("calls", CALLS)
def test_texts_stay_out_of_validation_metrics_and_shares_come_in(calls: Any) -> None:
    """With verl's own `process_validation_metrics` where it is installed."""
    given = rows(0.6)
    names = ("forward", "backward")
    rewarded = calls.extra(labelled(is_right, "finite_field", by=("steps",), validation=names), given)
    extra = dumped([info for _, info in rewarded]) | {"reward": [reward for reward, _ in rewarded]}
    uids = [str(row["extra_info"]["index"]) for row in given]
    means = validation(["field"] * len(given), uids, extra)
    assert {name.split("/")[1] for name in means} == {"score", "acc", "share", "right", "reward"}
    labels = [info["strategy"] for _, info in rewarded]
    rights = [info["acc"] for _, info in rewarded]
    for name in names:
        share = means[f"field/share/{name}/mean@4"]
        assert share == pytest.approx(labels.count(name) / len(labels))
        own = [right for right, one in zip(rights, labels, strict=True) if one == name]
        assert means[f"field/right/{name}/mean@4"] / share == pytest.approx(np.mean(own))


@INSTALLED
@QUIET
def test_verl_loads_the_example_by_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a run does: config, `load_reward_manager`, and a response's reward."""
    from omegaconf import OmegaConf
    from verl.trainer.ppo.reward import load_reward_manager

    monkeypatch.chdir(tmp_path)
    example = Path(__file__).parents[2] / "examples" / "verl_reward.py"
    own = {"path": str(example), "name": "compute_score", "reward_kwargs": {}}
    manager = {"source": "register", "name": "naive"}
    config = OmegaConf.create({"reward": {"custom_reward_function": own, "reward_manager": manager}})
    text = "Let x be the number. Then 2x = 8, so x = 4. Check: 2 * 4 = 8. \\boxed{4}"
    row = {"data_source": "d", "ground_truth": "4", "extra_info": {"index": 0, "level": 3}}
    data = response(row, [ord(c) for c in text])

    async def run() -> dict[str, Any]:
        reward: dict[str, Any] = await load_reward_manager(config, Characters()).run_single(data)
        return reward

    result = asyncio.run(run())
    assert result["reward_score"] == 1.0
    assert result["reward_extra_info"]["level"] == "3"
    assert result["reward_extra_info"]["strategy"] not in ("", UNPARSED)
    assert len(list((tmp_path / "out/strategies").iterdir())) == 1


def test_responses_are_written_with_the_weights_that_answered(
    stratagem: Callable[..., Any], tmp_path: Path
) -> None:
    """`write` has what v1's training dumps lack, and `diagnose` reads it."""
    wrapped = labelled(is_right, "finite_field", by=("kind",), write=tmp_path / "own")
    for step, forward in ((0, 0.2), (9, 0.9)):
        given = rows(forward, seed=step)
        for row in given:
            row["extra_info"]["min_global_steps"] = step
        STAND_IN.extra(wrapped, given)
    (file,) = (tmp_path / "own").iterdir()
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert len(written) == 2 * 96
    assert set(written[0]) == {
        *("input", "output", "score", "step", "problem_id", "strategy", "kind", "split"),
    }
    assert {row["step"] for row in written} == {0, 9}
    done = stratagem("diagnose", "own", "--checkpoint", "step", "--by", "kind", "--out", "out", "--json")
    assert done.returncode == 0, done.stderr


def test_what_cannot_be_told_is_said_at_once() -> None:
    label = labelled(simple(1.0), lambda _: "s", by=("level",))
    with pytest.raises(StratagemError, match="extra_info has no 'level'; it has index"):
        call(label)
    with pytest.raises(StratagemError, match="say problem=NAME"):
        labelled(simple(1.0), lambda _: "s")(
            data_source="d", solution_str="t", ground_truth="g", extra_info={}
        )
    with pytest.raises(StratagemError, match="say question=NAME"):
        call(labelled(simple(1.0), "finite_field"))
    with pytest.raises(StratagemError, match="must be one of"):
        labelled(simple(1.0), "no such rules")


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_names_that_verl_has_are_refused(name: str) -> None:
    with pytest.raises(StratagemError, match="verl has that name"):
        labelled(simple(1.0), lambda _: "s", by=(name,))


def test_a_rare_failure_does_not_end_the_run(caplog: pytest.LogCaptureFixture) -> None:
    def name(text: str) -> str:
        if "bad" in text:
            raise ValueError("no")
        return "s"

    function = labelled(simple(1.0), name)
    given = {"data_source": "d", "ground_truth": "g", "extra_info": {"index": 1}}
    with pytest.raises(ValueError, match="no"):
        function(solution_str="bad", **given)
    assert function(solution_str="good", **given)["strategy"] == "s"
    assert function(solution_str="bad", **given)["strategy"] == UNPARSED
    assert "not labelled" in caplog.text


def test_responses_asked_for_at_once_are_named_at_one_go() -> None:
    """Each gets its own name, in few calls; one that fails spoils no other."""
    calls: list[int] = []
    begun = threading.Event()

    def label(questions: Sequence[str], solutions: Sequence[str], finish: Sequence[str]) -> list[str]:
        calls.append(len(solutions))
        if len(calls) == 1:
            begun.wait(10)  # until the others wait
        if "7" in solutions:
            raise ValueError("seven")
        return [f"name {one}" for one in solutions]

    together = Together(label)
    with ThreadPoolExecutor(16) as pool:
        first = pool.submit(together, "", "first")
        while not calls:
            time.sleep(0.01)
        others = [pool.submit(together, "", str(i)) for i in range(12)]
        while len(together._waiting) < 12:
            time.sleep(0.01)
        begun.set()
        assert first.result() == "name first"
        for i, one in enumerate(others):
            if i == 7:
                with pytest.raises(ValueError, match="seven"):
                    one.result()
            else:
                assert one.result() == f"name {i}"
    assert calls == [1, 12, *[1] * 12]


def test_the_users_own_errors_are_his() -> None:
    def fails(**_: Any) -> float:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        call(labelled(fails, lambda _: "s"))


def test_a_file_that_is_written_to_can_be_sent_to_another_process(tmp_path: Path) -> None:
    lines: Lines = pickle.loads(pickle.dumps(Lines(tmp_path / "own")))
    lines.add({"a": "é\ud800"})
    assert len(list((tmp_path / "own").iterdir())) == 1


@pytest.mark.parametrize("strategies", ["math", "finite_field"])
def test_it_can_be_sent_to_other_processes_as_ray_does(strategies: str) -> None:
    """verl's remote manager pickles the function."""
    cloudpickle = pytest.importorskip(
        "ray.cloudpickle", reason="needs the cluster extra: pip install 'stratagem[cluster]'"
    )
    function = cloudpickle.loads(cloudpickle.dumps(labelled(simple(1.0), strategies)))
    assert call(function, question=TASK.generate("rl", 1, (2, 2))[0].prompt)["score"] == 1.0
