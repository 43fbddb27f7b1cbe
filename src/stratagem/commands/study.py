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

from stratagem.commands.common import bars, console, read
from stratagem.commands.train import Engine, engine_of, need_llm
from stratagem.records import StratagemError
from stratagem.settings import LLMConfig
from stratagem.studies.study import read_study, shipped, study_file
from stratagem.workspace import read_json, write_bytes

if TYPE_CHECKING:
    from stratagem.studies.executors.ray import Cluster
    from stratagem.study_result import Summary

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


@dataclass(frozen=True)
class Reproduce:
    """Examples:
    stratagem reproduce --list
    stratagem reproduce table1
    stratagem reproduce table1 --preset full --replicates 3 --out runs/full
    stratagem reproduce my-study.toml
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
    if given.study is None:
        raise StratagemError(
            f"name a study: {', '.join(shipped())}, or a file FILE.toml; --list says what each asks"
        )
    if given.replicates is not None and given.replicates < 1:
        raise StratagemError(f"--replicates {given.replicates}: must be at least 1")
    name, _ = study_file(given.study)
    out = given.out or Path("out") / (f"{name}-llm" if by_trl else name)
    common = {"preset": given.preset, "replicates": given.replicates, "settings": given.settings}
    if isinstance(given, Reproduce):
        if given.workers is not None and given.workers < 1:
            raise StratagemError(f"--workers {given.workers}: must be at least 1")
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


def list_studies(as_json: bool) -> dict[str, Any]:
    """What each study that ships asks, and about how long it takes here."""
    from stratagem.studies.expected import seconds
    from stratagem.studies.plan import plan
    from stratagem.training.loop import product_speed

    speed, rows = product_speed(), []
    for name in shipped():
        study = read_study(name)
        preset = study.budget(None)
        jobs = plan(study, preset, 1, Path("out") / name, Path("base"), "", {})
        cost = seconds(jobs, os.cpu_count() or 1, speed, everything=True)
        rows.append(
            {
                "name": name,
                "title": study.title,
                "question": study.question,
                "preset": preset,
                "seconds": cost,
            }
        )
    if not as_json:
        for row in rows:
            print(f"{row['name']:<14} {row['title']}: {row['question']}")
            print(
                f"{'':<14} about {max(1, round(row['seconds'] / 60))} min a replicate, preset {row['preset']}"
            )
    return {"studies": rows}


def announce(seconds: float) -> None:
    console().print(
        f"about {max(1, round(seconds / 60))} min on this machine, if nothing else runs; "
        "stop at any time, the same command goes on",
        highlight=False,
        soft_wrap=True,
    )


def show_study(summary: Summary, report: Path) -> None:
    from stratagem.report import terminal  # with its charts, which --help needs no more than the next one

    terminal.show(summary, Console())
    console().print(f"report: {report}", highlight=False)


def report(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Report, "report", words, text)
    from stratagem.report import study as page
    from stratagem.study_result import decode

    summary = decode(read_json(given.study / "summary.json"), str(given.study / "summary.json"))
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
