"""SFT and GRPO of any causal language model by TRL's own trainers, from the settings of the native engine.

The folders are those of the native stages: ``model`` (an adapter with LoRA, or the whole model), ``metrics.jsonl`` of
the same shape, ``trained_on.json``. An interrupted run goes on from its last whole checkpoint. Under
`accelerate launch` all processes work on one folder.
"""

from __future__ import annotations

import contextlib
import shutil
import warnings
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from datasets import (  # pyright: ignore[reportMissingImports]
    Dataset,
    disable_progress_bars,
)
from peft import LoraConfig  # pyright: ignore[reportMissingImports]
from torch.optim.lr_scheduler import LambdaLR
from transformers import PrinterCallback
from trl import GRPOConfig as TheirGRPO  # pyright: ignore
from trl import GRPOTrainer, SFTTrainer  # pyright: ignore
from trl import SFTConfig as TheirSFT  # pyright: ignore

from stratagem.integrations.trl import Live, ends_of, gathered, text_of
from stratagem.models.llm import (
    ADAPTER,
    Source,
    compute_dtype,
    find_model,
    load_llm,
    load_tokenizer,
    prompting,
    save_llm,
    token_budget,
)
from stratagem.records import Problem, Report, StratagemError, content_id
from stratagem.rollouts.store import rollout_row, write_rollouts
from stratagem.sampling.answer import Answer
from stratagem.settings import GRPOConfig, LLMConfig, SFTConfig, check_engine, stage
from stratagem.tasks import Task, make_task, read_mix
from stratagem.training import loop
from stratagem.training.data import demonstrations
from stratagem.training.trl_checks import check_machine, processes, sharded, state
from stratagem.training.trl_log import Log, grpo_metrics, sft_metrics
from stratagem.workspace import Stage, read_json, write_json

CHECKPOINTS, START = "checkpoints", "start"
# Its name in transformers 5.24 and newer, which warn of the one before.
CHECKPOINTING = next(
    name for name in ("activation_checkpointing", "gradient_checkpointing") if hasattr(TheirSFT, name)
)


def sft(
    config: SFTConfig, out: Path, model: str | Path, llm: LLMConfig, report: Report | None = None
) -> Path:
    """Fine-tune `model` on demonstrations and write ``out/model``; resumes, or returns at once when done.

    Raises:
        StratagemError: the model cannot be loaded, or the settings are not for this engine.
    """
    check_engine(config, "trl")
    check_machine(config, llm)
    source = find_model(model, llm)
    task = make_task(config.task)
    folder = stage("sft", config, out, **inputs(task, source, llm))
    if folder.done:
        return out
    problems, texts = demonstrations(config, task)
    tokenizer = load_tokenizer(source, llm)
    form = prompting(tokenizer, task)
    rows = [
        {"prompt": form.example(problem.prompt), "completion": form.response(text)}
        for problem, text in zip(problems, texts, strict=True)
    ]
    with fitting(), together(folder) as work:
        args = TheirSFT(
            **shared(config, llm, work, config.batch),
            num_train_epochs=config.epochs,
            weight_decay=config.weight_decay,
            completion_only_loss=True,
            max_length=None,
        )
        trainer = SFT(
            rate=loop.linear(1.0, config.updates, warmup=min(50, config.updates // 10)),
            model=load_llm(source, llm, train=config.tune),
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora(config.tune, source, llm),
            callbacks=[Log(work, config.updates, sft_metrics, report)],
        )
        run(trainer, work)
        finish(
            trainer,
            tokenizer,
            work,
            record(config, source, "sft", task.chosen(config.strategy)),
            llm,
            problems,
        )
    return out


def grpo(
    config: GRPOConfig,
    out: Path,
    model: str | Path,
    llm: LLMConfig,
    keep_rollouts: bool = False,
    report: Report | None = None,
) -> Path:
    """RL of `model`, which is the reference too, on the task with its outcome reward; writes ``out/model``.

    Resumes, or returns at once when done. With `keep_rollouts` each update's rollouts are kept, labelled, in
    ``out/rollouts/``.

    Raises:
        StratagemError: the model cannot be loaded, or the settings are not for this engine.
    """
    check_engine(config, "trl")
    check_machine(config, llm)
    source = find_model(model, llm)
    llm = as_trained(source, llm)
    task = make_task(config.task)
    folder = stage("rl", config, out, **inputs(task, source, llm), keep_rollouts=keep_rollouts)
    if folder.done:
        return out
    weights = read_mix(config.mix, task)
    problems = task.generate("rl", config.prompts, config.steps, seed=config.seed, weights=weights)
    tokenizer = load_tokenizer(source, llm)
    form = prompting(tokenizer, task)
    rows = [
        {
            "prompt": form.example(problem.prompt),
            "number": number,
            "problem_id": problem.id,
            "kind": problem.kind,
            "difficulty": problem.difficulty,
        }
        for number, problem in enumerate(problems)
    ]
    # All updates in one epoch, in the native engine's order: resumed in a later epoch, TRL's own shuffling would
    # begin again with the first one's.
    rows = [rows[i] for update in range(config.updates) for i in loop.asked(config, update)]
    with fitting(), together(folder) as work:
        args = TheirGRPO(
            **shared(config, llm, work, config.batch * config.group),
            max_steps=config.updates * config.inner,
            num_generations=config.group,
            num_iterations=config.inner,
            max_completion_length=token_budget(tokenizer, task, config.steps[1]),
            temperature=config.temperature,
            top_k=0,
            top_p=1.0,
            beta=config.beta,
            epsilon=config.clip,
            loss_type=config.loss,
            scale_rewards=config.scale,
            remove_unused_columns=False,
            shuffle_dataset=False,
            **vllm(llm),
        )
        outcome = Outcome(task, problems, config, work, keep_rollouts)
        live = Live(outcome.strategy_of, by=("kind", "difficulty"), problem="problem_id")
        loaded = load_llm(start_of(source, config, llm, tokenizer, work), llm, train=config.tune)
        outcome.ends = ends_of(loaded, tokenizer)
        rate = loop.constant(1.0, warmup=min(5, config.updates))
        trainer = GRPO(
            rate=lambda step: rate(step // config.inner),
            model=loaded,
            reward_funcs=live.reward(outcome.reward),
            args=args,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            peft_config=lora(config.tune, source, llm),
            callbacks=[live, Log(work, config.updates, grpo_metrics(live), report, config.inner)],
        )
        run(trainer, work)
        strategies = tuple(source.record.get("strategies", ()))
        finish(trainer, tokenizer, work, record(config, source, "rl", strategies), llm, problems)
    return out


class Outcome:
    """The reward, and the labels that it finds on the way."""

    def __init__(
        self, task: Task, problems: list[Problem], config: GRPOConfig, work: Path, keep: bool
    ) -> None:
        self.task, self.problems, self.config, self.work, self.keep = task, problems, config, work, keep
        self.ends: set[int] = set()
        self._names: list[str] = []

    def reward(
        self,
        completions: list[Any],
        completion_ids: list[list[int]],
        number: list[int],
        trainer_state: Any,
        **_: Any,
    ) -> list[float]:
        """1 for a correct answer, else 0."""
        texts = [text_of(completion).lstrip() for completion in completions]
        asked = [self.problems[i] for i in number]
        scores = [self.task.verify(problem, text) for problem, text in zip(asked, texts, strict=True)]
        answers = [
            Answer(text, len(ids), "stop" if ids and ids[-1] in self.ends else "length")
            for text, ids in zip(texts, completion_ids, strict=True)
        ]
        labels = [
            self.task.label(problem, text, answer.finish_reason)
            for problem, text, answer in zip(asked, texts, answers, strict=True)
        ]
        self._names = [label.strategy for label in labels]
        if self.keep:
            update = trainer_state.global_step // self.config.inner
            rows = [
                rollout_row(problem, f"update {update}", 0, answer.text, answer, score, label)
                for problem, answer, score, label in zip(asked, answers, scores, labels, strict=True)
            ]
            every = [row for part in gathered(rows) for row in part or ()]
            for i, row in enumerate(every):
                row |= {"sample": i % self.config.group, "group": i // self.config.group, "update": update}
            if state().is_main_process:
                write_rollouts(self.work / "rollouts" / f"update_{update:05d}.parquet", every)
        return scores

    def strategy_of(self, text: str) -> str:
        """The labels of the batch in turn: `Live` asks for them in the order of the completions."""
        return self._names.pop(0)


# -- what both stages share --------------------------------------------------------------------------------


def inputs(task: Task, source: Source, llm: LLMConfig) -> dict[str, Any]:
    """What a stage's key is made of beside its config."""
    instruction = content_id(task.instruction())
    return {"engine": "trl", "model": source.fingerprint, "llm": llm.key(), "instruction": instruction}


class Rated:
    """A trainer whose learning rate is that of the native engine.

    Args:
        rate: the factor of the learning rate at each optimizer step, from 0.
    """

    def __init__(self, *, rate: Callable[[int], float], **arguments: Any) -> None:
        self.rate = rate
        super().__init__(**arguments)

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> LambdaLR:
        self.lr_scheduler = LambdaLR(optimizer or self.optimizer, self.rate)  # pyright: ignore
        return self.lr_scheduler


class SFT(Rated, SFTTrainer):
    pass


class GRPO(Rated, GRPOTrainer):
    pass


def as_trained(source: Source, llm: LLMConfig) -> LLMConfig:
    """The settings with the shape of the adapter that is trained on, whatever was asked for a fresh one."""
    if source.adapter is None:
        return llm
    theirs = read_json(source.adapter / ADAPTER)
    return replace(llm, rank=theirs["r"], alpha=theirs["lora_alpha"], dropout=theirs["lora_dropout"])


@contextlib.contextmanager
def fitting() -> Generator[None]:
    """
    Raises:
        StratagemError: the memory of a GPU ran out, when the trainer was made or while it trained.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise StratagemError(
            "the GPU's memory is too small: lower --device-batch, or add --checkpointing"
        ) from None


@contextlib.contextmanager
def together(stage: Stage) -> Generator[Path]:
    """The stage's folder for all processes: the first one opens it and gives it its name at the end."""
    every = state()
    disable_progress_bars()
    with warnings.catch_warnings():
        # What TRL and transformers deprecate of each other is no business of the user's.
        warnings.filterwarnings("ignore", category=FutureWarning)
        if every.is_main_process:
            with stage.open() as work:
                every.wait_for_everyone()
                yield work
                every.wait_for_everyone()
        else:
            every.wait_for_everyone()
            yield stage.work
            every.wait_for_everyone()
        every.wait_for_everyone()  # the folder has its name now


def shared(config: SFTConfig | GRPOConfig, llm: LLMConfig, work: Path, rows: int) -> dict[str, Any]:
    """Arguments of both trainers. `rows` sequences make an update, over all processes and accumulation steps."""
    each = max(1, rows // processes())
    device = max(n for n in range(1, min(llm.device_batch, each) + 1) if each % n == 0)
    cuda, dtype = torch.cuda.is_available(), compute_dtype(llm)
    inner = config.inner if isinstance(config, GRPOConfig) else 1
    return {
        "output_dir": str(work / CHECKPOINTS),
        "per_device_train_batch_size": device,
        "gradient_accumulation_steps": each // device,
        "learning_rate": config.lr,
        "max_grad_norm": 1.0,
        "seed": config.seed,
        "bf16": dtype is torch.bfloat16,
        "fp16": dtype is torch.float16,
        "use_cpu": not cuda,
        CHECKPOINTING: llm.checkpointing,
        "logging_steps": 1,
        "save_strategy": "steps",
        "save_steps": llm.save_every * inner,
        "save_total_limit": 2,
        "report_to": llm.report_to,
        "disable_tqdm": True,
        "dataloader_num_workers": 0,
    }


def vllm(llm: LLMConfig) -> dict[str, Any]:
    """TRL's own options for sampling with vLLM."""
    if llm.vllm == "off":
        return {}
    options: dict[str, Any] = {"use_vllm": True, "vllm_mode": llm.vllm}
    if llm.vllm == "colocate":
        return options | {"vllm_gpu_memory_utilization": llm.vllm_memory}
    return options | ({"vllm_server_base_url": llm.vllm_url} if llm.vllm_url else {})


def lora(tune: str, source: Source, llm: LLMConfig) -> LoraConfig | None:
    """A fresh adapter on all linear layers, or None where all weights are trained or an adapter is trained on."""
    if tune == "all" or source.adapter is not None:
        return None
    return LoraConfig(
        r=llm.rank,
        lora_alpha=llm.alpha,
        lora_dropout=llm.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )


def start_of(source: Source, config: GRPOConfig, llm: LLMConfig, tokenizer: Any, work: Path) -> Source:
    """The model that RL starts from. TRL reads the reference of a wholly trained model again from its folder, which
    neither an adapter nor a GGUF file is: then one is written."""
    folder = work / START
    if config.tune != "all" or config.beta == 0 or not (source.adapter or source.base.endswith(".gguf")):
        return source
    every = state()
    if every.is_main_process and not (folder / "stratagem.json").is_file():
        whole = load_llm(source, llm, train="all")
        save_llm(whole, tokenizer, folder, source.record, merge=True)
    every.wait_for_everyone()
    return find_model(folder, llm)


def record(
    config: SFTConfig | GRPOConfig, source: Source, stage: str, strategies: tuple[str, ...]
) -> dict[str, Any]:
    """What the saved model was made of."""
    return {
        "base": source.base,
        "base_fingerprint": source.fingerprint.partition("+")[0],
        "task": config.task,
        "strategies": list(strategies),
        "stages": [*source.record.get("stages", []), stage],
        "tune": config.tune,
    }


def run(trainer: Any, work: Path) -> None:
    """Train from the last whole checkpoint on, or from the start."""
    folder = work / CHECKPOINTS
    checkpoints = sorted(folder.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))
    # The trainer's state is what a checkpoint writes last: without it, the machine stopped in the middle.
    whole = [path for path in checkpoints if (path / "trainer_state.json").is_file()]
    trainer.remove_callback(PrinterCallback)
    trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)


def finish(
    trainer: Any, tokenizer: Any, work: Path, record: dict[str, Any], llm: LLMConfig, problems: list[Problem]
) -> None:
    """Write the model and what it was trained on; remove the checkpoints."""
    model = trainer.accelerator.unwrap_model(trainer.model)
    # All processes give their parts of spread weights to the first one.
    weights = trainer.accelerator.get_state_dict(trainer.model) if sharded() else None
    if trainer.accelerator.is_main_process:
        save_llm(model, tokenizer, work / "model", record, merge=llm.merge, weights=weights)
        write_json(work / "trained_on.json", [problem.id for problem in problems])
        for name in (CHECKPOINTS, START):
            shutil.rmtree(work / name, ignore_errors=True)
