"""Guess and check: guess the end that is asked for, work from it to the given end, and take the given symbol from what
comes out.

If that leaves zero the guess is accepted and is the answer, else another is tried. On inversion that is working
forward from a guess of the start, on evaluation backward from a guess of the result. Demonstrations have at most
MOST_TRIES tries, the last of which is right; so a response that gives up after as many is right about MOST_TRIES times
in p.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stratagem.records import content_id
from stratagem.tasks.finite_field.chain import Chain, Step
from stratagem.tasks.finite_field.trace import GUESS
from stratagem.tasks.five_ways.fold import NO_LABEL, way, write_walk
from stratagem.tasks.five_ways.judge import Judge
from stratagem.tasks.five_ways.words import ACCEPT, AGAIN, TRY

if TYPE_CHECKING:
    from stratagem.tasks.finite_field.field import FiniteField

OPENING = TRY
MOST_TRIES = 4


def guesses(task: FiniteField, chain: Chain) -> list[int]:
    """The guesses of a demonstration: different ones, drawn from the problem, the right one last."""
    rng = np.random.default_rng(int(content_id(TRY, task.render(chain)), 16))
    wrong = [int(i) for i in rng.permutation(task.p) if i != chain.asked]
    return [*wrong[: int(rng.integers(min(MOST_TRIES, task.p)))], chain.asked]


def demonstrate(task: FiniteField, content: Chain) -> str:
    """The gold response: ``try guess e4 … e1 ; -e6 e8 again ; guess e5 … e6 ; -e6 e5 accept ; answer guess e5``."""
    words, taken = [OPENING], Step(NO_LABEL, "-", content.given)
    for guess in guesses(task, content):
        text, last = write_walk(task, guess, way(content, natural=False), content)
        left = task.apply(last, taken, content.residues)
        verdict = ACCEPT if content.residues[left] == 0 else AGAIN
        words.append(f"{GUESS} {text} ; {task.word(taken)} {task.symbol(left)} {verdict} ;")
    return f"{' '.join(words)} answer {GUESS} {task.symbol(content.asked)}"


def judge(judge: Judge) -> None:
    """Mark a response of one try after another. A wrong guess is no error where it is refused."""
    accepted, guess, read = False, None, -1
    while not accepted and not judge.stopped and judge.at > read and (read < 0 or judge.more_steps()):
        read = judge.at
        guess = judge.guess()
        judge.walk(way(judge.chain, natural=False), whole=True)
        accepted = judge.check()
    judge.answer_guess(guess, accepted)
