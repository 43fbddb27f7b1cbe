"""The settings of a study, read from the TOML beside this file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from stratagem.records import StratagemError
from stratagem.settings import GRPOConfig, LLMConfig, RolloutConfig, SFTConfig, read_steps

PRESETS = ("quick", "full")
TABLE1 = Path(__file__).with_name("table1.toml")
QWEN = Path(__file__).with_name("qwen.toml")  # the same with the study's own model and settings


class Study(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A study file. Every key is checked when it is read."""

    strategies: list[str]
    rl_steps: list[str]
    evaluation: dict[str, Any]
    probe: dict[str, Any]
    quick: dict[str, dict[str, Any]]
    full: dict[str, dict[str, Any]]
    study: dict[str, Any]
    reasons: dict[str, str]
    published: dict[str, tuple[float, float, float]]
    llm: dict[str, Any] = {}

    def held(self, **given: Any) -> LLMConfig:
        """How an LLM is held and trained: the file's `llm`, with what the caller gives in its place."""
        return LLMConfig(**{name: value for name, value in self.llm.items() if name != "model"} | given)

    def sft(self, preset: str, strategy: str, seed: int) -> SFTConfig:
        return SFTConfig(strategy=strategy, seed=seed, **with_steps(getattr(self, preset)["sft"]))

    def rl(self, preset: str, steps: str, seed: int) -> GRPOConfig:
        return GRPOConfig(steps=read_steps(steps), seed=seed, **getattr(self, preset)["rl"])

    def rollouts(self, checkpoint: str, force: str | None = None) -> RolloutConfig:
        """The evaluation of a cell, or its probe under a forced strategy. The problems are the same for all."""
        settings = with_steps(self.evaluation)
        if force is not None:
            settings |= self.probe | {"greedy": False}
        return RolloutConfig(checkpoint=checkpoint, force=force, **settings)

    def deviations(self, preset: str, parameters: int = 0, model: str | None = None) -> list[dict[str, Any]]:
        """Each setting that is not the study's, with the reason. `model` names an LLM, `parameters` are the base's."""
        ours: dict[str, Any] = {
            "model": model or f"stratagem base, {parameters:,} parameters (Qwen2 architecture)",
        }
        for part, config in (("sft", self.sft(preset, "FB", 0)), ("rl", self.rl(preset, "6-9", 0))):
            ours |= {f"{part}.{name}": value for name, value in asdict(config).items()}
        ours["sft.steps"] = "{}-{}".format(*ours["sft.steps"])
        found = []
        for name, theirs in self.study.items():
            if ours[name] == theirs or (preset == "full" and name == "rl.updates"):
                continue
            reason = self.reasons.get(name, "see the study file")
            found.append({"setting": name, "study": theirs, "ours": ours[name], "reason": reason})
        return found


def with_steps(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: read_steps(value) if name == "steps" else value for name, value in settings.items()}


def read_study(path: Path = TABLE1) -> Study:
    """
    Raises:
        StratagemError: the file is missing or a key is wrong; the message names it.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Study)
    except FileNotFoundError:
        raise StratagemError(f"{path}: no such file") from None
    except msgspec.MsgspecError as error:
        raise StratagemError(f"{path}: {error}") from None
