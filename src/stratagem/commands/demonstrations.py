"""stratagem curate demonstrations: which strategies an SFT set shows, and a subset that shows all of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from stratagem.commands.common import Terminal, bars, console, read, warn
from stratagem.commands.options import checked_rules, columns_or_none, listed
from stratagem.curation.demonstrations.curate import Inputs, curate_demonstrations
from stratagem.curation.demonstrations.near import check_available
from stratagem.curation.demonstrations.reading import Reading
from stratagem.curation.demonstrations.settings import Settings
from stratagem.curation.demonstrations.show import show_demonstrations
from stratagem.curation.held import Form


@dataclass(frozen=True)
class Demonstrations:
    """Examples:
    stratagem curate demonstrations sft.jsonl --strategies math
    stratagem curate demonstrations sft.parquet --strategies rules.toml --by source --size 5000 --out chosen
    stratagem curate demonstrations sft.jsonl --size 2000 --write --out chosen
    """

    data: Annotated[
        str,
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="DATA",
            help="an SFT set: JSONL, Parquet, CSV, or a folder that `datasets` saved, with messages or with prompts "
            "and responses; it is not changed",
            help_behavior_hint="",
        ),
    ]
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RULES",
            help="what names strategies: math, word-problems, code, a TOML file of rules, module:function, or a sheet "
            "of annotate (default: the column 'strategy', the task's own recogniser, or math)",
            help_behavior_hint="",
        ),
    ] = None
    size: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N", help="choose so many (default: none, only say what is there)", help_behavior_hint=""
        ),
    ] = None
    choose: Annotated[
        Literal["subset", "weights"],
        tyro.conf.arg(help="a subset of --size, or a column 'weight' for all, 1 on average"),
    ] = "subset"
    cover: Annotated[
        str,
        tyro.conf.arg(
            metavar="STRATEGY,…",
            help="strategies that are to be shown equally often; others keep their share (default: all of a task, else "
            "all that are there)",
            help_behavior_hint="",
        ),
    ] = ""
    by: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…",
            help="columns of DATA that make a problem's type, whose shares are kept (default: those of a task)",
            help_behavior_hint="",
        ),
    ] = None
    difficulty: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="the difficulty, kept within a type (default: a task's, else a column 'difficulty' or 'level')",
            help_behavior_hint="",
        ),
    ] = None
    quality: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="numbers for quality, which is kept within a type (default: none)",
            help_behavior_hint="",
        ),
    ] = None
    problems: Annotated[
        Literal["many", "few"],
        tyro.conf.arg(
            help="first come problems without a demonstration yet (many), or those shown in several ways"
        ),
    ] = "many"
    near: Annotated[
        float | None,
        tyro.conf.arg(
            metavar="SHARE",
            help="responses are near-duplicates that share so many of their runs of three words (default: 0.8); 1: "
            "only repeats",
            help_behavior_hint="",
        ),
    ] = None
    duplicates: Annotated[
        Literal["drop", "keep"], tyro.conf.arg(help="repeats and near-duplicates of a demonstration")
    ] = "drop"
    rare: Annotated[
        float, tyro.conf.arg(help="a strategy is missing where fewer than this share of a type show it")
    ] = 0.05
    write: Annotated[
        bool,
        tyro.conf.arg(
            help="of tasks of this package: write demonstrations in the strategies that are missing, for prompts that "
            "lack them",
            help_behavior_hint="",
        ),
    ] = False
    holdout: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="FILE",
            help="prompts of evaluations, whose demonstrations are never chosen",
            help_behavior_hint="",
        ),
    ] = ()
    id: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN",
            help="the column that names the problem (default: its prompt does)",
            help_behavior_hint="",
        ),
    ] = None
    prompt: Annotated[
        str | None, tyro.conf.arg(metavar="COLUMN", help="the column with the prompt", help_behavior_hint="")
    ] = None
    response: Annotated[
        str | None,
        tyro.conf.arg(metavar="COLUMN", help="the column with the response", help_behavior_hint=""),
    ] = None
    format: Annotated[
        Form | None, tyro.conf.arg(help="of what is written (default: that of DATA)", help_behavior_hint="")
    ] = None
    level: Annotated[float, tyro.conf.arg(help="of all intervals")] = 0.95
    draws: Annotated[int, tyro.conf.arg(help="bootstrap draws")] = 1000
    seed: Annotated[int, tyro.conf.arg(help="of the choice and the control")] = 0
    out: Annotated[
        Path | None,
        tyro.conf.arg(
            help="folder for the chosen demonstrations, the control, ask.jsonl, demonstrations.parquet and "
            "curation.json (default: nothing is written)",
            help_behavior_hint="",
        ),
    ] = None


def curate_sft(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Demonstrations, "curate demonstrations", words, text)
    if given.near is not None and given.near < 1:
        check_available()
    settings = Settings(
        size=given.size,
        choose=given.choose,
        cover=tuple(listed(given.cover)),
        problems=given.problems,
        near=0.8 if given.near is None else given.near,
        duplicates=given.duplicates,
        rare=given.rare,
        write=given.write,
        level=given.level,
        draws=given.draws,
        seed=given.seed,
        form=given.format,
    )
    named = (("id", given.id), ("prompt", given.prompt), ("completion", given.response))
    reading = Reading(
        rules=None if given.strategies is None else checked_rules(given.strategies),
        by=columns_or_none(given.by) or (),
        difficulty=given.difficulty,
        quality=given.quality,
        named={what: name for what, name in named if name is not None},
    )
    with bars() as show:
        curation = curate_demonstrations(
            Inputs(given.data, reading, given.holdout), settings, given.out, show
        )
    if not as_json:
        show_demonstrations(curation, Terminal())
        warn(curation.notes)
        for what, name in curation.files.items():
            console().print(f"{what}: {given.out}/{name}", highlight=False, markup=False, soft_wrap=True)
    return curation.as_dict()
