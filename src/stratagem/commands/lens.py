"""stratagem diagnose, rollouts, passk: what logs of rollouts say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from stratagem.commands.common import bars, console, read
from stratagem.commands.condition import Condition
from stratagem.lens.diagnose import diagnose as compare_logs
from stratagem.lens.side import Look
from stratagem.lens.survey import attempts_of, differences, survey
from stratagem.mechanisms.labels import validate
from stratagem.mechanisms.sheet import read_sheet
from stratagem.records import StratagemError
from stratagem.report import diagnosis as page
from stratagem.report.terminal import show_diagnosis, show_passk, show_survey
from stratagem.rollouts.readers.row import ReadOptions
from stratagem.strategies.rules import RuleSet, check_rules, read_rules
from stratagem.workspace import write_bytes, write_json

RESULT, REPORT, TABLE, RULES = "diagnosis.json", "report.html", "labelled.parquet", "rules.toml"


@dataclass(frozen=True)
class Diagnose:
    """Examples:
    stratagem diagnose before.jsonl after.jsonl
    stratagem diagnose run/completions --checkpoint step --score accuracy_reward
    stratagem diagnose base.parquet sft.parquet rl.parquet --strategies rules.toml --by dataset --out runs/why
    stratagem diagnose before.jsonl after.jsonl --correct 'score > 0' --fail-if 'selection.low < 0'
    """

    logs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="BEFORE AFTER",
            help="the log before, then the log after (and later ones); each a file, a folder, or FILE,FILE,…",
            help_behavior_hint="",
        ),
    ] = ()
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RULES",
            help="math, code, a TOML file of rules, or module:function (default: math)",
            help_behavior_hint="",
        ),
    ] = None
    by: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…",
            help="columns of the strata; none for a single one (default: dataset, difficulty and the like)",
            help_behavior_hint="",
        ),
    ] = None
    score: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN", help="the column that says what is right, within 0-1", help_behavior_hint=""
        ),
    ] = None
    correct: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="a condition that says what is right, such as 'score > 0'",
            help_behavior_hint="",
        ),
    ] = None
    join: Annotated[
        str,
        tyro.conf.arg(
            metavar="HOW",
            help="which problems are the same: auto, id, prompt, normalised, or COLUMN,…; none where the logs answer "
            "different problems, whose strata are compared then (default: auto)",
            help_behavior_hint="",
        ),
    ] = "auto"
    checkpoint: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="the column of a single log that holds its checkpoints",
            help_behavior_hint="",
        ),
    ] = None
    columns: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="OURS=THEIRS",
            help="what columns are called in the logs, such as completion=response",
            help_behavior_hint="",
        ),
    ] = ()
    turns: Annotated[
        str,
        tyro.conf.arg(
            metavar="TURNS",
            help="which assistant turns are labelled: last or all (default: last)",
            help_behavior_hint="",
        ),
    ] = "last"
    strict: Annotated[bool, tyro.conf.arg(help="refuse a log with a broken line", help_behavior_hint="")] = (
        False
    )
    names: Annotated[
        str | None, tyro.conf.arg(metavar="NAME,…", help="what to call the logs", help_behavior_hint="")
    ] = None
    labels: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="SHEET", help="a sheet labelled by hand; see validate-labels", help_behavior_hint=""
        ),
    ] = None
    draws: Annotated[int, tyro.conf.arg(help="bootstrap draws")] = 2000
    level: Annotated[float, tyro.conf.arg(help="of all intervals")] = 0.95
    seed: Annotated[int, tyro.conf.arg(help="of the bootstrap and of the report's sample")] = 0
    no_text: Annotated[
        bool, tyro.conf.arg(help="keep no prompt and no completion", help_behavior_hint="")
    ] = False
    sample: Annotated[int, tyro.conf.arg(help="responses in the report's browser")] = 2000
    fail_if: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="exit code 1 where this holds, such as 'selection.low < 0'",
            help_behavior_hint="",
        ),
    ] = None
    out: Annotated[
        Path, tyro.conf.arg(help="folder for report.html, diagnosis.json, labelled.parquet and rules.toml")
    ] = Path("diagnosis")


@dataclass(frozen=True)
class Rollouts:
    """Examples:
    stratagem rollouts before.jsonl after.jsonl
    stratagem rollouts run/completions
    """

    logs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="LOG", help="files, folders or globs; each is one log", help_behavior_hint=""),
    ] = ()
    columns: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="OURS=THEIRS",
            help="what columns are called in the logs, such as completion=response",
            help_behavior_hint="",
        ),
    ] = ()
    turns: Annotated[
        str,
        tyro.conf.arg(
            metavar="TURNS",
            help="which assistant turns count as the completion: last or all (default: last)",
            help_behavior_hint="",
        ),
    ] = "last"
    strict: Annotated[bool, tyro.conf.arg(help="refuse a log with a broken line", help_behavior_hint="")] = (
        False
    )


@dataclass(frozen=True)
class PassK:
    """Examples:
    stratagem passk rollouts.jsonl
    stratagem passk before.jsonl after.jsonl --k 1,8,64
    """

    logs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="LOG", help="one log, or the logs before and after", help_behavior_hint=""),
    ] = ()
    k: Annotated[
        str | None,
        tyro.conf.arg(metavar="K,…", help="numbers of attempts (default: 1, 2, 4, …)", help_behavior_hint=""),
    ] = None
    score: Annotated[
        str | None,
        tyro.conf.arg(metavar="COLUMN", help="the column that says what is right", help_behavior_hint=""),
    ] = None
    correct: Annotated[
        str | None,
        tyro.conf.arg(metavar="CONDITION", help="a condition that says what is right", help_behavior_hint=""),
    ] = None
    join: Annotated[
        str,
        tyro.conf.arg(
            metavar="HOW",
            help="auto, id, prompt, normalised, or COLUMN,… (default: auto)",
            help_behavior_hint="",
        ),
    ] = "auto"
    columns: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="OURS=THEIRS",
            help="what columns are called in the logs, such as completion=response",
            help_behavior_hint="",
        ),
    ] = ()
    level: float = 0.95


def diagnose(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Diagnose, "diagnose", words, text)
    condition = None if given.fail_if is None else Condition.parse(given.fail_if)
    if not 0 < given.level < 1:
        raise StratagemError(f"--level {given.level}: must lie between 0 and 1")
    if given.draws < 100:
        raise StratagemError(f"--draws {given.draws}: must be at least 100")
    look = Look(
        rules=None if given.strategies is None else checked_rules(given.strategies),
        by=None if given.by is None else tuple(listed(given.by)) if given.by != "none" else (),
        score=given.score,
        correct=given.correct,
        join=given.join,
        checkpoint=given.checkpoint,
        read=read_options(given.columns, given.turns, given.strict),
    )
    if not given.logs:
        raise StratagemError("give two logs, BEFORE and AFTER, or one with --checkpoint COLUMN")
    quality = (
        None if given.labels is None else validate(read_sheet(given.labels, partial=True), level=given.level)
    )
    claim(given.out)
    with bars() as show:
        found = compare_logs(
            [paths(log) for log in given.logs],
            look,
            names=listed(given.names) if given.names else None,
            draws=given.draws,
            level=given.level,
            seed=given.seed,
            sample=given.sample,
            texts=not given.no_text,
            labels=quality,
            table=given.out / TABLE,
            progress=show,
        )
    write_json(given.out / RESULT, found.summary)
    write_bytes(given.out / REPORT, page.render(found.summary, found.sample).encode())
    # A user's rules may hold responses, as examples.
    if found.rules is not None and found.rules.source and not given.no_text:
        write_bytes(given.out / RULES, found.rules.source.encode())
    else:
        (given.out / RULES).unlink(missing_ok=True)
    if not as_json:
        show_diagnosis(found.summary, Console())
        console().print(f"report: {given.out / REPORT}", highlight=False)
    if condition is None:
        return found.summary
    holds = condition.holds(found.summary)
    if holds:
        console().print(f"[red]failed[/red] {condition.text}", highlight=False)
    return found.summary | {"fail_if": {"condition": condition.text, "holds": holds}}


def rollouts(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Rollouts, "rollouts", words, text)
    if not given.logs:
        raise StratagemError("give a file, a folder or a glob of rollouts")
    options = read_options(given.columns, given.turns, given.strict)
    found: list[dict[str, Any]] = []
    with bars() as show:
        for name in given.logs:
            found.append(
                survey(
                    paths(name), options, lambda done, total, name=name: show(f"read {name}", done, total, {})
                )
            )
    if not as_json:
        for one in found:
            show_survey(one, Console())
    warnings = differences(found)
    if not as_json:
        for warning in warnings:
            console().print(f"[yellow]{warning}[/yellow]", highlight=False)
    return {"logs": found, "warnings": warnings}


def passk(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(PassK, "passk", words, text)
    if not 1 <= len(given.logs) <= 2:
        raise StratagemError("give one log, or BEFORE and AFTER")
    try:
        ks = None if given.k is None else sorted({int(word) for word in listed(given.k)})
    except ValueError:
        raise StratagemError(f"--k {given.k}: whole numbers joined by commas") from None
    if ks is not None and (not ks or ks[0] < 1):
        raise StratagemError(f"--k {given.k}: numbers of at least 1")
    look = Look(
        by=(),
        score=given.score,
        correct=given.correct,
        join=given.join,
        read=read_options(given.columns, "last", False),
        label=False,
    )
    with bars() as show:
        result = attempts_of([paths(log) for log in given.logs], look, ks, given.level, show)
    if not as_json:
        show_passk(result, Console())
    return result


def checked_rules(source: str) -> RuleSet:
    """
    Raises:
        StratagemError: a rule gets one of its own examples wrong.
    """
    rules = read_rules(source)
    for failure in check_rules(rules):
        raise StratagemError(f"--strategies {source}: {failure}")
    return rules


def listed(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def paths(text: str) -> list[str]:
    """The paths of one log: a path that exists, as it is; else several joined by commas."""
    return [text] if Path(text).exists() else listed(text) or [text]


def read_options(columns: Sequence[str], turns: str, strict: bool) -> ReadOptions:
    if turns not in ("last", "all"):
        raise StratagemError(f"--turns {turns}: must be last or all")
    pairs = [word.partition("=") for word in columns]
    for ours, sign, theirs in pairs:
        if not (ours and sign and theirs):
            raise StratagemError(
                f"--columns {ours}: write our name=the log's name, such as completion=response"
            )
    return ReadOptions(turns=turns, columns={ours: theirs for ours, _, theirs in pairs}, strict=strict)


def claim(out: Path) -> None:
    """See that `out` is empty or holds an earlier diagnosis, before anything long is done."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / RESULT).exists())):
        raise StratagemError(f"{out}: not empty and not a diagnosis of ours; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StratagemError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
