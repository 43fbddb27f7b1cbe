"""Table 1, end to end: nine models, their evaluation and probes, the six gains, the claims and the report."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from stratagem.models.folder import SHIPPED, WEIGHTS, model_folder
from stratagem.records import StratagemError
from stratagem.report import table1 as page
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import LLMConfig
from stratagem.studies import expected
from stratagem.studies.config import PRESETS, QWEN, TABLE1, Study, read_study
from stratagem.studies.jobs import Job, Progress, run_jobs
from stratagem.studies.llm_jobs import REST, disk_space, run_llm_jobs
from stratagem.studies.ray_jobs import Cluster
from stratagem.studies.summary import summarise
from stratagem.tasks.finite_field.strategies import SETS
from stratagem.tasks.finite_field.table import label_table
from stratagem.training.loop import product_speed
from stratagem.workspace import difference, key, read_json, versions, write_bytes, write_json

VERSION = 1
STUDY, SUMMARY, REPORT = "study.json", "summary.json", "report.html"


def cell_names(study: Study) -> list[str]:
    return [
        f"{strategy}/{stage}"
        for strategy in study.strategies
        for stage in ("SFT", *(f"RL({steps})" for steps in study.rl_steps))
    ]


def folder_of(cell: str) -> str:
    """``FB/RL(6-9)`` as a folder's name: ``FB_RL_6-9``."""
    return cell.replace("/", "_").replace("(", "_").replace(")", "")


def probes_of(cell: str) -> tuple[str, ...]:
    """The strategies that a cell is forced into: all that its SFT data showed, where they are several."""
    taught = SETS[cell.split("/")[0]]
    return taught if len(taught) > 1 else ()


def jobs(study: Study, preset: str, seeds: int, out: Path, base: Path) -> list[Job]:
    """Every stage of the study. The longest chains come first, so that no core waits for them at the end."""
    made: list[Job] = []
    for seed in range(seeds):
        home = out / f"seed{seed}"
        for strategy in reversed(study.strategies):
            first = f"{strategy}/SFT"
            config = study.sft(preset, strategy, seed)
            made.append(Job(f"{first} {seed}", "sft", config, home / folder_of(first), base))
            for steps in study.rl_steps:
                cell = f"{strategy}/RL({steps})"
                model = home / folder_of(first)
                made.append(
                    Job(
                        f"{cell} {seed}",
                        "rl",
                        study.rl(preset, steps, seed),
                        home / folder_of(cell),
                        model,
                        (f"{first} {seed}",),
                    )
                )
        for cell in cell_names(study):
            model, name = home / folder_of(cell), folder_of(cell)
            for force in (None, *probes_of(cell)):
                config = study.rollouts(cell, force)
                label = f"evaluate {cell} {seed}" if force is None else f"probe {cell} {force} {seed}"
                place = home / "rollouts" / (name if force is None else f"{name}_{force}")
                made.append(Job(label, "rollout", config, place, model, (f"{cell} {seed}",)))
    order = {"sft": 0, "rl": 1, "rollout": 2}
    return sorted(made, key=lambda job: order[job.stage])


def reproduce(
    preset: str,
    seeds: int,
    out: Path,
    *,
    workers: int | None = None,
    progress: Progress,
    settings: Path | None = None,
    engine: str = "native",
    model: str | None = None,
    llm: LLMConfig | None = None,
    accelerate: Path | None = None,
    cluster: Cluster | None = None,
    announce: Callable[[float], None] = lambda seconds: None,
) -> dict[str, Any]:
    """Run the study in `out`, or what is left of it, and return its summary.

    `settings` is a TOML file with the values that are to differ from the study's file, table1.toml or qwen.toml.
    With `engine` "trl" the study's own settings are used (qwen.toml) on its own model or on `model`, a hub id or a
    folder, held and trained as `llm` says; `accelerate` is a config for `accelerate launch`. With a `cluster` (see
    ray_connect) the stages are Ray tasks in place of local processes. Local processes of the native engine `announce`
    the seconds that are to be expected before they start.

    Writes summary.json, report.html, rollouts.parquet, curves.parquet and metrics.parquet beside a folder a seed.

    Raises:
        StratagemError: an impossible setting, or `out` holds something else.
    """
    started = time.monotonic()
    if preset not in PRESETS:
        raise StratagemError(f"--preset {preset}: must be one of {', '.join(PRESETS)}")
    if seeds < 1:
        raise StratagemError(f"--seeds {seeds}: must be at least 1")
    if engine not in ("native", "trl"):
        raise StratagemError(f"--engine {engine}: must be 'native' or 'trl'")
    by_trl = engine == "trl"
    study = read_study(QWEN if by_trl else TABLE1, settings)
    study.check_field(preset)
    plain, held, listed = study_dict(study), None, {}
    if by_trl:
        from stratagem.models.llm import find_model  # imports transformers, which the small models do without

        name = model or study.llm["model"]
        held = llm or study.held()
        source, base = find_model(name, held), Path(name)
        deviations = study.deviations(preset, model=name, held=held)
        listed = {"llm": {"model": name} | asdict(held)}
        claim_folder(
            out,
            {"preset": preset, "study": plain, "engine": engine, "model": name, "llm": held.key()},
            disk_space(jobs(study, preset, seeds, out, base), source, held),
        )
    elif model is not None:
        raise StratagemError(
            "--model: the native engine trains the small base of this package; add --engine trl"
        )
    else:
        base = model_folder(SHIPPED)
        deviations = study.deviations(preset, sum(tensor_sizes(base)))
        claim_folder(out, {"preset": preset, "study": plain})
    before = spent(out)
    everything = jobs(study, preset, seeds, out, base)
    summary_path = out / SUMMARY
    if summary_path.exists() and all(job.out.exists() for job in everything):
        finished: dict[str, Any] = read_json(summary_path)
        if finished["seeds"] == list(range(seeds)):
            return finished
    try:
        if cluster is not None:
            cluster.run(everything, out, progress, held, accelerate)
        elif held is not None:
            run_llm_jobs(everything, held, progress, accelerate)
        else:
            workers = workers or min(os.cpu_count() or 1, 8)
            announce(expected.seconds(everything, workers, product_speed()))
            run_jobs(everything, workers, progress)
    finally:
        write_json(out / "elapsed.json", {"elapsed_s": before + time.monotonic() - started})
    progress("report", 0, 1, {})
    rollouts, probes, curves, metrics = gather(study, seeds, out)
    summary = summarise(rollouts, probes, cell_names(study), chance=1 / study.rl(preset, "6-9", 0).p)
    summary |= {
        "preset": preset,
        "study": {
            cell: dict(zip(("all", "inversion", "evaluation"), row, strict=True))
            for cell, row in study.published.items()
        },
        "deviations": deviations,
        "settings": plain[preset] | listed | {"evaluation": study.evaluation, "probe": study.probe},
        "evaluation": {
            "problems": study.evaluation["size"],
            "samples": study.evaluation["samples"],
            "temperature": study.evaluation["temperature"],
        },
        "versions": versions(),
        "elapsed_s": round(before + time.monotonic() - started, 1),
    }
    for name, table in (("rollouts", rollouts), ("curves", curves), ("metrics", metrics)):
        write_rollouts(out / f"{name}.parquet", table)
    write_bytes(out / REPORT, page.render(summary, rollouts, curves, metrics).encode())
    write_json(summary_path, summary)
    progress("report", 1, 1, {})
    return summary


def study_dict(study: Study) -> dict[str, Any]:
    """The study's settings as they stand in JSON."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(study))
    return found


def claim_folder(out: Path, settings: dict[str, Any], needed: int = REST) -> None:
    """Make `out` this study's, or see that it is; the number of seeds may grow. A study takes up to `needed` bytes.

    Raises:
        StratagemError: it holds another study or something that is not ours, cannot be written, or is too small.
    """
    config = {
        "stage": "table1",
        "version": VERSION,
        "key": key("table1", VERSION, settings),
        "settings": settings,
    }
    if (out / STUDY).exists():
        found = read_json(out / STUDY)
        if found.get("key") != config["key"]:
            raise StratagemError(
                f"{out}: holds another study ({difference(found, config)}); choose another --out"
            )
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise StratagemError(f"{out}: not empty and not a study of ours; choose another --out")
    try:
        out.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(out).free
    except OSError as error:
        raise StratagemError(f"{out}: cannot be made ({error.strerror}); choose another --out") from None
    if free < needed:
        raise StratagemError(
            f"{out}: {free / 2**30:.1f} GiB are free and a study takes up to {needed / 2**30:.1f}; choose another --out"
        )
    write_json(out / STUDY, config)


def spent(out: Path) -> float:
    """Seconds that earlier, interrupted calls took."""
    path = out / "elapsed.json"
    return float(read_json(path)["elapsed_s"]) if path.exists() else 0.0


def tensor_sizes(folder: Path) -> Iterator[int]:
    """The number of values of each tensor of a safetensors file, from its header."""
    with open(folder / WEIGHTS, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, entry in header.items():
        if name != "__metadata__":
            yield math.prod(entry["shape"])


def gather(
    study: Study, seeds: int, out: Path
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Labelled evaluations, labelled probes, counts of training rollouts by update, and training metrics."""
    rollouts, probes, curves, metrics = [], [], [], []
    for seed in range(seeds):
        home = out / f"seed{seed}"
        mark = pl.lit(seed, pl.Int32).alias("seed")
        for cell in cell_names(study):
            name = folder_of(cell)
            for force in (None, *probes_of(cell)):
                place = home / "rollouts" / (name if force is None else f"{name}_{force}")
                table = label_table(pl.read_parquet(place / "rollouts.parquet")).with_columns(mark)
                if force is None:
                    rollouts.append(table)
                else:
                    probes.append(table.with_columns(forced=pl.lit(force)))
            if not cell.endswith("/SFT"):
                counts, scalars = training_log(home / name / "metrics.jsonl")
                label = pl.lit(cell).alias("cell")
                curves.append(counts.select(label, mark, pl.all()))
                metrics.append(scalars.select(label, mark, pl.all()))
    empty = rollouts[0].clear().with_columns(forced=pl.lit(""))
    return pl.concat(rollouts), pl.concat(probes or [empty]), pl.concat(curves), pl.concat(metrics)


def training_log(path: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An RL stage's log as counts by (update, kind, difficulty, strategy) and as scalars by update."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    counts = pl.DataFrame(
        [(line["update"], *cell) for line in lines for cell in line["cells"]],
        schema=["update", "kind", "difficulty", "strategy", "n", "right"],
        orient="row",
    )
    names = ("update", "reward", "kl", "entropy", "no_signal", "length", "seconds")
    return counts, pl.DataFrame([{name: line[name] for name in names} for line in lines])
