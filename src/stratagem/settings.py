"""The settings of every stage that makes or questions models: frozen, checked when made, and free of torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Any

import tyro

from stratagem.records import StratagemError
from stratagem.tasks.finite_field.field import MAX_STEPS, FiniteField
from stratagem.tasks.finite_field.strategies import SETS, STRATEGIES

PRECISIONS = ("fp32", "bf16")
LOSSES, SCALES, TUNES = ("grpo", "dapo", "dr_grpo"), ("group", "none"), ("embeddings", "all", "lora")
LLM_FREE = (
    "device_batch",
    "checkpointing",
    "vllm_url",
    "vllm_memory",
    "save_every",
    "report_to",
    "attention",
)
DTYPES, VLLM = ("auto", "float32", "bfloat16", "float16"), ("off", "colocate", "server")


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
        is_instance=lambda found: isinstance(found, tuple) and len(found) == 2,
        str_from_instance=lambda steps: [f"{steps[0]}-{steps[1]}"],
    ),
]


def check_training(tune: str, precision: str) -> None:
    if tune not in TUNES:
        raise StratagemError(f"--tune {tune}: must be one of {', '.join(TUNES)}")
    if precision not in PRECISIONS:
        raise StratagemError(f"--precision {precision}: must be one of {', '.join(PRECISIONS)}")


def check_engine(config: SFTConfig | GRPOConfig, engine: str) -> None:
    """What each engine can train, and how."""
    cannot = {"native": "lora", "trl": "embeddings"}[engine]
    if config.tune == cannot:
        others = ", ".join(name for name in TUNES if name != cannot)
        raise StratagemError(f"--tune {config.tune}: not with --engine {engine}, which trains {others}")
    if engine == "trl" and config.precision != "fp32":
        raise StratagemError(f"--precision {config.precision}: not with --engine trl, which has --dtype")


def check_field(p: int, steps: tuple[int, int]) -> None:
    FiniteField(p)
    if not 1 <= steps[0] <= steps[1] <= MAX_STEPS:
        raise StratagemError(
            f"--steps {steps[0]}-{steps[1]}: must lie within 1-{MAX_STEPS}, smaller number first"
        )


@dataclass(frozen=True, slots=True)
class BaseConfig:
    """How the base model is trained.

    `directions` is ``both`` for the shipped base, or ``forward`` for the ablation whose base never went backward.
    Of the seeds 0, 1 and 2, 1 makes the base that passes its gate (LOG.md): it is the one that ships.
    """

    directions: str = "both"
    updates: int = 3000
    tokens: int = 4096
    lr: float = 3e-3
    weight_decay: float = 0.01
    seed: int = 1

    def __post_init__(self) -> None:
        if self.directions not in ("both", "forward"):
            raise StratagemError(f"--directions {self.directions}: must be 'both' or 'forward'")
        if self.updates < 1 or self.tokens < 256 or not self.lr > 0:
            raise StratagemError("--updates must be at least 1, --tokens at least 256, --lr above 0")


@dataclass(frozen=True, slots=True)
class SFTConfig:
    """SFT of a model on demonstrations of one strategy, or of several mixed at random.

    The study's values are size 2,048, 2-5 steps, 20 epochs, batch 16, AdamW at 2e-4 with LoRA; here all parameters
    are trained. `precision` ``bf16`` is the native engine's: its layers' products, where the machine is fast in it.
    """

    strategy: str = "FB"
    size: int = 2048
    steps: Steps = (2, 5)
    epochs: int = 6
    batch: int = 32
    lr: float = 3e-3
    tune: str = "embeddings"
    weight_decay: float = 0.0
    precision: str = "fp32"
    p: int = 11
    seed: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in SETS:
            raise StratagemError(f"--strategy {self.strategy}: must be one of {', '.join(SETS)}")
        check_training(self.tune, self.precision)
        if min(self.size, self.epochs, self.batch) < 1 or not self.lr > 0:
            raise StratagemError("--size, --epochs and --batch must be at least 1, --lr above 0")
        check_field(self.p, self.steps)


@dataclass(frozen=True, slots=True)
class GRPOConfig:
    """RL on the finite-field task with an outcome reward: 1 for a right answer, else 0.

    The study's values are 1,024 prompts, batch 32, group 8, beta 0.05, temperature 0.7, lr 1e-5 with LoRA and 500-1,000
    updates; here all parameters are trained, at a higher rate for fewer updates. `precision` as in SFT; samples are
    always drawn in fp32.
    """

    steps: Steps = (6, 9)
    updates: int = 100
    prompts: int = 1024
    batch: int = 32
    group: int = 8
    lr: float = 1e-4
    tune: str = "all"
    beta: float = 0.05
    temperature: float = 0.7
    clip: float = 0.2
    inner: int = 1
    loss: str = "grpo"
    scale: str = "group"
    inversion: float = 0.5
    precision: str = "fp32"
    p: int = 11
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise StratagemError(f"--loss {self.loss}: must be one of {', '.join(LOSSES)}")
        check_training(self.tune, self.precision)
        if self.scale not in SCALES:
            raise StratagemError(f"--scale {self.scale}: must be one of {', '.join(SCALES)}")
        if min(self.updates, self.prompts, self.batch, self.inner) < 1 or self.group < 2:
            raise StratagemError(
                "--updates, --prompts, --batch and --inner must be at least 1, --group at least 2"
            )
        if self.batch > self.prompts:
            raise StratagemError(f"--batch {self.batch}: larger than --prompts {self.prompts}")
        if not self.lr > 0 or not self.temperature > 0 or self.beta < 0 or not 0 < self.clip < 1:
            raise StratagemError(
                "--lr and --temperature must be above 0, --beta at least 0, --clip within 0-1"
            )
        if not 0 <= self.inversion <= 1:
            raise StratagemError(f"--inversion {self.inversion}: a share, from 0 to 1")
        check_field(self.p, self.steps)


@dataclass(frozen=True, slots=True)
class RolloutConfig:
    """Which held-out problems are answered, and how.

    `samples` completions a problem are drawn at `temperature`; with `greedy`, one more is taken greedily. `force`
    names a strategy whose opening each completion begins with: the probe for accuracy under a chosen strategy.
    `max_new` is the most tokens of a completion; None is the longest demonstration's and a third more, which prose of
    an LLM that has not seen demonstrations exceeds.
    """

    steps: Steps = (6, 9)
    size: int = 480
    samples: int = 8
    temperature: float = 0.7
    greedy: bool = True
    force: str | None = None
    checkpoint: str = "model"
    p: int = 11
    seed: int = 0
    max_new: int | None = None

    def __post_init__(self) -> None:
        if self.samples < 1 or self.size < 1 or not self.temperature > 0:
            raise StratagemError("--samples and --size must be at least 1, --temperature above 0")
        if self.max_new is not None and self.max_new < 1:
            raise StratagemError(f"--max-new {self.max_new}: must be at least 1")
        if self.force is not None and self.force not in STRATEGIES:
            raise StratagemError(f"--force {self.force}: must be one of {', '.join(STRATEGIES)}")
        check_field(self.p, self.steps)

    def key(self) -> dict[str, Any]:
        """All settings that were given: without `max_new` the key is the one of folders from before there was one."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("max_new", None)}


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
    dtype: str = "auto"
    device_batch: int = 16
    attention: str | None = None
    checkpointing: bool = False
    merge: bool = False
    vllm: str = "off"
    vllm_url: str | None = None
    vllm_memory: float = 0.3
    save_every: int = 25
    report_to: str = "none"
    revision: str | None = None
    trust_remote_code: bool = False

    def __post_init__(self) -> None:
        if min(self.rank, self.alpha, self.device_batch, self.save_every) < 1 or not 0 <= self.dropout < 1:
            raise StratagemError(
                "--rank, --alpha, --device-batch and --save-every must be at least 1, --dropout within 0-1"
            )
        if self.dtype not in DTYPES:
            raise StratagemError(f"--dtype {self.dtype}: must be one of {', '.join(DTYPES)}")
        if self.vllm not in VLLM:
            raise StratagemError(f"--vllm {self.vllm}: must be one of {', '.join(VLLM)}")
        if self.vllm_url is not None and self.vllm != "server":
            raise StratagemError("--vllm-url: only with --vllm server")
        if not 0 < self.vllm_memory <= 1:
            raise StratagemError(f"--vllm-memory {self.vllm_memory}: a share of the GPU, above 0, to 1")

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
    form: str = "chat"
    parallel: int = 16
    timeout: float = 600
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    def __post_init__(self) -> None:
        if self.form not in ("chat", "text"):
            raise StratagemError(f"--form {self.form}: must be 'chat' or 'text'")
        if not self.url.startswith(("http://", "https://")):
            raise StratagemError(f"--url {self.url}: must begin with http:// or https://")
        if self.parallel < 1 or not self.timeout > 0:
            raise StratagemError("--parallel must be at least 1, --timeout above 0")


# What the study trained with, where it is known; `--engine trl` begins from these.
STUDY_SFT = SFTConfig(epochs=20, batch=16, lr=2e-4, tune="lora")
STUDY_RL = GRPOConfig(updates=500, lr=1e-5, tune="lora")
