"""What the next action is about: how much of it, where, and the command that does it."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stratagem.records import points
from stratagem.stats.min_sample import MIN_HEADROOM, MIN_PROBLEMS
from stratagem.verdict.facts import Facts
from stratagem.verdict.places import Place
from stratagem.verdict.predicates import carrier, levels_disagree
from stratagem.verdict.wording import apart, listed, many, needed, percent

NAMED = 3  # places at most
# Actions that change which prompts RL asks.
CURATED = ("raise the RL difficulty", "lower the RL difficulty", "change the RL data")


def aim(action: str, f: Facts) -> str:
    """How much the action of a verdict needs and where it applies, in one sentence; nothing where logs cannot say."""
    say = AIMS.get(action)
    return say(f) if say is not None else ""


def command(action: str, log: str, options: Sequence[str] = ()) -> str:
    """The command that acts on a verdict, as one types it; nothing where none does.

    Args:
        log: the log after, as it was named.
        options: how it was read, and by which columns.
    """
    if action not in CURATED:
        return ""
    words = ["stratagem", "curate", "prompts", "PROMPTS", "--rollouts", log, *options, "--keep-signal", "0.9"]
    return shlex.join(words)


def _samples(f: Facts) -> str:
    if f.problems < MIN_PROBLEMS:
        return needed(f).strip()
    if levels_disagree(f) and f.samples < MIN_HEADROOM:
        return f"{MIN_HEADROOM} responses to each of these {many(f.problems, 'problem')} would do."
    return needed(f).strip()


def _still_wrong(f: Facts) -> str:
    """Where what is still wrong lies."""
    wrong = 1 - f.accuracy_after
    places = sorted((p for p in f.places if p.wrong > 0), key=lambda place: -place.wrong)[:NAMED]
    if not places:
        return ""
    said = [f"{points(p.wrong)} lie in {p.name} ({percent(p.accuracy_after)} right)" for p in places]
    said[1:] = [text.replace(" lie in ", " in ", 1) for text in said[1:]]
    return f"Of the {points(wrong)} points still to be won, {listed(said)}."


def _easiest(f: Facts) -> str:
    top = max(f.places, key=lambda place: place.accuracy_after, default=None)
    return f"{_right(top)}: most of the others are harder." if top is not None else ""


def _right(place: Place) -> str:
    return f"{place.name} is right most often, in {percent(place.accuracy_after)} of responses"


@dataclass(frozen=True, slots=True)
class Worst:
    """Where one number of a place is lowest, if it is below 0."""

    field: str
    what: str

    def __call__(self, f: Facts) -> str:
        known = [p for p in f.places if getattr(p, self.field) < 0]
        worst = min(known, key=lambda place: getattr(place, self.field), default=None)
        if worst is None:
            return ""
        size = points(-getattr(worst, self.field))
        return f"{self.what} in {worst.name}: {size} points over {many(worst.problems, 'problem')}."


def _form(f: Facts) -> str:
    form = carrier(f) or f.unread
    if form is None:
        return ""
    return f"It concerns {percent(form.share_after)} of responses after, {percent(form.share_before)} before."


def _budget(f: Facts) -> str:
    if f.lengths is None:
        return ""
    before, after = apart(f.lengths.before, f.lengths.after)
    return (
        f"Sample both on these {many(f.problems, 'problem')} with the same limit: answers have {after} "
        f"{f.lengths.unit} now, and had {before}."
    )


def _new(f: Facts) -> str:
    names = f.new[:NAMED]
    return f"Begin responses of the old checkpoint with {listed(list(names), 'or')}." if names else ""


def _largest(f: Facts) -> str:
    if f.largest is None:
        return ""
    name, before, after = f.largest
    return f"{name} has {percent(before)} of responses before and {percent(after)} after."


AIMS: Mapping[str, Callable[[Facts], str]] = {
    "collect more samples": _samples,
    "fix the format first": _form,
    "refine the strategy rules": lambda f: (
        f"Read responses labelled other: they are {percent(f.other_share)} of one side's."
    ),
    "rebalance the RL mix": Worst("selection", "Choice cost most"),
    "go back to an earlier checkpoint": Worst("gain", "Most was lost"),
    "compare at one token budget": _budget,
    "probe the new strategies": _new,
    "lower the RL difficulty": _easiest,
    "raise the RL difficulty": _still_wrong,
    "change the RL data": _still_wrong,
    "diversify the SFT data": _largest,
    "continue RL on this mix": _still_wrong,
}
