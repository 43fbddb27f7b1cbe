"""FrontierTrainer on a very small random model: groups keep their repeats, resumes go on, processes agree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl", reason="needs the llm extra")

from datasets import Dataset, IterableDataset
from trl import GRPOConfig

from stratagem.integrations.trl_sampler import STATE, FrontierTrainer
from stratagem.records import StratagemError
from tests.integrations.sampled_run import data, reward, trainer
from tests.integrations.tiny import tiny_qwen2

# Deprecations between TRL and transformers are theirs.
pytestmark = pytest.mark.filterwarnings(
    "default::FutureWarning", "default::DeprecationWarning", "default::UserWarning"
)
ROOT = Path(__file__).parents[2]
GROUP = 4


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tiny_qwen2(tmp_path_factory.mktemp("tiny") / "model"))


@pytest.mark.parametrize(
    ("given", "groups", "generations"),
    [
        ({}, 2, 6),
        ({"gradient_accumulation_steps": 2}, 4, 6),
        ({"num_iterations": 2}, 2, 3),
        ({"steps_per_generation": 2}, 4, 3),
        ({"max_steps": -1, "num_train_epochs": 2}, 2, 24),
    ],
    ids=["plain", "accumulated", "iterations", "several steps", "epochs"],
)
def test_groups_keep_their_repeats(
    tiny: str, tmp_path: Path, given: dict[str, Any], groups: int, generations: int
) -> None:
    made = trainer(tiny, tmp_path, {"save_strategy": "no"} | given)
    made.train()
    assert len(made.seen) == generations
    for each in made.seen:
        assert len(set(each["asked"])) == len(each["asked"]) == groups
        assert each["rows"] == [row for row in each["asked"] for _ in range(GROUP)]


def test_levels_keep_their_shares(tiny: str, tmp_path: Path) -> None:
    given = {"per_device_train_batch_size": 12, "save_strategy": "no"}
    made = trainer(tiny, tmp_path, given, keep=("level",))
    made.train()
    assert [sorted(row % 3 for row in each["asked"]) for each in made.seen] == [[0, 1, 2]] * 6


def test_it_learns_where_the_signal_is_and_logs_it(tiny: str, tmp_path: Path) -> None:
    made = trainer(tiny, tmp_path, {"save_strategy": "no", "max_steps": 30}, explore=0)
    made.train()
    late = [row % 3 for each in made.seen[10:] for row in each["asked"]]
    assert late.count(1) > 2 * max(late.count(0), late.count(2))
    logs = [line for line in made.state.log_history if "loss" in line]
    for line, each in zip(logs, made.seen, strict=True):
        scores = [each["rewards"][i : i + GROUP] for i in range(0, len(each["rewards"]), GROUP)]
        flat = sum(len(set(group)) == 1 for group in scores) / len(scores)
        assert line["sampler/no_signal"] == pytest.approx(flat) == pytest.approx(line["frac_reward_zero_std"])
        assert 0 <= line["sampler/flat_tokens"] <= 1
        if 1 in {row % 3 for row in each["asked"]}:
            assert 0 <= line["sampler/pass_rate/1"] <= 1
    assert all(0 < line["sampler/own_time"] < 1 for line in logs[1:])


def test_a_resumed_run_asks_what_it_would_have_asked(tiny: str, tmp_path: Path) -> None:
    whole = trainer(tiny, tmp_path / "run")
    whole.train()
    checkpoint = tmp_path / "run" / "checkpoint-3"
    assert (checkpoint / STATE).is_file()
    resumed = trainer(tiny, tmp_path / "run")
    resumed.train(resume_from_checkpoint=str(checkpoint))
    assert resumed.seen == whole.seen[3:]
    (checkpoint / STATE).unlink()
    anew = trainer(tiny, tmp_path / "run")
    anew.train(resume_from_checkpoint=str(checkpoint))
    assert len(anew.seen) == 3


def launched(
    processes: int, model: str, out: Path, given: dict[str, Any], checkpoint: Path | None = None
) -> list[Any]:
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node",
        str(processes),
    ]
    words += ["-m", "tests.integrations.sampled_run", model, str(out), json.dumps(given)]
    words += [] if checkpoint is None else [str(checkpoint)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    done = subprocess.run(words, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads((out / f"seen_{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.slow
def test_two_processes_ask_the_same_and_share_it(tiny: str, tmp_path: Path) -> None:
    given = {"per_device_train_batch_size": 6}  # the second of three groups lies on both
    both = launched(2, tiny, tmp_path / "run", given)
    assert len(both[0]) == len(both[1]) == 6
    for first, second in zip(*both, strict=True):
        assert first["asked"] == second["asked"]
        assert first["rewards"] == second["rewards"]
        assert first["rows"] + second["rows"] == [row for row in first["asked"] for _ in range(GROUP)]
    shutil.copytree(tmp_path / "run" / "checkpoint-3", tmp_path / "again" / "checkpoint-3")
    again = launched(2, tiny, tmp_path / "again", given, tmp_path / "again" / "checkpoint-3")
    assert again == [each[3:] for each in both]


def test_what_cannot_be_is_said(tiny: str, tmp_path: Path) -> None:
    with pytest.raises(StratagemError, match="no column 'grade'; it has prompt, level, row"):
        trainer(tiny, tmp_path, by=("grade",))
    with pytest.raises(StratagemError, match="no column 'grade'"):
        trainer(tiny, tmp_path, keep=("grade",))
    with pytest.raises(StratagemError, match=r"explore 2: must be from 0 to 1"):
        trainer(tiny, tmp_path, explore=2)
    args = GRPOConfig(
        str(tmp_path), per_device_train_batch_size=8, num_generations=4, use_cpu=True, bf16=False, max_steps=1,
        report_to="none",
    )  # fmt: skip
    with pytest.raises(StratagemError, match="1 prompts; a generation asks 2"):
        FrontierTrainer(tiny, reward, args, data(1))
    stream = IterableDataset.from_generator(lambda: iter(data()))
    with pytest.raises(StratagemError, match="streams"):
        FrontierTrainer(tiny, reward, args, stream)

    def shaped(completions: list[str], **_: Any) -> list[float]:
        return [-1.0, 3.0] * (len(completions) // 2)

    plain = FrontierTrainer(tiny, shaped, args, Dataset.from_list([{"prompt": "a"}] * 4))
    with pytest.raises(StratagemError, match="give FrontierTrainer a `correct` function"):
        plain.train()
    FrontierTrainer(
        tiny, shaped, args, Dataset.from_list([{"prompt": "a"}] * 4), correct=lambda reward: float(reward > 0)
    ).train()
