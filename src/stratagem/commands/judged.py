"""Where the labels of `label` and `diagnose` come from: rules, a sheet, or a judge, which says first what it takes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from stratagem.commands.common import console, warn
from stratagem.commands.options import JUDGE, checked_rules
from stratagem.diagnosis.side import Look, open_side
from stratagem.judging.judge import LOCAL, Judge, JudgeConfig
from stratagem.judging.rubric import read_rubric
from stratagem.labelling.rules import RuleSet
from stratagem.records import StratagemError


@dataclass(frozen=True)
class Judging:
    """A language model that judges, with --strategies judge:FILE.toml; its key is read from OPENAI_API_KEY."""

    url: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="URL",
            help="of a server that speaks the OpenAI-compatible protocol (default: http://localhost:8000/v1)",
            help_behavior_hint="",
        ),
    ] = None
    model: Annotated[
        str | None,
        tyro.conf.arg(metavar="NAME", help="of the model, as the server calls it", help_behavior_hint=""),
    ] = None
    votes: Annotated[int, tyro.conf.arg(help="of the judge on each response; most decide")] = 1
    max_requests: Annotated[
        int, tyro.conf.arg(help="of the judge; where more are needed none is sent, and it is said how many")
    ] = 0
    per_minute: Annotated[float, tyro.conf.arg(help="requests to the judge, at most")] = 600.0
    parallel: Annotated[
        int,
        tyro.conf.arg(
            help="requests to the judge under way at once; 1 for a server that takes one at a time"
        ),
    ] = 8
    timeout: Annotated[float, tyro.conf.arg(help="seconds of a request to the judge, waiting included")] = (
        120.0
    )
    answers: Annotated[
        Path,
        tyro.conf.arg(metavar="FILE", help="where the judge's answers are kept; none is asked for twice"),
    ] = Path("judge.jsonl")


@contextlib.contextmanager
def labeller(
    source: str | None, judging: Judging, logs: Sequence[Sequence[str]], look: Look
) -> Iterator[RuleSet | None]:
    """What labels these logs; None where nothing is named.

    Args:
        source: as a user gives it to --strategies.
        logs: the paths of each log that will be labelled.
        look: how they are read.

    Raises:
        StratagemError: as `checked_rules`; or a judge is not allowed what it takes, or out of reach.
    """
    if source is None or not source.startswith(JUDGE):
        if judging.url is not None or judging.model is not None:
            raise StratagemError("--url and --model are of a judge: give --strategies judge:FILE.toml too")
        yield None if source is None else checked_rules(source)
        return
    rubric = read_rubric(Path(source.removeprefix(JUDGE)))
    if judging.model is None:
        raise StratagemError("--model: name the model that judges, as the server calls it")
    config = JudgeConfig(
        model=judging.model,
        votes=judging.votes,
        max_requests=judging.max_requests,
        per_minute=judging.per_minute,
        parallel=judging.parallel,
        timeout=judging.timeout,
        answers=judging.answers,
        url=LOCAL if judging.url is None else judging.url,
    )
    with contextlib.closing(Judge(rubric, config, source)) as judge:
        unlabelled = replace(look, label=False, rules=None)
        for paths in logs:
            opened = open_side(paths, unlabelled, paths[0], scoreless=True)
            if opened.counted:
                raise StratagemError(f"{paths[0]}: holds counts and no completions to label")
            for batch in opened.batches():
                judge.plan(batch)
        judge.allow()
        console().print(
            f"judge {config.model}: {judge.planned}", highlight=False, markup=False, soft_wrap=True
        )
        yield judge.rules
        warn(judge.notes())
