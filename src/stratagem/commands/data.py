"""stratagem problems, label, decompose: the stages that need no model."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import polars as pl
import tyro
from rich.markup import escape

from stratagem.commands.common import console, read, warn
from stratagem.commands.judged import Judging, labeller
from stratagem.commands.options import Reading, Right, columns_or_none, paths
from stratagem.decomposition.decompose import decompose as split
from stratagem.diagnosis.match import KNOWN, usable_strata
from stratagem.diagnosis.notes import ordered, pooled, reading_notes, unread_notes
from stratagem.diagnosis.side import Look, open_side, usual_strata
from stratagem.label_error.correction import decompose_corrected
from stratagem.label_error.quality import validate
from stratagem.label_error.sheet import read_sheet
from stratagem.learned.labels import LearnedLabels
from stratagem.learned.sheet import is_learned
from stratagem.records import ROLLOUT_SCHEMA, UNPARSED, StratagemError, finite, read_table
from stratagem.rollouts.problems import check_ids, problem_rows
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import Steps, TaskSpec
from stratagem.stats.counts import tally
from stratagem.tasks import DEFAULT, make_task, read_mix
from stratagem.tasks.table import is_of_a_task, label_table
from stratagem.workspace import make_folder, write_bytes, write_json

OWN, TABLE = "rollouts.parquet", "labelled.parquet"  # in the folder of a `rollout`


@dataclass(frozen=True)
class Problems:
    """Examples:
    stratagem problems --size 3 --strategy all
    stratagem problems --split rl --steps 6-9 --size 1024 --instruction --out rl.jsonl
    """

    task: TaskSpec = DEFAULT
    split: Annotated[str, tyro.conf.arg(help="sft, rl or eval: disjoint by content")] = "sft"
    size: int = 8
    steps: Steps = (2, 5)
    strategy: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="MIX",
            help="add gold demonstrations: all, a mix that the task names, or strategies joined by commas",
        ),
    ] = None
    mix: Annotated[
        str,
        tyro.conf.arg(
            metavar="KIND=WEIGHT,…", help="how often each kind of problem is asked; equal by default"
        ),
    ] = ""
    instruction: Annotated[bool, tyro.conf.arg(help="put the instruction for an LLM before each prompt")] = (
        False
    )
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(help="a .jsonl file; printed where there is none")] = None


@dataclass(frozen=True)
class LabelOptions:
    """Examples:
    stratagem label runs/before
    stratagem label before.jsonl --strategies math
    stratagem label run/completions --strategies rules.toml --score accuracy_reward --out labelled.parquet
    """

    log: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="LOG", help="rollout's --out, or a log: a file, a folder, a glob or FILE,FILE,…"
        ),
    ]
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RULES",
            help="math, word-problems, code, a TOML file of rules, module:function, or judge:FILE.toml; not needed "
            "for tasks of this package and for logs with a column 'strategy'",
            help_behavior_hint="",
        ),
    ] = None
    judging: Judging = field(default_factory=Judging)
    right: Right = field(default_factory=Right)
    join: Annotated[
        str,
        tyro.conf.arg(
            metavar="COLUMNS",
            help="what makes a problem: auto (its id, else its prompt), id, prompt, normalised, or COLUMN,…",
        ),
    ] = "auto"
    reading: Reading = field(default_factory=Reading)
    out: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="TABLE",
            help="the table's file (default: before.labelled.parquet for before.jsonl; in rollout's --out "
            "labelled.parquet)",
            help_behavior_hint="",
        ),
    ] = None


@dataclass(frozen=True)
class Decompose:
    """Examples:
    stratagem decompose runs/before runs/after
    stratagem decompose before.labelled.parquet after.labelled.parquet --by dataset --out gain.json
    """

    before: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(help="what `stratagem label` wrote, or the folder of a rollout"),
    ]
    after: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="the same of the later checkpoint")]
    by: Annotated[
        str | None,
        tyro.conf.arg(help="columns of the strata, joined by commas; by default those that `diagnose` takes"),
    ] = None
    labels: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="SHEET.csv",
            help="hand-labelled rows, as `annotate` or `validate-labels` makes them: the split as it would be without "
            "label error; of annotate's, all labels are learned",
            help_behavior_hint="",
        ),
    ] = None
    draws: Annotated[int, tyro.conf.arg(help="bootstrap draws")] = 2000
    seed: int = 0
    out: Annotated[Path | None, tyro.conf.arg(help="a .json file for the result")] = None


def problems(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Problems, "problems", words, text)
    task = make_task(given.task)
    if given.strategy:
        task.chosen(given.strategy)
    weights = read_mix(given.mix, task)
    generated = task.generate(given.split, given.size, given.steps, seed=given.seed, weights=weights)
    gold = (
        task.demonstrations(generated, given.strategy, given.seed)
        if given.strategy
        else [None] * len(generated)
    )
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
        for problem, completion in zip(generated, gold, strict=True)
    ]
    if given.out is not None:
        make_folder(given.out.parent)
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
    own = Path(given.log) / OWN
    log = str(own) if own.is_file() else given.log
    out = given.out or named_after(log)
    if out.resolve() == Path(log).resolve():
        raise StratagemError(f"--out {out}: is the log itself; choose another")
    look = Look(
        score=given.right.score,
        correct=given.right.correct,
        join=given.join,
        read=given.reading.options(),
        where=given.reading.where,
    )
    plain = given.strategies is None and given.right == Right() and given.reading == Reading()
    lab = lab_table(Path(log)) if plain else None
    if lab is None:
        with labeller(given.strategies, given.judging, [paths(log)], look) as rules:
            table, score, notes = label_log(log, replace(look, rules=rules), out)
        keys = ["strategy"]
    else:
        make_folder(out.parent)
        table, score, notes, keys = label_table(lab), "column 'score'", [], ["kind", "strategy"]
    write_rollouts(out, table)
    counts = table.group_by(keys).agg(pl.len().alias("responses"), pl.col("score").mean().alias("accuracy"))
    rows = counts.sort(*keys[:-1], -pl.col("responses").cast(pl.Int64), keys[-1]).to_dicts()
    if not as_json:
        for row in rows:
            accuracy = "" if row["accuracy"] is None else f"  {row['accuracy']:6.1%} correct"
            print("".join(f"{row[key]:<12} " for key in keys) + f"{row['responses']:>7}{accuracy}")
        warn(notes)
        by = f", right by {escape(score)}" if score else ""
        console().print(f"[green]done[/green] {out}{by}", highlight=False, soft_wrap=True)
    return {"out": str(out), "score": score, "counts": rows, "warnings": notes}


def named_after(log: str) -> Path:
    """Where the labels of a log go by default: a name of its own beside it, so that no two logs share one.

    Raises:
        StratagemError: the log is a glob or several files.
    """
    path = Path(log)
    if path.name == OWN:
        return path.with_name(TABLE)
    if not path.exists():
        raise StratagemError(
            f"{log}: no such file or folder; for a glob or several files name the table with --out"
        )
    path = path if path.name not in ("", "..") else path.resolve()
    while path.suffix in KNOWN:
        path = path.with_suffix("")
    return path.with_name(f"{path.name}.{TABLE}")


def lab_table(path: Path) -> pl.DataFrame | None:
    """The rollouts of a `rollout` as they are; None where it is another log."""
    try:
        known = path.is_file() and set(ROLLOUT_SCHEMA) <= set(pl.read_parquet_schema(path))
    except (pl.exceptions.PolarsError, OSError):
        return None
    table = read_table(path) if known else None
    return table if table is not None and is_of_a_task(table) else None


def label_log(log: str, look: Look, out: Path) -> tuple[pl.DataFrame, str | None, list[str]]:
    """Any log as a labelled rollout table, how it is known which are correct, and what a user has to know of it.

    Raises:
        StratagemError: as `open_side`; nothing names strategies, or there are counts in place of completions.
    """
    opened = open_side(paths(log), look, log, scoreless=True)
    if opened.counted:
        raise StratagemError(f"{log}: holds counts and no completions to label; `stratagem passk` reads it")
    if opened.rules is not None and look.rules is None:
        raise StratagemError(
            f"{log}: nothing says which strategies there are; name them: stratagem label {log} --strategies math"
        )
    make_folder(out.parent)
    table = pl.concat(list(opened.batches()), how="diagonal_relaxed")
    check_ids(log, problem_rows(table, ()), look.join)
    notes = [*pooled(log, ordered(opened.chosen.checkpoints)), *opened.chosen.notes(), *opened.unfit()]
    notes += reading_notes(log, opened.log)
    notes += unread_notes(log, int((table["strategy"] == UNPARSED).sum()), table.height)
    notes += [f"{log}: left out {count}: {reason}" for reason, count in opened.log.left_out.items()]
    right = opened.correctness
    if right is None:
        fix = "name one with --score, or give --correct 'COLUMN > 0'"
        return table, None, [*notes, f"{log}: no column says what is right; {fix}"]
    if unscored := table["score"].null_count():
        notes.append(f"{log}: no score for {unscored} of {table.height} responses")
    return table, right.text, notes


def decompose(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Decompose, "decompose", words, text)
    tables = [labelled(path) for path in (given.before, given.after)]
    learned = None
    if given.labels is not None and is_learned(given.labels):
        learned = LearnedLabels.read(given.labels)
        tables = [learned_table(table, learned) for table in tables]
    if given.out is not None:
        make_folder(given.out.parent)
    asked = columns_or_none(given.by)
    by = usable_strata(tables, usual_strata(tables)) if asked is None else asked
    rng = np.random.default_rng(given.seed)
    try:
        decomposition = split(*tables, by=by, rng=rng, draws=given.draws, stratified=False)
    except StratagemError as error:
        raise StratagemError(f"{given.before} and {given.after}: {error}") from None
    result = decomposition.as_dict() | {"strata": decomposition.strata.to_dicts()}
    corrected, quality = None, None
    if given.labels is not None:
        if learned is not None:
            quality, confusion = learned.measured([tally(t, (), "") for t in tables], ("0", "1"), 0.95)
        else:
            hand = read_sheet(given.labels)
            used = [column for table in (*tables, hand) for column in table["strategy"].unique()]
            quality = validate(hand, names=sorted({*used, *hand["true_strategy"]}))
            confusion = quality.confusion()
        rng = np.random.default_rng([given.seed, 1])
        before, after = tables
        corrected = decompose_corrected(
            before, after, confusion, by=by, rng=rng, draws=given.draws, stratified=False
        )
        result |= {"corrected": corrected.as_dict(), "quality": quality.as_dict()}
    if given.out is not None:
        write_json(given.out, finite(result))
    if not as_json:
        print(decomposition)
        if corrected is not None:
            print(f"\n{corrected}")
            if learned is not None and quality is not None:
                print(f"\n{quality}")
    return finite(result)


def labelled(path: Path) -> pl.DataFrame:
    """A labelled table of one checkpoint, without its greedy responses and those without a score.

    Raises:
        StratagemError: no such table, a column is missing, it is not labelled, or has no scores.
    """
    source = path / TABLE if path.is_dir() else path
    try:
        names = pl.read_parquet_schema(source)
    except (pl.exceptions.PolarsError, OSError):
        names = {}
    if path.exists() and "strategy" not in names:
        raise unlabelled(path)
    table = read_table(source, ("problem_id", "checkpoint", "sample", "strategy", "score", "length"))
    if table["strategy"].null_count():
        raise unlabelled(path)
    table = table.filter(pl.col("mode") == "sampled") if "mode" in table.columns else table
    scored = table.filter(pl.col("score").is_not_null())
    if scored.is_empty():
        raise StratagemError(
            f"{source}: column 'score' is empty; label the log again with --score COLUMN or --correct CONDITION"
        )
    if scored.height < table.height:
        warn([f"{source}: left out {table.height - scored.height} responses without a score"])
    return scored


def learned_table(table: pl.DataFrame, learned: LearnedLabels) -> pl.DataFrame:
    """The table with the labels that a sheet teaches.

    Raises:
        StratagemError: it holds no completions.
    """
    if "completion" not in table.columns or table["completion"].null_count() == table.height:
        raise StratagemError(
            "the tables hold no completions to label by what was learned; label the logs with texts"
        )
    return learned.label(table)


def unlabelled(path: Path) -> StratagemError:
    """What to run so that a log can be decomposed."""
    if (path / OWN).is_file():
        return StratagemError(f"{path}: not labelled; run: stratagem label {path}")
    return StratagemError(
        f"{path}: not labelled; run: stratagem label {path} --strategies math, and give {named_after(str(path))}"
    )
