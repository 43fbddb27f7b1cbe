"""Logs of public rollouts, made of the repositories that hold them: code on HumanEval, and MATH-500 with long traces.

    git clone https://github.com/microsoft/CodeT codet
    git clone https://github.com/Adam-Torek/ExploringLLMCodeQuality quality
    git clone https://github.com/NovaSky-AI/SkyThought skythought
    unshare -rn python benchmarks/public_rollouts.py code --codet codet --quality quality --out FOLDER/humaneval
    python benchmarks/public_rollouts.py math --skythought skythought --out FOLDER/math-500

Code: the first eight of a hundred samples of CodeGen-16B for each of 164 problems (before), and the one answer of
WizardCoder-Python-7B-V1.0 (after). The second repository says which of its answers pass; of the first one the tests
are run here: programs that a model wrote, each in a process of its own that writes no file and gets three seconds and
1 GB; `unshare -rn` takes the network away. MATH-500: one answer a problem of gemma-2-27b-it (before) and of
Sky-T1-math-correct-5K-27B (after), which was taught long traces; the files have scores.

The logs are two files of JSON lines, before.jsonl and after.jsonl.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
from pathlib import Path
from typing import Any

CODET = "35f54d60b152cc31d134b788e702878ad613d9f7"
QUALITY = "281a2868cd8478336b18d85524f654e19e5c67ce"
SKYTHOUGHT = "505894edef18789853841ad6d199956f048aeb5f"
SAMPLES = 8
SECONDS, BYTES = 3, 1 << 30
OUTPUTS = "skythought/Qwen2.5-Math/evaluation/outputs"
MATH = {
    "before": f"{OUTPUTS}/google/gemma-2-27b-it/math500_eval/math500/test_qwen25-math-cot_-1_seed0_t0.0_s0_e-1.jsonl",
    "after": f"{OUTPUTS}/home/ubuntu/skyov1-dl/Sky-T1-math-correct-5K-27B/math500_eval/math500/"
    "test_Sky-T1_-1_seed0_t0.0_s0_e-1.jsonl",
}


def stored(repository: Path, commit: str, path: str) -> str:
    """A file of a repository at that commit."""
    command = ["git", "-C", str(repository), "show", f"{commit}:{path}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def passes(program: str) -> bool:
    """Whether it ends by itself, in a fork that may use little."""
    if child := os.fork():
        return os.waitpid(child, 0)[1] == 0
    status = 1
    try:
        for kind, most in (
            (resource.RLIMIT_CPU, SECONDS),
            (resource.RLIMIT_AS, BYTES),
            (resource.RLIMIT_FSIZE, 0),
            (resource.RLIMIT_CORE, 0),
        ):
            resource.setrlimit(kind, (most, most))
        signal.alarm(20 * SECONDS)
        nothing = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nothing, stream)
        os.chdir("/")
        exec(compile(program, "program", "exec"), {"__name__": "program"})
        status = 0
    finally:
        os._exit(status)


def code(codet: Path, quality: Path) -> dict[str, list[dict[str, Any]]]:
    tasks = lines(stored(codet, CODET, "CodeT/data/dataset/HumanEval_for_code_generation.jsonl"))
    generated = (
        "CodeT/data/generated_data/HumanEval_codegen16B_temp0.8_topp0.95_num100_max300_code_solution.jsonl"
    )
    samples = {row["prompt"]: row["samples"] for row in lines(stored(codet, CODET, generated))}
    solutions = lines(
        stored(quality, QUALITY, "generated_code/generated_output/humaneval_WizardCoder-Python-7B-V1.0.jsonl")
    )
    results = "generated_code/benchmark_test_results/humaneval_WizardCoder-Python-7B-V1.0_eval_results.json"
    judged: dict[str, Any] = json.loads(stored(quality, QUALITY, results))["eval"]
    prompts = {task["task_id"]: task["prompt"] for task in tasks}
    before: list[dict[str, Any]] = []
    for task in tasks:
        for number, sample in enumerate(samples[task["prompt"]][:SAMPLES]):
            program = f"{task['prompt']}{sample}\n{task['test']}\ncheck({task['entry_point']})\n"
            row = {"problem_id": task["task_id"], "sample": number, "prompt": task["prompt"]}
            before.append({**row, "completion": sample, "score": float(passes(program))})
    after = [
        {
            "problem_id": row["task_id"],
            "sample": 0,
            "prompt": prompts[row["task_id"]],
            "completion": row["solution"],
            "score": float(judged[row["task_id"]]["base"][0][0] == "success"),
        }
        for row in solutions
    ]
    return {"before": before, "after": after}


def mathematics(skythought: Path) -> dict[str, list[dict[str, Any]]]:
    return {
        side: [
            {
                "problem_id": str(row["idx"]),
                "sample": 0,
                "prompt": row["question"],
                "completion": row["code"][0],
                "score": float(row["score"][0]),
            }
            for row in lines(stored(skythought, SKYTHOUGHT, path))
        ]
        for side, path in MATH.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=("code", "math"))
    parser.add_argument("--codet", type=Path)
    parser.add_argument("--quality", type=Path)
    parser.add_argument("--skythought", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    logs = code(given.codet, given.quality) if given.kind == "code" else mathematics(given.skythought)
    given.out.mkdir(parents=True, exist_ok=True)
    for side, rows in logs.items():
        content = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (given.out / f"{side}.jsonl").write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
