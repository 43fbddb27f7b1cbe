"""A study's folder: a stage for every arm and replicate, and their evaluations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from stratagem.records import StratagemError
from stratagem.report.format import finite
from stratagem.watch.run import Run
from stratagem.watch.stage import LOCK, StageRun, config_of, locked, modified
from stratagem.watch.tail import Stamp, stamp
from stratagem.workspace import CONFIG, partial_of

STUDY, SUMMARY = "study.json", "summary.json"


class Arm(msgspec.Struct, frozen=True):
    """One training of a study."""

    name: str
    folder: str
    replicate: int = 0


class Plan(msgspec.Struct, frozen=True):
    """What study.json says is to be done; folders are relative to the study's."""

    arms: list[Arm] = []
    rollouts: list[str] = []  # evaluations and probes
    settings: dict[str, Any] = {}


class StudyRun:
    """A folder of `stratagem reproduce`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.plan = Plan()
        self._stages: dict[Arm, StageRun] = {}
        self._plan_at: Stamp | None = None

    def poll(self) -> list[Run]:
        """Read what is new; the runs of all replicates that have begun, or of the first, in the order of study.json.

        Raises:
            StratagemError: study.json lists no arms.
        """
        path = self.out / STUDY
        if self._plan_at != (plan_at := stamp(path)) and (config := config_of(path)):
            self.plan, self._plan_at = plan_of(config, path), plan_at
            self._stages = {
                arm: self._stages.get(arm) or StageRun(self.out / arm.folder, arm.name, arm.replicate)
                for arm in self.plan.arms
            }
        return [self._stages[arm].poll() for arm in self._shown()]

    def _shown(self) -> list[Arm]:
        arms = self.plan.arms
        begun = {arm.replicate for arm in arms if (self.out / arm.folder).parent.is_dir()}
        shown = begun or {arm.replicate for arm in arms[:1]}
        return [arm for arm in arms if arm.replicate in shown]

    def evaluations(self) -> tuple[int, int, int]:
        """How many evaluations and probes are done, are running, and there are to be."""
        folders = [self.out / place for place in self.plan.rollouts]
        partial = [partial_of(folder) for folder in folders]
        done = sum((folder / CONFIG).is_file() for folder in folders)
        running = sum(folder.is_dir() and locked(folder / LOCK) is not False for folder in partial)
        return done, running, len(folders)

    @property
    def begun(self) -> float | None:
        """When the study was first started, in seconds since 1970."""
        return modified(self.out / STUDY)

    @property
    def took(self) -> float | None:
        """Seconds that the finished study took; None before."""
        return finite(config_of(self.out / SUMMARY).get("elapsed_s"))


def plan_of(config: dict[str, Any], path: Path) -> Plan:
    """The plan of a study.

    Raises:
        StratagemError: it lists no arms, or a field is missing or of another type.
    """
    again = "run the study's command again, which writes it"
    try:
        plan = msgspec.convert(config, Plan)
    except msgspec.ValidationError as error:
        raise StratagemError(f"{path}: {error}; {again}") from None
    if not plan.arms:
        raise StratagemError(f"{path}: lists no arms; {again}")
    return plan
