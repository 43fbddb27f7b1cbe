"""What a base of five ways and of composition is trained on: primitives, and nothing else.

Those of `finite_field` (facts, lists, copies, recall), with the rule of its slots: a slot for a state holds a random
symbol, except that some, never two in a row, hold the right result of their one step from the (random) slot before.
Beside them, from update NEW_FROM on:

- folds: a list as one operation, times a plus b, from what it makes of zero and of one. Two traversals begin at those,
  ``fold e5 #3 +e2 e3 #4 *e9 e1 ; e10 #3 +e2 e6 #4 *e9 e7``, and the difference of their last slots is a, ``-e1 e4``.
  Then a and b are applied to the start, or undone from the result: ``forward e3 *e4 e8 +e1 e9``. Opened by ``meet``,
  some steps are walked from the given end first, and the rest is folded;
- tries: a traversal from a guess of the end that is not given. Behind it the given symbol is taken from the last slot,
  ``-e6 e8 again``; where zero is left, the guess is recalled, else there is another;
- parts: several lists, each with a name, some with the name of another in the place of their first symbol. One of them
  is traversed, never two: the one that has its symbol, behind the word ``parts``; or, behind ``x5 last e6 ;``, the one
  that begins with x5. Its name is said first; and at its end with its last slot, or its guess, unless it is the final
  one.

So the base has seen single steps in place, and single parts in place, but no chain of computed states, no two parts in
one response, and no task prompt (``evaluate``, ``invert``, ``compute``, ``recover``), let alone one with an answer. A
test proves that of every slot.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from stratagem.tasks.base import END, Line
from stratagem.tasks.finite_field import primitives as plain
from stratagem.tasks.finite_field.chain import UNDO, Step
from stratagem.tasks.finite_field.primitives import BACKWARD, FORWARD, GROWTH, OPEN, TABLES, TASKS
from stratagem.tasks.finite_field.trace import GUESS, LAST
from stratagem.tasks.finite_field.words import FIELDS
from stratagem.tasks.five_ways.words import ACCEPT, AGAIN, FINAL, FOLD, MEET, NAMES, PARTS, TRY

# The recipe's version, and the directions of traversal: "forward" is the ablation whose base never went backward.
VARIANTS = ("both-v2", "forward-v2")
NEW_FROM = 2000  # the update from which on there are other lines than those of finite_field
LONGEST_FOLD = 16
LONGEST_TRIES = 96  # words of all tries of a line
MOST_TRIES = 4
MOST_PARTS, LONGEST_PART = 8, 4
BACKWARD_SHARE = 0.1  # of traversals
NATURAL = 0.75  # how often a list of several is traversed from the end that is given
COMPUTED = 0.7  # how often a slot is computed where the one before is not
SHARES = {"copy": 0.02, "facts": 0.12, "folds": 0.14, "tries": 0.08, "parts": 0.16}


class Writer:
    """A line as it grows. `last_computed` keeps two slots in a row from being computed."""

    def __init__(self, p: int, rng: np.random.Generator) -> None:
        self.p, self.rng, self.task = p, rng, TASKS[p]
        self.line: Line = []
        self.last_computed = False

    def say(self, text: str, learn: bool = True) -> None:
        self.line += [(word, learn) for word in text.split()]

    def symbol(self, state: int, learn: bool) -> None:
        self.line.append((self.task.symbol(state), learn))

    def computes(self) -> bool:
        """Whether the next slot is a computed one."""
        self.last_computed = not self.last_computed and bool(self.rng.random() < COMPUTED)
        return self.last_computed

    def applied(self, state: int, operator: str, operand: int) -> int:
        return TABLES[self.p][state, operator, operand]

    def slot(self, state: int, operator: str, operand: int, wished: int | None = None) -> int:
        """The state behind an operation: the right one, learnt, or another, which is `wished` where that is wrong."""
        right = self.applied(state, operator, operand)
        computed = self.computes()
        other = int((right + self.rng.integers(1, self.p)) % self.p)
        if wished is not None and wished != right:
            other = wished
        state = right if computed else other
        self.symbol(state, computed)
        return state

    def left_or_zero(self) -> int:
        """A symbol, half of the time that of zero."""
        zero = self.task.residues.index(0)
        return zero if self.rng.random() < 0.5 else int(self.rng.integers(self.p))

    def verdict(self, left: int) -> str:
        return ACCEPT if self.task.residues[left] == 0 else AGAIN

    def walk(self, steps: list[Step], state: int) -> int:
        """Steps with their slots; returns the last one."""
        for step in steps:
            self.say(f"#{step.label} {self.task.word(step)}")
            state = self.slot(state, step.operator, step.operand)
        return state

    def folded(self, steps: list[Step]) -> tuple[int, int]:
        """Steps from zero and from one; returns the operation that their last slots come to, as (a, b)."""
        residues = self.task.residues
        self.symbol(residues.index(0), learn=True)
        added = self.walk(steps, residues.index(0))
        self.say(";")
        self.symbol(residues.index(1), learn=True)
        self.last_computed = False  # this traversal goes on from no slot
        last = self.walk(steps, residues.index(1))
        self.say(f"; -{self.task.symbol(added)}")
        right, zero = self.applied(last, "-", added), residues.index(0)
        computed = self.computes() and right != zero  # nothing can be divided by a zero
        others = [index for index in range(self.p) if index not in (right, zero)]
        factor = right if computed else others[int(self.rng.integers(len(others)))]
        self.last_computed = computed
        self.symbol(factor, computed)
        return factor, added


def fold_line(p: int, size: int, backward: float, rng: np.random.Generator) -> Line:
    """A list of `size` operations, some of them walked, the others folded, and the fold applied to the given end."""
    writer = Writer(p, rng)
    steps = list(writer.task.random_steps(size, rng, writer.task.residues))
    known = "result" if rng.random() < backward else "start"
    given = int(rng.integers(p))
    opening = (FOLD, MEET)[int(rng.integers(2))]
    ask = opening if rng.random() < 0.5 else OPEN
    listed = writer.task.steps_text(steps)
    writer.say(f"{known} {writer.task.symbol(given)} ; {listed} ; {ask} :", learn=False)
    state = given
    if opening == MEET:
        writer.say(MEET)
        writer.symbol(given, learn=True)
        walked = int(rng.integers(size))
        if known == "start":
            state, steps = writer.walk(steps[:walked], state), steps[walked:]
        else:
            left = steps[: size - walked]
            state, steps = writer.walk([step.undone() for step in reversed(steps[len(left) :])], state), left
        writer.say(";")
    writer.say(FOLD)
    pair = writer.folded(steps)
    operations = [("*", pair[0]), ("+", pair[1])]
    if known == "result":
        operations = [(UNDO[operator], operand) for operator, operand in reversed(operations)]
    writer.say(f"; {FORWARD if known == 'start' else BACKWARD}")
    writer.symbol(state, learn=True)
    for operator, operand in operations:
        writer.say(operator + writer.task.symbol(operand))
        state = writer.slot(state, operator, operand)
    writer.say(f"; recall {LAST} {writer.task.symbol(state)} {END}")
    return writer.line


def try_line(p: int, size: int, backward: float, rng: np.random.Generator) -> Line:
    """A list of `size` operations, traversed from one guess after another, each with its check."""
    writer = Writer(p, rng)
    steps = list(writer.task.random_steps(size, rng, writer.task.residues))
    known = "start" if rng.random() < backward else "result"  # from a guess of the other end
    given = int(rng.integers(p))
    ask = TRY if rng.random() < 0.5 else OPEN
    listed = writer.task.steps_text(steps)
    writer.say(f"{known} {writer.task.symbol(given)} ; {listed} ; {ask} :", learn=False)
    writer.say(TRY)
    way = steps if known == "result" else [step.undone() for step in reversed(steps)]
    for _ in range(min(MOST_TRIES, max(1, LONGEST_TRIES // (3 * size)))):
        writer.say(GUESS)
        guess = int(rng.integers(p))
        writer.symbol(guess, learn=False)
        state = writer.walk(way, guess)
        writer.say(f"; -{writer.task.symbol(given)}")
        left = writer.slot(state, "-", given, writer.left_or_zero())
        writer.last_computed = False  # a new guess goes on from no slot
        writer.say(f"{writer.verdict(left)} ;")
        if writer.verdict(left) == ACCEPT:
            writer.say(f"recall {GUESS} {writer.task.symbol(guess)} {END}")
            return writer.line
    writer.say(GUESS)
    return writer.line


def parts_line(p: int, sizes: tuple[int, ...], backward: float, rng: np.random.Generator) -> Line:
    """Lists of these sizes in one prompt, of which one is traversed and its outcome said under its name."""
    writer = Writer(p, rng)
    steps = list(writer.task.random_steps(sum(sizes), rng, writer.task.residues))
    lists = [[steps.pop(0) for _ in range(size)] for size in sizes]
    names = _drawn_names(len(sizes), rng)
    inputs = list(names)
    while any(a == b for a, b in zip(inputs, names, strict=True)):
        inputs = _drawn_names(len(sizes), rng)
    names[-1] = FINAL
    which = int(rng.integers(len(sizes)))
    carried = bool(rng.random() < 0.65)  # the list begins with a name, whose symbol is said before
    given = writer.task.symbol(int(rng.integers(p)))
    ways = [BACKWARD if rng.random() < backward else FORWARD for _ in sizes]
    natural = [way if rng.random() < NATURAL else _other(way) for way in ways]
    known = ["start" if way == FORWARD else "result" for way in natural]
    asks = [OPEN if rng.random() < 0.5 else way for way in ways]
    for i, listed in enumerate(lists):
        first = given if i == which and not carried else inputs[i]
        end = ":" if i == len(lists) - 1 else ";"
        text = f"{names[i]} {known[i]} {first} ; {writer.task.steps_text(listed)} ; {asks[i]} {end}"
        writer.say(text, learn=False)
    if carried:
        # Names of other lists, said before, lead nowhere: the one that was said last is gone on with.
        others = [name for name in inputs if name != inputs[which]]
        for name in others[: int(rng.integers(3))]:
            writer.say(f"{name} {LAST} {writer.task.symbol(int(rng.integers(p)))} ;", learn=False)
        writer.say(f"{inputs[which]} {(LAST, GUESS)[int(rng.random() < 0.3)]} {given} ;", learn=False)
    else:
        writer.say(PARTS)
    direction = ways[which]
    writer.say(f"{direction} {names[which]}")
    suits = direction == natural[which]
    if not suits:
        writer.say(GUESS)
    first_state = int(given[1:]) if suits else int(rng.integers(p))
    writer.symbol(first_state, learn=suits)
    way = lists[which] if direction == FORWARD else [step.undone() for step in reversed(lists[which])]
    last = writer.walk(way, first_state)
    word, said = (GUESS, first_state) if not suits and rng.random() < 0.5 else (LAST, last)
    # The outcome of the final list has no further use: it is recalled.
    name = "recall" if which == len(lists) - 1 else names[which]
    writer.say(f"; {name} {word} {writer.task.symbol(said)} {END}")
    return writer.line


def _drawn_names(count: int, rng: np.random.Generator) -> list[str]:
    return [NAMES[int(i)] for i in rng.permutation(len(NAMES))[:count]]


def _other(direction: str) -> str:
    return BACKWARD if direction == FORWARD else FORWARD


def kind_of(update: int, seed: int) -> str:
    """Which lines an update has: a key of SHARES, or ``lists``."""
    return _kind(update, np.random.default_rng([13, seed, update]))


def _kind(update: int, rng: np.random.Generator) -> str:
    drawn = rng.random()
    for kind, share in SHARES.items():
        if drawn < share:
            return kind if update >= NEW_FROM or kind in ("copy", "facts") else "lists"
        drawn -= share
    return "lists"


def lines(update: int, tokens: int, variant: str = VARIANTS[0], seed: int = 0) -> list[Line]:
    """One update's lines, all of one kind and of nearly one length.

    Args:
        tokens: about how many words they hold.
        variant: one of VARIANTS.
    """
    backward = BACKWARD_SHARE if variant == VARIANTS[0] else 0
    rng = np.random.default_rng([13, seed, update])
    kind = _kind(update, rng)

    def field() -> int:
        return FIELDS[int(rng.random() < 0.35)]

    def several(words: float, line: Callable[[], Line]) -> list[Line]:
        return [line() for _ in range(max(2, int(tokens / words)))]

    longest = min(plain.MAX_LIST, 4 + update // GROWTH)
    match kind:
        case "copy":
            size = int(rng.integers(2, 17))
            return several(2 * size + 3, lambda: plain.copy(size, rng))
        case "facts":
            return several(64, lambda: plain.facts(FIELDS[int(rng.integers(2))], 16, rng))
        case "folds":
            size = int(rng.integers(1, min(LONGEST_FOLD, longest) + 1))
            return several(8 * size + 24, lambda: fold_line(field(), size, backward, rng))
        case "tries":
            size = int(rng.integers(1, min(LONGEST_FOLD, longest) + 1))
            return several(3 * LONGEST_TRIES // 4 + 2 * size, lambda: try_line(field(), size, backward, rng))
        case "parts":
            count = int(rng.integers(1, min(MOST_PARTS, 1 + update // 200) + 1))
            sizes = tuple(int(size) for size in rng.integers(1, LONGEST_PART + 1, size=count))
            words = 2 * sum(sizes) + 6 * count + 3 * max(sizes) + 16
            return several(words, lambda: parts_line(field(), sizes, backward, rng))
        case _:
            return [
                _listed(rng, longest, update, backward, size, field())
                for size in _sizes(rng, longest, tokens)
            ]


def _sizes(rng: np.random.Generator, longest: int, tokens: int) -> list[int]:
    """The lists of one update. Short ones come first: looking an operation up is then learnt in less time."""
    size = int(rng.integers(1, min(16, longest) + 1))
    if longest > 16 and rng.random() < 0.25:
        size = int(rng.integers(17, longest + 1))
    return [size] * max(2, tokens // (5 * size + 8))


def _listed(rng: np.random.Generator, longest: int, update: int, backward: float, size: int, p: int) -> Line:
    direction = BACKWARD if rng.random() < backward else FORWARD
    return plain.traversal(p, size, direction, rng, recall=update >= plain.RECALL_FROM)


def abilities() -> Mapping[str, Callable[[str], bool]]:
    """Which words belong to each ability."""
    return {
        "direction": lambda word: word in (FORWARD, BACKWARD, FOLD, MEET, TRY, PARTS),
        "check": lambda word: word in (AGAIN, ACCEPT),
        "name": lambda word: word in (*NAMES, FINAL),
        **{name: belongs for name, belongs in plain.abilities().items() if name != "direction"},
    }
