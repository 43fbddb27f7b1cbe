"""Live measures in a real GRPOTrainer on a very small random model."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

pytest.importorskip("trl", reason="needs the llm extra")

import torch
from datasets import Dataset
from transformers import TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from stratagem.decomposition.decompose import decompose
from stratagem.integrations.trl import STATE, Live, text_of
from stratagem.records import StratagemError
from stratagem.tasks import FiniteField
from stratagem.watch.trl import TRLRun
from tests.integrations.tiny import tiny_qwen2

# Deprecations between TRL and transformers are theirs.
pytestmark = pytest.mark.filterwarnings(
    "default::FutureWarning", "default::DeprecationWarning", "default::UserWarning"
)

TASK = FiniteField(11)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2(tmp_path_factory.mktemp("tiny") / "model")


def vowels(text: str) -> str:
    """A strategy that a random model shows both sides of."""
    return "short" if len(text) < 14 else "long"


def opening(text: str) -> str:
    """A strategy of which a batch lacks some."""
    return f"opening {ord(text[0]) % 5}" if text else "nothing"


def even(completions: list[Any], **_: Any) -> list[float]:
    """A reward that is neither always 0 nor always 1."""
    return [float(len(text_of(completion)) % 2 == 0) for completion in completions]


def rows(chat: bool = False) -> Dataset:
    return Dataset.from_list(
        [
            {
                "prompt": [{"role": "user", "content": p.prompt}] if chat else p.prompt,
                "kind": p.kind,
                "steps": p.difficulty,
                "problem": p.id,
            }
            for p in TASK.generate("rl", 16, (1, 2))
        ]
    )


def trainer(
    model: Path,
    out: Path,
    live: Live,
    reward: Any,
    data: Dataset | None = None,
    eval_dataset: Dataset | None = None,
    **given: Any,
) -> GRPOTrainer:
    options: dict[str, Any] = {
        "per_device_train_batch_size": 8,
        "num_generations": 4,
        "max_completion_length": 10,
        "max_steps": 4,
        "logging_steps": 1,
        "save_strategy": "no",
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "disable_tqdm": True,
        "num_completions_to_print": 0,
    } | given
    return GRPOTrainer(
        str(model),
        reward,
        GRPOConfig(str(out), **options),
        data or rows(),
        eval_dataset,
        callbacks=[live],
    )


def logged(made: GRPOTrainer, name: str) -> list[float | None]:
    return [line.get(f"stratagem/{name}") for line in made.state.log_history if "loss" in line]


@pytest.mark.parametrize("chat", [False, True], ids=["text", "messages"])
def test_every_update_is_measured_and_every_completion_marked(tiny: Path, tmp_path: Path, chat: bool) -> None:
    live = Live(vowels, by=("kind", "steps"), problem="problem")
    made = trainer(tiny, tmp_path / "run", live, live.reward(even), rows(chat), log_completions=True)
    made.train()
    tables = [pl.read_parquet(path) for path in sorted((tmp_path / "run" / "completions").glob("*.parquet"))]
    assert len(tables) == 4
    ids = {problem.id: problem for problem in TASK.generate("rl", 16, (1, 2))}
    for number, table in enumerate(tables):
        texts = [
            text if isinstance(text, str) else text[-1]["content"] for text in table["completion"].to_list()
        ]
        assert table["strategy"].to_list() == [vowels(text) for text in texts]
        assert table["group"].to_list() == [f"{number + 1}-{i // 4}" for i in range(8)]
        assert set(table["split"]) == {"train"}
        assert [ids[name].kind for name in table["problem_id"]] == table["kind"].to_list()
        assert [ids[name].difficulty for name in table["problem_id"]] == table["steps"].to_list()
        for name in ("short", "long"):
            part = table.filter(strategy=name)
            share, accuracy = logged(made, f"share/{name}")[number], logged(made, f"accuracy/{name}")[number]
            assert (share or 0) == pytest.approx(len(part) / 8)
            if len(part):
                assert accuracy == pytest.approx(part["even"].mean(), abs=1e-6)
        same = table.group_by("group").agg(pl.col("even").n_unique() == 1)["even"].mean()
        assert logged(made, "no_signal")[number] == pytest.approx(same)
        # TRL's own measure of the same thing, from its own rewards.
        theirs = [line["frac_reward_zero_std"] for line in made.state.log_history if "loss" in line]
        assert logged(made, "no_signal")[number] == pytest.approx(theirs[number])
    assert live.latest["accuracy"] == pytest.approx(tables[-1]["even"].mean())
    assert len(live.responses) == 8
    own = logged(made, "own_time")
    assert own[0] is None
    assert all(value is not None and 0 < value < 1 for value in own[1:])
    watched = TRLRun(tmp_path / "run").poll()
    written = pl.concat(tables)
    assert watched.counts["right"].sum() == written["even"].sum()
    assert watched.counts["n"].sum() == len(written)
    assert set(watched.counts["kind"]) == {f"kind {kind}" for kind in written["kind"]}
    assert set(watched.counts["difficulty"]) == set(written["steps"])


def test_rewards_are_handed_on_unchanged_and_async_ones_are_awaited(tiny: Path, tmp_path: Path) -> None:
    async def later(completions: list[str], **given: Any) -> list[float]:
        await asyncio.sleep(0)
        return even(completions, **given)

    outcomes = []
    for reward in (even, later):
        live = Live(vowels)
        made = trainer(tiny, tmp_path / reward.__name__, live, live.reward(reward))
        assert made.reward_func_names == [reward.__name__]
        made.train()
        outcomes.append(made)
    plain = trainer(tiny, tmp_path / "plain", Live(vowels), even)
    plain.train()
    rewards = [
        [line["reward"] for line in made.state.log_history if "loss" in line] for made in (*outcomes, plain)
    ]
    assert rewards[0] == rewards[1] == rewards[2]
    assert logged(outcomes[0], "accuracy") == logged(outcomes[1], "accuracy")
    for one, other in zip(outcomes[0].model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other), "measuring changed the training"


def test_a_resumed_run_still_knows_its_start(tiny: Path, tmp_path: Path) -> None:
    def run(out: Path, resume: bool, **given: Any) -> Live:
        live = Live(vowels, by=("kind",), window=2)
        made = trainer(tiny, out, live, live.reward(even), save_strategy="steps", save_steps=2, **given)
        made.train(resume_from_checkpoint=resume or None)
        return live

    run(tmp_path / "run", resume=False, max_steps=2)
    saved = tmp_path / "run" / "checkpoint-2" / STATE
    first = json.loads(saved.read_text())["first"]
    again = run(tmp_path / "run", resume=True, max_steps=4)
    assert again.measures.updates == 4
    assert json.loads(json.dumps(again.measures.state()))["first"] == first
    saved.unlink()
    assert run(tmp_path / "run", resume=True, max_steps=6).measures.updates == 6


def test_an_evaluation_has_its_own_measures(tiny: Path, tmp_path: Path) -> None:
    live = Live(vowels, by=("kind",))
    made = trainer(tiny, tmp_path / "run", live, live.reward(even), per_device_eval_batch_size=8)
    made.eval_dataset = rows().select(range(2))
    metrics = made.evaluate()
    assert metrics["eval_stratagem/accuracy"] == pytest.approx(metrics["eval_reward"])
    assert live.measures.updates == 0


def test_an_evaluation_may_have_groups_of_another_size(tiny: Path, tmp_path: Path) -> None:
    """Groups of two answers, all right or all wrong: none has a signal, as groups of four would seem to have."""

    def by_problem(prompts: list[str], **_: Any) -> list[float]:
        order = list(dict.fromkeys(prompts))
        return [float(order.index(prompt) % 2) for prompt in prompts]

    live = Live(vowels, by=("kind",))
    given = {"per_device_eval_batch_size": 8, "num_generations_eval": 2}
    made = trainer(tiny, tmp_path / "run", live, live.reward(by_problem), **given)
    made.eval_dataset = rows().select(range(4))
    assert made.evaluate()["eval_stratagem/no_signal"] == 1.0


def test_what_is_logged_is_of_all_responses_since_the_last_log(tiny: Path, tmp_path: Path) -> None:
    """Pooled, for TRL's mean of batches gives a strategy that a batch lacks too much; the gain as it stands then."""
    live = Live(opening, by=("kind",), window=2, write=tmp_path / "responses")
    made = trainer(
        tiny,
        tmp_path / "run",
        live,
        live.reward(even),
        logging_steps=3,
        max_steps=7,
        eval_strategy="steps",
        eval_steps=3,
        eval_on_start=True,
        per_device_eval_batch_size=4,
        eval_dataset=rows().select(range(5)),
    )
    reported: list[dict[str, float]] = []

    class Reporter(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float], **_: Any) -> None:
            reported.append(dict(logs))

    made.callback_handler.callbacks.insert(0, Reporter())
    made.train()
    table = pl.concat(pl.read_parquet(path) for path in (tmp_path / "responses").iterdir())
    kept = {(split, step): part for (split, step), part in table.group_by("split", "step")}
    assert kept.keys() == {("train", step) for step in range(1, 8)} | {
        ("eval", step) for step in (0, 3, 6, 7)
    }
    assert {key: len(part) for key, part in kept.items() if key[0] == "eval"} == dict.fromkeys(
        [("eval", 0), ("eval", 3), ("eval", 6), ("eval", 7)], 20
    )
    assert table["group"].n_unique() * 4 == len(table)
    assert table.group_by("group").agg(pl.col("problem_id").n_unique())["problem_id"].to_list() == [1] * 34
    logs = [line for line in made.state.log_history if "stratagem/accuracy" in line]
    assert [line["step"] for line in logs] == [3, 6, 7]
    for line, steps in zip(logs, ((1, 2, 3), (4, 5, 6), (7,)), strict=True):
        part = pl.concat(kept["train", step] for step in steps)
        assert shown(line, "stratagem/") == pytest.approx(pooled(part))
    evaluations = [line for line in made.state.log_history if "eval_stratagem/accuracy" in line]
    assert [line["step"] for line in evaluations] == [0, 3, 6, 7]
    for line in evaluations:
        assert shown(line, "eval_stratagem/") == pytest.approx(pooled(kept["eval", line["step"]]))
        if line["step"]:
            terms = decompose(
                *(kept["eval", step].with_columns(**TABLE) for step in (0, line["step"])),
                by=("kind",), rng=np.random.default_rng(0), draws=0, stratified=False,
            )  # fmt: skip
            for name in ("gain", "choice", "improvement"):
                assert line[f"eval_stratagem/{name}"] == pytest.approx(getattr(terms, name).value, abs=1e-9)
    assert "eval_stratagem/gain" not in evaluations[0]
    told = [line for line in reported if any("stratagem/accuracy" in name for name in line)]
    assert len(told) == len(logs) + len(evaluations), "reporters see what is added"


TABLE = {"checkpoint": pl.lit("x"), "sample": pl.lit(0), "length": pl.lit(0)}


def shown(line: dict[str, Any], prefix: str) -> dict[str, float]:
    """Shares and accuracies of an entry of the log, by strategy."""
    names = [name for name in line if name.startswith((f"{prefix}share/", f"{prefix}accuracy"))]
    return {name.removeprefix(prefix): line[name] for name in names if line[name]}


def pooled(part: pl.DataFrame) -> dict[str, float]:
    """The same, counted from responses."""
    rates = {"accuracy": part["score"].mean()}
    for (name,), own in part.group_by("strategy"):
        rates |= {f"share/{name}": len(own) / len(part), f"accuracy/{name}": own["score"].mean()}
    return {name: rate for name, rate in rates.items() if rate}


def test_a_resumed_run_writes_no_response_twice(tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "responses"

    def run(out: Path, resume: bool, steps: int) -> None:
        live = Live(vowels, by=("kind",), problem="problem", write=folder)
        made = trainer(
            tiny, out, live, live.reward(even), max_steps=steps, save_strategy="steps", save_steps=2,
            eval_strategy="steps", eval_steps=1, eval_dataset=rows().select(range(2)),
        )  # fmt: skip
        made.train(resume_from_checkpoint=str(out / "checkpoint-2") if resume else None)

    def steps() -> list[str]:
        return sorted(path.name for path in folder.iterdir())

    run(tmp_path / "run", False, 5)
    whole = steps()
    assert len(whole) == 10
    second = {path.name: path.read_bytes() for path in folder.iterdir() if "00002" in path.name}
    run(tmp_path / "run", True, 3)
    assert steps() == [name for name in whole if name < "step_00004"]
    assert all((folder / name).read_bytes() == content for name, content in second.items())
    with pytest.raises(StratagemError, match=r"step_00001_eval.parquet: has the responses of another run"):
        run(tmp_path / "other", False, 1)
    with pytest.raises(StratagemError, match="by 'score': the files of responses have a column of that name"):
        Live(vowels, by=("score",), write=folder)


def test_truncation_is_seen(tiny: Path, tmp_path: Path) -> None:
    live = Live("finite_field")
    made = trainer(tiny, tmp_path / "run", live, live.reward(even), log_completions=True, max_steps=1)
    made.train()
    clipped = next(line["completions/clipped_ratio"] for line in made.state.log_history if "loss" in line)
    assert clipped > 0
    assert logged(made, "share/truncated")[0] == pytest.approx(clipped)


def test_what_a_user_can_fix_is_said_in_one_line(tiny: Path, tmp_path: Path) -> None:
    live = Live(vowels)
    made = trainer(tiny, tmp_path / "a", live, Live(vowels).reward(even))
    with pytest.raises(StratagemError, match=r"add callbacks=\[live\]"):
        made.train()
    live = Live(vowels, by=("level",))
    with pytest.raises(StratagemError, match="no column 'level'; it has kind, steps, problem"):
        trainer(tiny, tmp_path / "b", live, live.reward(even)).train()
    live = Live(vowels)

    def wide(completions: list[str], **_: Any) -> list[float]:
        return [-3.0] * len(completions)

    with pytest.raises(StratagemError, match=r"a reward is -3.0, no number in \[0, 1\].*correct="):
        trainer(tiny, tmp_path / "c", live, live.reward(wide)).train()

    def signed(completions: list[str], **_: Any) -> list[float]:
        return [1.0 if i else -1.0 for i in range(len(completions))]

    live = Live(vowels)  # the -1s left out, all that is left would be right
    with pytest.raises(StratagemError, match=r"a reward is -1\.0"):
        trainer(tiny, tmp_path / "e", live, live.reward(signed)).train()
    live = Live(vowels, correct=lambda reward: float(reward > 0))
    trainer(tiny, tmp_path / "d", live, live.reward(wide), max_steps=1).train()
    assert live.latest["accuracy"] == 0


def test_a_labelling_function_that_fails_late_does_not_end_the_run(
    tiny: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0

    def fragile(text: str) -> str:
        nonlocal calls
        calls += 1
        if 8 < calls <= 10:
            raise RuntimeError("odd text")
        return "known"

    live = Live(fragile)
    made = trainer(tiny, tmp_path / "run", live, live.reward(even))
    made.train()
    assert live.measures.updates == 2  # the second batch failed at its first text, the third at its own
    assert "odd text" in caplog.text
    live = Live(lambda text: str(1 / 0))
    with pytest.raises(ZeroDivisionError):
        trainer(tiny, tmp_path / "first", live, live.reward(even)).train()


SCRIPT = """
import sys
from pathlib import Path
import tests.integrations.test_trl as t
live = t.Live(t.vowels, by=("kind",), problem="problem")
made = t.trainer(Path(sys.argv[1]), Path(sys.argv[2]), live, live.reward(t.even), per_device_train_batch_size=4,
    log_completions=True, max_steps=2)
made.train()
if made.accelerator.is_main_process:
    import json
    print("FOUND " + json.dumps([live.measures.updates, len(live.responses), live.latest["accuracy"],
        [one.group for one in live.responses]]))
"""


@pytest.mark.slow
def test_processes_are_measured_together(tiny: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(SCRIPT)
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", "29517",
         str(script), str(tiny), str(tmp_path / "run")],
        capture_output=True, text=True, timeout=400, cwd=root,
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    line = next(line for line in done.stdout.splitlines() if "FOUND " in line)
    batches, responses, accuracy, groups = json.loads(line.split("FOUND ")[1])
    table = pl.read_parquet(tmp_path / "run" / "completions" / "completions_00002.parquet")
    assert (batches, responses, len(table)) == (2, 8, 8)
    assert groups == ["2-0"] * 4 + ["2-1"] * 4
    assert accuracy == pytest.approx(table["even"].mean())
    assert table.group_by("group").agg(pl.col("problem_id").n_unique())["problem_id"].to_list() == [1, 1]


def test_the_example_runs(tmp_path: Path, tiny: Path) -> None:
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, str(root / "examples" / "trl_live.py"), str(tiny), str(tmp_path / "run")],
        capture_output=True, text=True, timeout=400,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "stratagem/share/truncated" in done.stdout
