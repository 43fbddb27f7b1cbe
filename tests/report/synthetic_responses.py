"""Responses of a made-up study in the form of Table 1: those to held-out problems, and those of training, counted."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl

from stratagem.records import ROLLOUT_SCHEMA, Problem
from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field import backward, forward
from stratagem.tasks.finite_field.chain import KINDS

CELLS = [f"{family}/{stage}" for family in ("F", "B", "FB") for stage in ("SFT", "RL(2-5)", "RL(6-9)")]
RUNS = [cell for cell in CELLS if not cell.endswith("SFT")]
ERRORS = ("operand_lookup", "arithmetic_fact", "order", "carried_state", "guessed_start", "stopping")


def rollouts(rng: np.random.Generator, problems: int, samples: int, seeds: tuple[int, ...]) -> pl.DataFrame:
    task = FiniteField()
    asked = task.generate("eval", problems, (6, 9))
    rows: list[tuple[Any, ...]] = []
    for cell in CELLS:
        family, stage = cell.split("/")
        skill = {"SFT": 0.9, "RL(2-5)": 0.92, "RL(6-9)": 0.985}[stage]
        for seed in seeds:
            for problem in asked:
                for sample in range(samples + 1):
                    strategy = choose(rng, family, stage, problem.kind)
                    text, error, evidence = respond(rng, task, problem, strategy, skill)
                    score = task.verify(problem, text)
                    rows.append(
                        (
                            problem.id,
                            problem.kind,
                            problem.difficulty,
                            cell,
                            sample,
                            problem.prompt,
                            text,
                            score,
                            strategy,
                            evidence,
                            "stop",
                            len(text.split()),
                            seed,
                            "sampled" if sample else "greedy",
                            error,
                        )
                    )
    schema = {**ROLLOUT_SCHEMA, "seed": pl.Int32(), "mode": pl.String(), "error": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")


def choose(rng: np.random.Generator, family: str, stage: str, kind: str) -> str:
    if family != "FB":
        return {"F": "forward", "B": "backward"}[family]
    suited, other = ("forward", "backward") if kind == "evaluation" else ("backward", "forward")
    return suited if rng.random() < {"SFT": 0.5, "RL(2-5)": 0.8, "RL(6-9)": 0.98}[stage] else other


def respond(
    rng: np.random.Generator, task: FiniteField, problem: Problem, strategy: str, skill: float
) -> tuple[str, str | None, str]:
    """A demonstration, spoilt step by step with chance 1 - skill, with a recogniser's evidence."""
    write = {"forward": forward, "backward": backward}[strategy]
    words = write.demonstrate(task, problem.data).split()
    guesses = (strategy == "forward") == (problem.kind == "inversion")
    states = [i for i, word in enumerate(words) if word.startswith("e")]
    wrong: dict[int, tuple[str, str]] = {}
    for position, index in enumerate(states[:-1]):
        guessed = position == 0 and guesses and rng.random() > 1 / 11
        if guessed or (position and rng.random() > skill):
            kind = (
                "guessed_start" if guessed else str(rng.choice([e for e in ERRORS if e != "guessed_start"]))
            )
            wrong[index] = (kind, words[index])
            words[index] = f"e{(int(words[index][1:]) + int(rng.integers(1, 11))) % 11}"
    if wrong:
        words[states[-1]] = f"e{(int(words[states[-1]][1:]) + int(rng.integers(1, 11))) % 11}"
    marks, start = [], 0
    for index, word in enumerate(words):
        if index in states:
            kind, expected = wrong.get(index, (None, None))
            marks.append([start, start + len(word), kind, expected])
        start += len(word) + 1
    first = min(wrong, default=None)
    error = None if first is None else wrong[first][0]
    step = None if first is None else states.index(first)
    return " ".join(words), error, json.dumps({"error": error, "step": step, "marks": marks})


def curves(rng: np.random.Generator, updates: int, seeds: tuple[int, ...]) -> pl.DataFrame:
    rows = []
    for run in RUNS:
        family, stage = run.split("/")
        low = int(stage[3])
        for seed in seeds:
            for update in range(updates):
                done = update / max(updates - 1, 1)
                for kind in KINDS:
                    for steps in range(low, low + 4):
                        for strategy in ("forward", "backward"):
                            fits = (strategy == "forward") == (kind == "evaluation")
                            if family != "FB" and strategy[0].upper() != family:
                                continue
                            n = 16 if family != "FB" else int(32 * (0.5 + (0.48 if fits else -0.48) * done))
                            p = min((0.5 + 0.5 * done) ** (steps / 5), 0.99) if fits else 1 / 11
                            if n:
                                rows.append(
                                    (run, seed, update, kind, steps, strategy, n, int(rng.binomial(n, p)))
                                )
    columns = {
        "cell": pl.String(),
        "seed": pl.Int32(),
        "update": pl.Int32(),
        "kind": pl.String(),
        "difficulty": pl.Int32(),
        "strategy": pl.String(),
        "n": pl.Int32(),
        "right": pl.Int32(),
    }
    return pl.DataFrame(rows, schema=columns, orient="row")


def metrics(rng: np.random.Generator, updates: int, seeds: tuple[int, ...]) -> pl.DataFrame:
    rows = []
    for run in RUNS:
        for seed in seeds:
            for update in range(updates):
                done = update / max(updates - 1, 1)
                noise = rng.normal(0, 0.02, 4)
                rows.append(
                    (
                        run,
                        seed,
                        update,
                        0.4 + 0.5 * done + noise[0],
                        0.1 * done + abs(noise[1]),
                        0.5 - 0.3 * done + noise[2],
                        0.3 + 0.3 * done + noise[3],
                        28.0 + done,
                        0.9,
                    )
                )
    names = ["reward", "kl", "entropy", "no_signal", "length", "seconds"]
    schema = {
        "cell": pl.String(),
        "seed": pl.Int32(),
        "update": pl.Int32(),
        **dict.fromkeys(names, pl.Float64()),
    }
    return pl.DataFrame(rows, schema=schema, orient="row")
