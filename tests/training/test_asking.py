"""Samplers in the native engine: what an update asks and trains on, its metrics, its budget, and the same bits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import polars as pl
import pytest

pytest.importorskip("torch", reason="needs the lab extra")

from stratagem.cli import run
from stratagem.records import StratagemError
from stratagem.sampling.native import Generation
from stratagem.sampling.rollout import rollout
from stratagem.settings import GRPOConfig, RolloutConfig, check_engine
from stratagem.tasks import make_task
from stratagem.training import grpo, loop
from stratagem.training.asking import Asking, Response
from tests.training.test_resume import digest

SAMPLERS = get_args(get_type_hints(GRPOConfig)["sampler"])
SMALL: dict[str, Any] = {"steps": (1, 3), "prompts": 24, "batch": 6, "group": 4}


def asking(**given: Any) -> Asking:
    config = GRPOConfig(**SMALL, **given)
    return Asking(config, make_task(config.task).generate("rl", config.prompts, config.steps))


def graded(rates: list[float]) -> Any:
    """Responses of three tokens that are right at each problem's rate."""
    rng = np.random.default_rng(0)

    def answer(chosen: list[int]) -> list[Response]:
        return [
            Response(i, Generation([5, 6, 1], "stop"), "", float(rng.random() < rates[i]))
            for i in chosen
            for _ in range(4)
        ]

    return answer


def test_random_asks_once_in_the_order_of_its_epochs() -> None:
    random = asking()
    for number in range(9):
        asked = random.ask(number, graded([0.0] * 24))
        assert [response.problem for response in asked.responses][::4] == loop.asked(random.config, number)
        assert asked.flat_C.all()
        assert asked.trained_on(6) == asked.responses
        assert asked.tokens() == asked.tokens(flat=True) == 6 * 4 * 3


def test_kinds_keep_their_shares() -> None:
    """Only one kind has signal, which an update of the frontier asks more of where shares are not kept."""
    kinds = [problem.kind for problem in make_task(GRPOConfig(**SMALL).task).generate("rl", 24, (1, 3))]
    rates = [0.5 if kind == kinds[0] else 0.0 for kind in kinds]
    shares = dict[bool, float]()
    for keep in (True, False):
        frontier = asking(sampler="frontier", keep_kinds=keep, explore=0, floor=0)
        chosen = [
            response.problem
            for number in range(30)
            for response in frontier.ask(number, graded(rates)).responses
        ]
        shares[keep] = float(np.mean([kinds[i] == kinds[0] for i in chosen]))
    assert shares[True] == pytest.approx(kinds.count(kinds[0]) / 24, abs=0.01)
    assert shares[False] > 0.7


def test_flat_groups_are_drawn_anew_until_the_update_is_full() -> None:
    rates = [0.0, 1.0, 0.5] * 8
    dapo = asking(sampler="dapo", redraw=50)
    for number in range(4):
        asked = dapo.ask(number, graded(rates))
        trained = asked.trained_on(6)
        assert len(trained) == 24
        groups = np.array([response.score for response in trained]).reshape(6, 4)
        assert all(0 < group.sum() < 4 for group in groups)
        assert len(asked.flat_C) > 6
        assert asked.tokens() - asked.tokens(flat=True) == 24 * 3
        problems = [response.problem for response in trained]
        order = [response.problem for response in asked.responses]
        assert problems == [problem for problem in order if problem in set(problems)][: len(problems)]


def test_redrawing_is_bounded_and_then_flat_groups_fill_up() -> None:
    dapo = asking(sampler="dapo", redraw=2)
    asked = dapo.ask(0, graded([0.0] * 24))
    assert len(asked.flat_C) == 18
    assert len(asked.trained_on(6)) == 24
    both = asking(sampler="dapo-frontier", redraw=9)
    asked = both.ask(0, graded([0.0] * 24))
    problems = [response.problem for response in asked.responses][::4]
    assert sorted(problems) == list(range(24))  # each once, and no more are left


def test_the_frontier_knows_kinds_and_difficulties() -> None:
    sampler = asking(sampler="frontier").sampler
    assert len(set(sampler.strata.tolist())) == 6  # pyright: ignore


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_stopped_run_goes_on_to_the_same_bits(
    name: str, taught_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its 29th update; the state is of the 25th."""
    config = GRPOConfig(**SMALL, updates=34, sampler=name)
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    grpo.train(config, whole, taught_model, keep_rollouts=True)

    class Stop(Exception):
        pass

    def stop_at(done: int, total: int, metrics: Any) -> None:
        if done == 29:
            raise Stop

    with pytest.raises(Stop):
        grpo.train(config, out, taught_model, keep_rollouts=True, report=stop_at)
    made: list[int] = []
    grpo.train(config, out, taught_model, True, lambda done, total, metrics: made.append(done))
    assert made[0] == 26
    assert digest(out) == digest(whole)
    rows = [json.loads(line) for line in (out / loop.METRICS).read_text().splitlines()]
    assert [row["update"] for row in rows] == list(range(34))
    for row in rows:
        table = pl.read_parquet(out / "rollouts" / f"update_{row['update']:05d}.parquet", glob=False)
        groups = table.group_by("group").agg(
            flat=pl.col("score").n_unique() == 1, tokens=pl.col("length").sum()
        )
        assert row["no_signal"] == pytest.approx(groups["flat"].mean(), abs=1e-6)
        assert row["response_tokens"] == table["length"].sum()
        assert row["flat_tokens"] == groups.filter("flat")["tokens"].sum()
        assert row["reward"] == pytest.approx(table["score"].mean(), abs=1e-6)
        assert sum(cell[3] for cell in row["cells"]) == len(table)
        assert len(groups) == 6 or name.startswith("dapo")


def test_a_budget_ends_the_run_and_a_smaller_one_is_its_beginning(taught_model: Path, tmp_path: Path) -> None:
    config = GRPOConfig(**SMALL, updates=60, sampler="frontier", budget=8000)
    grpo.train(config, tmp_path / "large", taught_model, keep_rollouts=True)
    spent = spending(tmp_path / "large")
    assert len(spent) < 60
    assert sum(spent[:-1]) < 8000 <= sum(spent)

    half = GRPOConfig(**SMALL, updates=60, sampler="frontier", budget=4000)
    grpo.train(half, tmp_path / "half", taught_model, keep_rollouts=True)
    assert spending(tmp_path / "half") == spent[: len(spending(tmp_path / "half"))]
    first = {name: value for name, value in digest(tmp_path / "half").items() if "rollouts" in name}
    assert first.items() <= digest(tmp_path / "large").items()


def spending(out: Path) -> list[int]:
    return [json.loads(line)["response_tokens"] for line in (out / loop.METRICS).read_text().splitlines()]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--keep-kinds"], "--keep-kinds: not with --sampler random, only with frontier"),
        (["--explore", "1.5"], "--explore 1.5: must be from 0 to 1"),
        (["--floor", "-1"], "--floor -1.0: must be from 0 to 1"),
        (["--half-life", "0"], "--half-life 0.0: must be from 0.01"),
        (["--redraw", "-1"], "--redraw -1: must be from 0"),
        (["--budget", "0"], "--budget 0: must be from 1"),
    ],
)
def test_bad_settings_are_one_line(words: list[str], said: str, tmp_path: Path, capsys) -> None:
    assert run(["rl", "--model", str(tmp_path), "--out", str(tmp_path / "out"), *words]) == 2
    assert said in capsys.readouterr().err


def test_what_trl_cannot_do_is_said() -> None:
    for given in ({"sampler": "dapo"}, {"budget": 5}):
        with pytest.raises(StratagemError, match="not with --engine trl"):
            check_engine(GRPOConfig(tune="lora", **given), "trl")


def test_only_the_named_problems_are_asked(taught_model: Path, tmp_path: Path) -> None:
    config = GRPOConfig(**SMALL, updates=5)
    problems = make_task(config.task).generate("rl", config.prompts, config.steps)
    ids = [problem.id for problem in problems][::3]
    file = tmp_path / "chosen.jsonl"
    file.write_text("".join(json.dumps({"problem_id": name, "prompt": ""}) + "\n" for name in ids))
    out = grpo.train(config, tmp_path / "out", taught_model, keep_rollouts=True, only=file)
    asked = pl.concat(
        pl.read_parquet(path, glob=False) for path in sorted((out / "rollouts").glob("*.parquet"))
    )
    assert set(asked["problem_id"]) <= set(ids)
    assert json.loads((out / "trained_on.json").read_text()) == ids
    grpo.train(config, tmp_path / "out", taught_model, keep_rollouts=True, only=file)
    with pytest.raises(StratagemError, match="only was"):
        grpo.train(config, tmp_path / "out", taught_model, keep_rollouts=True)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"problem_id": "x"}, {"id": "x"}], r"chosen\.jsonl: row 2 has no problem_id"),
        ([{"problem_id": "x"}, {"problem_id": ["x"]}], r"chosen\.jsonl: row 2: problem_id has to be a text"),
        ([{"problem_id": "x"}], "1 of its 1 problems are none of the --prompts 24"),
        ([], "fewer than --batch 6"),
    ],
)
def test_problems_that_cannot_be_asked_are_said(
    rows: list[dict[str, Any]], said: str, taught_model: Path, tmp_path: Path
) -> None:
    config = GRPOConfig(**SMALL, updates=1)
    if not rows:
        first = make_task(config.task).generate("rl", config.prompts, config.steps)[0]
        rows = [{"problem_id": first.id}]
    file = tmp_path / "chosen.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(StratagemError, match=said):
        grpo.train(config, tmp_path / "out", taught_model, only=file)


def test_a_rollout_of_rls_problems(taught_model: Path, tmp_path: Path) -> None:
    config = RolloutConfig(steps=(1, 3), size=24, samples=2, greedy=False, split="rl")
    table = pl.read_parquet(rollout(config, tmp_path / "pool", taught_model) / "rollouts.parquet", glob=False)
    problems = make_task(config.task).generate("rl", 24, (1, 3))
    assert set(table["problem_id"]) == {problem.id for problem in problems}
