"""The stages of a study with an LLM: one command after another, each with all devices.

A stage is a process of its own, so that its GPU memory is free for the next one. With an accelerate config, training is
started by `accelerate launch`, on as many devices and machines as that names; answering always runs in one process.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stratagem.records import StratagemError
from stratagem.settings import LLMConfig
from stratagem.studies.jobs import Job, Progress

if TYPE_CHECKING:
    from stratagem.models.llm import Source

REST = 200 * 2**20  # bytes that a study takes up to beside an LLM's weights
FLOAT = 4  # bytes of a trained weight on disk


def words(config: Any) -> list[str]:
    """A settings object as words of a command line: what differs from the plain default of its field."""
    found: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(value, bool):
            if value != field.default:
                found.append(option if value else f"--no-{field.name.replace('_', '-')}")
        elif value is None:
            if field.default is not None and field.default is not MISSING:
                raise ValueError(f"{field.name}: no word for None")
        elif field.name == "steps":
            found += [option, f"{value[0]}-{value[1]}"]
        else:
            found += [option, str(value)]
    return found


def command(job: Job, llm: LLMConfig, accelerate: Path | None) -> list[str]:
    """What a user would type to run this job alone."""
    start = [sys.executable, "-m"]
    if accelerate is not None and job.stage != "rollout":
        start += ["accelerate.commands.launch", "--config_file", str(accelerate), "-m"]
    options = ["--engine", "trl", "--model", str(job.model), "--out", str(job.out)]
    return [*start, "stratagem", job.stage, *options, *words(job.config), *words(llm)]


def run_llm_jobs(
    jobs: Sequence[Job], llm: LLMConfig, progress: Progress, accelerate: Path | None = None
) -> None:
    """Run all jobs, those that others wait for first. What is finished is not started again.

    Raises:
        StratagemError: as the job that failed; what is done is kept.
    """
    waiting, done = list(jobs), set[str]()
    while waiting:
        job = next(one for one in waiting if done.issuperset(one.needs))
        waiting.remove(job)
        if not job.out.exists():
            run_one(job, command(job, llm, accelerate), progress)
        done.add(job.name)


def run_one(job: Job, line: list[str], progress: Progress) -> None:
    """One job to its end, with its progress read from its log of metrics."""
    job.out.parent.mkdir(parents=True, exist_ok=True)
    log = job.out.with_name(f"{job.out.name}.log")
    metrics = job.out.with_name(f"{job.out.name}.partial") / "metrics.jsonl"
    total = updates_of(job)
    with open(log, "wb") as file, subprocess.Popen(line, stdout=file, stderr=subprocess.STDOUT) as process:
        try:
            while process.poll() is None:
                time.sleep(0.5)
                if total and metrics.exists():
                    progress(job.name, metrics.read_bytes().count(b"\n"), total, {})
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = log.read_text(errors="replace").strip().splitlines()
        own = [one for one in said if one.startswith(f"stratagem {job.stage}: ")]
        reason = own[-1].partition(": ")[2] if own else f"failed; see {log}"
        raise StratagemError(f"{job.name}: {reason}; the same command resumes")
    log.unlink()
    progress(job.name, total or 1, total or 1, {})


def disk_space(jobs: Sequence[Job], source: Source, llm: LLMConfig) -> int:
    """Bytes that a study's folder takes up to while one stage after another runs, by the shape of its first model.

    Each training leaves an adapter or a whole model. While it runs there are two checkpoints and a third that is being
    written, of up to four times what is trained: itself, AdamW's two moments, and the adapter that RL started from.
    """
    from torch import device, nn
    from transformers import AutoConfig, AutoModelForCausalLM

    trust = llm.trust_remote_code
    if "gguf_file" in source.where:  # whose shape is read with its weights
        return REST
    try:
        config = AutoConfig.from_pretrained(**source.where, trust_remote_code=trust)
        with device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=trust)
    except (OSError, ValueError, KeyError, ImportError):  # said by the stage that loads it
        return REST
    linear = [one for one in model.modules() if isinstance(one, nn.Linear)]
    adapted = [one for one in linear if one is not model.get_output_embeddings()]
    trained = {
        "all": FLOAT * model.num_parameters(),
        "lora": FLOAT * llm.rank * sum(one.in_features + one.out_features for one in adapted),
    }
    left = trained | ({"lora": 2 * model.num_parameters()} if llm.merge else {})
    tunes = [job.config.tune for job in jobs if job.stage != "rollout"]
    return REST + sum(left[tune] for tune in tunes) + 12 * max(trained[tune] for tune in tunes)


def updates_of(job: Job) -> int:
    match job.stage:
        case "rl":
            return job.config.updates
        case "sft":
            return job.config.epochs * -(-job.config.size // job.config.batch)
        case _:
            return 0
