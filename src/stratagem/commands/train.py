"""stratagem sft, rl, rollout, base: one stage each, in one folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro

from stratagem.commands.common import bars, console, read
from stratagem.records import StratagemError
from stratagem.settings import BaseConfig, GRPOConfig, RolloutConfig, SFTConfig
from stratagem.workspace import read_json

Out = Annotated[
    Path, tyro.conf.arg(help="folder for the result; the same command again resumes or returns at once")
]


@dataclass(frozen=True)
class SFT:
    """Examples:
    stratagem sft --strategy FB --out runs/FB
    stratagem sft --strategy F --size 512 --epochs 5 --steps 2-3 --out runs/F-small
    """

    config: SFTConfig
    out: Out
    model: Annotated[
        Path | None, tyro.conf.arg(help="folder of the model to train; the shipped base by default")
    ] = None


@dataclass(frozen=True)
class RL:
    """Examples:
    stratagem rl --model runs/FB --steps 6-9 --out runs/FB-hard
    stratagem rl --model runs/FB --steps 2-5 --updates 20 --keep-rollouts --out runs/FB-easy
    """

    config: GRPOConfig
    model: Annotated[Path, tyro.conf.arg(help="folder of the model to train, such as sft's --out")]
    out: Out
    keep_rollouts: Annotated[bool, tyro.conf.arg(help="keep every rollout of every update, labelled")] = False


@dataclass(frozen=True)
class Rollout:
    """Examples:
    stratagem rollout --model runs/FB --checkpoint before --out runs/before
    stratagem rollout --model runs/FB --force backward --no-greedy --out runs/forced
    """

    config: RolloutConfig
    model: Annotated[Path, tyro.conf.arg(help="folder of the model, such as sft's or rl's --out")]
    out: Out


@dataclass(frozen=True)
class Base:
    """Examples:
    stratagem base --out runs/base
    stratagem base --directions forward --out runs/base-forward
    """

    config: BaseConfig
    out: Out


def in_bars(what: str, run: Callable[[Callable[[int, int, dict[str, Any]], None]], Path]) -> Path:
    with bars() as show:
        return run(lambda done, total, metrics: show(what, done, total, metrics))


def one_thread() -> None:
    """A stage's bits depend on the number of threads, so it is always one, as in a study."""
    import torch

    torch.set_num_threads(1)


def finish(out: Path, as_json: bool) -> dict[str, Any]:
    config = read_json(out / "config.json")
    if not as_json:
        console().print(f"[green]done[/green] {out}", highlight=False)
    return {"out": str(out), **config}


def sft(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(SFT, "sft", words, text)
    from stratagem.models.folder import SHIPPED
    from stratagem.training import sft as stage

    one_thread()
    return finish(
        in_bars("sft", lambda r: stage.train(given.config, given.out, given.model or SHIPPED, r)), as_json
    )


def rl(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(RL, "rl", words, text)
    from stratagem.training import grpo

    one_thread()
    run = grpo.train
    return finish(
        in_bars("rl", lambda r: run(given.config, given.out, given.model, given.keep_rollouts, r)), as_json
    )


def rollout(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    given = read(Rollout, "rollout", words, text)
    from stratagem.sampling.rollout import rollout as stage

    one_thread()
    return finish(in_bars("rollout", lambda r: stage(given.config, given.out, given.model, r)), as_json)


def base(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    if words[:1] == ["train"]:
        words = words[1:]
    elif words and not words[0].startswith("-"):
        raise StratagemError(f"no such thing as 'base {words[0]}'; there is 'base train'")
    given = read(Base, "base train", words, text)
    from stratagem.training import base as stage

    one_thread()
    return finish(in_bars("base", lambda r: stage.train(given.config, given.out, r)), as_json)
