"""stratagem curate: data for training chosen by what rollouts say of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from stratagem.commands.common import Terminal, bars, console, read, warn
from stratagem.commands.demonstrations import curate_sft
from stratagem.commands.options import Reading, Right, columns_or_none, listed, paths
from stratagem.curation.held import Form
from stratagem.curation.prompts import Inputs, curate_prompts
from stratagem.curation.settings import Settings
from stratagem.curation.show import show_curation
from stratagem.curation.tally import Reward, Same
from stratagem.records import StratagemError

WHAT = ("prompts", "demonstrations")


@dataclass(frozen=True)
class Prompts:
    """Examples:
    stratagem curate prompts prompts.jsonl --rollouts rollouts.jsonl --size 2000
    stratagem curate prompts train.parquet --rollouts counts.jsonl --keep-signal 0.95 --by data_source
    stratagem curate prompts pool.jsonl --rollouts before.jsonl --again after.jsonl --size 2000 --out next
    """

    prompts: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="PROMPTS",
            help="what the trainer reads: JSONL, Parquet, CSV, or a folder that `datasets` saved; it is not changed",
            help_behavior_hint="",
        ),
    ]
    rollouts: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="LOG",
            help="rollouts of the model that is to be trained, to these prompts: any log that `diagnose` reads, or a "
            "table of counts (id, n, c), of rewards (id, rewards) or of scores (id, score); several are added up",
            help_behavior_hint="",
        ),
    ] = ()
    size: Annotated[
        int | None,
        tyro.conf.arg(metavar="N", help="choose so many, with most expected signal", help_behavior_hint=""),
    ] = None
    keep_signal: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SHARE",
            help="choose as few as keep this share of the pool's expected signal (default, without --size: all that "
            "are not surely flat)",
            help_behavior_hint="",
        ),
    ] = None
    group: Annotated[int, tyro.conf.arg(help="samples of a group in RL")] = 8
    by: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…",
            help="columns of PROMPTS by which pass rates are learnt and whose shares are kept, such as data_source "
            "(default: none)",
            help_behavior_hint="",
        ),
    ] = None
    target: Annotated[
        str,
        tyro.conf.arg(
            metavar="VALUE=SHARE,…",
            help="shares that values of --by are to have, such as math=0.6,code=0.4; the others keep theirs among "
            "themselves",
            help_behavior_hint="",
        ),
    ] = ""
    unseen: Annotated[
        Literal["explore", "keep", "drop"],
        tyro.conf.arg(
            help="prompts without rollouts: compete with what their stratum leads to expect, come first, or are out"
        ),
    ] = "explore"
    duplicates: Annotated[
        Literal["drop", "keep"], tyro.conf.arg(help="rows whose prompt is there already")
    ] = "drop"
    min_signal: Annotated[
        float, tyro.conf.arg(help="a prompt is flat where a smaller share of its groups has signal")
    ] = 0.1
    sure: Annotated[float, tyro.conf.arg(help="how probable that has to be for it to be dropped")] = 0.9
    curriculum: Annotated[
        Literal["static", "stages", "weights"],
        tyro.conf.arg(
            help="one set; beside it files of falling pass rate, the easiest first; or a column 'weight' with the "
            "expected signal, 1 on average"
        ),
    ] = "static"
    stages: Annotated[int, tyro.conf.arg(help="how many, for --curriculum stages")] = 3
    holdout: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="FILE",
            help="prompts of evaluations, which are never chosen: what PROMPTS may be",
            help_behavior_hint="",
        ),
    ] = ()
    again: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="LOG",
            help="rollouts of the model after training: the choice is made by these, and what moved since is said",
            help_behavior_hint="",
        ),
    ] = ()
    right: Right = field(default_factory=Right)
    reward: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="a reward of any size in place of right and wrong: signal is its variance within a group",
            help_behavior_hint="",
        ),
    ] = None
    join: Annotated[
        Same,
        tyro.conf.arg(help="by what the prompts of PROMPTS and the problems of logs are the same"),
    ] = "auto"
    id: Annotated[
        str | None,
        tyro.conf.arg(metavar="COLUMN", help="the column of PROMPTS with the id", help_behavior_hint=""),
    ] = None
    prompt: Annotated[
        str | None,
        tyro.conf.arg(metavar="COLUMN", help="the column of PROMPTS with the prompt", help_behavior_hint=""),
    ] = None
    reading: Reading = field(default_factory=Reading)
    format: Annotated[
        Form | None,
        tyro.conf.arg(help="of what is written (default: that of PROMPTS)", help_behavior_hint=""),
    ] = None
    level: Annotated[float, tyro.conf.arg(help="of all intervals")] = 0.95
    seed: Annotated[int, tyro.conf.arg(help="of the control, and of the order of equals")] = 0
    out: Annotated[
        Path,
        tyro.conf.arg(help="folder for the chosen prompts, the control, prompts.parquet and curation.json"),
    ] = Path("curation")


def curate(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    if not words or words[0] not in WHAT:
        if words[:1] and words[0] not in ("-h", "--help"):
            raise StratagemError(
                f"no such thing as 'curate {words[0]}'; there is 'curate prompts' and 'curate demonstrations'"
            )
        words = ["prompts", *(words or ["--help"])]
    if words[0] == "demonstrations":
        return curate_sft(words[1:], text, as_json)
    given = read(Prompts, "curate prompts", words[1:], text)
    if not given.rollouts:
        raise StratagemError(
            "--rollouts: name the log of the model's responses to these prompts, or a table of counts"
        )
    settings = Settings(
        size=given.size,
        keep_signal=given.keep_signal,
        by=columns_or_none(given.by) or (),
        target=read_target(given.target),
        unseen=given.unseen,
        duplicates=given.duplicates,
        group=given.group,
        min_signal=given.min_signal,
        sure=given.sure,
        curriculum=given.curriculum,
        stages=given.stages,
        level=given.level,
        seed=given.seed,
        form=given.format,
    )
    reward = Reward(
        score=given.right.score,
        correct=given.right.correct,
        reward=given.reward,
        where=given.reading.where,
        join=given.join,
        read=given.reading.options(),
    )
    named = {what: name for what, name in (("id", given.id), ("prompt", given.prompt)) if name is not None}
    inputs = Inputs(
        pool=given.prompts,
        rollouts=tuple(tuple(paths(log)) for log in given.rollouts),
        again=tuple(tuple(paths(log)) for log in given.again),
        holdout=given.holdout,
        reward=reward,
        named=named,
    )
    with bars() as show:
        curation = curate_prompts(inputs, settings, given.out, show)
    if not as_json:
        show_curation(curation, Terminal())
        warn(curation.notes)
        for what, name in curation.files.items():
            console().print(f"{what}: {given.out / name}", highlight=False, markup=False, soft_wrap=True)
    return curation.as_dict()


def read_target(text: str) -> dict[str, float]:
    """``math=0.6,code=0.4`` as a dictionary.

    Raises:
        StratagemError: a part without a share, or a value twice.
    """
    target: dict[str, float] = {}
    for part in listed(text):
        value, sign, share = part.rpartition("=")
        try:
            if not sign or not value:
                raise ValueError
            number = float(share)
        except ValueError:
            raise StratagemError(f"--target {part}: write VALUE=SHARE, such as math=0.6") from None
        if value in target:
            raise StratagemError(f"--target {value}: has two shares")
        target[value] = number
    return target
