"""Which kind of run a folder holds."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from stratagem.records import StratagemError
from stratagem.watch.live import LiveRun, is_live
from stratagem.watch.responses import Asked
from stratagem.watch.stage import STAGES, StageRun, config_of
from stratagem.watch.study import STUDY, StudyRun
from stratagem.watch.trl import TRLRun, is_trl
from stratagem.watch.verl import VerlRun, is_verl
from stratagem.workspace import CONFIG, partial_of

Source: TypeAlias = StageRun | StudyRun | TRLRun | VerlRun | LiveRun


def find(out: Path, asked: Asked) -> Source | None:
    """What is there; None where there is nothing yet.

    Raises:
        StratagemError: something that cannot be watched.
    """
    partial = partial_of(out)
    if (out / STUDY).is_file():
        return StudyRun(out)
    for folder in (out, partial):
        if stage := config_of(folder / CONFIG).get("stage"):
            if stage not in STAGES:
                raise StratagemError(
                    f"{folder}: holds a {stage}: watch shows trainings ({', '.join(STAGES)}) and studies"
                )
            return StageRun(out)
    if out.is_dir() and is_trl(out):
        return TRLRun(out, asked)
    if out.is_dir() and is_verl(out):
        return VerlRun(out, asked)
    if out.is_dir() and is_live(out):
        return LiveRun(out, asked)
    if partial.is_dir() or not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return None
    if not out.is_dir():
        raise StratagemError(f"{out}: a file; name the folder of a run")
    inside = sorted(
        path.name.removesuffix(".partial")
        for path in out.iterdir()
        if (path / CONFIG).is_file() or (path / STUDY).is_file()
    )
    if inside:
        raise StratagemError(f"{out}: no run itself; it holds {', '.join(inside[:5])}: name one of them")
    raise StratagemError(
        f"{out}: no run there: neither a stage or study of stratagem ({CONFIG}, {STUDY}) nor what TRL writes "
        "(checkpoint-N/trainer_state.json, completions/), verl (rollout_data_dir with STEP.jsonl) or the callback Live "
        "(its `write`)"
    )
