"""stratagem diagnose, rollouts, passk: what logs of rollouts say."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.markup import escape

from stratagem.commands.common import Terminal, bars, console, read, warn
from stratagem.commands.condition import Condition
from stratagem.commands.judged import Judging, labeller
from stratagem.commands.options import (
    JUDGE,
    Checkpoint,
    Reading,
    Right,
    columns_or_none,
    hand_labels,
    listed,
    paths,
)
from stratagem.commands.pairs import RUNS, Pair, diagnose_pairs, read_pairs
from stratagem.diagnosis.diagnose import Diagnosis
from stratagem.diagnosis.diagnose import diagnose as compare_logs
from stratagem.diagnosis.side import Look
from stratagem.diagnosis.survey import Survey, attempts_of, differences, survey
from stratagem.label_error.quality import LabelQuality
from stratagem.learned.labels import LearnedLabels
from stratagem.records import StratagemError, content_id
from stratagem.report import diagnosis as page
from stratagem.report import runs as runs_page
from stratagem.report.terminal import show_diagnosis, show_passk, show_runs, show_survey
from stratagem.result import Findings
from stratagem.workspace import claim, whole, write_bytes, write_json

RESULT, REPORT, TABLE, RULES = "diagnosis.json", "report.html", "labelled.parquet", "rules.toml"
FILES = (TABLE, REPORT, RULES, RESULT)


@dataclass(frozen=True)
class Diagnose:
    """Examples:
    stratagem diagnose before.jsonl after.jsonl
    stratagem diagnose run/completions --checkpoint step --score accuracy_reward
    stratagem diagnose base.parquet sft.parquet rl.parquet --strategies rules.toml --by dataset --out runs/why
    stratagem diagnose before.jsonl after.jsonl --correct 'score > 0' --fail-if 'selection.low < 0'
    stratagem diagnose --pairs runs.csv --out all
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
            help="math, word-problems, code, a TOML file of rules, module:function, or judge:FILE.toml (default: math, "
            "or word-problems where math would say the same of most responses)",
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
    refine: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…",
            help="columns of the logs or behaviours of the rules that split strategies, to see whether the answer "
            "stays; none for no split (default: behaviours that are no form of the answer)",
            help_behavior_hint="",
        ),
    ] = None
    right: Right = field(default_factory=Right)
    judging: Judging = field(default_factory=Judging)
    join: Annotated[
        str,
        tyro.conf.arg(
            metavar="HOW",
            help="which problems are the same: auto, id, prompt, normalised, or COLUMN,…; none where the logs answer "
            "different problems, whose strata are compared then (default: auto)",
            help_behavior_hint="",
        ),
    ] = "auto"
    checkpoint: Checkpoint = None
    window: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="compare so many checkpoints of the start and of the end, as live measures do (default: the first and "
            "the last; of what `Live` wrote, its own window)",
            help_behavior_hint="",
        ),
    ] = None
    reading: Reading = field(default_factory=Reading)
    names: Annotated[
        str | None, tyro.conf.arg(metavar="NAME,…", help="what to call the logs", help_behavior_hint="")
    ] = None
    labels: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="SHEET",
            help="labels by hand: a sheet of annotate, from which all labels are learned, or one of validate-labels",
            help_behavior_hint="",
        ),
    ] = None
    draws: Annotated[int, tyro.conf.arg(help="bootstrap draws")] = 2000
    level: Annotated[float, tyro.conf.arg(help="of all intervals")] = 0.95
    seed: Annotated[int, tyro.conf.arg(help="of the bootstrap and of the report's sample")] = 0
    no_text: Annotated[
        bool, tyro.conf.arg(help="keep no prompt and no completion", help_behavior_hint="")
    ] = False
    sample: Annotated[int, tyro.conf.arg(help="responses in the report's browser")] = 2000
    pairs: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FILE",
            help="several runs in place of BEFORE AFTER: a CSV file with the columns name, before, after, or a TOML "
            "file with sections [pairs.NAME]; paths are relative to it. Each gets a folder NAME in --out; finished "
            "ones are not made again",
            help_behavior_hint="",
        ),
    ] = None
    fail_if: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="exit code 1 where this holds, such as 'selection.low < 0 AND gain < 0.02' (two points)",
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
    reading: Reading = field(default_factory=Reading)


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
    right: Right = field(default_factory=Right)
    join: Annotated[
        str,
        tyro.conf.arg(
            metavar="HOW",
            help="auto, id, prompt, normalised, or COLUMN,… (default: auto)",
            help_behavior_hint="",
        ),
    ] = "auto"
    reading: Reading = field(default_factory=Reading)
    level: float = 0.95


def diagnose(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Diagnose, "diagnose", words, text)
    condition = None if given.fail_if is None else Condition.parse(given.fail_if)
    look = Look(
        by=columns_or_none(given.by),
        score=given.right.score,
        correct=given.right.correct,
        join=given.join,
        checkpoint=given.checkpoint,
        window=given.window,
        where=given.reading.where,
        refine=columns_or_none(given.refine),
        read=given.reading.options(),
    )
    if given.pairs is not None and (given.strategies or "").startswith(JUDGE):
        raise StratagemError("--pairs: a judge labels one pair at a time; give BEFORE AFTER")
    logs = [] if given.pairs is not None else [paths(log) for log in given.logs]
    with labeller(given.strategies, given.judging, logs, look) as rules:
        return diagnosed(given, replace(look, rules=rules), condition, as_json)


def diagnosed(given: Diagnose, look: Look, condition: Condition | None, as_json: bool) -> dict[str, Any]:
    """What was asked for, of one pair or of several."""
    quality = None if given.labels is None else hand_labels(given.labels, given.level)
    if given.pairs is not None:
        return diagnose_several(given, look, quality, condition, as_json)
    if not given.logs:
        raise StratagemError(
            "give two logs, BEFORE and AFTER, or one with --checkpoint COLUMN, or several runs with --pairs FILE"
        )
    diagnosis = into_folder(given, look, quality, [paths(log) for log in given.logs], given.out)
    result = diagnosis.as_dict()
    if not as_json:
        show_diagnosis(diagnosis, Terminal())
        console().print(f"report: {given.out / REPORT}", highlight=False)
    if condition is None:
        return result
    holds = condition.holds(diagnosis)
    if holds:
        console().print(f"[red]failed[/red] {escape(condition.text)}", highlight=False)
    return result | {"fail_if": {"condition": condition.text, "holds": holds}}


def diagnose_several(
    given: Diagnose,
    look: Look,
    quality: LabelQuality | LearnedLabels | None,
    condition: Condition | None,
    as_json: bool,
) -> dict[str, Any]:
    """Every pair of a file in a folder of its own, and a page and a table of all."""
    if given.logs or given.checkpoint is not None or given.pairs is None:
        raise StratagemError("--pairs names the logs: give it without BEFORE AFTER and without --checkpoint")
    pairs = read_pairs(given.pairs)
    claim(given.out, RUNS)
    beside = ("logs", "out", "pairs", "fail_if", "strategies", "labels", "judging")
    settings = {name: value for name, value in asdict(given).items() if name not in beside}
    settings["strategies"] = None if look.rules is None else look.rules.fingerprint
    settings["labels"] = None if given.labels is None else content_id("sheet", given.labels.read_text())

    def make(pair: Pair, folder: Path) -> Findings:
        logs = [[path for log in side for path in paths(log)] for side in (pair.before, pair.after)]
        return into_folder(given, look, quality, logs, folder)

    say = console()
    runs, findings = diagnose_pairs(
        pairs, given.out, settings, make, lambda line: say.print(line, highlight=False, markup=False)
    )
    write_bytes(given.out / REPORT, runs_page.render(runs).encode())
    if not as_json:
        show_runs(runs, Terminal())
        say.print(f"report: {given.out / REPORT}", highlight=False)
    result = runs.as_dict()
    if condition is None:
        return result
    held = [run.name for run, one in zip(runs.runs, findings, strict=True) if condition.holds(one)]
    if held:
        failed = escape(f"{condition.text}: {', '.join(held)}")
        say.print(f"[red]failed[/red] {failed}", highlight=False)
    return result | {"fail_if": {"condition": condition.text, "holds": bool(held), "runs": held}}


def into_folder(
    given: Diagnose,
    look: Look,
    quality: LabelQuality | LearnedLabels | None,
    logs: list[list[str]],
    folder: Path,
) -> Diagnosis:
    """A diagnosis whose files are written into a folder: page, JSON, labelled table and rules."""
    with whole(folder, FILES) as work, bars() as show:
        diagnosis = compare_logs(
            logs,
            look,
            names=None if given.names is None else listed(given.names),
            draws=given.draws,
            level=given.level,
            seed=given.seed,
            sample=given.sample,
            texts=not given.no_text,
            labels=quality,
            table=work / TABLE,
            progress=show,
        )
        write_json(work / RESULT, diagnosis.as_dict())
        write_bytes(work / REPORT, page.render(diagnosis, diagnosis.sample).encode())
        # A user's rules may hold responses, as examples.
        if diagnosis.rules is not None and diagnosis.rules.source and not given.no_text:
            write_bytes(work / RULES, diagnosis.rules.source.encode())
    return diagnosis


def rollouts(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Rollouts, "rollouts", words, text)
    if not given.logs:
        raise StratagemError("give a file, a folder or a glob of rollouts")
    options = given.reading.options()
    surveys: list[Survey] = []
    with bars() as show:
        for name in given.logs:
            report = lambda done, total, name=name: show(f"read {name}", done, total, {})  # noqa: E731
            surveys.append(survey(paths(name), options, report, given.reading.where))
    if not as_json:
        for surveyed in surveys:
            show_survey(surveyed.about, Terminal())
    warnings = [*(note for surveyed in surveys for note in surveyed.notes), *differences(surveys)]
    if not as_json:
        warn(warnings)
    return {"logs": [surveyed.about.as_dict() for surveyed in surveys], "warnings": warnings}


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
        score=given.right.score,
        correct=given.right.correct,
        join=given.join,
        read=given.reading.options(),
        where=given.reading.where,
        label=False,
    )
    with bars() as show:
        result = attempts_of([paths(log) for log in given.logs], look, ks, given.level, show)
    if not as_json:
        show_passk(result, Terminal())
        warn(result.warnings)
    return result.as_dict()
