"""stratagem annotate: responses labelled by hand on a page in the browser."""

from __future__ import annotations

import json
import webbrowser
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from stratagem.annotate.names import read_names
from stratagem.annotate.server import AnnotateServer
from stratagem.annotate.session import Session
from stratagem.commands.common import bars, console, read
from stratagem.commands.options import Checkpoint, Reading, Right
from stratagem.commands.pooled import sampled
from stratagem.records import StratagemError
from stratagem.workspace import make_folder


@dataclass(frozen=True)
class Annotate:
    """Examples:
    stratagem annotate before.jsonl after.jsonl --strategies names.toml --out labels.csv
    stratagem annotate before.jsonl after.jsonl --strategies table,equation --open
    stratagem annotate run/completions --checkpoint step --score accuracy_reward --strategies names.toml
    stratagem diagnose before.jsonl after.jsonl --labels labels.csv
    """

    logs: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(
            metavar="LOG",
            help="the logs in the order in which diagnose gets them; each a file, a folder, or FILE,FILE,…",
            help_behavior_hint="",
        ),
    ] = ()
    strategies: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="NAMES",
            help="what there is to choose from: math, code, a TOML file with [strategies.NAME] and a description each, "
            "or NAME,NAME,…; more can be named on the page",
            help_behavior_hint="",
        ),
    ] = None
    out: Annotated[
        Path, tyro.conf.arg(metavar="SHEET", help="the sheet of labels; one that is there goes on")
    ] = Path("labels.csv")
    checkpoint: Checkpoint = None
    right: Right = field(default_factory=Right)
    reading: Reading = field(default_factory=Reading)
    by: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="COLUMN,…", help="columns of the strata, as in diagnose", help_behavior_hint=""
        ),
    ] = None
    seed: Annotated[int, tyro.conf.arg(help="of the order; people who are to be compared need the same")] = 0
    port: Annotated[int, tyro.conf.arg(help="0 takes a free one")] = 8766
    open: Annotated[bool, tyro.conf.arg(help="open the page in a browser")] = False


def annotate(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Annotate, "annotate", words, text)
    if not given.logs:
        raise StratagemError("give the logs to label, BEFORE and AFTER, or one with --checkpoint COLUMN")
    if given.out.suffix.lower() != ".csv":
        raise StratagemError(f"--out {given.out}: a sheet is CSV; choose a name that ends in .csv")
    described = read_names(given.strategies)
    with bars() as show:
        responses = sampled(
            given.logs, given.checkpoint, given.by, given.right, given.reading, given.seed, show
        )
    make_folder(given.out.parent)
    session = Session(responses, described, given.out, given.seed)
    try:
        with AnnotateServer(session, ", ".join(given.logs), "127.0.0.1", given.port) as server:
            said = {"url": server.url, "out": str(given.out), "labels": session.labelled}
            if as_json:
                print(json.dumps(said), flush=True)
            else:
                kept = f"{session.labelled} labels in {given.out}"
                console().print(
                    f"{server.url} ({kept}; Ctrl-C ends it, every label is kept)",
                    highlight=False,
                    markup=False,
                )
            if given.open:
                webbrowser.open(server.url)
            server.serve_forever()
    finally:
        session.close()
    return {}
