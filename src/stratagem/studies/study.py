"""A study: one TOML file that says what is trained, asked and claimed. docs/studies.md describes the form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import msgspec

from stratagem.limits import check_number
from stratagem.records import ALL, StratagemError
from stratagem.settings import (
    BaseConfig,
    GRPOConfig,
    LLMConfig,
    RolloutConfig,
    SFTConfig,
    ValidationConfig,
    read_steps,
)
from stratagem.studies.arm import NAME, Arm, Trained
from stratagem.studies.files import merged, read_toml, study_file, whole_file
from stratagem.studies.form import ArmEntry, Claim, Curve, Part, Preset, Published, Values
from stratagem.studies.quantities import Quantity
from stratagem.tasks import DEFAULT, Task, make_task

Engine = Literal["native", "trl"]
Figure = Literal["training", "path", "strata", "errors", "attempts", "traces"]
# What a study is about: a file of --settings cannot change it.
FIXED = ("title", "task", "arms", "claims", "published", "reference")


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, dict=True):
    """A study file. Every key is checked when it is read (`read_study`)."""

    title: str
    arms: dict[str, ArmEntry]
    evaluations: dict[str, Values]
    question: str = ""
    answer: str = ""
    about: str = ""
    source: str = ""
    task: str = DEFAULT
    replicates: int = 1
    base: Values | str | list[str] | None = None
    sft: Values = {}
    rl: Values = {}
    presets: dict[str, Preset] = {}
    probe: Values | None = None
    validation: Values | None = None
    splices: list[str] = []
    published: Published | None = None
    reference: Values = {}
    reasons: dict[str, str] = {}
    claims: list[Claim] = []
    figures: list[Figure] = msgspec.field(default_factory=lambda: list(get_args(Figure)))
    curves: list[Curve] = []
    llm: Values = {}

    # -- what is trained and asked -------------------------------------------------------------------------

    @cached_property
    def tree(self) -> dict[str, Arm]:
        """The arms by name, each with the arm that it starts from."""
        built: dict[str, Arm] = {}

        def make(name: str, path: tuple[str, ...] = ()) -> Arm:
            if name in path:
                raise StratagemError(f"arms.{name!r}: starts from itself, through {' and '.join(path)}")
            if name not in built:
                entry = self.arms[name]
                stages: list[Trained] = [
                    stage for stage in get_args(Trained) if getattr(entry, stage) is not None
                ]
                if len(stages) != 1:
                    raise StratagemError(f"arms.{name!r}: needs one of sft = {{…}} and rl = {{…}}")
                if not NAME.fullmatch(name) or name.startswith("-"):
                    raise StratagemError(
                        f"arms.{name!r}: a name has 1 to 60 characters and no spaces at its ends"
                    )
                if entry.start is not None and entry.start not in self.arms:
                    raise StratagemError(
                        f"arms.{name!r}: start = {entry.start!r} is no arm; there are {', '.join(self.arms)}"
                    )
                start = None if entry.start is None else make(entry.start, (*path, name))
                built[name] = Arm(name, stages[0], getattr(entry, stages[0]), start)
            return built[name]

        arms = {name: make(name) for name in self.arms}
        folders: dict[str, str] = {}
        for arm in arms.values():
            if (other := folders.setdefault(arm.folder.lower(), arm.name)) != arm.name:
                raise StratagemError(
                    f"arms.{arm.name!r}: would have the same folder as {other!r}; rename one"
                )
        return arms

    @property
    def asked(self) -> Task:
        return make_task(self.task)

    @property
    def columns(self) -> list[str]:
        """Of the table of accuracies: all problems, then each kind, in the publication's order where there is one."""
        return [ALL, *self.asked.kinds] if self.published is None else self.published.columns

    @property
    def main(self) -> str:
        """The evaluation that gains are split over: the first one."""
        return next(iter(self.evaluations))

    def budget(self, preset: str | None) -> str:
        """The preset that is meant: the first one where none is asked for.

        Raises:
            StratagemError: there is no such preset.
        """
        names = list(self.presets) or ["standard"]
        if preset is not None and preset not in names:
            raise StratagemError(f"--preset {preset}: must be one of {', '.join(names)}")
        return preset or names[0]

    def settings(self, preset: str, stage: Trained) -> Values:
        """The file's settings of a stage: those of the preset over those of all presets."""
        budget = self.presets.get(preset, Preset())
        return {**getattr(self, stage), **getattr(budget, stage)}

    def config(self, preset: str, arm: Arm, seed: int) -> SFTConfig | GRPOConfig:
        """The settings of an arm's stage."""
        kind = SFTConfig if arm.stage == "sft" else GRPOConfig
        whole = {**self.settings(preset, arm.stage), **arm.settings}
        return config_of(
            kind, f"arms.{arm.name!r} or [{preset}.{arm.stage}]", whole, task=self.task, seed=seed
        )

    def base_config(self, seed: int) -> BaseConfig | None:
        """The settings of a base of the study's own; None where one is given, or the one that ships is meant."""
        if not isinstance(self.base, dict):
            return None
        return config_of(BaseConfig, "base", self.base, task=self.task, seed=seed)

    def rollouts(self, evaluation: str, force: str | None = None) -> RolloutConfig:
        """An evaluation, or its probe under a forced strategy. The problems are the same for all arms."""
        settings, where = dict(self.evaluations[evaluation]), f"evaluations.{evaluation}"
        if force is not None:
            settings |= (self.probe or {}) | {"greedy": False}
            where += " or probe"
        return config_of(RolloutConfig, where, settings, task=self.task, force=force)

    def forced(self, arm: Arm) -> tuple[str, ...]:
        """The strategies that an arm is forced into: all that SFT showed to it, where they are several."""
        sft = arm.last_sft
        mix = "all" if sft is None else {**self.sft, **sft.settings}.get("strategy", "all")
        taught = self.asked.chosen(str(mix))
        return taught if self.probe is not None and len(taught) > 1 else ()

    def validated(self, arm: Arm) -> ValidationConfig | None:
        """The demonstrations that an arm's cross-entropy is taken on: of the strategies that its SFT showed.

        None for RL, and where the file asks for none.
        """
        if self.validation is None or arm.stage != "sft":
            return None
        mix = {**self.sft, **arm.settings}.get("strategy", "all")
        return config_of(ValidationConfig, "validation", self.validation, task=self.task, strategy=mix)

    def spliced(self) -> RolloutConfig:
        """The settings of splices: those of the first evaluation."""
        return replace(self.rollouts(self.main), greedy=False)

    def held(self, **given: Any) -> LLMConfig:
        """How an LLM is held and trained: the file's `llm`, with what the caller gives in its place."""
        return LLMConfig(**{name: value for name, value in self.llm.items() if name != "model"} | given)

    # -- what is said of it --------------------------------------------------------------------------------

    def deviations(
        self, preset: str, parameters: int = 0, model: str | None = None, held: LLMConfig | None = None
    ) -> list[Values]:
        """Each setting that is not the reference's, with the reason.

        `model` names an LLM, which is held and trained as `held` says; `parameters` are the base's.
        """
        ours: Values = {"model": model or f"stratagem base, {parameters:,} parameters (Qwen2 architecture)"}
        for stage in get_args(Trained):
            arm = next((arm for arm in self.tree.values() if arm.stage == stage), None)
            if arm is not None:
                ours |= {
                    f"{stage}.{name}": "{}-{}".format(*value) if name == "steps" else value
                    for name, value in asdict(self.config(preset, arm, 0)).items()
                }
        known, reasons = self.reference, self.reasons
        if (
            held is not None
        ):  # the file's own values are the reference's, and the command's options may differ
            options = {f"llm.{name}": value for name, value in self.llm.items() if name != "model"}
            ours |= {f"llm.{name}": value for name, value in asdict(held).items()}
            known, reasons = known | options, dict.fromkeys(options, "an option of the command") | reasons
        different: list[Values] = []
        for name, theirs in known.items():
            if name not in ours:  # of a stage that no arm has
                continue
            if ours[name] == theirs or (name == "rl.updates" and within(ours[name], theirs)):
                continue
            reason = reasons.get(name, "see the study file")
            different.append({"setting": name, "study": theirs, "ours": ours[name], "reason": reason})
        return different

    def check(self) -> None:
        """Try every setting, quantity and name.

        Raises:
            StratagemError: one is wrong; the key is named.
        """
        if not self.evaluations:
            raise StratagemError("[evaluations.NAME]: there has to be at least one")
        check_number("replicates", self.replicates)
        for preset in list(self.presets) or ["standard"]:
            if "strategy" in self.presets.get(preset, Preset()).sft:
                raise StratagemError(
                    f"presets.{preset}.sft: strategy is no matter of budget; put it into [sft] or an arm"
                )
            for arm in self.tree.values():
                self.config(preset, arm, 0)
        self.base_config(0)
        if self.base == []:
            raise StratagemError("base = []: name a base for each replicate, or leave it out")
        for name in self.evaluations:
            self.rollouts(name)
        if self.probe is not None:
            for arm in self.tree.values():
                for strategy in self.forced(arm):
                    self.rollouts(self.main, strategy)
        for arm in self.tree.values():
            self.validated(arm)
        for name in self.splices:
            if name not in self.tree or self.tree[name].start is None:
                starting = ", ".join(arm.name for arm in self.tree.values() if arm.start is not None)
                raise StratagemError(
                    f"splices: {name!r} is no arm that starts from another; there are {starting}"
                )
        known = {*self.reference, *self.reasons}
        there = {"model", *(f"{stage}.{f.name}" for stage, kind in STAGES.items() for f in fields(kind))}
        if unknown := sorted(known - there):
            raise StratagemError(f"{unknown[0]}: [reference] and [reasons] name settings, as sft.lr")
        for column in self.columns:
            if column not in (ALL, *self.asked.kinds):
                raise StratagemError(
                    f"published.columns: {column!r} is no kind of problem; there are "
                    f"{', '.join((ALL, *self.asked.kinds))}"
                )
        if self.published is not None:
            for name, row in self.published.percent.items():
                if name not in self.tree or len(row) != len(self.columns):
                    raise StratagemError(
                        f"published.percent.{name!r}: needs to be an arm with {len(self.columns)} numbers"
                    )
        for claim in self.claims:
            for number, part in enumerate(claim.parts, 1):
                self.check_part(f"claims {claim.id!r}, part {number}", part)

        for curve in self.curves:
            for arm in curve.arms:
                try:
                    Quantity.of(curve.name(arm)).check(self.tree, self.asked, list(self.evaluations))
                except StratagemError as error:
                    raise StratagemError(f"curves {curve.title!r}: {error}") from None

    def check_part(self, where: str, part: Part) -> None:
        if (part.above is None) == (part.below is None):
            raise StratagemError(f"{where}: needs one of above and below")
        if not 50 <= part.level < 100:
            raise StratagemError(f"{where}: level = {part.level}: percent, from 50 to under 100")
        limit = part.below if part.above is None else part.above
        for text in (part.quantity, *([limit] if isinstance(limit, str) else [])):
            try:
                quantity = Quantity.parse(text)
                quantity.check(self.tree, self.asked, list(self.evaluations))
                for _, name in quantity.names:
                    if name.what == "loss" and self.validated(self.tree[name.arm]) is None:
                        raise StratagemError(
                            f"{text!r}: no cross-entropy of {name.arm!r} is taken; [validation] takes it of SFT's arms"
                        )
                    if name.what == "spliced" and name.arm not in self.splices:
                        raise StratagemError(f"{text!r}: {name.arm!r} is not spliced; name it in `splices`")
                    if name.what == "forced" and name.strategy not in self.forced(self.tree[name.arm]):
                        raise StratagemError(
                            f"{text!r}: no probe forces {name.arm!r} into {name.strategy!r}; [probe] forces an arm "
                            "into the strategies that SFT taught it, where they are several"
                        )
            except StratagemError as error:
                raise StratagemError(f"{where}: {error}") from None


STAGES = {"sft": SFTConfig, "rl": GRPOConfig}
T = TypeVar("T")


def config_of(kind: type[T], where: str, settings: Mapping[str, Any], **fixed: Any) -> T:
    """The settings of a stage, from those of a part of the file and what the study itself says.

    Raises:
        StratagemError: a setting that there is not, or not for a file to say, of another type, or impossible.
    """
    if said := sorted(settings.keys() & fixed.keys()):
        raise StratagemError(f"{where}: {said[0]} is not for the file to say there; the study sets it")
    whole = {**settings, **fixed}
    known = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := sorted(whole.keys() - known):
        raise StratagemError(f"{where}: no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    if "steps" in whole:
        whole["steps"] = steps_of(where, whole["steps"])
    try:
        return msgspec.convert(whole, kind)
    except (msgspec.ValidationError, StratagemError) as error:
        raise StratagemError(f"{where}: {error}") from None


def steps_of(where: str, text: Any) -> tuple[int, int]:
    try:
        return read_steps(text)
    except (ValueError, AttributeError):
        raise StratagemError(f'{where}: steps {text!r}: must be as "6-9"') from None


def within(value: int, span: str) -> bool:
    """Whether a number lies in a span as "500-1000"."""
    low, high = read_steps(span)
    return low <= value <= high


def read_study(source: str | Path, own: Path | None = None, engine: Engine = "native") -> Study:
    """A study, with every setting tried.

    Args:
        source: a name or a file (`study_file`). Its table ``[trl]`` has what differs with the engine "trl".
        own: a TOML file of the same form with the values that are to differ; the report says that they came from it.

    Raises:
        StratagemError: a file is missing or a key or value is wrong; the message names it.
    """
    _, path = study_file(source)
    whole, given = whole_file(path), {} if own is None else read_toml(own)
    if (by_trl := whole.pop("trl", {})) and engine == "trl":
        whole = merged(whole, by_trl)
    try:
        study = msgspec.convert(over_presets(merged(whole, given), given), Study)
        if own is not None:
            if changed := [name for name in FIXED if given.get(name, whole.get(name)) != whole.get(name)]:
                raise StratagemError(f"{changed[0]}: is what the study is about, and cannot be another")
            if extra := sorted(given.get("llm", {}).keys() - {"model"}):
                raise StratagemError(f"[llm] {extra[0]}: is an option of the command")
            budgets = [given, *given.get("presets", {}).values()]
            said = [
                f"{stage}.{name}" for budget in budgets for stage in STAGES for name in budget.get(stage, {})
            ]
            reasons = study.reasons | dict.fromkeys(said, f"set in {own.name}")
            study = msgspec.structs.replace(study, reasons=reasons)
        study.check()
    except (msgspec.ValidationError, StratagemError) as error:
        raise StratagemError(f"{own or path}: {error}") from None
    return study


def over_presets(whole: Values, given: Values) -> Values:
    """The study with the stage settings that a file of one's own gives for all presets in each of them, but where that
    file says something else of the preset."""
    everywhere = {stage: given[stage] for stage in STAGES if isinstance(given.get(stage), dict)}
    presets = whole.get("presets")
    if not everywhere or not isinstance(presets, dict):
        return whole
    own = given.get("presets", {})
    return whole | {
        "presets": {
            name: merged(merged(preset, everywhere), own.get(name, {}))
            if isinstance(preset, dict)
            else preset
            for name, preset in presets.items()
        }
    }
