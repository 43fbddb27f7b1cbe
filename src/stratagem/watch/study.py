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
from stratagem.workspace import CONFIG

STUDY, SUMMARY, ROLLOUTS = "study.json", "summary.json", "rollouts"


class Arm(msgspec.Struct, frozen=True):
    """One training of a study, as study.json lists it; `folder` is relative to the study's."""

    name: str
    folder: str
    replicate: int = 0


class StudyRun:
    """A folder of `stratagem reproduce`."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.settings: dict[str, Any] = {}
        self._arms: list[Arm] = []
        self._stages: dict[Arm, StageRun] = {}
        self._config_at: Stamp | None = None

    def poll(self) -> list[Run]:
        """Read what is new; the runs of all replicates that have begun, or of the first, in the order of study.json.

        Raises:
            StratagemError: study.json lists no arms.
        """
        path = self.out / STUDY
        if self._config_at != (config_at := stamp(path)) and (config := config_of(path)):
            self._arms, self._config_at = arms_of(config, path), config_at
            self.settings = config.get("settings") or {}
            self._stages = {
                arm: self._stages.get(arm) or StageRun(self.out / arm.folder, arm.name, arm.replicate)
                for arm in self._arms
            }
        return [self._stages[arm].poll() for arm in self._shown()]

    def _shown(self) -> list[Arm]:
        begun = {arm.replicate for arm in self._arms if (self.out / arm.folder).parent.is_dir()}
        shown = begun or {arm.replicate for arm in self._arms[:1]}
        return [arm for arm in self._arms if arm.replicate in shown]

    def evaluations(self) -> tuple[int, int]:
        """How many evaluations and probes are done, and how many are running."""
        homes = {(self.out / arm.folder).parent / ROLLOUTS for arm in self._arms}
        folders = [folder for home in homes if home.is_dir() for folder in home.iterdir()]
        partial = [folder for folder in folders if folder.name.endswith(".partial")]
        done = sum((folder / CONFIG).is_file() for folder in folders if folder not in partial)
        return done, sum(locked(folder / LOCK) is not False for folder in partial)

    @property
    def begun(self) -> float | None:
        """When the study was first started, in seconds since 1970."""
        return modified(self.out / STUDY)

    @property
    def took(self) -> float | None:
        """Seconds that the finished study took; None before."""
        return finite(config_of(self.out / SUMMARY).get("elapsed_s"))


def arms_of(config: dict[str, Any], path: Path) -> list[Arm]:
    """The arms that a study lists.

    Raises:
        StratagemError: it lists none, or a field of one is missing or of another type.
    """
    again = "run the study's command again, which writes it"
    if not config.get("arms"):
        raise StratagemError(f"{path}: lists no arms; {again}")
    try:
        return msgspec.convert(config["arms"], list[Arm])
    except msgspec.ValidationError as error:
        raise StratagemError(f"{path}: arms: {error}; {again}") from None
