"""The settings of a study, read from the TOML beside this file."""

from __future__ import annotations

import tomllib
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stratagem.records import StratagemError
from stratagem.settings import GRPOConfig, LLMConfig, RolloutConfig, SFTConfig, read_steps

PRESETS = ("quick", "full")
TABLE1 = Path(__file__).with_name("table1.toml")
QWEN = Path(__file__).with_name("qwen.toml")  # the same with the study's own model and settings


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of both stages at one budget."""

    sft: dict[str, Any]
    rl: dict[str, Any]


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A study file. Every key is checked when it is read."""

    strategies: list[str]
    rl_steps: list[str]
    evaluation: dict[str, Any]
    probe: dict[str, Any]
    quick: Preset
    full: Preset
    study: dict[str, Any]
    reasons: dict[str, str]
    published: dict[str, tuple[float, float, float]]
    llm: dict[str, Any] = {}

    def held(self, **given: Any) -> LLMConfig:
        """How an LLM is held and trained: the file's `llm`, with what the caller gives in its place."""
        return LLMConfig(**{name: value for name, value in self.llm.items() if name != "model"} | given)

    def sft(self, preset: str, strategy: str, seed: int) -> SFTConfig:
        settings = self.preset(preset).sft
        return made(SFTConfig, f"{preset}.sft", settings, strategy=strategy, seed=seed)

    def rl(self, preset: str, steps: str, seed: int) -> GRPOConfig:
        settings = self.preset(preset).rl
        return made(GRPOConfig, f"{preset}.rl", settings, steps=steps, seed=seed)

    def preset(self, name: str) -> Preset:
        return getattr(self, name)

    def check_field(self, preset: str) -> None:
        """
        Raises:
            StratagemError: training and evaluation are in different fields.
        """
        stages = self.sft(preset, "FB", 0), self.rl(preset, "6-9", 0), self.rollouts("model")
        if len({stage.p for stage in stages}) > 1:
            found = ", ".join(f"{stage.p}" for stage in stages)
            raise StratagemError(
                f"p is {found} in [{preset}.sft], [{preset}.rl] and [evaluation]: it has to be one"
            )

    def rollouts(self, checkpoint: str, force: str | None = None) -> RolloutConfig:
        """The evaluation of a cell, or its probe under a forced strategy. The problems are the same for all."""
        settings, where = dict(self.evaluation), "evaluation"
        if force is not None:
            settings |= self.probe | {"greedy": False}
            where += " and probe"
        return made(RolloutConfig, where, settings, checkpoint=checkpoint, force=force)

    def deviations(
        self, preset: str, parameters: int = 0, model: str | None = None, held: LLMConfig | None = None
    ) -> list[dict[str, Any]]:
        """Each setting that is not the study's, with the reason.

        `model` names an LLM, which is held and trained as `held` says; `parameters` are the base's.
        """
        ours: dict[str, Any] = {
            "model": model or f"stratagem base, {parameters:,} parameters (Qwen2 architecture)",
        }
        for part, config in (("sft", self.sft(preset, "FB", 0)), ("rl", self.rl(preset, "6-9", 0))):
            ours |= {f"{part}.{name}": value for name, value in asdict(config).items()}
        ours["sft.steps"] = "{}-{}".format(*ours["sft.steps"])
        known, reasons = self.study, self.reasons
        if held is not None:  # the file's own values are the study's, and the command's options may differ
            options = {f"llm.{name}": value for name, value in self.llm.items() if name != "model"}
            ours |= {f"llm.{name}": value for name, value in asdict(held).items()}
            known, reasons = known | options, dict.fromkeys(options, "an option of the command") | reasons
        found = []
        for name, theirs in known.items():
            if ours[name] == theirs or (name == "rl.updates" and within(ours[name], theirs)):
                continue
            reason = reasons.get(name, "see the study file")
            found.append({"setting": name, "study": theirs, "ours": ours[name], "reason": reason})
        return found


T = TypeVar("T")


def made(kind: type[T], where: str, settings: dict[str, Any], **fixed: Any) -> T:
    """The settings of a stage, from those of a part of the file and what the study itself says.

    Raises:
        StratagemError: a setting that there is not, or not for a file to say, of another type, or impossible.
    """
    if said := sorted(settings.keys() & fixed.keys()):
        raise StratagemError(f"[{where}] {said[0]}: is not for the file to say there; the study sets it")
    whole = settings | fixed
    known = {field.name for field in fields(kind)}  # pyright: ignore[reportArgumentType]
    if unknown := sorted(whole.keys() - known):
        raise StratagemError(f"[{where}] has no setting {unknown[0]!r}; there are {', '.join(sorted(known))}")
    try:
        return msgspec.convert(whole | {"steps": steps_of(whole["steps"])}, kind)
    except (msgspec.ValidationError, StratagemError) as error:
        raise StratagemError(f"[{where}] {error}") from None


def steps_of(text: Any) -> tuple[int, int]:
    try:
        return read_steps(text)
    except (ValueError, AttributeError):
        raise StratagemError(f'steps {text!r}: must be as "6-9"') from None


def within(value: int, span: str) -> bool:
    """Whether a number lies in a span as "500-1000"."""
    low, high = read_steps(span)
    return low <= value <= high


def read_study(path: Path = TABLE1, own: Path | None = None) -> Study:
    """A study, with every setting tried.

    Args:
        own: a TOML file of the same form with the values that are to differ; the report says that they came from it.

    Raises:
        StratagemError: a file is missing or a key or value is wrong; the message names it.
    """
    whole, given = read_toml(path), {} if own is None else read_toml(own)
    try:
        study = msgspec.convert(merged(whole, given), Study)
        if own is not None:
            for name in ("strategies", "rl_steps", "study", "published"):
                if given.get(name, whole[name]) != whole[name]:
                    raise StratagemError(f"{name}: is what the study is about, and cannot be another")
            if extra := sorted(given.get("llm", {}).keys() - {"model"}):
                raise StratagemError(f"[llm] {extra[0]}: is an option of the command")
            changed = [
                f"{stage}.{name}"
                for preset in PRESETS
                for stage, part in given.get(preset, {}).items()
                for name in part
            ]
            reasons = study.reasons | dict.fromkeys(changed, f"set in {own.name}")
            study = msgspec.structs.replace(study, reasons=reasons)
        study.rollouts("model")
        study.rollouts("model", "forward")
        for preset in PRESETS:
            for strategy in study.strategies:
                study.sft(preset, strategy, 0)
            for steps in study.rl_steps:
                study.rl(preset, steps, 0)
    except (msgspec.ValidationError, KeyError, StratagemError) as error:
        raise StratagemError(f"{own or path}: {error}") from None
    return study


def read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StratagemError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise StratagemError(f"{path}: no TOML: {error}") from None


def merged(whole: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """`whole` with the values of `given` in their places, table by table."""
    found = dict(whole)
    for name, value in given.items():
        old = found.get(name)
        found[name] = merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return found
