"""Situations drawn at random whose right advice follows from the parameters that they are drawn from.

`KINDS` is the whole table: what happens, the advice that is right then, and why. The parameters of a kind are drawn
evenly from the ranges in its function, clear of the thresholds of the rules; all else (the number of strategies, their
shares and accuracies, how hard the hard problems are, how much problems differ) is drawn as well and changes nothing
of what is right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from situations import Situation

from stratagem.stats.pairs import Floats

Rng = np.random.Generator
LABELS = ("A", "B", "C")


@dataclass(frozen=True)
class Kind:
    """What happens, the advice that is right then, and why."""

    name: str
    right: str
    why: str
    draw: Callable[[Rng], Situation]


def drawn(kind: Kind, rng: Rng) -> Situation:
    """One situation of a kind."""
    return replace(kind.draw(rng), name=kind.name, right=(kind.right,))


def _situation(
    rng: Rng,
    names: tuple[str, ...],
    share: tuple[Floats, Floats],
    accuracy: tuple[Floats, Floats],
    harder: float | None = None,
    spread: float | None = None,
) -> Situation:
    shift = float(rng.uniform(0, 0.15)) if harder is None else harder
    rows = [tuple(float(x) for x in row) for row in (*share, *accuracy)]
    return Situation(
        "",
        (),
        (rows[0], rows[1]),
        (rows[2], rows[3]),
        harder=(shift, shift),
        spread=float(rng.uniform(0, 0.5)) if spread is None else spread,
        names=names,
    )


def _strategies(rng: Rng) -> tuple[tuple[str, ...], Floats]:
    """Two or three named strategies and their shares, each 15% or more."""
    names = LABELS[: rng.integers(2, 4)]
    return names, 0.15 + (1 - 0.15 * len(names)) * rng.dirichlet(np.ones(len(names)))


def _beside(
    rng: Rng, name: str, before: float, after: float, accuracy: tuple[float, float], gain: float = 0.0
) -> Situation:
    """Named strategies whose choice stays as it is, beside one with so large a share and such accuracies."""
    names, share = _strategies(rng)
    rate = rng.uniform(0.4, 0.75, len(names))
    shares = [np.append(share * (1 - part), part) for part in (before, after)]
    rates = [np.append(rate + more, own) for more, own in zip((0.0, gain), accuracy, strict=True)]
    return _situation(rng, (*names, name), (shares[0], shares[1]), (rates[0], rates[1]))


def _two(rng: Rng, before: float, after: float, gain: tuple[float, float] = (0.0, 0.0)) -> Situation:
    """A good strategy with so large a share before and after, a bad one, and what each is executed better."""
    low = rng.uniform(0.2, 0.35)
    rate = np.array([low + rng.uniform(0.3, 0.5), low])
    shares = [np.array([part, 1 - part]) for part in (before, after)]
    return _situation(rng, ("A", "B"), (shares[0], shares[1]), (rate, rate + np.array(gain)))


def _lost(rng: Rng) -> Situation:
    return _beside(rng, "unparsed", rng.uniform(0, 0.05), rng.uniform(0.25, 0.5), (0, 0))


def _mended(rng: Rng) -> Situation:
    return _beside(
        rng, "unparsed", rng.uniform(0.1, 0.4), rng.uniform(0, 0.03), (0, 0), gain=rng.uniform(0, 0.01)
    )


def _misread(rng: Rng) -> Situation:
    shares, rate = rng.uniform(0.3, 0.5, 2), rng.uniform(0.3, 0.6)
    return _beside(rng, "unparsed", shares[0], shares[1], (rate, rate), gain=rng.uniform(0, 0.1))


def _unnamed(rng: Rng) -> Situation:
    shares, rate, gain = rng.uniform(0.6, 0.9, 2), rng.uniform(0.3, 0.6), rng.uniform(0.05, 0.15)
    return _beside(rng, "other", shares[0], shares[1], (rate, rate + gain), gain=gain)


def _longer(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rate = np.full(len(names), rng.uniform(0.3, 0.5))
    base = _situation(rng, names, (share, share), (rate, rate + rng.uniform(0.15, 0.25)))
    return replace(base, length=(100.0, float(rng.uniform(150, 220))), tied=True)


def _all_wrong(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rates = rng.uniform(0.005, 0.015, len(names)), rng.uniform(0.025, 0.045, len(names))
    return _situation(rng, names, (share, share), rates, harder=0, spread=0)


def _all_right(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rates = rng.uniform(0.8, 0.92, len(names)), rng.uniform(0.97, 0.995, len(names))
    return _situation(rng, names, (share, share), rates, harder=0, spread=0)


def _new(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rate = rng.uniform(0.3, 0.5, len(names))
    part, own = rng.uniform(0.25, 0.5), float(share @ rate) + rng.uniform(0.25, 0.4)
    after = np.append(share * (1 - part), part)
    rates = np.append(rate, 0.0), np.append(rate + rng.uniform(0, 0.02), own)
    return _situation(rng, (*names, "N"), (np.append(share, 0.0), after), rates)


def _execution_worse(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rate = rng.uniform(0.45, 0.8, len(names))
    return _situation(rng, names, (share, share), (rate, rate - rng.uniform(0.05, 0.2)))


def _choice_worse(rng: Rng) -> Situation:
    share, gain = rng.uniform(0.5, 0.8), rng.uniform(0, 0.02)
    return _two(rng, share, share - rng.uniform(0.25, 0.4), (gain, gain))


def _execution_with_room(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rate = rng.uniform(0.2, 0.5, len(names))
    return _situation(rng, names, (share, share), (rate, rate + rng.uniform(0.06, 0.2)))


def _selection_left(rng: Rng) -> Situation:
    share = rng.uniform(0.2, 0.5)
    return _two(rng, share, share + rng.uniform(0.15, 0.3))


def _both(rng: Rng) -> Situation:
    share, gain = rng.uniform(0.2, 0.5), rng.uniform(0.03, 0.1, 2)
    return _two(rng, share, share + rng.uniform(0.1, 0.3), (gain[0], gain[1]))


def _exhausted(rng: Rng) -> Situation:
    share = rng.uniform(0.3, 0.6)
    base = _two(rng, share, rng.uniform(0.975, 1.0))
    hard = float(rng.uniform(0.05, 0.15))
    return replace(base, harder=(hard, hard))


def _one_strategy(rng: Rng) -> Situation:
    rate, one = rng.uniform(0.3, 0.6), np.ones(1)
    rates = np.array([rate]), np.array([rate + rng.uniform(0.05, 0.12)])
    return _situation(rng, ("A",), (one, one), rates)


def _nothing(rng: Rng) -> Situation:
    names, share = _strategies(rng)
    rate = rng.uniform(0.3, 0.7, len(names))
    return _situation(rng, names, (share, share), (rate, rate))


def _hidden(rng: Rng) -> Situation:
    suited, other = rng.uniform(0.7, 0.9), rng.uniform(0.05, 0.2)
    gain, share = rng.choice([0.0, 0.08]), rng.uniform(0.75, 0.95)
    rate = np.array([suited, other])
    shares = np.array([0.5, 0.5]), np.array([share, 1 - share])
    base = _situation(rng, ("A", "B"), shares, (rate, rate + gain), harder=0, spread=0)
    return replace(base, hidden=True)


def _label_moves(rng: Rng) -> Situation:
    rate = np.full(2, rng.uniform(0.35, 0.65))
    marks = (
        (float(rng.uniform(0.5, 0.65)), float(rng.uniform(0.15, 0.3))),
        (float(rng.uniform(0.85, 0.95)), float(rng.uniform(0.5, 0.65))),
    )
    half = np.full(2, 0.5)
    base = _situation(rng, ("A", "B"), (half, half), (rate, rate), harder=0)
    return replace(base, marks=marks if rng.random() < 0.5 else marks[::-1])


def _opposite(rng: Rng) -> Situation:
    """Choice and execution by as much in opposite directions, all problems alike but for their ease."""
    share, shift = rng.uniform(0.4, 0.6), float(rng.choice([-1, 1])) * rng.uniform(0.2, 0.35)
    base = _two(rng, share, share + shift)
    rate = np.array(base.accuracy[0])
    back = tuple(float(x) for x in rate - shift * (rate[0] - rate[1]))
    return replace(base, accuracy=(base.accuracy[0], back))


FORCED = "run a forced-strategy probe"
GO = "continue RL on this mix"
KINDS = (
    Kind("answers lost", "fix the format first", "25-50% unread after, 0-5% before", _lost),
    Kind(
        "answers found again", "fix the format first", "10-40% unread before, 0-3% after, else +0-1", _mended
    ),
    Kind(
        "right answers that labels miss",
        "fix the parts of the rules",
        "30-50% unparsed, 30-60% of them right",
        _misread,
    ),
    Kind("no name for most", "refine the strategy rules", "60-90% `other`; all improve by 5-15", _unnamed),
    Kind(
        "longer answers",
        "compare at one token budget",
        "+15-25 only where answers grew 1.5-2.2 times",
        _longer,
    ),
    Kind("all wrong", "lower the RL difficulty", "accuracy after 2.5-4.5%", _all_wrong),
    Kind("all right", "raise the RL difficulty", "accuracy after 97-99.5%", _all_right),
    Kind("new strategy", "probe the new strategies", "25-50% in a new strategy, 25-40 points better", _new),
    Kind(
        "execution worse",
        "go back to an earlier checkpoint",
        "all strategies 5-20 points worse",
        _execution_worse,
    ),
    Kind("choice worse", "rebalance the RL mix", "25-40% from a good to a bad strategy", _choice_worse),
    Kind("execution better, with room", GO, "all +6-20, from 20-50%", _execution_with_room),
    Kind("choice better, with room", GO, "15-30% to the good strategy, 20% left", _selection_left),
    Kind("both better, with room", GO, "10-30% to the good strategy, 20% left, each +3-10", _both),
    Kind(
        "choice exhausted, execution weak",
        "raise the RL difficulty",
        "the good strategy has 97.5-100% and is 50-85% right",
        _exhausted,
    ),
    Kind("one strategy", "diversify the SFT data", "one strategy on both sides, +5-12", _one_strategy),
    Kind("nothing changed", "change the RL data", "the same shares and accuracies", _nothing),
    Kind(
        "hidden types",
        "collect more samples",
        "each type to its own strategy; 8 responses a problem",
        _hidden,
    ),
    Kind("a label moves alone", FORCED, "gain 0; the label's share moves by 30 points or so", _label_moves),
    Kind("opposite parts, no gain", FORCED, "choice and execution cancel", _opposite),
)
