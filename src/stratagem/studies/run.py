"""A study, end to end: its stages run, its claims judged, its report written."""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from stratagem.models.folder import WEIGHTS, fingerprint, model_folder, shipped_bases
from stratagem.records import Progress, StratagemError, content_id
from stratagem.report import study as page
from stratagem.rollouts.store import write_rollouts
from stratagem.settings import GRPOConfig, LLMConfig, SFTConfig, check_engine
from stratagem.studies import expected, graph
from stratagem.studies.executors.local import Local
from stratagem.studies.executors.ray import Cluster
from stratagem.studies.executors.trl import REST, TRL, disk_space
from stratagem.studies.files import shipped, shipped_replicates, study_file
from stratagem.studies.form import Values
from stratagem.studies.gather import gather, gather_losses, gather_splices
from stratagem.studies.graph import Executor, Job
from stratagem.studies.plan import Base, elsewhere, home_of, plan, refuse_others
from stratagem.studies.study import Engine, Study, read_study
from stratagem.studies.summary import Results
from stratagem.study_result import Asked, Deviation, Summary, decode
from stratagem.training.loop import product_speed
from stratagem.workspace import read_json, versions, write_bytes, write_json

if TYPE_CHECKING:
    from stratagem.models.llm import Source

STUDY, STAGES, SUMMARY, REPORT, ELAPSED = (
    "study.json",
    "stages.json",
    "summary.json",
    "report.html",
    "elapsed.json",
)


def reproduce(
    source: str | Path,
    out: Path,
    preset: str | None = None,
    replicates: int | None = None,
    *,
    workers: int | None = None,
    progress: Progress = lambda what, done, total, metrics: None,
    settings: Path | None = None,
    engine: Engine = "native",
    model: str | None = None,
    llm: LLMConfig | None = None,
    accelerate: Path | None = None,
    cluster: Cluster | None = None,
    announce: Callable[[float], None] = lambda seconds: None,
) -> Summary:
    """Run a study in `out`, or what is left of it, and return its summary.

    Args:
        source: the name of a study that ships, or a TOML file of one's own (docs/studies.md).
        preset, replicates: the file's by default; more replicates may be added later.
        settings: a TOML file with the values that are to differ from the study's file.
        engine: with "trl" the file's table ``[trl]`` is used, on its model or on `model`, a hub id or a folder, held
            and trained as `llm` says; `accelerate` is a config for `accelerate launch`.
        cluster: runs the stages as Ray tasks in place of local processes (see executors.ray_connect).
        announce: is told the seconds that are to be expected, before local processes start.

    Writes summary.json, report.html, rollouts.parquet, curves.parquet and metrics.parquet beside a folder a replicate.
    Stages that a study beside `out` has made already are taken from there.

    Raises:
        StratagemError: an impossible setting, or `out` holds something else.
    """
    started = time.monotonic()
    name, _ = study_file(source)
    study = read_study(source, settings, engine)
    preset, replicates = study.budget(preset), replicates or study.replicates
    if isinstance(study.base, list) and 1 < len(study.base) < replicates:
        raise StratagemError(
            f"base: {len(study.base)} bases for {replicates} replicates; name one for each, or give --replicates"
        )
    start = start_of(study, engine, model, llm)
    jobs = plan(study, preset, replicates, out, start.bases, start.inputs)
    for job in jobs:
        if isinstance(job.config, SFTConfig | GRPOConfig):
            check_engine(job.config, engine)
    claim_folder(out, name, start.disk_space(jobs))
    refuse_others(jobs, start.bases, start.inputs)
    write_plan(out, name, study, preset, replicates, jobs)
    before = spent(out)
    text = content_id(json.dumps(study_dict(study), sort_keys=True), preset, start.name)
    if (out / SUMMARY).exists() and all(job.out.exists() for job in jobs):
        recorded = read_json(out / SUMMARY)
        if isinstance(recorded, dict) and recorded.get("text") == text:
            finished = decode(recorded, str(out / SUMMARY))
            if finished.seeds == tuple(range(replicates)):
                return finished
    finished = elsewhere(jobs, out, STAGES, start.bases, start.inputs)
    executor: Executor
    if cluster is not None:
        executor = cluster.executor(out, start.llm, accelerate)
    elif start.llm is not None:
        executor = TRL(start.llm, accelerate)
    else:
        workers = workers or min(os.cpu_count() or 1, 8)
        if not all(job.out.exists() for job in jobs):
            announce(expected.REPORT + expected.seconds(jobs, workers, product_speed(), taken=finished))
        executor = Local(workers)
    try:
        graph.run(jobs, executor, progress, finished)
    finally:
        write_json(out / ELAPSED, {"elapsed_s": before + time.monotonic() - started})
    progress("report", 0, 1, {})
    rollouts, probes, curves, metrics = gather(study, replicates, out)
    losses, splices = gather_losses(study, replicates, out), gather_splices(study, replicates, out)
    summary = Results(study, rollouts, probes, curves, losses, splices).summarise(
        name=name,
        text=text,
        versions=versions(),
        elapsed_s=round(before + time.monotonic() - started, 1),
        shipped=shipped_replicates(name, preset)
        if settings is None and engine == "native" and name in shipped()
        else None,
        **about(study, preset, start),
    )
    for table_name, table in (("rollouts", rollouts), ("curves", curves), ("metrics", metrics)):
        write_rollouts(out / f"{table_name}.parquet", table)
    write_bytes(out / REPORT, page.render(summary, rollouts, curves, metrics).encode())
    write_json(out / SUMMARY, summary.as_dict())
    progress("report", 1, 1, {})
    return summary


@dataclass(frozen=True, slots=True)
class Start:
    """The models that arms start from.

    Attributes:
        bases: folders of small models, or the id of a language model, each with its fingerprint; replicates take them
            in turn. None where each replicate trains its own.
        inputs: what stages read beside a model and their settings: how a language model is held.
        name, llm, source: of a language model.
        parameters: of a small one.
    """

    bases: tuple[Base, ...] = ()
    inputs: Values = field(default_factory=dict[str, Any])
    name: str | None = None
    llm: LLMConfig | None = None
    source: Source | None = None
    parameters: int = 0

    def disk_space(self, jobs: list[Job]) -> int:
        """Bytes that the study's folder may take."""
        if self.llm is None or self.source is None:
            return REST
        return disk_space(jobs, self.source, self.llm)


def start_of(study: Study, engine: Engine, model: str | None, llm: LLMConfig | None) -> Start:
    """
    Raises:
        StratagemError: there is no such model, or it is not for this engine.
    """
    if engine == "trl":
        from stratagem.models.llm import find_model  # imports transformers, which the small models do without

        name, held = model or study.llm.get("model"), llm or study.held()
        if study.validation is not None:
            raise StratagemError(
                "[validation]: not with --engine trl, by which no cross-entropy of demonstrations is taken"
            )
        if study.splices:
            raise StratagemError("splices: not with --engine trl, which samples a response by one model")
        if name is None:
            raise StratagemError("--model: this study names no language model; give a hub id or a folder")
        source = find_model(name, held)
        inputs = {"engine": "trl", "llm": held.key()}
        return Start(((Path(name), source.fingerprint),), inputs, name, held, source)
    if model is not None:
        raise StratagemError("--model: the native engine trains small models alone; add --engine trl")
    if isinstance(study.base, dict):
        return Start()
    if study.base is None:
        folders = shipped_bases(study.asked)
    else:
        named = study.base if isinstance(study.base, list) else [study.base]
        folders = [model_folder(Path(name)) for name in named]
    bases = tuple((folder, fingerprint(folder)) for folder in folders)
    return Start(bases, parameters=sum(tensor_sizes(folders[0])))


def about(study: Study, preset: str, start: Start) -> Values:
    """What the report says of a study beside its results."""
    evaluation, published = study.rollouts(study.main), study.published
    columns, rows = ([], {}) if published is None else (published.columns, published.percent)
    settings: Values = {stage: study.settings(preset, stage) for stage in ("sft", "rl")}
    if study.base is not None:
        settings["base"] = study.base
    if start.llm is not None:
        settings["llm"] = {"model": start.name} | asdict(start.llm)
    return {
        "preset": preset,
        "bases": ()
        if start.llm is not None
        else tuple(name_of(folder) for folder, _ in start.bases if folder),
        "about": study.about,
        "source": study.source,
        "figures": tuple(study.figures),
        "study": {arm: dict(zip(columns, row, strict=True)) for arm, row in rows.items()},
        "deviations": tuple(
            Deviation(**row) for row in study.deviations(preset, start.parameters, start.name, start.llm)
        ),
        "settings": settings | {"evaluation": study.evaluations[study.main], "probe": study.probe or {}},
        "evaluation": Asked(evaluation.size, evaluation.samples, evaluation.temperature),
    }


def name_of(base: Path) -> str:
    """A base's name: its folder's, or its stage's."""
    return base.parent.name if base.name == "model" else base.name


def study_dict(study: Study) -> Values:
    """The study's file as it stands in JSON."""
    return msgspec.json.decode(msgspec.json.encode(study))


def claim_folder(out: Path, name: str, needed: int) -> None:
    """Make `out` this study's, or see that it is. A study takes up to `needed` bytes.

    Raises:
        StratagemError: it holds another study or something that is not ours, cannot be written, or is too small.
    """
    # Listed before the plan is looked for: another process writes the plan first, then the rest.
    unplanned = out.exists() and (
        not out.is_dir() or any(not name.startswith(f".{STUDY}.") for name in os.listdir(out))
    )
    if (out / STUDY).exists():
        there = read_json(out / STUDY)
        was = there.get("name", there.get("stage")) if isinstance(there, dict) else None
        if was != name:
            raise StratagemError(f"{out}: holds another study ({was}); choose another --out")
        return
    if unplanned:
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


def write_plan(out: Path, name: str, study: Study, preset: str, replicates: int, jobs: list[Job]) -> None:
    """Say in the study's folder what it is and where its results will lie, for whoever watches it, and for other
    studies that need the same stages."""

    def place(folder: Path) -> str:
        return str(folder.relative_to(out))

    arms = [
        arm.as_dict() | {"replicate": replicate, "folder": place(home_of(out, replicate) / arm.folder)}
        for replicate in range(replicates)
        for arm in study.tree.values()
    ]
    rollouts = [place(job.out) for job in jobs if job.stage == "rollout" and job.opener is None]
    settings = {"preset": preset, "study": study_dict(study)}
    plan = {"name": name, "title": study.title, "arms": arms, "rollouts": rollouts, "settings": settings}
    write_json(out / STUDY, plan)
    write_json(out / STAGES, {job.address: place(job.out) for job in jobs})


def spent(out: Path) -> float:
    """Seconds that earlier, interrupted calls took."""
    path = out / ELAPSED
    return float(read_json(path)["elapsed_s"]) if path.exists() else 0.0


def tensor_sizes(folder: Path) -> Iterator[int]:
    """The number of values of each tensor of a safetensors file, from its header."""
    with open(folder / WEIGHTS, "rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    for name, entry in header.items():
        if name != "__metadata__":
            yield math.prod(entry["shape"])
