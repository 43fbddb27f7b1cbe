"""A finer set of rules where the user names none and the usual one would put most responses into one strategy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from stratagem.diagnosis.side import Opened, labeller
from stratagem.labelling.fit import FEWEST, LOOKED_AT, MOST
from stratagem.labelling.rules import RuleSet, label_frame, read_rules


def with_finer_rules(opened: Sequence[Opened], by_hand: Collection[str] = ()) -> list[Opened]:
    """The logs with the set that a strategy of the usual one names as `finer`, where it has most of the first responses
    of every log; the first of them says so in its notes.

    Args:
        by_hand: the strategies of hand labels, which keep the usual set if that strategy is among them.
    """
    rules = opened[0].rules
    if rules is None or any(log.look.rules is not None or log.rules is None for log in opened):
        return list(opened)
    for rule in rules.strategies:
        shares = (
            [_share(log, rules, rule.name) for log in opened]
            if rule.finer and rule.name not in by_hand
            else [0.0]
        )
        if min(shares) > MOST:
            finer = read_rules(rule.finer)
            each = ", ".join(f"{share:.0%} of {log.name}" for share, log in zip(shares, opened, strict=True))
            note = (
                f"strategies are those of the set {finer.name}, since the set {rules.name} would say {rule.name} of "
                f"most responses ({each}); --strategies {rules.name} takes that set all the same"
            )
            labelled = [_labelled_by(log, finer) for log in opened]
            return [replace(labelled[0], notes=(*labelled[0].notes, note)), *labelled[1:]]
    return list(opened)


def _share(log: Opened, rules: RuleSet, name: str) -> float:
    """How many of the first responses the rules put into a strategy; 0 where they are too few to say."""
    first = log.first.select("completion").drop_nulls().head(LOOKED_AT)
    if first.height < FEWEST:
        return 0.0
    return float((label_frame(first, rules, evidence=False)["strategy"] == name).mean() or 0.0)  # type: ignore[arg-type]


def _labelled_by(log: Opened, rules: RuleSet) -> Opened:
    labels, _, label = labeller(log.first, replace(log.look, rules=rules))
    return replace(log, labels=labels, rules=rules, label=label)
