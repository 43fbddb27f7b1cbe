"""What the base model is trained on: primitives, and nothing else.

Three kinds of line, all made from the task's `words`:

- facts: unconnected single operations, ``e3 +e5 e8 ; e1 /e4 e9 ;`` with inverses and negatives;
- lists: a list of operations, then its traversal in one direction, ``forward`` in order or ``backward`` in reverse with
  each operation undone. Few are backward, so that only in part does this direction carry beyond the lengths that SFT
  shows, as in the study. The word before the colon says which one, or ``list``, which leaves it open: so the base has
  met prompts whose last word decides how the answer begins. A traversal has a slot for a state after each operation.
  The slots hold random symbols, except that some, never two in a row, hold the right result of their one step from the
  (random) slot before;
- copies: a string of words, again;
- recall: from update RECALL_FROM on, a traversal ends with ``recall last e4``, its last slot, or ``recall guess e7``,
  its first where nothing in the prompt gives that, in which case it is called a guess.

So the base has seen single steps in place but no chain of computed states, and no task prompt (``evaluate``,
``invert``), let alone one with an answer. A test proves that of every slot. The shape of a traversal is that of a
demonstration: the model card says so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stratagem.tasks.base import END, Line
from stratagem.tasks.finite_field.chain import Step
from stratagem.tasks.finite_field.field import FiniteField
from stratagem.tasks.finite_field.trace import GUESS, LAST
from stratagem.tasks.finite_field.words import FIELDS, words

VARIANTS = (
    "both",
    "forward",
)  # directions of traversal; "forward" is the ablation whose base never went backward
MAX_LIST = 40
GROWTH = 45  # updates until lists may be one operation longer
FORWARD, BACKWARD = "forward", "backward"
OPEN = "list"  # asks for a traversal in either direction
TASKS = {p: FiniteField(p) for p in FIELDS}

BACKWARD_SHARE = 0.15  # of traversals
RECALL_FROM = 2100  # the update from which on traversals end with a recall


def apply_table(task: FiniteField) -> dict[tuple[int, str, int], int]:
    """(state, operator, operand) -> new state, all by symbol index."""
    table: dict[tuple[int, str, int], int] = {}
    for operand, residue in enumerate(task.residues):
        for operator in "+-*/" if residue else "+-":
            for state in range(task.p):
                table[state, operator, operand] = task.apply(state, Step(0, operator, operand))
    return table


TABLES = {p: apply_table(task) for p, task in TASKS.items()}
KEYS = {p: sorted(table) for p, table in TABLES.items()}


def facts(p: int, size: int, rng: np.random.Generator) -> Line:
    """`size` unconnected facts; each starts from a fresh random state."""
    task, table, keys = TASKS[p], TABLES[p], KEYS[p]
    line: Line = []
    for _ in range(size):
        state, operator, operand = keys[int(rng.integers(len(keys)))]
        if rng.random() < 0.1:
            inverse = operator in "*/"
            opposite = task.residues.index(
                pow(task.residues[operand], -1, p) if inverse else -task.residues[operand] % p
            )
            line += [("inverse" if inverse else "negative", False), (task.symbol(operand), False)]
            line += [(task.symbol(opposite), True), (";", True)]
        else:
            line += [(task.symbol(state), False), (operator + task.symbol(operand), False)]
            line += [(task.symbol(table[state, operator, operand]), True), (";", True)]
    return line


def traversal(p: int, size: int, direction: str, rng: np.random.Generator, recall: bool = True) -> Line:
    """A list of `size` operations and its traversal, with the recall of a slot at its end or without."""
    task, table = TASKS[p], TABLES[p]
    steps = task.random_steps(size, rng, task.residues)
    given = int(rng.integers(p))
    known = ("start", "result")[int(rng.integers(2))]
    ask = direction if rng.random() < 0.5 else OPEN
    prompt = f"{known} {task.symbol(given)} ; {task.steps_text(steps)} ; {ask} :"
    line: Line = [(word, False) for word in prompt.split()]
    # The first state is the given one where the direction begins at it; else any, as a guess is.
    suits = (known == "start") == (direction == FORWARD)
    state = given if suits else int(rng.integers(p))
    line.append((direction, True))
    if recall and not suits:
        line.append((GUESS, True))
    line.append((task.symbol(state), suits))
    first = state
    computed = False
    for step in steps if direction == FORWARD else [s.undone() for s in reversed(steps)]:
        right = table[state, step.operator, step.operand]
        computed = not computed and bool(rng.random() < 0.7)
        # A slot that is not computed never holds the right result by chance.
        state = right if computed else int((right + rng.integers(1, p)) % p)
        line += [(f"#{step.label}", True), (task.word(step), True), (task.symbol(state), computed)]
    line.append((";", True))
    if recall:
        # A traversal ends as it may: only demonstrations will show when the last slot counts and when the guess.
        guessed = not suits and bool(rng.random() < 0.5)
        word, recalled = (GUESS, first) if guessed else (LAST, state)
        line += [("recall", True), (word, True), (task.symbol(recalled), True), (END, True)]
    return line


def copy(size: int, rng: np.random.Generator) -> Line:
    """`size` random labels, operations and symbols of both fields, twice."""
    pool = [word for word in words() if word[0] in "#+-*/" or (word[0] in "ef" and word[1:].isdigit())]
    chosen = [pool[int(i)] for i in rng.integers(len(pool), size=size)]
    line: Line = [("copy", False), *((word, False) for word in chosen), (":", False)]
    return [*line, *((word, True) for word in chosen), (";", True)]


def lines(update: int, tokens: int, variant: str = "both", seed: int = 0) -> list[Line]:
    """One update's lines, all of one kind and size: they differ in length by the word "guess" at most.

    Args:
        tokens: about how many words they hold.
        variant: one of VARIANTS.
    """
    backward = BACKWARD_SHARE if variant == "both" else 0
    rng = np.random.default_rng([11, seed, update])
    kind = rng.random()
    if kind < 0.05:
        size = int(rng.integers(2, 17))
        return [copy(size, rng) for _ in range(max(1, tokens // (2 * size + 3)))]
    if kind < 0.25:
        # Every line of a batch of facts has the same number of words.
        return [facts(FIELDS[int(rng.integers(2))], 16, rng) for _ in range(max(1, tokens // 64))]
    # Short lists first: looking an operation up is learnt in a fraction of the time.
    longest = min(MAX_LIST, 4 + update // GROWTH)
    size = int(rng.integers(1, min(16, longest) + 1))
    if longest > 16 and rng.random() < 0.25:
        size = int(rng.integers(17, longest + 1))
    batch: list[Line] = []
    for _ in range(max(2, tokens // (5 * size + 8))):
        p = FIELDS[int(rng.random() < 0.35)]
        direction = BACKWARD if rng.random() < backward else FORWARD
        batch.append(traversal(p, size, direction, rng, recall=update >= RECALL_FROM))
    return batch


def abilities() -> Mapping[str, Callable[[str], bool]]:
    """Which words belong to each ability."""
    return {
        "direction": lambda word: word in (FORWARD, BACKWARD),
        "label": lambda word: word[0] == "#",
        "operation": lambda word: word[0] in "+-*/",
        "state": lambda word: word[0] in "ef" and word[1:].isdigit(),
        "stop": lambda word: word == ";",
    }
