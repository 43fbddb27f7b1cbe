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
from stratagem.lens.frames import label_log
from stratagem.mechanisms.decompose import decompose as split
from stratagem.records import StratagemError, finite, read_table
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import Steps
from stratagem.strategies import SETS, demonstrations
from stratagem.strategies.table import label_table
from stratagem.tasks.finite_field import FiniteField
from stratagem.workspace import write_bytes, write_json

LAB = ("kind", "difficulty")  # what makes strata in the lab


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
    stratagem label completions.jsonl --strategies math --out labelled.parquet
    """

    rollouts: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(help="rollout's --out, a rollout table, or any log with --strategies"),
    ]
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            help="math, code, a TOML file of rules, or module:function; else the finite-field recogniser"
        ),
    ] = None
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
    by: Annotated[
        str | None,
        tyro.conf.arg(help="columns of the strata, joined by commas; kind,difficulty where they are there"),
    ] = None
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
    own = given.rollouts / "rollouts.parquet"
    source = own if own.is_file() else given.rollouts
    if given.strategies is None:
        table, keys = label_table(read_table(source)), ["kind", "strategy"]
    else:
        table, keys = label_log(source, given.strategies), ["strategy"]
    out = given.out or source.with_name("labelled.parquet")
    write_rollouts(out, table)
    counts = table.group_by(keys).agg(pl.len().alias("responses"), pl.col("score").mean().alias("accuracy"))
    rows = counts.sort(*keys[:-1], -pl.col("responses").cast(pl.Int64)).to_dicts()
    if not as_json:
        for row in rows:
            right = "" if row["accuracy"] is None else f"  {row['accuracy']:6.1%} right"
            print("".join(f"{row[key]:<12} " for key in keys) + f"{row['responses']:>7}{right}")
        console().print(f"[green]done[/green] {out}", highlight=False)
    return {"out": str(out), "counts": rows}


def decompose(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Decompose, "decompose", words, text)
    tables = [labelled(path) for path in (given.before, given.after)]
    known = all(name in table.columns for table in tables for name in LAB)
    by = LAB if given.by is None and known else tuple(name for name in (given.by or "").split(",") if name)
    # Sizes of strata are by design in the lab alone.
    rng = np.random.default_rng(given.seed)
    found = split(*tables, by=by, rng=rng, draws=given.draws, stratified=known)
    result = found.as_dict() | {"strata": found.strata.to_dicts()}
    if given.out is not None:
        write_json(given.out, finite(result))
    if not as_json:
        print(found)
    return finite(result)


def labelled(path: Path) -> pl.DataFrame:
    """A labelled table of one checkpoint, without its greedy responses.

    Raises:
        StratagemError: no such table, a column is missing, or it is not labelled.
    """
    source = path / "labelled.parquet" if path.is_dir() else path
    table = read_table(source, ("problem_id", "checkpoint", "sample", "strategy", "score", "length"))
    if table["strategy"].null_count():
        raise StratagemError(
            f"{source}: column 'strategy' has empty rows; run `stratagem label {path}` first"
        )
    return table.filter(pl.col("mode") == "sampled") if "mode" in table.columns else table
