"""Writes tasks_problems.json: what (p, relabel, split, seed, index) yields, and its gold demonstrations.

A model is trained on these problems, so a change of the file is a change of the study. Every answer is worked
out by galois. Run: python tests/golden/tasks_problems.py
"""

import json
from pathlib import Path

import galois

from stratagem.tasks import FiniteField
from stratagem.tasks.finite_field.field import STRATEGIES

SETTINGS = [
    (11, "study", "sft", 0),
    (11, "study", "eval", 1),
    (13, "study", "rl", 0),
    (11, "problem", "eval", 0),
]


def oracle(p: int, prompt: str, residues: tuple[int, ...]) -> str:
    """The answer to a prompt, read from its text alone."""
    field = galois.GF(p, compile="python-calculate")
    words = prompt.split()
    if "=" in words[0]:
        residues = tuple(int(word.split("=")[1]) for word in words[:p])
        words = words[p + 1 :]
    letter, state = words[1][0], field(residues[int(words[1][1:])])
    operations = [(word[0], field(residues[int(word[2:])])) for word in words if word[0] in "+*"]
    if words[0] == "result":
        operations = [({"+": "-", "*": "/"}[sign], operand) for sign, operand in reversed(operations)]
    for sign, operand in operations:
        match sign:
            case "+":
                state = state + operand
            case "-":
                state = state - operand
            case "*":
                state = state * operand
            case _:
                state = state / operand
    return f"{letter}{residues.index(int(state))}"


def rows() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for p, relabel, split, seed in SETTINGS:
        task = FiniteField(p, relabel)
        for index, problem in enumerate(task.generate(split, 6, (2, 5), seed=seed)):
            found.append(
                {
                    "p": p,
                    "relabel": relabel,
                    "split": split,
                    "seed": seed,
                    "index": index,
                    "id": problem.id,
                    "prompt": problem.prompt,
                    "answer": oracle(p, problem.prompt, task.residues),
                    **{name: known.demonstrate(task, problem.data) for name, known in STRATEGIES.items()},
                }
            )
    return found


if __name__ == "__main__":
    Path(__file__).with_suffix(".json").write_text(json.dumps(rows(), indent=1) + "\n")
