"""All studies that ship, one after another, in folders side by side, so that what they share is made once."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stratagem.records import Progress, StratagemError
from stratagem.report import overview as page
from stratagem.studies import expected, run
from stratagem.studies.executors.ray import Cluster
from stratagem.studies.files import read_toml, shipped
from stratagem.studies.graph import Job
from stratagem.studies.plan import plan
from stratagem.studies.study import Study, read_study
from stratagem.study_result import Overview, StudyRow, Summary
from stratagem.training.loop import product_speed
from stratagem.workspace import write_bytes, write_json

PAGE, RESULT = "report.html", "summary.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """A study that ships, with the jobs of one run of it."""

    name: str
    study: Study
    preset: str
    jobs: list[Job]


def order() -> list[str]:
    """The names of the studies that ship: those that most others are like first, then by name."""
    models = Counter(read_toml(path).get("like") for path in shipped().values())
    return sorted(shipped(), key=lambda name: (-models[name], name))


def entries(out: Path, preset: str | None = None, replicates: int | None = None) -> list[Entry]:
    """Every study that ships, in the order in which they run; a preset that one does not have is its first there."""
    listed: list[Entry] = []
    for name in order():
        study = read_study(name)
        chosen = study.budget(preset if preset in study.presets else None)
        start = run.start_of(study, "native", None, None)
        jobs = plan(
            study,
            chosen,
            replicates or study.replicates,
            out / name,
            start.folder,
            start.fingerprint,
            start.inputs,
        )
        listed.append(Entry(name, study, chosen, jobs))
    return listed


def costs(listed: list[Entry], workers: int, speed: float, everything: bool = False) -> list[float]:
    """Seconds that each study takes where those before it are there: of what is left, or of everything."""
    there: set[str] = set()
    if not everything:
        there = {job.address for entry in listed for job in entry.jobs if job.out.exists()}
    each: list[float] = []
    for entry in listed:
        left = expected.seconds(entry.jobs, workers, speed, everything, there)
        report = everything or not all(job.out.exists() for job in entry.jobs)
        each.append(left + report * expected.REPORT)
        there |= {job.address for job in entry.jobs}
    return each


def reproduce_all(
    out: Path,
    preset: str | None = None,
    replicates: int | None = None,
    *,
    workers: int | None = None,
    progress: Progress = lambda what, done, total, metrics: None,
    cluster: Cluster | None = None,
    announce: Callable[[float], None] = lambda seconds: None,
    ended: Callable[[str, Summary], None] = lambda name, summary: None,
) -> Overview:
    """Run every study that ships in a folder of its own under `out`, or what is left of them.

    Args:
        preset, replicates, workers, cluster: as in `run.reproduce`.
        announce: is told the seconds that all that is left will take.
        ended: is told of each study.

    Writes report.html and summary.json over all studies into `out`, anew after each, beside the studies' own.

    Raises:
        StratagemError: `out` is a study itself, or as a study; what is done is kept.
    """
    if (out / run.STUDY).exists():
        raise StratagemError(f"{out}: holds one study; choose another --out, for folders of several")
    if preset is not None and not any(preset in read_study(name).presets for name in shipped()):
        read_study(order()[0]).budget(preset)  # says which there are
    listed = entries(out, preset, replicates)
    if not all(job.out.exists() for entry in listed for job in entry.jobs):
        announce(sum(costs(listed, workers or min(os.cpu_count() or 1, 8), product_speed())))
    rows: list[StudyRow] = []
    for entry in listed:
        summary = run.reproduce(
            entry.name,
            out / entry.name,
            entry.preset if entry.study.presets else None,
            replicates,
            workers=workers,
            progress=lambda what, *rest, name=entry.name: progress(f"{name}: {what}", *rest),
            cluster=cluster,
        )
        rows.append(row_of(entry, summary, out))
        whole = Overview(tuple(rows))
        write_bytes(out / PAGE, page.render(whole).encode())
        write_json(out / RESULT, whole.as_dict())
        ended(entry.name, summary)
    return Overview(tuple(rows))


def row_of(entry: Entry, summary: Summary, out: Path) -> StudyRow:
    words = ["stratagem reproduce", entry.name, f"--out {out / entry.name}"]
    if entry.study.presets:
        words.append(f"--preset {entry.preset}")
    if len(summary.seeds) != entry.study.replicates:
        words.append(f"--replicates {len(summary.seeds)}")
    return StudyRow(
        name=entry.name,
        title=summary.title,
        question=summary.question,
        answer=summary.answer,
        command=" ".join(words),
        report=f"{entry.name}/{run.REPORT}",
        preset=summary.preset,
        replicates=len(summary.seeds),
        elapsed_s=summary.elapsed_s,
        columns=summary.columns,
        claims=summary.claims,
        cells=summary.cells,
        study=summary.study,
    )
