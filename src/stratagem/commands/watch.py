"""stratagem watch: the live page of a run on localhost."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from stratagem.commands.common import console, read
from stratagem.commands.options import Right, checked_rules
from stratagem.watch.page import Watched
from stratagem.watch.responses import Asked
from stratagem.watch.server import Server


@dataclass(frozen=True)
class Watch:
    """Examples:
    stratagem watch runs/FB-hard
    stratagem watch out/table1 --open
    stratagem watch checkpoints/my-trl-run --port 0
    stratagem watch rollouts/my-verl-run --score acc --strategies math
    stratagem watch my-trl-run/responses --where "split = 'eval'"
    """

    run: Annotated[
        Path,
        tyro.conf.Positional,
        tyro.conf.arg(
            help="--out of sft, rl or reproduce, a TRL run's output folder or what its callback Live writes, or a verl "
            "run's rollout_data_dir; it may begin later"
        ),
    ]
    port: Annotated[int, tyro.conf.arg(help="0 takes a free one")] = 8765
    host: Annotated[str, tyro.conf.arg(help="who may look: this machine alone by default")] = "127.0.0.1"
    right: Right = field(default_factory=Right)
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="RULES",
            help="of a run of TRL or verl: math, word-problems, code, a TOML file of rules, or module:function "
            "(default: the strategies that it writes)",
            help_behavior_hint="",
        ),
    ] = None
    where: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="CONDITION",
            help="which responses of a run of TRL or verl count, such as \"split = 'eval'\" (default: those of "
            "training)",
            help_behavior_hint="",
        ),
    ] = None
    window: Annotated[
        int | None,
        tyro.conf.arg(
            metavar="N",
            help="updates on each side of the gain of a run of TRL or verl, at most (default: 10, or the run's own)",
            help_behavior_hint="",
        ),
    ] = None
    open: Annotated[bool, tyro.conf.arg(help="open the page in a browser")] = False


def watch(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Watch, "watch", words, text)
    asked = Asked(
        given.right.score,
        given.right.correct,
        given.where,
        None if given.strategies is None else checked_rules(given.strategies),
        given.window,
    )
    watched = Watched(given.run, asked)
    watched.show()  # what cannot be shown is refused before anybody looks
    with Server(watched, given.host, given.port) as server:
        if as_json:
            print(json.dumps({"url": server.url, "run": str(given.run)}), flush=True)
        else:
            console().print(f"{given.run}: {server.url} (Ctrl-C ends it; the run goes on)", highlight=False)
        if given.open:
            webbrowser.open(server.url)
        server.serve_forever()
    return {}
