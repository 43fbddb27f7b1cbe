"""stratagem reproduce and report: a whole study, and its page again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
import tyro
from rich.console import Console

from stratagem.commands.common import Terminal, bars, console, read
from stratagem.commands.train import Engine, engine_of, need_llm
from stratagem.records import ROLLOUT_SCHEMA, StratagemError, read_table
from stratagem.settings import LLMConfig
from stratagem.studies.files import shipped, study_file
from stratagem.workspace import read_json, write_bytes

if TYPE_CHECKING:
    from stratagem.studies.executors.ray import Cluster
    from stratagem.study_result import Summary

# The tables of a finished study, with columns that each has.
TABLES: dict[str, tuple[str, ...]] = {
    "rollouts": (*ROLLOUT_SCHEMA, "seed", "mode", "error"),
    "curves": ("cell", "seed", "update", "kind", "difficulty", "strategy", "n", "right"),
    "metrics": ("cell", "seed", "update"),
}
Source = Annotated[
    str | None,
    tyro.conf.Positional,
    tyro.conf.arg(
        metavar="NAME|FILE.toml", help="a study that ships (--list), or a file of your own (docs/studies.md)"
    ),
]
Preset = Annotated[str | None, tyro.conf.arg(help="a budget that the study names; its first one by default")]
Replicates = Annotated[
    int | None,
    tyro.conf.arg(
        aliases=("--seeds",),
        help="runs of all stages, each with its own seed, from 0; more may be added later",
    ),
]
Out = Annotated[
    Path | None,
    tyro.conf.arg(help="folder for the study (default: out/NAME); the same command again resumes"),
]
Settings = Annotated[
    Path | None,
    tyro.conf.arg(
        help="TOML file with what is to differ from the study's, as [presets.quick.rl] with updates = 300"
    ),
]
Ray = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="[ADDRESS]",
        help="stages as Ray tasks: auto, HOST:PORT or ray://HOST:PORT; alone, a Ray of this machine",
    ),
]
List = Annotated[bool, tyro.conf.arg(help="the studies that ship, what each asks and what it costs")]

All = Annotated[
    bool,
    tyro.conf.arg(
        help="every study that ships, in folders side by side under --out (default: out), with one page over all claims"
    ),
]


@dataclass(frozen=True)
class Reproduce:
    """Examples:
    stratagem reproduce --list
    stratagem reproduce table1
    stratagem reproduce table1 --preset full --replicates 3 --out runs/full
    stratagem reproduce my-study.toml
    stratagem reproduce --all --out out
    stratagem reproduce table1 --preset full --replicates 3 --ray auto --out /shared/full
    """

    study: Source = None
    preset: Preset = None
    replicates: Replicates = None
    out: Out = None
    settings: Settings = None
    workers: Annotated[int | None, tyro.conf.arg(help="stages side by side; one a core by default")] = None
    ray: Ray = None
    list: List = False
    all: All = False
    engine: Engine = "native"


@dataclass(frozen=True)
class ReproduceByTRL:
    """Examples:
    stratagem reproduce table1 --engine trl --preset full
    stratagem reproduce table1 --engine trl --model HuggingFaceTB/SmolLM2-135M-Instruct --preset quick --out runs/smol
    """

    llm: LLMConfig
    study: Source = None
    model: Annotated[str | None, tyro.conf.arg(help="hub id or folder; the study's own by default")] = None
    preset: Preset = None
    replicates: Replicates = None
    out: Out = None
    settings: Settings = None
    accelerate: Annotated[Path | None, tyro.conf.arg(help="config file for `accelerate launch`")] = None
    ray: Ray = None
    ray_gpus: Annotated[float, tyro.conf.arg(help="GPUs that each stage asks Ray for; 0.5 is half a one")] = (
        1.0
    )
    list: List = False
    engine: Literal["trl"] = "trl"


@dataclass(frozen=True)
class Report:
    """Examples:
    stratagem report out/table1
    """

    study: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(help="folder of a finished study")]
    out: Annotated[
        Path | None, tyro.conf.arg(help="the page's file; report.html in the study by default")
    ] = None


def with_address(words: list[str]) -> list[str]:
    """The words with an empty address after a `--ray` that stands alone, since every option takes a value."""
    whole = list(words)
    for i in range(len(words) - 1, -1, -1):
        following = words[i + 1] if i + 1 < len(words) else "-"
        if words[i] == "--ray" and (
            following.startswith("-") or following in shipped() or following.endswith(".toml")
        ):
            whole.insert(i + 1, "")
    return whole


@contextmanager
def cluster_of(address: str | None, gpus: float, tasks: int | None) -> Iterator[Cluster | None]:
    """The Ray that was asked for, connected; None where none was. What Ray prints goes to standard error."""
    if address is None:
        yield None
        return
    from stratagem.studies.executors.ray_connect import connect

    with redirect_stdout(sys.stderr), connect(address, gpus, tasks) as cluster:
        yield cluster


def reproduce(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    words = with_address(words)
    by_trl = engine_of(words) == "trl"
    given: Reproduce | ReproduceByTRL = read(
        ReproduceByTRL if by_trl else Reproduce, "reproduce", words, text
    )
    if given.list:
        return list_studies(as_json)
    if isinstance(given, Reproduce) and given.all:
        return all_studies(given, as_json)
    if given.study is None:
        raise StratagemError(
            f"name a study: {', '.join(shipped())}, or a file FILE.toml; --list says what each asks, --all runs all"
        )
    name, _ = study_file(given.study)
    out = given.out or Path("out") / (f"{name}-llm" if by_trl else name)
    common = {"preset": given.preset, "replicates": given.replicates, "settings": given.settings}
    if isinstance(given, Reproduce):
        own: dict[str, Any] = {"workers": given.workers, "announce": announce}
        cluster_for = cluster_of(given.ray, 0, given.workers)
    else:
        need_llm()
        own = {"engine": "trl", "model": given.model, "llm": given.llm, "accelerate": given.accelerate}
        cluster_for = cluster_of(given.ray, given.ray_gpus, None)
    with cluster_for as cluster:
        from stratagem.studies import run

        with bars() as show:
            summary = run.reproduce(given.study, out, progress=show, cluster=cluster, **common, **own)
    if not as_json:
        show_study(summary, out / run.REPORT)
    return summary.as_dict()


def all_studies(given: Reproduce, as_json: bool) -> dict[str, Any]:
    """Every study that ships, and what came out of all claims."""
    if given.study is not None or given.settings is not None:
        extra = given.study if given.study is not None else f"--settings {given.settings}"
        raise StratagemError(f"{extra}: not with --all, which runs every study that ships as its file has it")
    from stratagem.studies import series

    out = given.out or Path("out")

    def ended(name: str, summary: Summary) -> None:
        if not as_json:
            show_claims(name, summary, Terminal())

    with cluster_of(given.ray, 0, given.workers) as cluster, bars() as show:
        overview = series.reproduce_all(
            out,
            given.preset,
            given.replicates,
            workers=given.workers,
            progress=show,
            cluster=cluster,
            announce=announce,
            ended=ended,
        )
    console().print(f"report: {out / series.PAGE}", highlight=False)
    return overview.as_dict()


def show_claims(name: str, summary: Summary, to: Console) -> None:
    from stratagem.report import terminal

    terminal.show_claims(name, summary, to)


def list_studies(as_json: bool) -> dict[str, Any]:
    """What each study that ships asks, and about how long it takes here, alone and beside those listed before it."""
    from stratagem.studies.expected import REPORT, seconds
    from stratagem.studies.series import costs, entries
    from stratagem.training.loop import product_speed

    speed, workers, listed = product_speed(), os.cpu_count() or 1, entries(Path("out"), replicates=1)
    beside = costs(listed, workers, speed, everything=True)
    rows = [
        {
            "name": entry.name,
            "title": entry.study.title,
            "question": entry.study.question,
            "preset": entry.preset,
            "seconds": REPORT + seconds(entry.jobs, workers, speed, everything=True),
            "seconds_beside": after_others,
        }
        for entry, after_others in zip(listed, beside, strict=True)
    ]
    if not as_json:
        for row in rows:
            print(f"{row['name']:<14} {row['title']}: {row['question']}")
            alone, less = minutes(row["seconds"]), minutes(row["seconds_beside"])
            shared = f"; {less} beside those above, whose stages it shares" if less != alone else ""
            print(f"{'':<14} about {alone} a replicate, preset {row['preset']}{shared}")
        print(f"\nreproduce --all: about {minutes(sum(beside))} for one replicate of each")
    return {"studies": rows, "seconds": sum(beside)}


def minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} min"


def announce(seconds: float) -> None:
    console().print(
        f"about {minutes(seconds)} on this machine, if nothing else runs; "
        "stop at any time, the same command goes on",
        highlight=False,
        soft_wrap=True,
    )


def show_study(summary: Summary, report: Path) -> None:
    from stratagem.report import terminal  # with its charts, which --help needs no more than the next one

    terminal.show(summary, Terminal())
    console().print(f"report: {report}", highlight=False)


def report(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Report, "report", words, text)
    from stratagem.report import study as page
    from stratagem.study_result import decode

    summary = decode(read_json(given.study / "summary.json"), str(given.study / "summary.json"))
    tables: dict[str, pl.DataFrame] = {}
    for name, columns in TABLES.items():
        path = given.study / f"{name}.parquet"
        if not path.exists():
            raise StratagemError(f"{path}: no such file; finish the study with `stratagem reproduce` first")
        tables[name] = read_table(path, columns)
    out = given.out or given.study / "report.html"
    write_bytes(out, page.render(summary, **tables).encode())
    if not as_json:
        show_study(summary, out)
    return {"out": str(out)}
