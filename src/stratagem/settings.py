"""The settings of every stage that makes or questions models: frozen, checked when made, and free of torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import tyro

from stratagem.limits import check_numbers
from stratagem.records import StratagemError, check_file, content_id
from stratagem.samplers import SamplerName
from stratagem.tasks import DEFAULT, TASKS, Task, make_task, read_mix
from stratagem.workspace import Stage

Precision = Literal["fp32", "bf16"]
Tune = Literal["embeddings", "all", "lora"]


def read_steps(text: str) -> tuple[int, int]:
    """``6-9`` as (6, 9); one number stands for both.

    Raises:
        ValueError: it is neither.
    """
    low, _, high = text.partition("-")
    return int(low), int(high or low)


Steps = Annotated[
    tuple[int, int],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="LOW-HIGH",
        instance_from_str=lambda args: read_steps(args[0]),
        is_instance=lambda value: isinstance(value, tuple) and len(value) == 2,
        str_from_instance=lambda steps: [f"{steps[0]}-{steps[1]}"],
    ),
]
TaskSpec = Annotated[
    str,
    tyro.conf.arg(
        metavar="TASK[:OPTION=VALUE,…]",
        help=f"what is asked: {', '.join(TASKS)}; docs/tasks.md has their options. Where none is named, a model is "
        "asked the task that it was trained on",
    ),
]


def check_choices(config: object) -> None:
    """
    Raises:
        StratagemError: a field whose type is a Literal holds another value.
    """
    for name, kind in get_type_hints(type(config)).items():
        if get_origin(kind) is Literal and getattr(config, name) not in get_args(kind):
            raise StratagemError(
                f"--{name.replace('_', '-')} {getattr(config, name)}: must be one of {', '.join(get_args(kind))}"
            )


def check_engine(config: SFTConfig | GRPOConfig, engine: Literal["native", "trl"]) -> None:
    """What each engine can train, and how."""
    cannot = {"native": "lora", "trl": "embeddings"}[engine]
    if config.tune == cannot:
        others = ", ".join(name for name in get_args(Tune) if name != cannot)
        raise StratagemError(f"--tune {config.tune}: not with --engine {engine}, which trains {others}")
    if isinstance(config, GRPOConfig) and engine == "trl":
        if config.sampler != "random":
            raise StratagemError(
                f"--sampler {config.sampler}: not with --engine trl; in a script of your own use "
                "stratagem.integrations.trl_sampler.FrontierTrainer"
            )
        if config.budget is not None:
            raise StratagemError(
                f"--budget {config.budget}: not with --engine trl, which makes all --updates"
            )
    if engine == "trl" and config.precision != "fp32":
        raise StratagemError(f"--precision {config.precision}: not with --engine trl, which has --dtype")


def checked_task(config: StageConfig) -> Task:
    """The task of a config, whose `task` becomes the short form of what was said.

    Raises:
        StratagemError: no such task or option.
    """
    task = make_task(config.task)
    object.__setattr__(config, "task", task.spec)
    return task


LLM_FREE = (
    "device_batch",
    "checkpointing",
    "vllm_url",
    "vllm_memory",
    "save_every",
    "report_to",
    "attention",
)


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """How the base model is trained.

    `primitives` names what it learns, the task's usual curriculum by default; others are ablations. A task without
    primitives has a base that stays as it was drawn: SFT teaches all. The learning rate falls to zero over `horizon`
    updates, wherever training ends.
    """

    task: TaskSpec = DEFAULT
    primitives: str = "usual"
    updates: int = 2400
    horizon: int = 8000
    tokens: int = 4096
    lr: float = 3e-3
    weight_decay: float = 0.01
    precision: Precision = "fp32"
    seed: int = 1

    def __post_init__(self) -> None:
        check_choices(self)
        primitives = checked_task(self).primitives
        variants = () if primitives is None else tuple(primitives.VARIANTS)
        if self.primitives not in ("usual", *variants):
            raise StratagemError(
                f"--primitives {self.primitives}: must be one of {', '.join(('usual', *variants))}"
            )
        if primitives is None:
            object.__setattr__(self, "updates", 0)
        check_numbers(self)
        if self.updates > self.horizon:
            raise StratagemError(
                f"--updates {self.updates}: more than --horizon {self.horizon}, where the rate is zero; raise --horizon"
            )


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """SFT of a model on demonstrations of one strategy, or of several mixed at random.

    The study's values are size 2,048, 2-5 steps, 20 epochs, batch 16, AdamW at 2e-4 with LoRA; here all parameters
    are trained. `precision` ``bf16`` is the native engine's: its layers' products, where the machine is fast in it.

    `data` names demonstrations that take the place of those that the task writes; `size` has to be theirs, and
    `strategy` says which strategies they show. `traces` counts demonstrations of one problem, each by another strategy:
    of `size` demonstrations a part of 1 / `traces` are different problems.
    """

    task: TaskSpec = DEFAULT
    strategy: Annotated[
        str,
        tyro.conf.arg(metavar="MIX", help="all, a mix that the task names, or strategies joined by commas"),
    ] = "all"
    size: int = 2048
    traces: Annotated[int, tyro.conf.arg(help="demonstrations of each problem, by different strategies")] = 1
    steps: Steps = (2, 5)
    epochs: int = 6
    batch: int = 32
    lr: float = 3e-3
    tune: Tune = "embeddings"
    weight_decay: float = 0.0
    precision: Precision = "fp32"
    seed: int = 0
    data: Annotated[
        str | None,
        tyro.conf.arg(
            metavar="FILE",
            help="demonstrations in place of the task's own, as `curate demonstrations` writes them; --size is theirs",
            help_behavior_hint="",
        ),
    ] = None

    def __post_init__(self) -> None:
        task = checked_task(self)
        names = task.chosen(self.strategy)
        check_choices(self)
        check_numbers(self)
        task.check_steps(self.steps)
        if self.traces > 1 and self.data is not None:
            raise StratagemError("--traces: the file of --data says how many each problem has; leave it out")
        if self.traces > len(names) or self.size % self.traces:
            raise StratagemError(
                f"--traces {self.traces}: must divide --size {self.size} and be at most the {len(names)} strategies of "
                f"--strategy {self.strategy}"
            )

    @property
    def updates(self) -> int:
        """Optimizer steps in all."""
        return self.epochs * -(-self.size // self.batch)


@dataclass(frozen=True, slots=True)
class GRPOConfig:
    """RL on a task with an outcome reward: 1 for a right answer, else 0.

    The study's values are 1,024 prompts, batch 32, group 8, beta 0.05, temperature 0.7, lr 1e-5 with LoRA and 500-1,000
    updates; here all parameters are trained, at a higher rate for fewer updates. `precision` as in SFT; samples are
    always drawn in fp32. `mix` weighs the kinds of problem (`tasks.read_mix`); they are equal by default.

    `sampler` says which problems are asked (docs/samplers.md): each once an epoch (``random``), so that flat groups,
    all right or wrong, are drawn anew up to `redraw` times (``dapo``), for expected signal (``frontier``), both, or by
    pools of difficulty. `explore`, `floor`, `half_life`, in updates, and `keep_kinds`, by which each kind of problem
    keeps its share of every update, are of the frontier. With a `budget` RL ends after the update that completes so
    many tokens of responses, flat groups' too; `updates` are the most it makes.
    """

    task: TaskSpec = DEFAULT
    steps: Steps = (6, 9)
    updates: int = 100
    prompts: int = 1024
    batch: int = 32
    group: int = 8
    lr: float = 1e-4
    tune: Tune = "all"
    beta: float = 0.05
    temperature: float = 0.7
    clip: float = 0.2
    inner: int = 1
    loss: Literal["grpo", "dapo", "dr_grpo"] = "grpo"
    scale: Literal["group", "none"] = "group"
    mix: Annotated[
        str,
        tyro.conf.arg(
            metavar="KIND=WEIGHT,…", help="how often each kind of problem is asked; equal by default"
        ),
    ] = ""
    precision: Precision = "fp32"
    sampler: SamplerName = "random"
    redraw: int = 3
    explore: float = 0.1
    floor: float = 0.25
    half_life: float = 30
    keep_kinds: bool = False
    budget: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        task = checked_task(self)
        check_choices(self)
        check_numbers(self)
        if self.updates < 1:
            raise StratagemError(f"--updates {self.updates}: must be at least 1")
        if self.keep_kinds and "frontier" not in self.sampler:
            raise StratagemError(
                f"--keep-kinds: not with --sampler {self.sampler}, only with frontier or dapo-frontier"
            )
        if self.batch > self.prompts:
            raise StratagemError(f"--batch {self.batch}: larger than --prompts {self.prompts}")
        read_mix(self.mix, task)
        task.check_steps(self.steps)


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """Which held-out problems are answered, and how. With `split` ``rl`` it is RL's own problems, of the same seed.

    `samples` completions a problem are drawn at `temperature`; with `greedy`, one more is taken greedily. `force`
    names a strategy whose opening each completion begins with: the probe for accuracy under a chosen strategy.
    `max_new` is the most tokens of a completion; None is the longest demonstration's and a third more, which prose of
    an LLM that has not seen demonstrations exceeds.
    """

    task: TaskSpec = DEFAULT
    steps: Steps = (6, 9)
    split: Literal["eval", "rl"] = "eval"
    size: int = 480
    samples: int = 8
    temperature: float = 0.7
    greedy: bool = True
    force: str | None = None
    checkpoint: str = "model"
    seed: int = 0
    max_new: int | None = None

    def __post_init__(self) -> None:
        check_choices(self)
        check_numbers(self)
        task = checked_task(self)
        if self.force is not None and self.force not in task.strategies:
            raise StratagemError(f"--force {self.force}: must be one of {', '.join(task.strategies)}")
        task.check_steps(self.steps)


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """Which demonstrations of held-out problems a model's cross-entropy is taken on: `size` problems, one of each."""

    task: TaskSpec = DEFAULT
    strategy: str = "all"
    steps: Steps = (2, 5)
    size: int = 512
    seed: int = 0

    def __post_init__(self) -> None:
        task = checked_task(self)
        task.chosen(self.strategy)
        check_numbers(self)
        task.check_steps(self.steps)


@dataclass(frozen=True, slots=True)
class LLMConfig:
    """How `--engine trl` holds and trains a language model.

    The defaults are the study's adapters. `dtype` "auto" is bfloat16 where a GPU computes in it, else float32.
    `device_batch` responses are held by a device at once; more of a batch is accumulated. `merge` writes the merged
    weights in the place of the adapter. Everything about several devices is accelerate's: start the command with
    `accelerate launch -m stratagem …`.
    """

    rank: int = 64
    alpha: int = 128
    dropout: float = 0.05
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    device_batch: int = 16
    attention: str | None = None
    checkpointing: bool = False
    merge: bool = False
    vllm: Literal["off", "colocate", "server"] = "off"
    vllm_url: str | None = None
    vllm_memory: float = 0.3
    save_every: int = 25
    report_to: str = "none"
    revision: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        check_numbers(self)
        check_choices(self)
        if self.vllm_url is not None and self.vllm != "server":
            raise StratagemError("--vllm-url: only with --vllm server")

    def key(self) -> dict[str, Any]:
        """What shapes results. Where and how fast a stage runs, and who watches, does not."""
        return {name: value for name, value in asdict(self).items() if name not in LLM_FREE}


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """Where the server is and how it is asked.

    `form` is ``chat`` (its chat template) or ``text`` (plain completions, for a model without one). `parallel` requests
    are under way at once. A key, where one is needed, is read from OPENAI_API_KEY.
    """

    url: str = "http://localhost:8000/v1"
    form: Literal["chat", "text"] = "chat"
    parallel: int = 16
    timeout: float = 600
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    def __post_init__(self) -> None:
        check_choices(self)
        if not self.url.startswith(("http://", "https://")):
            raise StratagemError(f"--url {self.url}: must begin with http:// or https://")
        check_numbers(self)


# What the study trained with, where it is known; `--engine trl` begins from these.
STUDY_SFT = SFTConfig(epochs=20, batch=16, lr=2e-4, tune="lora")
STUDY_RL = GRPOConfig(updates=500, lr=1e-5, tune="lora")

StageConfig = BaseConfig | SFTConfig | GRPOConfig | RolloutConfig | ValidationConfig


# What a stage's result also depends on, beside its settings: raised when the same settings give another result.
VERSIONS = {"base": 6, "sft": 3, "rl": 3, "rollout": 3, "validation": 1}
TRL_VERSIONS = VERSIONS | {"sft": 3, "rl": 3}


def stage(name: str, config: StageConfig, out: Path, **inputs: Any) -> Stage:
    """A stage's folder, keyed by its config and by what else it reads.

    Args:
        inputs: the input model's fingerprint, and the engine's own settings where it is not the native one.
    """
    settings = recorded(config) | inputs
    return Stage(name, version_of(name, inputs), settings, out, defaults(config, inputs), modern)


def recorded(config: StageConfig) -> dict[str, Any]:
    """A config as its stage records it: what has several names by one of them."""
    settings, task = asdict(config), make_task(config.task)
    if "strategy" in settings:
        settings["strategy"] = ",".join(task.chosen(settings["strategy"]))
    if settings.get("data") is not None:
        settings["data"] = content_of(Path(settings["data"]))
    if settings.get("primitives") == "usual":
        settings["primitives"] = next(iter(task.primitives.VARIANTS)) if task.primitives else "usual"
    return settings


def content_of(path: Path) -> str:
    """A name for what a file holds, or a folder's files.

    Raises:
        StratagemError: no such thing.
    """
    check_file(path)
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    hashes: list[str] = []
    try:
        for file in files:
            with open(file, "rb") as content:
                hashes.append(hashlib.file_digest(content, "sha256").hexdigest())
        return content_id(*hashes)
    except OSError as error:
        raise StratagemError(f"--data {path}: cannot be read ({error.strerror})") from None


def version_of(name: str, inputs: Mapping[str, Any]) -> int:
    versions = TRL_VERSIONS if inputs.get("engine") == "trl" else VERSIONS
    return versions[name]


def defaults(config: StageConfig, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """What a stage's settings are where nothing is said. Inputs have none, but for those of an LLM.

    The task is the default one, whatever this stage's is: it is what most decides a result.
    """
    plain = {"keep_rollouts": False, "only": None} | ({"llm": LLMConfig().key()} if "llm" in inputs else {})
    # The usual difficulties may not be of this task, and then no config has them.
    usual = {field.name: field.default for field in fields(config) if field.name == "steps"}
    given = {name: getattr(config, name) for name in usual}
    return (
        recorded(type(config)(task=config.task, **given)) | usual | plain | {"task": make_task(DEFAULT).spec}
    )


def modern(settings: dict[str, Any]) -> dict[str, Any]:
    """A stage's settings as older versions wrote them, in today's words: without a task they are of the default one."""
    return TASKS[DEFAULT].modern(settings)
