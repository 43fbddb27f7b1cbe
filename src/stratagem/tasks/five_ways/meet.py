"""Meet in the middle: walk from the given end to some place within the chain, fold the rest into ``x * a + b`` (see
`algebraic`), and put the two together there.

The place is free: a demonstration draws it from the problem. Of both ends one is known, so of the half at the other end
only what it does to any state can be worked out, which the fold is. Nothing is guessed on either type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stratagem.records import content_id
from stratagem.tasks.finite_field.chain import EVALUATION, Chain
from stratagem.tasks.five_ways.fold import operations, way, write_fold, write_walk
from stratagem.tasks.five_ways.judge import Judge
from stratagem.tasks.five_ways.words import FOLD, MEET

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

OPENING = MEET


def walked(task: FiniteField, chain: Chain) -> int:
    """How many steps a demonstration walks: at least one and not all, none of a single one."""
    if len(chain.steps) == 1:
        return 0
    return 1 + int(content_id(MEET, task.render(chain)), 16) % (len(chain.steps) - 1)


def demonstrate(task: FiniteField, content: Chain) -> str:
    """The gold response: ``meet e9 … ; fold e5 … ; e10 … ; -e5 e9 ; forward e3 *e9 e6 +e5 e6 ; answer last e6``."""
    count, evaluates = walked(task, content), content.kind == EVALUATION
    text, state = write_walk(task, content.given, way(content)[:count], content)
    rest = content.steps[count:] if evaluates else content.steps[: len(content.steps) - count]
    fold, pair = write_fold(task, rest, content)
    applied, last = write_walk(task, state, operations(pair, content.kind), content)
    direction = "forward" if evaluates else "backward"
    return f"{OPENING} {text} ; {FOLD} {fold} ; {direction} {applied} ; answer last {task.symbol(last)}"


def judge(judge: Judge) -> None:
    """Mark a response that walks some steps and folds the others, wherever it turns from one to the other."""
    chain = judge.chain
    judge.head(chain.given)
    count = judge.walk(way(chain), whole=False)
    middle = judge.state
    left = len(chain.steps) - count
    judge.fold(list(chain.steps[count:] if chain.kind == EVALUATION else chain.steps[:left]))
    judge.apply(middle)
    judge.answer(judge.state)
