"""stratagem sft, rl, rollout, base: one stage each, in one folder."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from stratagem.commands.common import bars, console, read
from stratagem.commands.model_task import value_of, with_model_task
from stratagem.records import ALL, Estimate, Report, StratagemError, points
from stratagem.settings import (
    STUDY_RL,
    STUDY_SFT,
    BaseConfig,
    GRPOConfig,
    LLMConfig,
    RolloutConfig,
    ServerConfig,
    SFTConfig,
    check_engine,
)
from stratagem.tasks import make_task
from stratagem.workspace import read_json

Out = Annotated[
    Path, tyro.conf.arg(help="folder for the result; the same command again resumes or returns at once")
]

Engine = Annotated[
    Literal["native", "trl"],
    tyro.conf.arg(help="native: the small models of this package; trl: any LLM. see `--engine trl --help`"),
]
LLM = Annotated[
    str, tyro.conf.arg(help="hub id, folder, sft's or rl's --out, or a .gguf file: any causal language model")
]
LLM_NEEDS = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")


@dataclass(frozen=True)
class SFT:
    """Examples:
    stratagem sft --strategy FB --out runs/FB
    stratagem sft --strategy F --size 512 --epochs 5 --steps 2-3 --out runs/F-small
    stratagem sft --engine trl --model Qwen/Qwen2.5-1.5B-Instruct --strategy FB --out runs/FB-qwen
    """

    config: SFTConfig
    out: Out
    model: Annotated[
        Path | None, tyro.conf.arg(help="folder of the model to train; the shipped base by default")
    ] = None
    engine: Engine = "native"


@dataclass(frozen=True)
class SFTByTRL:
    """Examples:
    stratagem sft --engine trl --model Qwen/Qwen2.5-1.5B-Instruct --strategy FB --out runs/FB-qwen
    stratagem sft --engine trl --model runs/base --rank 16 --alpha 32 --epochs 3 --out runs/FB-small
    """

    model: LLM
    out: Out
    llm: LLMConfig
    config: SFTConfig = STUDY_SFT
    engine: Engine = "trl"


@dataclass(frozen=True)
class RL:
    """Examples:
    stratagem rl --model runs/FB --steps 6-9 --out runs/FB-hard
    stratagem rl --model runs/FB --steps 2-5 --updates 20 --keep-rollouts --out runs/FB-easy
    stratagem rl --model runs/FB --steps 2-15 --sampler frontier --budget 365000 --updates 400 --out runs/FB-frontier
    """

    config: GRPOConfig
    model: Annotated[Path, tyro.conf.arg(help="folder of the model to train, such as sft's --out")]
    out: Out
    keep_rollouts: Annotated[bool, tyro.conf.arg(help="keep every rollout of every update, labelled")] = False
    only: Annotated[
        Path | None,
        tyro.conf.arg(
            metavar="FILE", help="ask only those of the --prompts that it names, as curate chose them"
        ),
    ] = None
    engine: Engine = "native"


@dataclass(frozen=True)
class RLByTRL:
    """Examples:
    stratagem rl --engine trl --model runs/FB-qwen --steps 6-9 --vllm colocate --out runs/FB-qwen-hard
    accelerate launch -m stratagem rl --engine trl --model runs/FB-qwen --steps 6-9 --out runs/FB-qwen-hard
    """

    model: LLM
    out: Out
    llm: LLMConfig
    config: GRPOConfig = STUDY_RL
    keep_rollouts: Annotated[bool, tyro.conf.arg(help="keep every rollout of every update, labelled")] = False
    engine: Engine = "trl"


@dataclass(frozen=True)
class Rollout:
    """Examples:
    stratagem rollout --model runs/FB --checkpoint before --out runs/before
    stratagem rollout --model runs/FB --force backward --no-greedy --out runs/forced
    stratagem rollout --engine trl --model runs/FB-qwen --out runs/before
    stratagem rollout --engine server --url http://localhost:8000/v1 --model NAME --out runs/served
    stratagem probe --model runs/FB --out runs/probes
    """

    config: RolloutConfig
    model: Annotated[Path, tyro.conf.arg(help="folder of the model, such as sft's or rl's --out")]
    out: Out
    engine: Annotated[
        Literal["native", "trl", "server"],
        tyro.conf.arg(help="who answers: the native engine, transformers, or an OpenAI-compatible server"),
    ] = "native"


@dataclass(frozen=True)
class RolloutByLLM:
    """Examples:
    stratagem rollout --engine trl --model runs/FB-qwen --checkpoint before --out runs/before
    stratagem rollout --engine trl --model Qwen/Qwen2.5-1.5B-Instruct --device-batch 64 --out runs/plain
    """

    config: RolloutConfig
    model: LLM
    out: Out
    llm: LLMConfig
    engine: Literal["trl"] = "trl"


@dataclass(frozen=True)
class RolloutByServer:
    """Examples:
    stratagem rollout --engine server --model Qwen/Qwen2.5-1.5B-Instruct --out runs/plain
    stratagem rollout --engine server --url http://gpu7:8000/v1 --model FB --samples 32 --out runs/many
    """

    config: RolloutConfig
    model: Annotated[str, tyro.conf.arg(help="the model's name on the server")]
    out: Out
    server: ServerConfig
    engine: Literal["server"] = "server"


@dataclass(frozen=True)
class Base:
    """Examples:
    stratagem base train --out runs/base
    stratagem base train --precision bf16 --seed 7 --updates 2300 --out runs/base-7
    stratagem base train --primitives forward --out runs/base-forward
    """

    config: BaseConfig
    out: Out


def in_bars(what: str, run: Callable[[Report], Path]) -> Path:
    with bars() as show:
        return run(lambda done, total, metrics: show(what, done, total, metrics))


def one_thread() -> None:
    """A stage's bits depend on the number of threads, so it is always one, as in a study."""
    import torch

    torch.set_num_threads(1)


def finish(out: Path, as_json: bool) -> dict[str, Any]:
    if os.environ.get("RANK", "0") != "0":
        return {"out": str(out)}  # the first of several processes says it
    config = read_json(out / "config.json")
    if not as_json:
        console().print(f"[green]done[/green] {out}", highlight=False)
    return {"out": str(out), **config}


def engine_of(words: list[str]) -> str:
    """The value of --engine, which decides what other options there are."""
    return value_of("--engine", words) or "native"


def need_llm(names: tuple[str, ...] = LLM_NEEDS) -> None:
    """Say at once what is not installed.

    Raises:
        StratagemError: a library of the llm extra is missing.
    """
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise StratagemError(f"--engine trl needs {', '.join(missing)}: pip install 'stratagem[llm]'")


def sft(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    words = with_model_task(words, [value_of("--model", words)])
    if engine_of(words) == "trl":
        asked = read(SFTByTRL, "sft", words, text)
        need_llm()
        from stratagem.training import trl

        return finish(
            in_bars("sft", lambda r: trl.sft(asked.config, asked.out, asked.model, asked.llm, r)), as_json
        )
    given = read(SFT, "sft", words, text)
    check_engine(given.config, "native")
    from stratagem.training import sft as stage

    one_thread()
    return finish(in_bars("sft", lambda r: stage.train(given.config, given.out, given.model, r)), as_json)


def rl(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    words = with_model_task(words, [value_of("--model", words)])
    if engine_of(words) == "trl":
        asked = read(RLByTRL, "rl", words, text)
        need_llm()
        from stratagem.training import trl

        return finish(
            in_bars(
                "rl",
                lambda r: trl.grpo(asked.config, asked.out, asked.model, asked.llm, asked.keep_rollouts, r),
            ),
            as_json,
        )
    given = read(RL, "rl", words, text)
    check_engine(given.config, "native")
    from stratagem.training import grpo

    one_thread()
    run = grpo.train
    return finish(
        in_bars(
            "rl", lambda r: run(given.config, given.out, given.model, given.keep_rollouts, r, given.only)
        ),
        as_json,
    )


def rollout(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    asked, run = answering("rollout", words, text)
    return finish(in_bars("rollout", partial(run, asked.config, asked.out)), as_json)


def answering(name: str, words: list[str], text: str) -> tuple[Rollout | RolloutByLLM | RolloutByServer, Any]:
    """What is asked, and the stage of the engine that answers, a function of (config, out, report)."""
    engine = engine_of(words)
    if engine != "server":
        words = with_model_task(words, [value_of("--model", words)])
    match engine:
        case "trl":
            by_llm = read(RolloutByLLM, name, words, text)
            need_llm(("torch", "transformers"))
            from stratagem.sampling.huggingface import rollout as answer

            return by_llm, lambda config, out, r: answer(config, out, by_llm.model, by_llm.llm, r)
        case "server":
            by_server = read(RolloutByServer, name, words, text)
            from stratagem.sampling.server import rollout as ask

            return by_server, lambda config, out, r: ask(config, out, by_server.model, by_server.server, r)
        case _:
            given = read(Rollout, name, words, text)
            from stratagem.sampling.rollout import rollout as stage

            one_thread()
            return given, lambda config, out, r: stage(config, out, given.model, r)


def probe(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    """One rollout a strategy, begun with its opening: what the model can do under it, whatever it would choose."""
    asked, run = answering("probe", words, text)
    if asked.config.force is not None:
        raise StratagemError(
            "--force: probe forces each strategy in turn; for one alone `stratagem rollout --force`"
        )
    from stratagem.sampling.probes import obeyed

    probes: dict[str, dict[str, dict[str, Estimate]]] = {}
    strategies = make_task(asked.config.task).strategies
    for name in strategies:
        config = replace(asked.config, force=name, checkpoint=f"{asked.config.checkpoint}, {name}")
        out = in_bars(f"probe {name}", partial(run, config, asked.out / name))
        probes[name] = obeyed(config, out)
    if not as_json:
        width = max(map(len, strategies))
        for name, kinds in probes.items():
            for kind, measured in kinds.items():
                right, kept = (f"{points(measured[key].value)}%" for key in ("right", "kept_to"))
                ends = f"[{points(measured['right'].low)}, {points(measured['right'].high)}]"
                where = "" if len(kinds) == 1 or kind == ALL else f" on {kind}"
                console().print(
                    f"begun {name:<{width}} {right:>6} correct {ends}, {kept} kept to it{where}",
                    highlight=False,
                )
        console().print(f"[green]done[/green] {asked.out}", highlight=False)
    return {
        "out": str(asked.out),
        "probes": {
            name: {
                kind: {key: value.as_dict() for key, value in measured.items()}
                for kind, measured in kinds.items()
            }
            for name, kinds in probes.items()
        },
    }


def base(words: list[str], text: str, as_json: bool) -> dict[str, Any]:
    if words[:1] == ["train"]:
        words = words[1:]
    elif words and not words[0].startswith("-"):
        raise StratagemError(f"no such thing as 'base {words[0]}'; there is 'base train'")
    given = read(Base, "base train", words, text)
    from stratagem.training import base as stage

    one_thread()
    return finish(in_bars("base", lambda r: stage.train(given.config, given.out, r)), as_json)
