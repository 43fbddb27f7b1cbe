"""The stages of a study with an LLM: one command after another, each with all devices.

A stage is a process of its own, so that its GPU memory is free for the next one. With an accelerate config, training is
started by `accelerate launch`, on as many devices and machines as that names; answering always runs in one process.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from stratagem.records import Progress, StratagemError
from stratagem.settings import LLMConfig
from stratagem.studies.graph import Job
from stratagem.workspace import ERROR_FILE, partial_of

if TYPE_CHECKING:
    from stratagem.models.llm import Source

REST = 200 * 2**20  # bytes that a study takes up to beside an LLM's weights
FLOAT = 4  # bytes of a trained weight on disk
POLL = 0.5  # seconds between two looks at a process


class Killed(StratagemError):
    """A stage's process was ended by a signal."""


def words(config: Any) -> list[str]:
    """A settings object as words of a command line: what differs from the plain default of its field."""
    line: list[str] = []
    for field in fields(config):
        value = getattr(config, field.name)
        option = f"--{field.name.replace('_', '-')}"
        if isinstance(value, bool):
            if value != field.default:
                line.append(option if value else f"--no-{field.name.replace('_', '-')}")
        elif value is None:
            if field.default is not None and field.default is not MISSING:
                raise ValueError(f"{field.name}: no word for None")
        elif field.name == "steps":
            line += [option, f"{value[0]}-{value[1]}"]
        else:
            line += [option, str(value)]
    return line


def command(job: Job, llm: LLMConfig, accelerate: Path | None) -> list[str]:
    """What a user would type to run this job alone."""
    start = [sys.executable, "-m"]
    if accelerate is not None and job.stage != "rollout":
        start += ["accelerate.commands.launch", "--config_file", str(accelerate), "-m"]
    options = ["--engine", "trl", "--model", str(job.model), "--out", str(job.out)]
    return [*start, "stratagem", job.stage, *options, *words(job.config), *words(llm)]


class Running:
    """A job in a process of its own, with its output in a file beside its folder."""

    def __init__(self, job: Job, line: list[str]) -> None:
        self.job = job
        job.out.parent.mkdir(parents=True, exist_ok=True)
        self.log = job.out.with_name(f"{job.out.name}.log")
        self.error = job.out.with_name(f"{job.out.name}.error")
        self.error.unlink(missing_ok=True)
        self.metrics = partial_of(job.out) / "metrics.jsonl"
        with open(self.log, "wb") as file:
            self.process = subprocess.Popen(
                line, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, ERROR_FILE: str(self.error)}
            )

    def has_ended(self, progress: Progress) -> bool:
        """Whether the job is done; says how far it is where it is not.

        Raises:
            StratagemError: it failed, with what its command said.
            Killed: a signal ended it.
        """
        job, code = self.job, self.process.poll()
        if code is None:
            if job.updates and self.metrics.exists():
                progress(job.name, self.metrics.read_bytes().count(b"\n"), job.updates, {})
            return False
        if code < 0 or code > 128:
            raise Killed(f"{job.name}: killed by signal {-code if code < 0 else code - 128} (out of memory?)")
        if code:
            said = self.error.read_text() if self.error.exists() else f"failed; see {self.log}"
            self.error.unlink(missing_ok=True)
            raise StratagemError(f"{job.name}: {said}; the same command resumes")
        self.log.unlink()
        progress(job.name, job.updates or 1, job.updates or 1, {})
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()


class TRL:
    """One command at a time."""

    def __init__(self, llm: LLMConfig, accelerate: Path | None = None) -> None:
        self.llm, self.accelerate = llm, accelerate
        self.running: Running | None = None

    def __enter__(self) -> TRL:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.running is not None:
            self.running.stop()

    def free(self) -> bool:
        return self.running is None

    def start(self, job: Job) -> None:
        self.running = Running(job, command(job, self.llm, self.accelerate))

    def ended(self, progress: Progress) -> list[Job]:
        running = self.running
        if running is None:
            return []
        time.sleep(POLL)
        try:
            if not running.has_ended(progress):
                return []
        except StratagemError:
            self.running = None
            raise
        self.running = None
        return [running.job]


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
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    adapted = [module for module in linear if module is not model.get_output_embeddings()]
    trained = {
        "all": FLOAT * model.num_parameters(),
        "lora": FLOAT * llm.rank * sum(module.in_features + module.out_features for module in adapted),
    }
    left = trained | ({"lora": 2 * model.num_parameters()} if llm.merge else {})
    tunes = [job.config.tune for job in jobs if job.stage != "rollout"]
    return REST + sum(left[tune] for tune in tunes) + 12 * max(trained[tune] for tune in tunes)
