"""stratagem discover: candidate strategies of logs, for a person to name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from stratagem.annotate.pool import MOST
from stratagem.commands.common import Terminal, bars, console, read
from stratagem.commands.options import Checkpoint, Reading, Right
from stratagem.commands.pooled import sampled
from stratagem.discovery.discover import discover as discover_strategies
from stratagem.discovery.show import show_discovery
from stratagem.discovery.written import as_toml
from stratagem.records import StratagemError
from stratagem.workspace import aside_of, check_writable, make_folder, write_bytes


@dataclass(frozen=True)
class Discover:
    """Examples:
    stratagem discover before.jsonl after.jsonl
    stratagem discover before.jsonl after.jsonl --most 4 --out names.toml
    stratagem discover run/completions --checkpoint step --score accuracy_reward
    stratagem annotate before.jsonl after.jsonl --strategies names.toml --out labels.csv
    """

    logs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="LOG",
            help="the logs, BEFORE and AFTER or others; each a file, a folder, or FILE,FILE,…",
            help_behavior_hint="",
        ),
    ] = ()
    most: Annotated[int, tyro.conf.arg(help="clusters that are tried")] = 8
    checkpoint: Checkpoint = None
    right: Right = field(default_factory=Right)
    reading: Reading = field(default_factory=Reading)
    by: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…",
            help="columns of the strata, as in diagnose: what follows them is marked",
            help_behavior_hint="",
        ),
    ] = None
    size: Annotated[int, tyro.conf.arg(help="responses of a log that are looked at, drawn at random")] = MOST
    seed: Annotated[int, tyro.conf.arg(help="of the sample and of the clusters")] = 0
    out: Annotated[Path, tyro.conf.arg(metavar="FILE", help="the proposals, in TOML")] = Path(
        "proposals.toml"
    )


def discover(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Discover, "discover", words, text)
    if not given.logs:
        raise StratagemError("give the logs to look at, BEFORE and AFTER, or one with --checkpoint COLUMN")
    if given.out.suffix.lower() != ".toml":
        raise StratagemError(f"--out {given.out}: proposals are TOML; choose a name that ends in .toml")
    aside_of(given.out)
    if given.out.exists():
        raise StratagemError(f"{given.out}: exists, and may hold names; choose another --out or remove it")
    check_writable(given.out.parent)
    with bars() as show:
        pool = sampled(
            given.logs, given.checkpoint, given.by, given.right, given.reading, given.seed, show, given.size
        )
        discovery = discover_strategies(
            pool.table,
            [shlex.quote(log) for log in given.logs],
            pool.by,
            seed=given.seed,
            most=given.most,
            progress=lambda done, total: show("numbers of clusters", done, total, {}),
        )
    if discovery.proposals:
        make_folder(given.out.parent)
        if given.out.exists():
            raise StratagemError(f"{given.out}: another process has just made it; choose another --out")
        write_bytes(given.out, as_toml(discovery, shlex.quote(str(given.out))).encode())
    if not as_json:
        show_discovery(discovery, Terminal())
        if discovery.proposals:
            console().print(
                f"proposals: {given.out} (name, merge or drop them; then `stratagem annotate` takes the file)",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
    return discovery.as_dict() | {"out": str(given.out) if discovery.proposals else None}
