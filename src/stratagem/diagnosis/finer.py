"""Another set of rules where the user names none and the usual one is unfit, or has one name for most responses."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from stratagem.diagnosis.side import Opened, labeller
from stratagem.labelling.fit import FEWEST, LOOKED_AT, MOST
from stratagem.labelling.in_place import share_of, taken_in_place
from stratagem.labelling.rules import Rule, RuleSet, read_rules


def with_finer_rules(opened: Sequence[Opened], by_hand: Collection[str] = ()) -> list[Opened]:
    """The logs with the set that a rule of the usual one names as `finer`, where that rule has most of the first
    responses of every log; the first of them says so in its notes. Responses that the usual set is not for go first.

    Args:
        by_hand: the strategies of hand labels, which keep the usual set if they are of it.
    """
    rules = opened[0].rules
    if rules is None or any(log.look.rules is not None or log.rules is None for log in opened):
        return list(opened)
    usual = {rule.name for rule in rules.strategies}
    for rule in (*rules.unfit, *rules.strategies):
        kept = usual if rule in rules.unfit else {rule.name}
        if not rule.finer or kept & set(by_hand):
            continue
        shares = [_share(log, rules, rule) for log in opened]
        if min(shares) > MOST:
            finer = read_rules(rule.finer)
            each = ", ".join(f"{share:.0%} of {log.name}" for share, log in zip(shares, opened, strict=True))
            note = taken_in_place(finer.name, rules, rule, f"most responses ({each})")
            labelled = [_labelled_by(log, finer) for log in opened]
            return [replace(labelled[0], notes=(*labelled[0].notes, note)), *labelled[1:]]
    return list(opened)


def _share(log: Opened, rules: RuleSet, rule: Rule) -> float:
    """How many of the first responses a rule has; 0 where they are too few to say."""
    first = log.first.select("completion").drop_nulls().head(LOOKED_AT)
    return share_of(first, rules, rule) if first.height >= FEWEST else 0.0


def _labelled_by(log: Opened, rules: RuleSet) -> Opened:
    labels, _, label = labeller(log.first, replace(log.look, rules=rules))
    return replace(log, labels=labels, rules=rules, label=label)
