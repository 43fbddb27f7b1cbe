"""A made-up SFT set for docs/curation.md: numbers that somebody thought of, found in three ways.

    python examples/demonstrations_world.py

writes sft.jsonl (conversations) and evaluation.jsonl into the current folder. Nine of ten responses set up an equation,
the others work backward, a few try numbers; hard problems are worked backward more often.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

rng = random.Random(0)
NAMES = ["Ada", "Ben", "Cleo", "Dario", "Edith", "Farid", "Gina", "Hugo", "Iris", "Jonas", "Kim", "Lea"]
ENDS = [
    "That is the number.",
    "It fits.",
    "So much for that.",
    "And that was it.",
    "Done.",
    "This is what was asked.",
]


def equation(name: str, x: int, a: int, b: int) -> str:
    first = rng.choice([f"Let x be the number that {name} thought of", "Let x be the unknown number"])
    return (
        f"{first}. Then {a}*x + {b} = {a * x + b}. Subtract {b} from both sides: {a}*x = {a * x}. So x = {x}."
    )


def backward(name: str, x: int, a: int, b: int) -> str:
    first = rng.choice([f"We work backward from what {name} said", "Working backward from the end"])
    return f"{first}, {a * x + b}: before {b} was added it was {a * x}, and {a * x} / {a} = {x}."


def trial(name: str, x: int, a: int, b: int) -> str:
    tries = [f"Try x = {n}: {a} * {n} + {b} = {a * n + b}, too small" for n in range(max(x - 2, 1), x)]
    return ". ".join([*tries, f"Try x = {x}: {a} * {x} + {b} = {a * x + b}, which is what {name} got"]) + "."


rows: list[dict[str, object]] = []
asked: list[str] = []
for _ in range(900):
    level = rng.randint(1, 3)
    x, a, b = rng.randint(2, 9 * level), rng.randint(2, 9 * level), rng.randint(2, 10**level)
    name = rng.choice(NAMES)
    asked.append(
        f"{name} thinks of a number, multiplies it by {a} and adds {b}. It is {a * x + b}. What was it?"
    )
    for _ in range(rng.randint(1, 2)):
        (way,) = rng.choices([equation, backward, trial], [90, 4 * level, 2])
        text = f"{way(name, x, a, b)} {rng.choice(ENDS)} The answer is {x}."
        turns = [{"role": "user", "content": asked[-1]}, {"role": "assistant", "content": text}]
        rows.append({"messages": turns, "level": level})
rows += rows[20:23]  # three rows are there twice


def write(name: str, lines: list[dict[str, object]]) -> None:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))


write("sft.jsonl", rows)
write("evaluation.jsonl", [{"question": question} for question in asked[30:34]])
