"""Measures of a run's batches against counting by hand and against `path` on the same responses."""

from __future__ import annotations

import json
import random

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stratagem.decomposition.decompose import decompose
from stratagem.decomposition.path import path
from stratagem.integrations.live import Measures, Response, cells_of, labeller, measures_of
from stratagem.records import StratagemError
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.answer import find_prompt

NAMES = ("forward", "backward", "other")


def after(measures: Measures, responses: list[Response], step: int) -> dict[str, float]:
    """What a log after this update says, if every update is logged."""
    measures.add(responses, step)
    return measures.of(responses) | measures.gain()


def batch(seed: int, groups: int = 8, size: int = 4, share: float = 0.5) -> list[Response]:
    """Random responses; forward is right nine times in ten, the others one in ten."""
    r = random.Random(seed)
    responses = []
    for group in range(groups):
        problem = r.randrange(1000)
        for _ in range(size):
            name = "forward" if r.random() < share else r.choice(NAMES[1:])
            right = r.random() < (0.9 if name == "forward" else 0.1)
            responses.append(
                Response(f"p{problem}", f"{seed}-{group}", (str(problem % 2),), name, float(right))
            )
    return responses


def test_a_batch_is_counted() -> None:
    responses = [
        Response("a", "0", (), "forward", 1.0),
        Response("a", "0", (), "forward", 1.0),
        Response("b", "1", (), "forward", 0.0),
        Response("b", "1", (), "backward", 1.0),
        Response("c", "2", (), "backward", 0.0),
        Response("c", "2", (), "backward", 0.0),
        Response("c", "2", (), "backward", None),
    ]
    logged = measures_of(responses, ("forward", "backward", "mixed"))
    assert logged == {
        "left_out": pytest.approx(1 / 7),
        "share/forward": 0.5,
        "accuracy/forward": pytest.approx(2 / 3),
        "share/backward": 0.5,
        "accuracy/backward": pytest.approx(1 / 3),
        "share/mixed": 0.0,
        "accuracy": 0.5,
        "no_signal": pytest.approx(2 / 3),
        "no_signal/all_right": pytest.approx(1 / 3),
        "no_signal/all_wrong": pytest.approx(1 / 3),
        "one_strategy": pytest.approx(2 / 3),
    }


@pytest.mark.parametrize("batches", [2, 5, 6, 7, 15])
def test_the_gain_is_that_of_decompose_on_the_same_responses(batches: int) -> None:
    window = 3
    measures = Measures(("kind",), window=window, draws=0)
    history = [batch(seed, share=0.2 + 0.05 * seed) for seed in range(batches)]
    for step, responses in enumerate(history):
        logged = after(measures, responses, step)
    taken = min(window, batches // 2)

    def table(part: list[list[Response]]) -> pl.DataFrame:
        return pl.DataFrame(
            [
                {"checkpoint": "x", "problem_id": r.problem, "kind": r.stratum[0], "sample": i, "length": 1}
                | {"strategy": r.strategy, "score": r.score}
                for i, r in enumerate(r for one in part for r in one)
            ]
        )

    sides = [table(history[:taken]), table(history[-taken:])]
    rng = np.random.default_rng(0)
    paired = path(sides, by=("kind",), rng=rng, draws=0).paired
    split = decompose(*sides, by=("kind",), rng=rng, draws=0, paired=paired)
    for name in ("gain", "selection", "improvement", "new_strategy"):
        assert logged[name] == pytest.approx(getattr(split, name).value, abs=1e-12)
    for name in ("selection", "improvement"):
        ends = getattr(split.reverse, name).ends
        assert logged[f"reverse_{name}"] == pytest.approx(sum(ends) / 2, abs=1e-12)


def test_selection_alone_is_called_selection() -> None:
    measures = Measures(("kind",), window=10)
    for seed in range(30):
        logged = after(measures, batch(seed, groups=40, share=0.1 if seed < 15 else 0.9), seed)
    assert logged["gain"] > 0.5
    assert logged["selection"] > 0.9 * logged["gain"]
    assert logged["selection/low"] > 0.4
    assert logged["improvement/low"] < 0 < logged["improvement/high"]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 10**6), min_size=2, max_size=9), st.integers(1, 4))
def test_the_parts_are_the_whole(seeds: list[int], window: int) -> None:
    measures = Measures(("kind",), window=window, draws=0)
    for step, seed in enumerate(seeds):
        logged = after(measures, batch(seed, groups=4), step)
        shares = [value for name, value in logged.items() if name.startswith("share/")]
        assert sum(shares) == pytest.approx(1)
        mean = sum(logged[f"share/{n}"] * logged.get(f"accuracy/{n}", 0.0) for n in measures.strategies)
        assert mean == pytest.approx(logged["accuracy"])
    assume("gain" in logged)  # else the two sides have no stratum in common
    parts = logged["selection"] + logged["improvement"] + logged["new_strategy"]
    assert parts == pytest.approx(logged["gain"], abs=1e-9)


@pytest.mark.parametrize("stop", [1, 2, 5, 8])
def test_a_restored_run_goes_on_alike(stop: int) -> None:
    whole, first, second = (Measures(("kind",), window=2, draws=50) for _ in range(3))
    expected = [after(whole, batch(seed), seed) for seed in range(10)]
    for seed in range(stop):
        first.add(batch(seed), seed)
    second.restore(json.loads(json.dumps(first.state())))
    assert [after(second, batch(seed), seed) for seed in range(stop, 10)] == expected[stop:]
    with pytest.raises(StratagemError, match="measured by kind, now by nothing"):
        Measures().restore(first.state())


def test_nothing_in_common_gives_no_gain() -> None:
    measures = Measures(("kind",))
    measures.add([Response("a", "0", ("x",), "forward", 1.0)], 1)
    measures.add([Response("b", "0", ("y",), "forward", 1.0)], 2)
    assert measures.gain() == {}
    measures.add([Response("c", "0", ("x",), "forward", 0.0)], 3)
    assert "gain" in measures.gain()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 3), min_size=2, max_size=8), st.integers(1, 3))
def test_batches_of_one_update_are_one(batches: list[int], window: int) -> None:
    apart, whole = (Measures(("kind",), window=window, draws=0) for _ in range(2))
    seed = 0
    for step, several in enumerate(batches):
        made = [batch(seed + i, groups=3) for i in range(several)]
        seed += several
        for responses in made:
            apart.add(responses, step)
        whole.add([response for responses in made for response in responses], step)
        assert apart.gain() == pytest.approx(whole.gain(), abs=1e-12)
    assert apart.updates == whole.updates == len(batches)


def test_an_evaluation_is_compared_with_the_first_of_its_name() -> None:
    """With the same problems alone, by the terms of `decompose` in its leading order."""
    measures = Measures(("kind",), draws=0)
    start, now = batch(1, groups=60, share=0.3), batch(1, groups=50, share=0.8)
    assert "gain" not in measures.evaluate(start, "eval")
    assert "gain" not in measures.evaluate(now, "eval_other")
    restored = Measures(("kind",), draws=0)
    restored.restore(json.loads(json.dumps(measures.state())))
    logged = restored.evaluate(now, "eval")
    tables = [restored.table([cells_of(responses)]) for responses in (start, now)]
    terms = decompose(*tables, by=("kind",), rng=np.random.default_rng(0), draws=0, stratified=False)
    for name in ("gain", "choice", "improvement"):
        assert logged[name] == pytest.approx(getattr(terms, name).value, abs=1e-12)
    assert logged["gain"] == pytest.approx(logged["choice"] + logged["improvement"], abs=1e-12)
    assert logged["share/forward"] == sum(r.strategy == "forward" for r in now) / len(now)
    assert (
        measures.evaluate([Response("q", "0", ("0",), "forward", 1.0)], "eval").keys()
        == measures.of([Response("q", "0", ("0",), "forward", 1.0)]).keys()
    ), "no problem in common, so no gain"


def test_a_state_of_the_first_version_is_taken_up() -> None:
    measures = Measures(window=2, draws=0)
    cells = [["a", [], "forward", 2, 1.0]]
    measures.restore({"by": [], "batches": 3, "strategies": ["forward"], "first": [cells], "last": [cells]})
    measures.add([Response("a", "0", (), "forward", 1.0)], 4)
    assert measures.updates == 4


def test_the_recogniser_reads_the_problem_behind_an_instruction() -> None:
    task = FiniteField(11)
    problems = task.generate("rl", 6, (2, 5))
    texts = task.demonstrations(problems, "B")
    prompts = [f"{task.instruction()}\n\n{problem.prompt}" for problem in problems]
    assert [find_prompt(prompt) for prompt in prompts] == [problem.prompt for problem in problems]
    name = labeller("finite_field")
    assert name(prompts, texts, ["stop"] * 6) == ["backward"] * 6
    assert name(prompts, ["hm"] * 6, ["stop"] * 3 + ["length"] * 3) == ["unparsed"] * 3 + ["truncated"] * 3
    own = FiniteField(13, "problem")
    asked = own.generate("rl", 1, (2, 3))[0]
    assert find_prompt(f"{own.instruction()} {asked.prompt}") == asked.prompt


def test_any_function_names_strategies() -> None:
    assert labeller(lambda text: "code" if "def " in text else "prose")(
        ["", ""], ["def f(): 1", "so"], ["stop", "stop"]
    ) == ["code", "prose"]


def test_rules_name_strategies() -> None:
    texts = ["We compute directly: 2 + 2 = 4.", ""]
    names = labeller("math")(["What is 2 + 2?"] * 2, texts, ["stop", "stop"])
    assert len(names) == 2
    assert all(isinstance(name, str) for name in names)
    with pytest.raises(StratagemError):
        labeller("no such rules")
