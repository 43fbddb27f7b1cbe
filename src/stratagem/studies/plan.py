"""A study's stages as jobs: what is trained from what, what is asked, and where each result lies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from stratagem.decomposition.splices import PAIRS
from stratagem.records import StratagemError, content_id
from stratagem.settings import defaults, modern, recorded, version_of
from stratagem.studies.expected import cost
from stratagem.studies.graph import Job
from stratagem.studies.study import Study
from stratagem.workspace import CONFIG, differs, essence, plain, read_json

ORDER = ("base", "sft", "rl", "rollout", "validation")
BASE = "base"
Base = tuple[Path | None, str]  # the folder of a model that arms start from, and its fingerprint
FREE = ("checkpoint",)  # of a rollout: a study calls its arms as it likes


def home_of(out: Path, replicate: int) -> Path:
    return out / f"seed{replicate}"


def rollouts_of(home: Path, study: Study, arm: str, evaluation: str, force: str | None = None) -> Path:
    """Where the responses of an arm to an evaluation lie, or to its probe."""
    folder = study.tree[arm].folder
    place = "rollouts" if evaluation == study.main else f"rollouts_{content_id(evaluation)[:6]}"
    return home / place / (folder if force is None else f"{folder}_{force}")


def splice_of(home: Path, study: Study, arm: str, pair: str) -> Path:
    """Where the responses of a splice lie (`PAIRS`): of an arm and the one that it starts from."""
    return home / "splices" / f"{study.tree[arm].folder}_{pair.replace(' ', '_')}"


def validation_of(home: Path, study: Study, arm: str) -> Path:
    """Where an arm's cross-entropies lie."""
    return home / "validation" / study.tree[arm].folder


def plan(
    study: Study,
    preset: str,
    replicates: int,
    out: Path,
    bases: Sequence[Base],
    inputs: dict[str, Any],
) -> list[Job]:
    """Every stage of the study. Long ones come first, so that no core waits for them at the end.

    Args:
        bases: the models that replicates start from, in turn; none where the study makes its own.
        inputs: what stages read beside a model and their config, as an LLM is held.
    """
    jobs: list[Job] = []
    fingerprints = dict(bases)

    def add(
        name: str,
        stage: Any,
        config: Any,
        place: Path,
        model: Path | None,
        *needs: str,
        opener: Path | None = None,
    ) -> Job:
        addresses = {job.name: job.address for job in jobs if job.name in needs}
        source = " ".join(addresses[job] for job in needs) or fingerprints.get(model, "")
        address = address_of(stage, config, source, inputs)
        jobs.append(Job(name, stage, config, place, model, tuple(dict.fromkeys(needs)), address, opener))
        return jobs[-1]

    for replicate in range(replicates):
        home = home_of(out, replicate)
        own = study.base_config(replicate)
        first = None if own is None else add(f"base {replicate}", "base", own, home / BASE, None)
        for arm in sorted(study.tree.values(), key=lambda arm: arm.depth):
            if arm.start is None:
                given = bases[replicate % len(bases)][0] if bases else None
                model, needs = (given, ()) if first is None else (first.out, (first.name,))
            else:
                model, needs = home / arm.start.folder, (f"{arm.start.name} {replicate}",)
            config = study.config(preset, arm, replicate)
            add(f"{arm.name} {replicate}", arm.stage, config, home / arm.folder, model, *needs)
        for arm in study.tree.values():
            for evaluation in study.evaluations:
                for force in (None, *(study.forced(arm) if evaluation == study.main else ())):
                    what = f"evaluate {arm.name}" if force is None else f"probe {arm.name} {force}"
                    where = "" if evaluation == study.main else f" on {evaluation}"
                    place = rollouts_of(home, study, arm.name, evaluation, force)
                    config = study.rollouts(evaluation, force)
                    source = home / arm.folder
                    add(
                        f"{what}{where} {replicate}",
                        "rollout",
                        config,
                        place,
                        source,
                        f"{arm.name} {replicate}",
                    )
            if (validation := study.validated(arm)) is not None:
                place, trained = validation_of(home, study, arm.name), f"{arm.name} {replicate}"
                add(f"validate {trained}", "validation", validation, place, home / arm.folder, trained)
        for arm in (study.tree[name] for name in study.splices):
            for pair in PAIRS:
                opener, other = (arm.sides[side] for side in pair.split())
                add(
                    f"splice {arm.name} {pair} {replicate}",
                    "rollout",
                    study.spliced(),
                    splice_of(home, study, arm.name, pair),
                    home / other.folder,
                    *(f"{each.name} {replicate}" for each in (opener, other)),
                    opener=home / opener.folder,
                )
    return sorted(jobs, key=lambda job: (ORDER.index(job.stage), -cost(job.config)))


def address_of(stage: str, config: Any, source: str, inputs: dict[str, Any]) -> str:
    """A name for what a stage makes, made of all that decides it: its settings, its version, its input's address."""
    different = essence(recorded(config), defaults(config, inputs))
    return content_id(stage, version_of(stage, inputs), plain(different), source, plain(inputs))


def refuse_others(jobs: list[Job], bases: Sequence[Base], inputs: dict[str, Any]) -> None:
    """See that every folder that is there already is what the study is about to make.

    Args:
        bases, inputs: as in `plan`.

    Raises:
        StratagemError: one was made with other settings.
    """
    for job in jobs:
        if different := difference(job, job.out, bases, inputs):
            raise StratagemError(
                f"{job.out}: made with other settings ({different}); choose another --out or remove it"
            )


def difference(job: Job, folder: Path, bases: Sequence[Base], inputs: dict[str, Any]) -> str:
    """The first setting in which a folder is not what a job makes, in words; empty where there is none or no folder."""
    path = folder / CONFIG
    if not path.is_file():
        return ""
    settings = {name: value for name, value in recorded(job.config).items() if name not in FREE}
    if job.model is not None and not job.needs:  # trained from a base of the study's
        settings |= {"model": dict(bases)[job.model]} | inputs
    usual, version = defaults(job.config, inputs), version_of(job.stage, inputs)
    return differs(read_json(path), job.stage, version, settings, usual, modern, partly=True)


def elsewhere(
    jobs: list[Job], out: Path, stages: str, bases: Sequence[Base], inputs: dict[str, Any]
) -> dict[str, Path]:
    """Finished folders of the studies beside this one that hold what jobs of it make, by their addresses.

    Their settings are compared too, since a list of addresses may be of an older version, whose addresses left
    something out.
    """
    finished: dict[str, Path] = {}
    wanted = {job.address: job for job in jobs}
    for listed in siblings(out, stages):
        for address, place in read_json(listed).items():
            folder = listed.parent / place
            job = wanted.get(address)
            if job is not None and folder.is_dir() and not difference(job, folder, bases, inputs):
                finished[address] = folder
    return finished


def siblings(out: Path, stages: str) -> Iterator[Path]:
    if out.absolute().parent.is_dir():
        for path in sorted(out.absolute().parent.iterdir()):
            if path.is_dir() and path.name != out.name and (path / stages).is_file():
                yield path / stages
