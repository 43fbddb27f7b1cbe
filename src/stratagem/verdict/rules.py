"""From the numbers of a comparison to a sentence, the next action, and the evidence for both.

`RULES` is the whole policy: the first rule that holds gives the action. docs/verdict.md says why each is there. A
direction is only named where its interval excludes 0, and a cause never: logs show what went along with what.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from stratagem.records import Result, points
from stratagem.stats.min_sample import MIN_HEADROOM, MIN_PROBLEMS
from stratagem.verdict.facts import Facts, facts_from
from stratagem.verdict.next_step import aim
from stratagem.verdict.predicates import (
    HALF,
    SMALL,
    UNREAD,
    by_length,
    cancel,
    carrier,
    lead,
    levels_disagree,
    misread,
    nothing_to_select,
    open_gain,
    open_lead,
    opposite,
    selection_exhausted,
    selection_left,
    small,
    weak,
)
from stratagem.verdict.wording import (
    caveats,
    evidence,
    hard,
    headline,
    key,
    many,
    part,
    percent,
    rooms,
    unseen,
)

__all__ = ["ACTIONS", "RULES", "Facts", "Rule", "Verdict", "facts_from", "verdict"]

ACTIONS = {
    "collect more samples": "the logs leave the question open",
    "fix the parts of the rules": "the labels find no answer where the grader does",
    "fix the format first": "answers are lost, or won, by their form and not by their reasoning",
    "refine the strategy rules": "most responses follow no strategy that has a name",
    "rebalance the RL mix": "the choice of strategies got worse",
    "go back to an earlier checkpoint": "accuracy was lost",
    "log the completions": "the logs hold counts alone",
    "compare at one token budget": "the gain goes along with longer answers",
    "run a forced-strategy probe": "choice and execution moved against each other, which a moving label alone does too",
    "probe the new strategies": "the gain lies in strategies that the old checkpoint was not seen to use",
    "lower the RL difficulty": "most groups are all wrong and teach nothing",
    "raise the RL difficulty": "most groups are all right, or choice is exhausted and execution still weak",
    "change the RL data": "neither choice nor execution moved",
    "diversify the SFT data": "there is little to select from",
    "continue RL on this mix": "there is more to win in the way it has been won",
}


class Verdict(Result, frozen=True):
    """`action` is a key of ACTIONS; the first line of `evidence` says why, the last what logs cannot show.

    `key` are the three lines at most that one has to know beside the sentence; `aim` says how much the action needs
    and where it applies, nothing where logs cannot say. `command` is what one types to do it, nothing where no command
    does; PROMPTS in it are the prompts that RL draws from, of which the log after has to hold rollouts.
    """

    sentence: str
    action: str
    evidence: tuple[str, ...]
    key: tuple[str, ...] = ()
    aim: str = ""
    command: str = ""


class Rule(NamedTuple):
    """A condition, the action it leads to, and the sentence that says why."""

    name: str
    holds: Callable[[Facts], bool]
    action: str
    why: Callable[[Facts], str]


def verdict(facts: Facts) -> Verdict:
    """The sentence, the action of the first rule that holds, and the evidence."""
    rule = next(rule for rule in RULES if rule.holds(facts))
    sentence = " ".join([headline(facts), *caveats(facts)])
    why = rule.why(facts)
    further = [line for line in evidence(facts) if line not in f"{sentence} {why}"]
    beside = tuple(line for line in key(facts) if line not in why)
    return Verdict(sentence, rule.action, (why, *further, unseen(facts)), beside, aim(rule.action, facts))


def _why_length(f: Facts) -> str:
    if f.lengths is not None and f.lengths.steady.n:
        return "Less than half of the gain is found where answers kept their length."
    return "No problem's answers kept their length."


def _why_signal(kind: str) -> Callable[[Facts], str]:
    def why(f: Facts) -> str:
        s = f.signal
        share = 0.0 if s is None else getattr(s, f"{kind}_after")
        return (
            f"After RL {percent(share)} of the problems' groups of {0 if s is None else s.group} responses are all "
            f"{kind}, so that their advantages are 0. This concerns RL as far as these problems are like those of RL."
        )

    return why


def _why_unread(f: Facts) -> str:
    share, right = (0.0, 0.0) if f.unread is None else (f.unread.share_after, f.unread.accuracy_after)
    some, they = (f", {percent(right)} of them right", "the others") if right > 0 else ("", "they")
    return (
        f"{percent(share)} of the responses after RL are unparsed or truncated{some}: what {they} would have answered "
        "is not in these logs."
    )


def _why_room(f: Facts, text: str) -> str:
    return f"{text} {rooms(f)}".rstrip()


RULES: tuple[Rule, ...] = (
    Rule(
        "answers unread by the labels",
        misread,
        "fix the parts of the rules",
        lambda f: (
            "The grader found right answers where the labels find none, so it is the labels that miss them and not the "
            "model that loses them: say in [parts] of the rules where answers stand, or name the column of the "
            "responses (--columns completion=COLUMN) if another text was read, and look again."
        ),
    ),
    Rule(
        "no interval",
        lambda f: math.isnan(f.gain.low),
        "collect more samples",
        lambda f: (
            f"{many(f.problems, 'problem')}: of fewer than {MIN_PROBLEMS} no interval is made, since even if all go "
            "the same way that may be chance."
            if f.problems < MIN_PROBLEMS
            else f"{many(f.problems, 'problem')} without an interval."
        ),
    ),
    Rule(
        "unread answers",
        lambda f: f.unread is not None and f.unread.share_after >= UNREAD,
        "fix the format first",
        _why_unread,
    ),
    Rule(
        "format",
        lambda f: carrier(f) is not None,
        "fix the format first",
        lambda f: "Most of the change lies in the form of answers.",
    ),
    Rule(
        "unnamed strategies",
        lambda f: f.other_share >= HALF,
        "refine the strategy rules",
        lambda f: (
            f"{percent(f.other_share)} of responses follow no named strategy, so choice among them is not seen."
        ),
    ),
    Rule(
        "opposite parts",
        opposite,
        "run a forced-strategy probe",
        lambda f: (
            "Choice and execution moved against each other, each by more than the change of accuracy. A label that "
            "moves while nothing else does looks the same, so no choice of data follows: begin responses of both "
            "checkpoints with the opening of each strategy, and compare how they do."
        ),
    ),
    Rule(
        "parts cancel, choice worse",
        lambda f: cancel(f) and f.leading.choice.high < 0 and not levels_disagree(f),
        "rebalance the RL mix",
        lambda f: "Execution got better and choice worse, each by more than the change of accuracy.",
    ),
    Rule(
        "parts cancel, execution worse",
        lambda f: cancel(f) and f.leading.improvement.high < 0,
        "go back to an earlier checkpoint",
        lambda f: "Choice got better and execution worse, each by more than the change of accuracy.",
    ),
    Rule(
        "gain undecided", open_gain, "collect more samples", lambda f: "The interval of the gain includes 0."
    ),
    Rule(
        "loss by selection",
        lambda f: (
            f.gain.high < 0
            and not small(f)
            and lead(f) in ("selection", "choice")
            and f.leading.choice.high < 0
            and not levels_disagree(f)
        ),
        "rebalance the RL mix",
        lambda f: f"The choice of strategies got worse: {part(f.leading.name, f.leading.choice)}.",
    ),
    Rule(
        "loss",
        lambda f: f.gain.high < 0 and not small(f),
        "go back to an earlier checkpoint",
        lambda f: f"Accuracy went from {percent(f.accuracy_before)} to {percent(f.accuracy_after)}.",
    ),
    Rule("longer answers", by_length, "compare at one token budget", _why_length),
    Rule(
        "new strategies lead",
        lambda f: lead(f) == "new_strategy",
        "probe the new strategies",
        lambda f: (
            f"{part('New strategies', f.new_strategy)}: more than either of the other parts. A strategy that "
            "was not used before need not have been out of reach."
        ),
    ),
    Rule(
        "all wrong",
        lambda f: f.signal is not None and f.signal.wrong_after >= HALF,
        "lower the RL difficulty",
        _why_signal("wrong"),
    ),
    Rule(
        "all right",
        lambda f: f.signal is not None and f.signal.right_after >= HALF,
        "raise the RL difficulty",
        _why_signal("right"),
    ),
    Rule(
        "counts alone",
        lambda f: not f.labelled,
        "log the completions",
        lambda f: (
            "Without texts there are no strategies, and no telling what the change of accuracy is made of."
        ),
    ),
    Rule(
        "no change",
        lambda f: small(f) and lead(f) == "undecided",
        "change the RL data",
        lambda f: (
            f"By an equivalence test the gain lies within {points(SMALL)} points of 0, and neither part leads."
        ),
    ),
    Rule(
        "problems differ inside strata",
        lambda f: levels_disagree(f) and f.samples < MIN_HEADROOM,
        "collect more samples",
        lambda f: (
            f"Problems inside a stratum differ, so that headroom has to be measured problem by problem: that takes "
            f"{MIN_HEADROOM} responses to each, and there are {f.samples:.0f}."
        ),
    ),
    Rule(
        "one strategy",
        lambda f: f.strategies <= 1,
        "diversify the SFT data",
        lambda f: (
            "One strategy has nearly all responses, before and after: there is nothing to select from, or the rules "
            "are too coarse to see it. Read some responses, and split the rule if they differ."
        ),
    ),
    Rule(
        "improvement left",
        lambda f: lead(f) == "improvement" and f.leading.improvement.low > 0 and weak(f),
        "continue RL on this mix",
        lambda f: _why_room(f, f"Execution got better and has more to win.{hard(f)}"),
    ),
    Rule(
        "nothing to select from",
        nothing_to_select,
        "diversify the SFT data",
        lambda f: _why_room(f, "Even before RL no choice among the strategies in use would have won much."),
    ),
    Rule(
        "selection left",
        selection_left,
        "continue RL on this mix",
        lambda f: _why_room(f, "A better choice among the strategies in use would still win."),
    ),
    Rule(
        "selection exhausted",
        selection_exhausted,
        "raise the RL difficulty",
        lambda f: _why_room(f, f"Choice is exhausted and execution still weak.{hard(f)}"),
    ),
    Rule(
        "lead undecided",
        open_lead,
        "collect more samples",
        lambda f: "The interval of the difference of selection and improvement in size includes 0.",
    ),
    Rule(
        "nothing against it",
        lambda f: True,
        "continue RL on this mix",
        lambda f: _why_room(f, "Nothing in these logs speaks for another data set."),
    ),
)
