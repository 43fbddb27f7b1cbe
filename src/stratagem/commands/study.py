"""stratagem reproduce and report: a whole study, and its page again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

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


@dataclass(frozen=True)
class Reproduce:
    """Examples:
    stratagem reproduce table1
    stratagem reproduce table1 --preset full --seeds 3 --out runs/full
    """

    study: Annotated[Literal["table1"], tyro.conf.Positional]
    preset: Annotated[str, tyro.conf.arg(help="quick (minutes) or full (the study's budget of updates)")] = (
        "quick"
    )
    seeds: Annotated[int, tyro.conf.arg(help="training seeds, from 0; more may be added later")] = 1
    out: Annotated[Path, tyro.conf.arg(help="folder for the study; the same command again resumes")] = Path(
        "out/table1"
    )
    workers: Annotated[int | None, tyro.conf.arg(help="processes side by side; one a core by default")] = None
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
    accelerate: Annotated[Path | None, tyro.conf.arg(help="config file for `accelerate launch`")] = None
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


def reproduce(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    if engine_of(words) == "trl":
        return reproduce_by_trl(read(ReproduceByTRL, "reproduce", words, text), as_json)
    given = read(Reproduce, "reproduce", words, text)
    if given.workers is not None and given.workers < 1:
        raise StratagemError(f"--workers {given.workers}: must be at least 1")
    from stratagem.studies import table1

    with bars() as show:
        summary = table1.reproduce(given.preset, given.seeds, given.out, workers=given.workers, progress=show)
    if not as_json:
        terminal.show(summary, Console())
        console().print(f"report: {given.out / table1.REPORT}", highlight=False)
    return summary


def reproduce_by_trl(given: ReproduceByTRL, as_json: bool) -> dict[str, Any]:
    need_llm()
    from stratagem.studies import table1

    with bars() as show:
        summary = table1.reproduce(
            given.preset,
            given.seeds,
            given.out,
            progress=show,
            engine="trl",
            model=given.model,
            llm=given.llm,
            accelerate=given.accelerate,
        )
    if not as_json:
        terminal.show(summary, Console())
        console().print(f"report: {given.out / table1.REPORT}", highlight=False)
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
        terminal.show(summary, Console())
        console().print(f"report: {out}", highlight=False)
    return {"out": str(out)}
