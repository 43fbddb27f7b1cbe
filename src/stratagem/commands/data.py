"""stratagem problems, label, decompose: the stages that need no model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import tyro

from stratagem.commands.common import console, read
from stratagem.mechanisms.decompose import decompose as split
from stratagem.records import StratagemError, finite, read_table
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import Steps
from stratagem.strategies import SETS, demonstrations
from stratagem.strategies.table import label_table
from stratagem.tasks.finite_field import FiniteField
from stratagem.workspace import write_bytes, write_json


@dataclass(frozen=True)
class Problems:
    """Examples:
    stratagem problems --size 3 --strategy FB
    stratagem problems --split rl --steps 6-9 --size 1024 --instruction --out rl.jsonl
    """

    split: Annotated[str, tyro.conf.arg(help="sft, rl or eval: disjoint by content")] = "sft"
    size: int = 8
    steps: Steps = (2, 5)
    strategy: Annotated[str | None, tyro.conf.arg(help="F, B or FB: add gold demonstrations")] = None
    inversion: Annotated[float, tyro.conf.arg(help="share of inversion problems")] = 0.5
    p: int = 11
    relabel: Annotated[str, tyro.conf.arg(help="study: one map of symbols; problem: a fresh one each")] = (
        "study"
    )
    instruction: Annotated[bool, tyro.conf.arg(help="put the instruction for an LLM before each prompt")] = (
        False
    )
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(help="a .jsonl file; printed where there is none")] = None


@dataclass(frozen=True)
class LabelOptions:
    """Examples:
    stratagem label runs/before
    stratagem label rollouts.parquet --out labelled.parquet
    """

    rollouts: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="a rollout table, or rollout's --out")]
    out: Annotated[
        Path | None, tyro.conf.arg(help="the table's file; labelled.parquet beside it by default")
    ] = None


@dataclass(frozen=True)
class Decompose:
    """Examples:
    stratagem decompose runs/before runs/after
    stratagem decompose before.parquet after.parquet --by kind --out gain.json
    """

    before: Annotated[
        Path, tyro.conf.Positional, tyro.conf.arg(help="a labelled rollout table or its folder")
    ]
    after: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="the same of the later checkpoint")]
    by: Annotated[str, tyro.conf.arg(help="columns of the strata, separated by commas")] = "kind,difficulty"
    draws: int = 2000
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(help="a .json file for the result")] = None


def problems(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Problems, "problems", words, text)
    task = FiniteField(given.p, given.relabel)
    if not 0 <= given.inversion <= 1:
        raise StratagemError(f"--inversion {given.inversion}: a share, from 0 to 1")
    if given.strategy is not None and given.strategy not in SETS:
        raise StratagemError(f"--strategy {given.strategy}: must be one of {', '.join(SETS)}")
    weights = [1 - given.inversion, given.inversion]
    made = task.generate(given.split, given.size, given.steps, seed=given.seed, weights=weights)
    gold = demonstrations(task, made, given.strategy, given.seed) if given.strategy else [None] * len(made)
    before = f"{task.instruction()}\n\n" if given.instruction else ""
    rows = [
        {
            "problem_id": problem.id,
            "kind": problem.kind,
            "difficulty": problem.difficulty,
            "prompt": before + problem.prompt,
            "answer": problem.answer,
        }
        | ({"completion": completion} if completion else {})
        for problem, completion in zip(made, gold, strict=True)
    ]
    if given.out is not None:
        write_bytes(given.out, "".join(json.dumps(row) + "\n" for row in rows).encode())
        console().print(f"[green]done[/green] {len(rows)} problems in {given.out}", highlight=False)
        return {"out": str(given.out), "problems": len(rows)}
    if not as_json:
        for row in rows:
            print(f"{row['problem_id']}  {row['kind']}, {row['difficulty']} steps, answer {row['answer']}")
            print(f"  {row['prompt']}")
            if "completion" in row:
                print(f"  {row['completion']}")
    return {"problems": rows}


def label(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(LabelOptions, "label", words, text)
    source = given.rollouts / "rollouts.parquet" if given.rollouts.is_dir() else given.rollouts
    table = label_table(read_table(source))
    out = given.out or source.with_name("labelled.parquet")
    write_rollouts(out, table)
    counts = table.group_by("kind", "strategy").agg(
        pl.len().alias("responses"), pl.col("score").mean().alias("accuracy")
    )
    rows = counts.sort("kind", "responses", descending=[False, True]).to_dicts()
    if not as_json:
        for row in rows:
            shown = (
                f"{row['kind']:<12} {row['strategy']:<10} {row['responses']:>7}  {row['accuracy']:6.1%} right"
            )
            print(shown)
        console().print(f"[green]done[/green] {out}", highlight=False)
    return {"out": str(out), "counts": rows}


def decompose(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Decompose, "decompose", words, text)
    tables = []
    for path in (given.before, given.after):
        source = path / "labelled.parquet" if path.is_dir() else path
        table = read_table(source)
        if table["strategy"].null_count():
            raise StratagemError(
                f"{source}: column 'strategy' has empty rows; run `stratagem label {path}` first"
            )
        tables.append(table.filter(pl.col("mode") == "sampled") if "mode" in table.columns else table)
    by = tuple(name for name in given.by.split(",") if name)
    found = split(*tables, by=by, rng=np.random.default_rng(given.seed), draws=given.draws)
    result = found.as_dict() | {"strata": found.strata.to_dicts()}
    if given.out is not None:
        write_json(given.out, finite(result))
    if not as_json:
        print(found)
    return finite(result)
