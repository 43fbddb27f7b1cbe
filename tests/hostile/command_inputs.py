"""Inputs of the long form that are no logs: option values, TOML files, sheets, pools, tables and studies."""

from __future__ import annotations

import csv
import io
import json
import random
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import polars as pl

from stratagem import cli
from stratagem.label_error import sheet as sheets
from stratagem.studies.files import shipped
from tests.hostile.forms import FORMS, ODD, Found, find
from tests.hostile.inputs import LOG, Input, damaged, records_of, written_lines
from tests.report.synthetic_study import make as made_up_study

# --- values of options --------------------------------------------------------------------------------------------

VALUES = [
    *("", " ", "0", "-1", "-0.0", "1e308", "1e309", "nan", "inf", "-inf", "1_000", "0x10", "½", "٣", "2147483648"),
    *("9" * 5_000, "1" + "0" * 30, "*", "?", "[", "[red]", "[/]", "{", "}", "--", "-", "---json", "=", "a="),
    *("=b", "a=b=c"),
    *(",", ",,,", "a,b,c", "none", "auto", "None", "null", "true", "\n", "\0", "\udcff", "\u202e", "\ufeff"),
    *("😀", "'", '"'),
    *("x" * 100_000, "../..", "/etc/passwd", "<script>", "%s%n", "${HOME}", "$(id)", "`id`", "; rm", "a\tb"),
    *("prompt", "score"),
    *("completion", "score > 0", "score > ", "score = 'a", "(" * 3_000, "NOT " * 3_000, "1 = 1", "0 = 1"),
    *("NULL", "score"),
    *("score > (SELECT 1)", "read_csv('x')", "score; DROP TABLE x", "1/0 > 1", "score > 1e999", "LENGTH(prompt) > 0"),
    *("prompt LIKE '%'", "score IN (0, 1)", "score IN ()", "completion = prompt", "CAST(score AS INT) = 1"),
    "score || 1",
    *("completion=prompt", "completion=score", "prompt=prompt", "score=completion", "id=prompt", "nothing=x"),
    "completion=a.0.b",
    *("selection.low < 0", "gain", "gain > nan", "selection.low.low > 1"),
]  # fmt: skip
PLAIN = ["diagnose", LOG, LOG, "--draws", "100", "--out", "out", "--by", "none"]
PROMPTS = ["curate", "prompts", LOG, "--rollouts", LOG, "--out", "out"]
SHOWN = ["curate", "demonstrations", LOG, "--out", "out"]
OPTIONS: list[tuple[int, list[str], list[str]]] = [
    (6, ["rollouts", LOG], ["--columns", "--turns", "--where"]),
    (6, ["passk", LOG], ["--k", "--score", "--correct", "--join", "--level", "--where", "--columns", "--turns"]),
    (2, ["label", LOG, "--out", "out"], ["--strategies", "--score", "--correct", "--join", "--columns", "--where"]),
    (2, PLAIN, ["--by", "--refine", "--score", "--correct", "--join", "--checkpoint", "--window", "--where", "--names",
                "--draws", "--level", "--seed", "--sample", "--fail-if", "--strategies", "--labels", "--pairs"]),
    (2, PROMPTS, ["--size", "--keep-signal", "--group", "--by", "--target", "--unseen", "--duplicates", "--min-signal",
                  "--sure", "--curriculum", "--stages", "--holdout", "--again", "--score", "--correct",
                  "--reward", "--join", "--id", "--prompt", "--seed"]),
    (2, SHOWN, ["--strategies", "--size", "--choose", "--cover", "--by", "--difficulty", "--quality", "--problems",
                "--near", "--duplicates", "--rare", "--write", "--holdout", "--id", "--prompt", "--response",
                "--format", "--level", "--draws", "--seed"]),
    (2, ["problems"], ["--task", "--split", "--size", "--steps", "--strategy", "--mix", "--seed"]),
    (1, ["validate-labels", LOG, "--out", "sheet.csv"], ["--size", "--seed", "--level"]),
    (1, ["decompose", LOG, LOG], ["--by", "--labels", "--draws", "--seed"]),
]  # fmt: skip


def option_values(rng: random.Random, path: Path) -> Input:
    ((_, words, options),) = rng.choices(OPTIONS, weights=[weight for weight, _, _ in OPTIONS])
    form = FORMS["flat"]
    records = [form.write(i, rng) for i in range(12)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    option = rng.choice(options)
    value = rng.choice(VALUES)
    command = " ".join(word for word in words[:2] if word != LOG)
    return Input(
        f"options of {command}",
        (*words, option, value),
        named=(LOG, option, option.strip("-"), cli.one_line(value[:10]) or option),
    )


# --- files of settings ----------------------------------------------------------------------------------------------

RULES = r"""
[parts]
answer = ['(?s)is (\d+)']

[strategies.so]
description = "Says so"
any = ['\bSo it\b', '^So']
none = ['boxed']
examples = ["So it is 4."]
counter_examples = ["No."]

[strategies.boxed]
description = "Boxes it"
any = ['boxed']

[behaviours.verification]
description = "Checks"
any = ['\b[Cc]heck\b']
"""
STUDY = shipped()["frontier"].read_text()
PAIRS = """
[pairs.one]
before = "a.jsonl"
after = "b.jsonl"

[pairs.two]
before = ["a.jsonl", "c.jsonl"]
after = "b.jsonl"
"""
TOML_VALUES = [
    *("nan", "inf", "1e999", "-1", "0", "9" * 5_000, "true", '""', "''", "[]", "{}", "[[]]", "[1, 'a']", "1979-05-27"),
    *("'''a\nb'''", '"\\u0000"', '"\\u202e"', "'['", "'(?=a)'", "'(a{1000}){1000}'", "'\\p{Nonsense}'"),
    *("[''] ", "[" * 500),
    *("'" + "x" * 50_000 + "'", "{a = {b = {c = 1}}}", "'<script>'", "['so', 'so']", "''' \\b '''"),
]  # fmt: skip


def changed_text(text: str, rng: random.Random) -> bytes:
    """A TOML file in which a few lines, or bytes, have gone wrong."""
    lines = text.strip().split("\n")
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        place = rng.randrange(len(lines))
        name, equals, _ = lines[place].partition(" = ")
        match rng.randrange(7):
            case 0:
                lines.pop(place)
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[place])
            case 2 if equals:
                new = rng.choice(["new", "", "a.b", '" "', '"\\n"', name.upper()])
                lines[place] = new + lines[place][len(name) :]
            case _ if equals:
                lines[place] = f"{name} = {rng.choice(TOML_VALUES)}"
            case _:
                lines[place] = rng.choice(
                    ["[", "[[x]]", "[strategies]", "[arms]", "[strategies.'']", "[pairs]", "x = 1", "\0"]
                )
        if not lines:
            break
    data = "\n".join(lines).encode()
    data = damaged(data, rng) if data and rng.random() < 0.2 else data
    return b"\xef\xbb\xbf" + data if rng.random() < 0.05 else data


def settings_file(rng: random.Random, path: Path) -> Input:
    records = [FORMS["prompt-completion"].write(i, rng) for i in range(12)]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    kind, text, words, named = rng.choice(FILES)
    (path.parent / named).write_bytes(changed_text(text, rng))
    return Input(kind, tuple(words), named=(named, "--preset", "--max-requests"))


FILES: list[tuple[str, str, list[str], str]] = [
    ("rules", RULES, ["label", LOG, "--strategies", "rules.toml", "--out", "out"], "rules.toml"),
    (
        "judges",
        RULES,
        ["label", LOG, "--strategies", "judge:rubric.toml", "--model", "m", "--out", "out"],
        "rubric.toml",
    ),
    ("studies", STUDY, ["reproduce", "study.toml", "--preset", "no such", "--out", "out"], "study.toml"),
    ("pairs", PAIRS, ["diagnose", "--pairs", "pairs.toml", "--out", "out"], "pairs.toml"),
]


# --- sheets, pools, tables, studies -----------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def filled_sheet() -> str:
    """A sheet whose rows are labelled."""
    table = pl.read_parquet(io.BytesIO(labelled()))
    made = sheets.sheet(table, 20, np.random.default_rng(0)).with_columns(true_strategy="strategy")
    return made.write_csv()


def sheet(rng: random.Random, path: Path) -> Input:
    rows = list(csv.reader(io.StringIO(filled_sheet())))
    for _ in range(rng.choice([0, 1, 1, 2])):
        row = rng.choice(rows)
        row[rng.randrange(len(row))] = rng.choice([str(value)[:9_000] for value in ODD[:-1]]).replace(
            "\ud800", "?"
        )
    text = io.StringIO()
    csv.writer(text, delimiter=rng.choice(",;")).writerows(rows)
    data = text.getvalue().encode()
    (path.parent / "sheet.csv").write_bytes(damaged(data, rng) if rng.random() < 0.3 else data)
    return Input("sheets", ("validate-labels", "sheet.csv"), named=("sheet.csv",))


def pool(rng: random.Random, path: Path) -> Input:
    """Prompts to choose from, with something wrong, beside rollouts that are whole."""
    form = FORMS["prompt-completion"]
    path.write_bytes(written_lines([form.write(i, rng) for i in range(12)], rng))
    records = records_of(FORMS["prompt-completion"], rng)
    (path.parent / "pool.jsonl").write_bytes(written_lines(records, rng))
    what = rng.choice([["prompts", "pool.jsonl", "--rollouts", LOG], ["demonstrations", "pool.jsonl"]])
    return Input("pools", ("curate", *what, "--out", "out"), named=("pool.jsonl", LOG))


@lru_cache(maxsize=1)
def labelled() -> bytes:
    """A labelled table."""
    rng = random.Random(0)
    rows = [
        {
            "problem_id": f"p{i // 4}",
            "kind": "all",
            "difficulty": 1,
            "checkpoint": "c",
            "sample": i % 4,
            "prompt": "q",
        }
        | {
            "completion": f"So {i}",
            "score": float(rng.randrange(2)),
            "strategy": rng.choice("ab"),
            "length": 3,
        }
        for i in range(40)
    ]
    buffer = io.BytesIO()
    pl.DataFrame(rows).write_parquet(buffer)
    return buffer.getvalue()


def damaged_table(rng: random.Random, path: Path) -> Input:
    whole = labelled()
    if rng.random() < 0.5:
        table = pl.read_parquet(io.BytesIO(whole))
        name = rng.choice(table.columns)
        odd = rng.choice([None, float("nan"), -1, 2.5, "x", "", [1], {"a": 1}, b"\xff", 2**40])
        table = (
            table.drop(name)
            if rng.random() < 0.3
            else table.with_columns(pl.Series(name, [odd] * table.height))
        )
        buffer = io.BytesIO()
        table.write_parquet(buffer)
        data = buffer.getvalue()
    else:
        data = damaged(whole, rng)
    path.write_bytes(data)
    (path.parent / "whole").write_bytes(whole)
    commands = [
        ["decompose", LOG, "whole"],
        ["decompose", "whole", LOG],
        ["validate-labels", LOG, "--out", "sheet.csv"],
    ]
    return Input("labelled tables", tuple(rng.choice(commands)), named=(LOG, "column", "size"))


@lru_cache(maxsize=1)
def study() -> tuple[str, dict[str, bytes]]:
    """A finished study: its summary and its tables."""
    inputs = made_up_study(problems=8, samples=2, updates=10)
    tables = {}
    for name in ("rollouts", "curves", "metrics"):
        buffer = io.BytesIO()
        getattr(inputs, name).write_parquet(buffer)
        tables[name] = buffer.getvalue()
    return msgspec.json.encode(inputs.summary).decode(), tables


def finished_study(rng: random.Random, path: Path) -> Input:
    """A study in whose summary a value is odd, or whose files are damaged."""
    summary, tables = study()
    path.mkdir()
    files = {"summary.json": summary.encode()} | {f"{name}.parquet": data for name, data in tables.items()}
    if rng.random() < 0.6:
        value = json.loads(summary)
        _odd_inside(value, rng)
        files["summary.json"] = json.dumps(value).encode()
    else:
        name = rng.choice(list(files))
        files[name] = damaged(files[name], rng)
    for name, data in files.items():
        (path / name).write_bytes(data)
    return Input("reports", ("report", LOG), named=(LOG,))


def _odd_inside(value: Any, rng: random.Random) -> None:
    """Put an odd value somewhere into nested objects and lists."""
    while True:
        keys: list[Any] = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = rng.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and rng.random() < 0.8:
            value = value[key]
        else:
            value[key] = rng.choice(ODD[:-1])
            return


# --- whole comparisons --------------------------------------------------------------------------------------------


def compared(rng: random.Random, path: Path) -> Input:
    """Two logs with something wrong in them, of which a plain reader tells the gain."""
    form = FORMS["prompt-completion"]
    sides: list[Found] = []
    for name in ("before.jsonl", "after.jsonl"):
        records = [form.write(i, rng) for i in range(24)]
        for _ in range(rng.randrange(4)):
            records[rng.randrange(24)] = rng.choice(
                [None, [], {"prompt": "What?"}, {"completion": "c", "score": 1}]
            )
        (path.parent / name).write_text("".join(json.dumps(record) + "\n" for record in records))
        sides.append(find(records, form))
    words = (
        "diagnose",
        "before.jsonl",
        "after.jsonl",
        "--draws",
        "100",
        "--by",
        "none",
        "--no-text",
        "--out",
        "out",
    )
    return Input("diagnoses", words, sides[0], named=("before.jsonl", "after.jsonl"), after=sides[1])


COMMANDS: dict[str, tuple[float, Callable[[random.Random, Path], Input]]] = {
    "options": (5, option_values),
    "settings": (5, settings_file),
    "sheets": (1.5, sheet),
    "pools": (1.5, pool),
    "labelled tables": (1.5, damaged_table),
    "reports": (0.5, finished_study),
    "diagnoses": (0.7, compared),
}
