"""stratagem reproduce and report: a whole study, and its page again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import polars as pl
import tyro
from rich.console import Console

from stratagem.commands.common import bars, console, read
from stratagem.commands.train import Engine, engine_of, need_llm
from stratagem.records import StratagemError
from stratagem.report import table1 as page
from stratagem.report import terminal
from stratagem.settings import LLMConfig
from stratagem.workspace import read_json, write_bytes

if TYPE_CHECKING:
    from stratagem.studies.ray_jobs import Cluster

Settings = Annotated[
    Path | None,
    tyro.conf.arg(
        help="TOML file with what is to differ from the study's own, as [quick.rl] with updates = 300"
    ),
]
Ray = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="[ADDRESS]",
        help="stages as Ray tasks: auto, HOST:PORT or ray://HOST:PORT; alone, a Ray of this machine",
    ),
]


@dataclass(frozen=True)
class Reproduce:
    """Examples:
    stratagem reproduce table1
    stratagem reproduce table1 --preset full --seeds 3 --out runs/full
    stratagem reproduce table1 --preset full --seeds 3 --ray auto --out /shared/full
    """

    study: Annotated[Literal["table1"], tyro.conf.Positional]
    preset: Annotated[str, tyro.conf.arg(help="quick (minutes) or full (the study's budget of updates)")] = (
        "quick"
    )
    seeds: Annotated[int, tyro.conf.arg(help="training seeds, from 0; more may be added later")] = 1
    out: Annotated[Path, tyro.conf.arg(help="folder for the study; the same command again resumes")] = Path(
        "out/table1"
    )
    settings: Settings = None
    workers: Annotated[int | None, tyro.conf.arg(help="stages side by side; one a core by default")] = None
    ray: Ray = None
    engine: Engine = "native"


@dataclass(frozen=True)
class ReproduceByTRL:
    """Examples:
    stratagem reproduce table1 --engine trl
    stratagem reproduce table1 --engine trl --model HuggingFaceTB/SmolLM2-135M-Instruct --preset quick --out runs/smol
    """

    study: Annotated[Literal["table1"], tyro.conf.Positional]
    llm: LLMConfig
    model: Annotated[str | None, tyro.conf.arg(help="hub id or folder; the study's own by default")] = None
    preset: Annotated[str, tyro.conf.arg(help="full (the study) or quick (shows that all works)")] = "full"
    seeds: Annotated[int, tyro.conf.arg(help="training seeds, from 0; more may be added later")] = 1
    out: Annotated[Path, tyro.conf.arg(help="folder for the study; the same command again resumes")] = Path(
        "out/table1-llm"
    )
    settings: Settings = None
    accelerate: Annotated[Path | None, tyro.conf.arg(help="config file for `accelerate launch`")] = None
    ray: Ray = None
    ray_gpus: Annotated[float, tyro.conf.arg(help="GPUs that each stage asks Ray for; 0.5 is half a one")] = (
        1.0
    )
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
    found = list(words)
    for i in range(len(words) - 1, -1, -1):
        if words[i] == "--ray" and (
            i + 1 == len(words) or words[i + 1].startswith("-") or words[i + 1] == "table1"
        ):
            found.insert(i + 1, "")
    return found


@contextmanager
def cluster_of(address: str | None, gpus: float, tasks: int | None) -> Iterator[Cluster | None]:
    """The Ray that was asked for, connected; None where none was. What Ray prints goes to standard error."""
    if address is None:
        yield None
        return
    from stratagem.studies.ray_connect import connect

    with redirect_stdout(sys.stderr), connect(address, gpus, tasks) as cluster:
        yield cluster


def reproduce(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    words = with_address(words)
    if engine_of(words) == "trl":
        return reproduce_by_trl(read(ReproduceByTRL, "reproduce", words, text), as_json)
    given = read(Reproduce, "reproduce", words, text)
    if given.workers is not None and given.workers < 1:
        raise StratagemError(f"--workers {given.workers}: must be at least 1")
    with cluster_of(given.ray, 0, given.workers) as cluster:
        from stratagem.studies import table1

        with bars() as show:
            summary = table1.reproduce(
                given.preset,
                given.seeds,
                given.out,
                settings=given.settings,
                workers=given.workers,
                progress=show,
                cluster=cluster,
                announce=announce,
            )
    if not as_json:
        show_study(summary, given.out / table1.REPORT)
    return summary


def announce(seconds: float) -> None:
    console().print(
        f"about {max(1, round(seconds / 60))} min on this machine, if nothing else runs; "
        "stop at any time, the same command goes on",
        highlight=False,
        soft_wrap=True,
    )


def show_study(summary: dict[str, Any], report: Path) -> None:
    terminal.show(summary, Console())
    console().print(f"report: {report}", highlight=False)


def reproduce_by_trl(given: ReproduceByTRL, as_json: bool) -> dict[str, Any]:
    need_llm()
    with cluster_of(given.ray, given.ray_gpus, None) as cluster:
        from stratagem.studies import table1

        with bars() as show:
            summary = table1.reproduce(
                given.preset,
                given.seeds,
                given.out,
                settings=given.settings,
                progress=show,
                engine="trl",
                model=given.model,
                llm=given.llm,
                accelerate=given.accelerate,
                cluster=cluster,
            )
    if not as_json:
        show_study(summary, given.out / table1.REPORT)
    return summary


def report(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Report, "report", words, text)
    summary = read_json(given.study / "summary.json")
    tables = {}
    for name in ("rollouts", "curves", "metrics"):
        path = given.study / f"{name}.parquet"
        if not path.exists():
            raise StratagemError(f"{path}: no such file; finish the study with `stratagem reproduce` first")
        tables[name] = pl.read_parquet(path)
    out = given.out or given.study / "report.html"
    write_bytes(out, page.render(summary, **tables).encode())
    if not as_json:
        show_study(summary, out)
    return {"out": str(out)}
